"""Say what stands in the lines of a configuration that a checker names: the user never sees that file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import yaml

LINE = re.compile(r"\bline (\d+)\b")
# By which key an item of a list is known.
NAMES = ("job_name", "name", "alert", "record")
AT_MOST = 10


def with_places(message: str, files: Mapping[str, str]) -> str:
    """Return what a checker said, with the place of each line that it names, without any value.

    :param message: names the file as well
    :param files: path on the node -> text, of YAML or anything else
    """
    found = [(_named_before(message, each.start(), files), int(each[1])) for each in LINE.finditer(message)]
    places = [
        (line, ", ".join(_place(_composed(files.get(path, "")), line - 1)))
        for path, line in list(dict.fromkeys(found))[:AT_MOST]
    ]
    return "\n".join([message, *(f"Line {line} is {place}." for line, place in places if place)])


def _named_before(message: str, end: int, files: Iterable[str]) -> str:
    """Return the file of YAML that a message names last before a place in it; empty where it names none."""
    named = {path: message.rfind(path, 0, end) for path in files if path.endswith((".yml", ".yaml"))}
    last = max(named, key=lambda path: named[path], default="")
    return last if named.get(last, -1) >= 0 else ""


def _composed(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None


def _place(node: yaml.Node | None, line: int) -> Iterator[str]:
    """Yield what leads to a line (from 0 on): keys, and the names of the items of lists."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.start_mark.line <= line < _end(value):
                yield str(key.value)
                yield from _place(value, line)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            if item.start_mark.line <= line < _end(item):
                yield from _name(item)
                yield from _place(item, line)


def _end(node: yaml.Node) -> int:
    """Return the line after a node: one of several lines ends where the next begins."""
    return int(max(node.end_mark.line, node.start_mark.line + 1))


def _name(item: yaml.Node) -> Iterator[str]:
    if isinstance(item, yaml.MappingNode):
        known = {key.value: value.value for key, value in item.value if isinstance(value, yaml.ScalarNode)}
        yield from (f"{name} {known[name]}" for name in NAMES if name in known)
