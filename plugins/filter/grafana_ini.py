"""Write Grafana's configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

HEADER = "; Ansible managed"
HIDDEN = "(not shown)"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def grafana_ini_file(
    sections: Mapping[str, Mapping[str, Any]], harmless: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Write a mapping of sections as ``grafana.ini``.

    Values in which Grafana would see a comment or a quote, or the next line as their continuation, are put between
    triple quotes, as its own defaults.ini advises. Its ``%(key)s``, ``$__file{}`` and ``${}`` keep their meaning.

    :param sections: section name -> key -> string, number, boolean or null (an empty value)
    :param harmless: what of it is no secret, in the same form
    :returns: ``content``, the file's text, and ``shown``, the same lines with the values of ``harmless`` alone
    :raises AnsibleFilterError: a section is not a mapping, a name is not one that Grafana has, or a value is a list
        or mapping or holds a line break
    """
    lines, shown = [HEADER], [HEADER]
    for section, settings in sections.items():
        if not isinstance(settings, Mapping):
            raise AnsibleFilterError(
                f"grafana_ini.{section} is a {type(settings).__name__}: give a mapping of keys and values."
            )
        for name in (section, *settings):
            if not NAME.fullmatch(str(name)):
                raise AnsibleFilterError(
                    f"grafana_ini: {name!r} is no name of a section or key: write letters, digits and . _ -, no others."
                )
        lines.append(f"[{section}]")
        shown.append(lines[-1])
        for key, value in settings.items():
            lines.append(f"{key} = {_value(f'{section}.{key}', value)}")
            known = key in harmless.get(section, {}) and harmless[section][key] == value
            shown.append(lines[-1] if known else f"{key} = {HIDDEN}")
        lines.append("")
        shown.append("")
    return {"content": "\n".join(lines), "shown": "\n".join(shown)}


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    if isinstance(value, (list, Mapping)):
        kind = "list" if isinstance(value, list) else "mapping"
        raise AnsibleFilterError(f"grafana_ini.{name} is a {kind}: give one string, number or boolean.")
    text = str(value)
    if "\n" in text or "\r" in text:
        raise AnsibleFilterError(f"grafana_ini.{name} holds a line break: write it on one line.")
    return f'"""{text}"""' if set(text) & set("#;`\"'\\") or text != text.strip() else text


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"grafana_ini_file": grafana_ini_file}
