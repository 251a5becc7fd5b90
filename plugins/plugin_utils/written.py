"""Read what a user wrote as it was meant, or say why that cannot be."""

from __future__ import annotations

import datetime
import linecache
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ansible._internal._datatag._tags import Origin
from ansible_collections.emr.monitoring.plugins.module_utils.text import printable

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(?![0-9A-Za-z_:.+-])")
WITHOUT_UNIT = re.compile(r"(?!0$)[0-9.]+")
# What Ansible's own filter bool knows.
WORDS = {"yes", "on", "1", "true", "y", "t", "no", "off", "0", "false", "n", "f"}


class Written:
    """What a user wrote in one or several variables, with all that is wrong with it.

    :ivar problems: sentences that name the place, the value and the remedy
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def refuse(self, where: str, value: Any, remedy: str, secret: bool = False) -> None:
        """Note a problem; of a `secret` value its kind, of others what can hold no secret that stands deeper."""
        self.problems.append(f"{where} is {kind(value) if secret else _shown(value)}: {remedy}.")

    def text(self, where: str, value: Any, placed: bool = True) -> Any:
        """Return a value that must be text; nothing is empty text, and a plain integer is its digits.

        What YAML has changed is refused: ``no`` is false, ``1.10`` is 1.1, ``010`` is 8, ``18:00`` is 1080. It may be a
        password, so that a number is not shown. `placed` is whether Ansible knows where it stood: of a key it does not.
        """
        if value is None:
            return ""
        if isinstance(value, Mapping | list | tuple):
            self.refuse(where, value, "write one text", secret=True)
            return ""
        if isinstance(value, bool | float | datetime.date) or (
            isinstance(value, int) and placed and _was_changed(value)
        ):
            self._refuse_changed(where, value)
            return ""
        return str(int(value)) if isinstance(value, int) else value

    def scalar(self, where: str, value: Any) -> Any:
        """Return a single value whose type the service knows: as it is, unless YAML has made another text of it."""
        if isinstance(value, datetime.date) or (
            isinstance(value, int | float) and not isinstance(value, bool) and _was_changed(value)
        ):
            self._refuse_changed(where, value)
            return ""
        return value

    def number(self, where: str, value: Any, whole: bool = True) -> None:
        """Refuse what is no number from 0 on, or one that YAML has changed; `whole` is whether it is an integer."""
        digits = re.fullmatch(r"[0-9]+" if whole else r"[0-9]+(\.[0-9]+)?", str(value))
        if isinstance(value, bool) or not digits or (isinstance(value, int | float) and _was_changed(value)):
            self.refuse(where, value, "write a whole number, such as 60" if whole else "write a number, such as 0.5")

    def duration(self, where: str, value: Any) -> None:
        """Refuse a duration without a unit, which Go takes for nanoseconds; what is none at all the checker refuses."""
        if isinstance(value, bool) or WITHOUT_UNIT.fullmatch(str(value)):
            self.refuse(where, value, "write it with its unit, such as 10s or 1m30s")

    def truth(self, where: str, value: Any) -> None:
        """Refuse what says neither yes nor no."""
        if str(value).lower() not in WORDS or isinstance(value, float):
            self.refuse(where, value, "write true or false")

    def boolean(self, where: str, value: Any) -> None:
        """Refuse what is no boolean of YAML: a service reads no other."""
        if not isinstance(value, bool):
            self.refuse(where, value, "write true or false, without quotes")

    def _refuse_changed(self, where: str, value: Any) -> None:
        self.problems.append(
            f"{where} is {kind(value)}: YAML has read it as something else than text: put it in quotes."
        )

    def texts(self, where: str, value: Any) -> Any:
        """Return a structure of which every scalar must be text."""
        if isinstance(value, Mapping):
            return {
                self.text(where, key, placed=False): self.texts(f"{where}.{key}", item) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.texts(where, item) for item in value]
        return self.text(where, value)

    def structure(
        self,
        where: str,
        key: Any,
        value: Any,
        *,
        text: Collection[str],
        text_below: Collection[str],
        other: Callable[[str, Any, Any], Any],
        lists: Collection[str] = (),
    ) -> Any:
        """Return a structure in a service's own syntax, in which what is meant as text is text.

        :param key: the key under which `value` stands; None in a list
        :param text: the keys of single texts
        :param text_below: the keys below which every scalar is a text
        :param other: returns what another scalar is meant as; gets `where`, its key and the scalar
        :param lists: those of `text_below` that are lists; a single text is a list of one
        """
        if key in text_below and value is not None:
            found = self.texts(where, value)
            return [found] if key in lists and not isinstance(found, Mapping | list) else found
        if key in text and not isinstance(value, Mapping | list | tuple):
            return self.text(where, value)
        if isinstance(value, Mapping):
            return {
                name: self.structure(
                    f"{where}.{name}", name, item, text=text, text_below=text_below, other=other, lists=lists
                )
                for name, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [
                self.structure(where, None, item, text=text, text_below=text_below, other=other, lists=lists)
                for item in value
            ]
        return other(where, key, value)

    def sections(self, where: str, value: Any, owned: Mapping[str, str], secret: bool = False) -> dict[str, Any]:
        """Return the sections of a configuration; one that another variable writes is refused with its name.

        :param owned: the variable by the name of its section
        """
        found = self.mapping(where, value, secret)
        for section, variable in owned.items():
            if section in found:
                self.problems.append(f"{where} holds {section}, which the role writes: use {variable}.")
        return {name: item for name, item in found.items() if name not in owned}

    def mapping(self, where: str, value: Any, secret: bool = False) -> dict[str, Any]:
        """Return what must be a mapping; nothing is an empty one. What stands in its place is not shown if `secret`."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.refuse(where, value, "write a mapping, name: value", secret)
            return {}
        return dict(value)

    def sequence(self, where: str, value: Any) -> list[Any]:
        """Return what must be a list; nothing is an empty one, and a single value is a list of one."""
        if value is None:
            return []
        return list(value) if isinstance(value, list | tuple) else [value]


def loses_space(secret: str) -> bool:
    """Tell whether a secret is another one where it is read from a file, as Prometheus, Grafana and restic read it.

    They leave out white space at both ends. The end of a line is not meant as part of a secret.
    """
    return secret.strip() != secret.rstrip("\r\n")


LOST_SPACE = "begins or ends with a space, which is left out where it is read from a file: choose another one."


def kind(value: Any) -> str:
    """Say what a value is, and nothing of what it holds."""
    if isinstance(value, bool):
        return str(value)
    kinds = {Mapping: "a mapping", list | tuple: "a list", int | float: "a number", datetime.date: "a date"}
    return next((name for types, name in kinds.items() if isinstance(value, types)), "a text" if value else "empty")


def _shown(value: Any) -> str:
    """Return a value as an error may show it: one that was meant to be something else may hold a password."""
    parts = value if isinstance(value, list | tuple) else [value]
    if isinstance(value, Mapping) or any(isinstance(part, Mapping | list | tuple) for part in parts):
        return "a structure"
    if any("\n" in str(part) for part in parts):
        return "a text of several lines"
    plain = [printable(part) if isinstance(part, str) else part for part in parts]
    return repr(plain if isinstance(value, list | tuple) else plain[0])


def _was_changed(number: int | float) -> bool:
    """Tell whether a number stood otherwise in the file that it comes from; False where nobody knows."""
    origin = Origin.get_tag(number)
    if origin is None or not origin.path or not origin.line_num or not origin.col_num:
        return False
    line = linecache.getline(str(origin.path), origin.line_num)
    stood = line[origin.col_num - 1 :]
    # The result of a template has the place of the template.
    if stood[:1] not in "+-.0123456789":
        return False
    found = NUMBER.match(stood)
    plain = str(float(number) if isinstance(number, float) else int(number))
    return bool(line) and not (found and found.group() == plain)
