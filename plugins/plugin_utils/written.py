"""Read what a user wrote as it was meant, or say why that cannot be."""

from __future__ import annotations

import datetime
import linecache
import re
from collections.abc import Mapping
from typing import Any

from ansible._internal._datatag._tags import Origin
from ansible_collections.emr.monitoring.plugins.module_utils.text import printable

WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(?![0-9A-Za-z_:.])")


class Written:
    """What a user wrote in one or several variables, with all that is wrong with it.

    :ivar problems: sentences that name the place, the value and the remedy
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def refuse(self, where: str, value: Any, remedy: str) -> None:
        """Note a problem; of the value what cannot hold a secret that stands deeper in it."""
        self.problems.append(f"{where} is {_shown(value)}: {remedy}.")

    def text(self, where: str, value: Any, placed: bool = True) -> Any:
        """Return a value that must be text; nothing is empty text, and a plain integer is its digits.

        What YAML has changed is refused: ``no`` is false, ``1.10`` is 1.1, ``010`` is 8, ``18:00`` is 1080. It may be a
        password, so that a number is not shown. `placed` is whether Ansible knows where it stood: of a key it does not.
        """
        if value is None:
            return ""
        if isinstance(value, bool | float | datetime.date) or (
            isinstance(value, int) and placed and _was_changed(value)
        ):
            kind = str(value) if isinstance(value, bool) else "a number" if isinstance(value, int | float) else "a date"
            self.problems.append(f"{where} is {kind}: YAML has read it as something else than text: put it in quotes.")
            return ""
        return str(int(value)) if isinstance(value, int) else value

    def texts(self, where: str, value: Any) -> Any:
        """Return a structure of which every scalar must be text."""
        if isinstance(value, Mapping):
            return {
                self.text(where, key, placed=False): self.texts(f"{where}.{key}", item) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.texts(where, item) for item in value]
        return self.text(where, value)

    def mapping(self, where: str, value: Any) -> dict[str, Any]:
        """Return what must be a mapping; nothing is an empty one."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.refuse(where, value, "write a mapping, name: value")
            return {}
        return dict(value)

    def sequence(self, where: str, value: Any) -> list[Any]:
        """Return what must be a list; nothing is an empty one, and a single value is a list of one."""
        if value is None:
            return []
        return list(value) if isinstance(value, list | tuple) else [value]


def _shown(value: Any) -> str:
    """Return a value as an error may show it: one that was meant to be something else may hold a password."""
    parts = value if isinstance(value, list | tuple) else [value]
    if isinstance(value, Mapping) or any(isinstance(part, Mapping | list | tuple) for part in parts):
        return "a structure"
    if any("\n" in str(part) for part in parts):
        return "a text of several lines"
    plain = [printable(part) if isinstance(part, str) else part for part in parts]
    return repr(plain if isinstance(value, list | tuple) else plain[0])


def _was_changed(number: int) -> bool:
    """Tell whether an integer stood otherwise in the file that it comes from; False where nobody knows."""
    origin = Origin.get_tag(number)
    if origin is None or not origin.path or not origin.line_num or not origin.col_num:
        return False
    line = linecache.getline(str(origin.path), origin.line_num)
    found = WHOLE_NUMBER.match(line[origin.col_num - 1 :])
    return bool(line) and not (found and found.group() == str(int(number)))
