"""Say what stands in the lines of a configuration that a checker names: the user never sees that file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

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
    path = next((path for path in files if path in message), None)
    if path is None or not path.endswith((".yml", ".yaml")):
        return message
    try:
        root = yaml.compose(files[path], Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return message
    numbers = list(dict.fromkeys(map(int, LINE.findall(message))))[:AT_MOST]
    found = {number: ", ".join(_place(root, number - 1)) for number in numbers}
    said = [f"Line {number} is {place}." for number, place in found.items() if place]
    return "\n".join([message, *said])


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
        known = {key.value: value.value for key, value in item.value}
        yield from (f"{name} {known[name]}" for name in NAMES if name in known)
