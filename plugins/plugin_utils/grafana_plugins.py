"""The gate of Grafana's plugins: each is whole and pinned, or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.release import ReleaseError, parse
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

# With a hyphen, as Grafana wants it; it is a section of grafana.ini, too.
NAME = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*-[A-Za-z0-9]+")
KEYS = ("name", "version", "url", "sha256")


def grafana_plugins(written: Any, folder: str) -> dict[str, Any]:
    """Check the plugins, and return them with the sections of grafana.ini that have Grafana load them.

    :param written: what the user wrote into ``grafana_plugins``
    :param folder: path of the folder on the node below which they are unpacked
    :returns: ``plugins``, each ``name``, ``version``, ``url`` and ``sha256``; ``ini``; and ``problems``, a list of
        sentences, which show no url, since that may hold a login
    """
    gate = Written()
    found: dict[str, dict[str, str]] = {}
    for number, item in enumerate(gate.sequence("grafana_plugins", written), 1):
        where = f"grafana_plugins[{number}]"
        plugin = _plugin(gate, where, item)
        if not plugin:
            continue
        if plugin["name"] in found:
            gate.problems.append(f"{where}.name is {plugin['name']!r}, as that of another one is: keep one version.")
        found[plugin["name"]] = plugin
    ini = {f"plugin.{name}": {"path": f"{folder}/{name}/{plugin['version']}"} for name, plugin in found.items()}
    return {"plugins": list(found.values()), "ini": ini, "problems": gate.problems}


def _plugin(gate: Written, where: str, item: Any) -> dict[str, str] | None:
    """Return one plugin; nothing where something is wrong with it."""
    before = len(gate.problems)
    given = gate.mapping(where, item, secret=True)
    for key in sorted(given.keys() - set(KEYS), key=str):
        gate.problems.append(f"{where}.{key} is not known: a plugin has {', '.join(KEYS)}.")
    plugin = {key: str(gate.text(f"{where}.{key}", given.get(key))) for key in KEYS}
    if len(gate.problems) > before:
        return None
    missing = [key for key, value in plugin.items() if not value]
    if missing:
        gate.problems.append(f"{where} lacks {' and '.join(missing)}: a plugin has {', '.join(KEYS)}.")
        return None
    if not NAME.fullmatch(plugin["name"]):
        gate.refuse(f"{where}.name", plugin["name"], "write the id of the plugin, such as grafana-piechart-panel")
        return None
    try:
        own = {"name": "grafana", "plugin": plugin["name"], "root": "/plugins", "current": "", "exclude": []}
        parse({**plugin, **own})
    except ReleaseError as error:
        gate.problems.append(str(error))
        return None
    return plugin


def path_problems(plugins: Mapping[str, Any], ini: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which plugins grafana_ini would take from somewhere else.

    :param plugins: sections of grafana.ini, see ``grafana_plugins``
    :param ini: those of the user
    """
    return [
        f"grafana_ini.{section}.path would have another copy of that plugin load: leave it out."
        for section in plugins
        if "path" in ini.get(section, {})
    ]
