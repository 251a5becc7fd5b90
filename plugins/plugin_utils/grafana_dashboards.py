"""Filters that prepare Grafana dashboards on the controller."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.emr.monitoring.plugins.plugin_utils.collected import collected
from ansible_collections.emr.monitoring.plugins.plugin_utils.dashboard_files import dashboard_files, read, refuse
from ansible_collections.emr.monitoring.plugins.plugin_utils.dashboard_models import (
    EXPORT,
    Json,
    check,
    meant,
    model,
    uid,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.dashboard_sources import EXPRESSIONS, Resolver, Sources
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

RANGE = re.compile(r"[1-9]\d*[smhdwMy]", re.ASCII)
# Prometheus' durations, from the largest unit to the smallest.
DURATION = re.compile(
    "".join(rf"(?:(?P<{unit}>\d+){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")), re.ASCII
)
# What Grafana offers.
INTERVALS = ("5s", "10s", "15s", "30s", "1m", "5m", "15m", "30m", "1h", "2h", "1d")
SECONDS = {"y": 365 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
PLACEHOLDER = re.compile(r"\$\{([^}:]+)\}")
# Grafana adds what is chosen there to each query: the queries of the guide stay as they are.
FILTERS = {
    "type": "adhoc",
    "name": "filtros",
    "label": "Filtros",
    "datasource": {"type": "prometheus", "uid": "prometheus"},
    "filters": [],
}
EXPORT_ONLY = ("__inputs", "__requires", "__elements")


def grafana_dashboards(
    dirs: Sequence[str] | str | None,
    datasources: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]] | None = None,
    *,
    own: Sequence[str] = (),
    folder: str = "",
    time_range: str = "1h",
    refresh: str = "15s",
    filtered: bool = False,
) -> Json:
    """Read the dashboards of some folders and make each one ready for Grafana's file provisioning.

    Args:
        dirs: folders on the controller, with the folders below them, which become folders in Grafana.
        datasources: what is provisioned, in Grafana's own syntax (name, type, uid, isDefault).
        others: the sources that users made in the running Grafana (name, type, uid); none where nobody knows them:
            then a name that is not provisioned stays.
        own: folders of the project, whose dashboards come first and open with the following three; what others say
            themselves stays.
        folder: the folder in Grafana of what lies in no subfolder.
        time_range: how far they look back, such as 1h.
        refresh: how often they ask again, as a duration of Prometheus; empty is never.
        filtered: whether they offer filters by labels, for a source that holds more than this node's metrics.

    Returns:
        `files` and `folders` (those in subfolders): the JSON text of each dashboard by its path below its folder. A
        text that needs no change is passed as it is. `uids`: the title of each by its uid. `notes`: sentences on what
        was changed for want of a data source.

    Raises:
        AnsibleFilterError: what Grafana would refuse, skip or freeze on; it names each file with the remedy.
    """
    # A number or a yes is no duration, and is refused as one.
    opened = _opened(str(time_range), "" if refresh is None else str(refresh))
    sources = Sources(datasources, others)
    found: Json = {"files": {}, "folders": {}, "uids": {}, "notes": []}
    # Grafana stops updating a whole folder over any of these: who had it first, so that both can be named.
    seen: dict[tuple[str, str, str], Path] = {}
    problems: list[str] = []

    def add(path: Path, below: str) -> None:
        # Grafana takes the name of the last folder, and has one level of them.
        inside = path.parent.name if "/" in below else ""
        place = f"{inside}/{path.name}" if inside else path.name
        try:
            text, content = read(path)
            resolved, notes = _resolve(path, meant(path, below, content), sources)
            if str(path.parent) in own:
                resolved |= opened
                if filtered:
                    variables = resolved.get("templating", {}).get("list", [])
                    resolved["templating"] = {"list": [*variables, FILTERS]}
            unchanged = resolved == content
        except RecursionError:
            refuse(path, "is nested too deeply for a dashboard", EXPORT)
        title, name = model(resolved)["title"], uid(resolved)
        shown = inside or folder
        for what, where, value in (
            ("file name", inside, path.name),
            ("uid", "", name),
            ("title", shown, title.strip()),
        ):
            first = seen.setdefault((what, where, value), path)
            if first is not path:
                refuse(path, f"has the same {what} as {first}: {value!r}", "Change it in one of the two")
        found["folders" if inside else "files"][place] = text if unchanged else _dump(resolved)
        found["uids"][name] = title
        found["notes"] += notes

    for path, below in dashboard_files([*own, *_folders(dirs)], problems):
        collected(problems, partial(add, path, below), None)
    if problems:
        raise AnsibleFilterError("\n".join(problems))
    return found


def _folders(dirs: Any) -> list[str]:
    """Return a list of folders as it was meant: nothing is none, and a single one is a list of it."""
    gate = Written()
    folders = gate.sequence("grafana_dashboards_dirs", dirs)
    for folder in folders:
        if not isinstance(folder, str) or not folder.strip():
            gate.refuse("grafana_dashboards_dirs", folder, "list folders of this controller")
    if gate.problems:
        raise AnsibleFilterError("\n".join(gate.problems))
    return folders


def _opened(time_range: str, refresh: str) -> Json:
    """Return the part of a dashboard's model that says with which time range it opens, and how often it asks again."""
    if not RANGE.fullmatch(time_range):
        raise AnsibleFilterError(
            f"grafana_dashboards_range is {time_range!r}. Write it like 1h or 30m: one number, one of s m h d w M y."
        )
    found = DURATION.fullmatch(refresh)
    seconds = sum(int(number) * SECONDS[unit] for unit, number in found.groupdict("0").items()) if found else 0
    if refresh and not seconds:
        raise AnsibleFilterError(
            f"grafana_dashboards_refresh is {refresh!r}. Write it like 15s or 1m30s, or leave it empty for never."
        )
    # Grafana knows one unit at a time, and no part of a second.
    interval = _interval(max(1, round(seconds))) if refresh else ""
    offered = sorted({*map(_seconds, INTERVALS), *([_seconds(interval)] if refresh else [])})
    return {
        "refresh": interval,
        "time": {"from": f"now-{time_range}", "to": "now"},
        # It does not show the interval that is none of these.
        "timepicker": {"refresh_intervals": [_interval(each) for each in offered]},
    }


def _interval(seconds: int) -> str:
    """Return a number of seconds in the largest unit in which it is a whole number."""
    size, unit = next(
        (size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")) if not seconds % size
    )
    return f"{seconds // size}{unit}"


def _seconds(interval: str) -> int:
    return int(int(interval[:-1]) * SECONDS[interval[-1]])


def _resolve(path: Path, dashboard: Json, sources: Sources) -> tuple[Json, list[str]]:
    """Return a dashboard in which nothing is left to ask the user for, and what was changed for that."""
    spec = model(dashboard)
    templating = spec.get("templating")
    listed = (templating.get("list") or []) if isinstance(templating, dict) else templating or []
    if not isinstance(listed, list) or not all(isinstance(variable, dict) for variable in listed):
        refuse(path, "has a templating that is no list of variables", EXPORT)
    resolver = Resolver(path, sources, spec, spec.get("__requires"))
    try:
        values = {
            item["name"]: str(item["value"])
            if item["type"] == "constant"
            else _input(resolver, item["name"], item["pluginId"])
            for item in spec.get("__inputs") or ()
        }
    except (KeyError, TypeError):
        refuse(
            path,
            "has an entry in __inputs without a name, type, and value or pluginId",
            "Complete it, or export the dashboard for sharing externally again",
        )
    kept = {key: value for key, value in dashboard.items() if key not in EXPORT_ONLY}
    if "id" in kept:
        kept["id"] = None
    resolved: Json = _substitute(kept, values)
    # A constant may stand in the title.
    check(path, resolved)
    if sources.all_known:
        resolved = resolver.resolved(resolved)
    variables = {str(variable.get("name")) for variable in listed}
    for name in PLACEHOLDER.findall(_dump(resolved)):
        if name.startswith("DS_") and name not in variables:
            refuse(
                path,
                f"uses ${{{name}}}, which neither its __inputs nor its variables declare",
                "Put the uid of a data source in its place, or export the dashboard for sharing externally",
            )
    return resolved, list(resolver.notes.values())


def _input(resolver: Resolver, name: str, kind: str) -> str:
    """Return the uid of the data source that an export asks for: a provisioned one, which the verification knows."""
    return kind if kind == EXPRESSIONS else str(resolver.source(kind, f"${{{name}}}", provisioned=True)["uid"])


def _substitute(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), node)
    if isinstance(node, list):
        return [_substitute(item, values) for item in node]
    if isinstance(node, dict):
        return {key: _substitute(item, values) for key, item in node.items()}
    return node


def _dump(dashboard: Json) -> str:
    return json.dumps(dashboard, ensure_ascii=False, indent=2) + "\n"
