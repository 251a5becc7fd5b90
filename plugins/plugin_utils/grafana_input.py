"""The gate of Grafana: what a user wrote is what is rendered, or it is refused."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_ini import NAME, NO, grafana_metrics_problems
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_own_keys import DATABASE, ONLY, OWN_KEYS
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

# What Grafana takes for "yes".
YES = {"1", "t", "T", "true", "TRUE", "True", "y", "yes", "YES", "Yes", "on", "ON", "On"}
# The role has nothing to say on these where grafana_external_url is empty.
WITHOUT_URL = {"server.root_url", "server.domain"}
# Counts with how many wrong passwords Grafana locks a user; the role reads it, too.
ATTEMPTS = "security.brute_force_login_protection_max_attempts"


def grafana_input(written: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a user wrote, and return it as it is rendered.

    :param written: values by the names of the role's variables without ``grafana_``: ``ini``,
        ``dashboards_dirs``, ``metrics``, ``external_url`` and ``data_dir``
    :returns: ``problems``, a list of sentences, and ``ini`` and ``dashboards_dirs``
    """
    gate = Written()
    ini = ini_sections(gate, written["ini"])
    _refuse_own_keys(gate, ini, written)
    folders = gate.sequence("grafana_dashboards_dirs", written["dashboards_dirs"])
    return {
        "ini": ini,
        "dashboards_dirs": [str(folder) for folder in folders],
        "problems": gate.problems + grafana_metrics_problems(ini, written["metrics"]),
    }


def ini_sections(gate: Written, value: Any) -> dict[str, dict[str, Any]]:
    """Return the sections; one in which nothing stands is none, as in Grafana's own file."""
    found: dict[str, dict[str, Any]] = {}
    for section, settings in gate.mapping("grafana_ini", value, secret=True).items():
        where = _name(gate, "grafana_ini", section)
        if where:
            keys = gate.mapping(where, settings, secret=True)
            named = ((_name(gate, where, key), key, item) for key, item in keys.items())
            meant = {key: _setting(gate, name, item) for name, key, item in named if name}
            if meant:
                found[str(section)] = {str(key): item for key, item in meant.items()}
    return found


def is_boolean(value: Any) -> bool:
    """Tell whether Grafana reads a value as true or false; of what it replaces first, and of nothing, it may."""
    text = str(value).lower() if isinstance(value, bool) else str("" if value is None else value)
    return text in YES | NO or text == "" or "$" in text


def _name(gate: Written, where: str, name: Any) -> str:
    """Return where a section or a key stands, empty where it can be none."""
    if isinstance(name, bool | float) or not NAME.fullmatch(str(name)):
        gate.problems.append(
            f"{where} holds {str(name)!r}, which is no name of a section or key: write letters, digits and . _ -, no "
            "others, in quotes where YAML takes it for something else (on, yes, 1.0)."
        )
        return ""
    return f"{where}.{name}"


def _setting(gate: Written, where: str, value: Any) -> Any:
    """Return the value of a key: text, a number, true, false or nothing."""
    if isinstance(value, Mapping):
        section = where.removeprefix("grafana_ini.")
        gate.refuse(
            where, value, f"give one text, number or boolean; a section is a key of grafana_ini, {section!r}", True
        )
        return ""
    if isinstance(value, list | tuple):
        gate.refuse(where, value, "give one text, number or boolean", secret=True)
        return ""
    if isinstance(value, str) and re.search(r"[\r\n]", value):
        gate.problems.append(f"{where} holds a line break: write it on one line.")
        return ""
    return gate.scalar(where, value)


def _refuse_own_keys(gate: Written, ini: Mapping[str, Mapping[str, Any]], written: Mapping[str, Any]) -> None:
    """Refuse the keys that the role writes, and values with which its questions get no answer."""
    keys = {f"{section}.{key}": value for section, settings in ini.items() for key, value in settings.items()}
    for name in sorted(keys.keys() & OWN_KEYS.keys()):
        if written["external_url"] or name not in WITHOUT_URL:
            gate.problems.append(f"grafana_ini.{name} would have no effect or break the service: {OWN_KEYS[name]}.")
    for name in sorted(keys.keys() & ONLY.keys()):
        only, remedy = ONLY[name]
        if str(keys[name]) not in (YES if only else NO):
            gate.problems.append(f"grafana_ini.{name} can be {str(only).lower()} alone: {remedy}.")
    if ATTEMPTS in keys:
        gate.number(f"grafana_ini.{ATTEMPTS}", keys[ATTEMPTS])
    folder = str(written["data_dir"])
    path = posixpath.normpath(posixpath.join(folder, str(keys.get("database.path") or "grafana.db")))
    if keys.get("database.type", "sqlite3") == "sqlite3" and not path.startswith(f"{folder}/"):
        gate.problems.append(f"grafana_ini.database.path is {path}: {DATABASE}.")
