"""Write what a user said in a service's own syntax as a file, and as a diff may show it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import yaml

HEADER = "# Ansible managed\n"
HIDDEN = "(not shown)"
# In a value that is harmless by its place: the end of a login, and the beginning of a query with its tokens.
GUARDED = re.compile(r"[@?]")
LINE_BREAK = re.compile("[\r\n\x85\u2028\u2029]")
# Longer than any line, and the largest that libyaml takes.
WIDTH = 2**31 - 1


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes every scalar on one line, so that a file and what is shown of it have the same lines."""


def _one_line(dumper: _Dumper, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if LINE_BREAK.search(text) else None)


_Dumper.add_representer(str, _one_line)


def plain(value: Any) -> Any:
    """Return a value as Python's and YAML's own types.

    Ansible marks what comes out of a vault or a template; a dumper that knows the marks writes the cipher text instead
    of the secret, and one that does not refuses the value.

    :param value: mappings, sequences and scalars, nested at will; dates become text in ISO format
    """
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence | AbstractSet):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else str(value)


def yaml_file(structure: Any, harmless: Iterable[str] = ()) -> dict[str, str]:
    """Write a structure as a YAML file.

    :param structure: what the file is to hold; none of Ansible's marks reaches it
    :param harmless: patterns of the paths whose values may be shown, such as ``scrape_configs.job_name`` or
        ``global.*``, in which lists do not count; a value that could hold a login or a query is not shown all the same
    :returns: ``content``, the file's text, and ``shown``, the same lines without the values that could be secret
    """
    known = re.compile("|".join(map(fnmatch.translate, harmless)) or r"(?!)")

    def masked(value: Any, path: str = "") -> Any:
        if isinstance(value, dict):
            return {key: masked(item, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
        if isinstance(value, list):
            return [masked(item, path) for item in value]
        return value if known.match(path) and not GUARDED.search(str(value)) else HIDDEN

    written = plain(structure)
    return {"content": _dump(written), "shown": _dump(masked(written))}


def _dump(structure: Any) -> str:
    text: str = yaml.dump(structure, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return HEADER + text


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"yaml_file": yaml_file}
