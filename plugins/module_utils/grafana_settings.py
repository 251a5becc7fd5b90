"""What of grafana.ini Grafana would ignore in silence: what its release's own conf/defaults.ini does not know."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

SECTION = re.compile(r"\[([^\]]+)\]\s*")
# A key that is commented out is known as well.
KEY = re.compile(r"[;#]?\s*([A-Za-z0-9_.]+)\s*=.*")
# Sections whose keys are names that anybody may choose, or that no page lists.
OPEN = re.compile(
    r"plugin\..*|feature_toggles|plugins\.restricted_.*|.*custom_(response_)?headers|metrics\.environment_info"
)


def known_settings(text: str) -> dict[str, set[str]]:
    """Return the keys of each section of a defaults.ini; what stands before the first one is in the section "".

    :param text: its content
    """
    found: dict[str, set[str]] = {"": set()}
    section = ""
    for line in text.splitlines():
        if match := SECTION.fullmatch(line):
            section = match[1]
            found.setdefault(section, set())
        elif match := KEY.fullmatch(line):
            found[section].add(match[1])
    return found


def ignored_settings(path: str, given: Mapping[str, Sequence[str]]) -> list[str]:
    """Say which settings of a user Grafana's release does not know, each with the nearest that it knows.

    :param path: that of the defaults.ini; one that is not there says nothing
    :param given: the keys that the user wrote, by section
    """
    if not given:
        return []
    try:
        with open(path, encoding="utf-8") as file:
            known = known_settings(file.read())
    except OSError:
        return []
    return [
        f"grafana_ini.{section}.{key} is no setting that the defaults.ini of this Grafana lists, and what it does not "
        f"know it ignores.{_near(section, key, known)}"
        for section, keys in given.items()
        for key in keys
        if not OPEN.fullmatch(section) and key not in known.get(section, ())
    ]


def _near(section: str, key: str, known: Mapping[str, set[str]]) -> str:
    """Return what may have been meant."""
    if section in known:
        near = difflib.get_close_matches(key.lower(), known[section], n=1)
        return f" Did you mean {near[0]}?" if near else ""
    near = difflib.get_close_matches(section.lower(), known, n=1)
    return f" Did you mean the section {near[0]}?" if near else ""
