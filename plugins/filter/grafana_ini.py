"""Write Grafana's configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def to_grafana_ini(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Write a mapping of sections as ``grafana.ini``.

    Values in which Grafana would see a comment or a quote, or the next line as their continuation, are put between
    triple quotes, as its own defaults.ini advises. Its ``%(key)s``, ``$__file{}`` and ``${}`` keep their meaning.

    :param sections: section name -> key -> string, number, boolean or null (an empty value)
    :raises AnsibleFilterError: a section is not a mapping, a name is not one that Grafana has, or a value is a list
        or mapping or holds a line break
    """
    lines: list[str] = []
    for section, settings in sections.items():
        if not isinstance(settings, Mapping):
            raise AnsibleFilterError(f"grafana_ini.{section} is {settings!r}: give a mapping of keys and values.")
        for name in (section, *settings):
            if not NAME.fullmatch(str(name)):
                raise AnsibleFilterError(
                    f"grafana_ini: {name!r} is no name of a section or key: write letters, digits and . _ -, no others."
                )
        lines.append(f"[{section}]")
        lines += [f"{key} = {_value(f'{section}.{key}', value)}" for key, value in settings.items()]
        lines.append("")
    return "\n".join(lines)


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    if isinstance(value, (list, Mapping)):
        raise AnsibleFilterError(f"grafana_ini.{name} is {value!r}: give one string, number or boolean.")
    text = str(value)
    if "\n" in text or "\r" in text:
        raise AnsibleFilterError(f"grafana_ini.{name} holds a line break: write it on one line.")
    return f'"""{text}"""' if set(text) & set("#;`\"'\\") or text != text.strip() else text


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"to_grafana_ini": to_grafana_ini}
