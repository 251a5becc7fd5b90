"""Whether a service would begin anew beside the data that it has."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

UNITS = Path("/etc/systemd/system")
BACKUP = Path("/etc/emr-monitoring-backup/settings.json")
FLAG = r'--storage(?:\.tsdb)?\.path=([^\s"\\]+)'
INI = r"(?m)^data\s*=\s*(\S+)\s*$"


def data_problems(services: list[dict[str, Any]], units: Path = UNITS) -> list[str]:
    """Return a problem for each service whose data would stay where they are, while it has another, empty folder.

    :param services: entries of the module's option
    :param units: the folder of units
    """
    problems = []
    for service in services:
        variable = f"{service['name']}_data_dir"
        new = service["folders"].get(variable)
        old = _folder(service, units)
        if new and old and os.path.normpath(old) != os.path.normpath(new) and _holds(old) and not _holds(new):
            problems.append(
                f"{variable} is {new}, which is empty, and {service['name']} has its data in {old}: they would stay "
                f"behind. Leave {variable} (or monitoring_volume) as it was; or move them: "
                f"systemctl stop {service['unit']}; mkdir -p {os.path.dirname(new)}; mv {old} {new}"
            )
    return problems


def _folder(service: dict[str, Any], units: Path) -> str:
    """Return where a service that is installed keeps its data, empty where it is not, or does not say."""
    grafana = service["name"] == "grafana"
    path = Path(service["configuration"], "grafana.ini") if grafana else units / service["unit"]
    try:
        found = re.search(INI if grafana else FLAG, path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return found[1] if found else ""


def backed_up(settings: Path = BACKUP) -> dict[str, str]:
    """Return where the node's backups look for the data: ``metrics``, ``grafana`` and ``database``; {} without any.

    :param settings: the file that the role backup writes
    """
    try:
        found = json.loads(settings.read_text(encoding="utf-8"))
        return {name: str(found[name]) for name in ("metrics", "grafana", "database")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _holds(folder: str) -> bool:
    try:
        return any(os.scandir(folder))
    except OSError:
        return False
