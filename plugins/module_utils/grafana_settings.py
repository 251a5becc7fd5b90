"""What of grafana.ini Grafana would ignore in silence: what its release's own conf/defaults.ini does not know."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

SECTION = re.compile(r"\[([^\]]+)\]\s*")
# A key that is commented out is known as well.
KEY = re.compile(r"[;#]?\s*([A-Za-z0-9_.]+)\s*=\s*(.*)")
# Sections whose keys are names that anybody may choose, or that no page lists.
OPEN = re.compile(
    r"plugin\..*|feature_toggles|plugins\.restricted_.*|.*custom_(response_)?headers|metrics\.environment_info"
)


def known_settings(text: str) -> dict[str, dict[str, str]]:
    """Return the defaults of each section of a defaults.ini; what stands before the first one is in the section "".

    :param text: its content
    """
    found: dict[str, dict[str, str]] = {"": {}}
    section = ""
    for line in text.splitlines():
        if match := SECTION.fullmatch(line):
            section = match[1]
            found.setdefault(section, {})
        elif match := KEY.fullmatch(line):
            found[section][match[1]] = match[2].strip()
    return found


def ignored_settings(path: str, given: Mapping[str, Mapping[str, bool]]) -> list[str]:
    """Say which settings of a user Grafana's release does not know, each with the nearest that it knows.

    And those that are neither true nor false where its default is: it takes the default then.

    :param path: that of the defaults.ini; one that is not there says nothing
    :param given: the keys that the user wrote, by section -> whether the value is true or false for Grafana
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
    ] + [
        f"grafana_ini.{section}.{key} is neither true nor false, and Grafana takes its default, {known[section][key]}: "
        "write true or false."
        for section, keys in given.items()
        for key, boolean in keys.items()
        if not boolean and known.get(section, {}).get(key) in ("true", "false")
    ]


def _near(section: str, key: str, known: Mapping[str, Mapping[str, str]]) -> str:
    """Return what may have been meant."""
    if section in known:
        near = difflib.get_close_matches(key.lower(), known[section], n=1)
        return f" Did you mean {near[0]}?" if near else ""
    near = difflib.get_close_matches(section.lower(), known, n=1)
    return f" Did you mean the section {near[0]}?" if near else ""
