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


# What Grafana takes for "no"; anything else, an empty value too, leaves its default, which is to give the metrics.
NO = {"0", "f", "F", "false", "FALSE", "False", "n", "no", "NO", "No", "off", "OFF", "Off"}
METRICS_KEYS = ("enabled", "basic_auth_username", "basic_auth_password")


def grafana_metrics_problems(sections: Mapping[str, Any], grafana_metrics: bool) -> list[str]:
    """Say what is wrong with what a user writes about Grafana's metrics of itself, which it gives to everybody.

    :param sections: the variable ``grafana_ini``
    :param grafana_metrics: whether the role gives the metrics with its own login
    """
    metrics = sections.get("metrics")
    if not isinstance(metrics, Mapping):
        return []
    twice = [f"grafana_ini.metrics.{key}" for key in METRICS_KEYS if key in metrics]
    if grafana_metrics and twice:
        return [
            f"{', '.join(twice)} would undo what grafana_metrics: true sets. Remove it from grafana_ini, "
            "or set grafana_metrics to false."
        ]
    enabled = _value("metrics.enabled", metrics.get("enabled", False))
    login = [_value(f"metrics.{key}", metrics.get(key)) for key in METRICS_KEYS[1:]]
    if grafana_metrics or enabled.strip() in NO or all(login):
        return []
    return [
        f"grafana_ini.metrics.enabled is '{enabled}' without basic_auth_username and basic_auth_password: Grafana "
        "would give its internals to everybody at /metrics. Set grafana_metrics to true instead: it adds a login and "
        "a scrape job."
    ]


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
