"""Filters that prepare Grafana dashboards on the controller."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ansible.errors import AnsibleFilterError

Json = dict[str, Any]

UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
RANGE = re.compile(r"[1-9]\d*[smhdwMy]", re.ASCII)
# Prometheus' durations, from the largest unit to the smallest.
DURATION = re.compile(
    "".join(rf"(?:(?P<{unit}>\d+){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")), re.ASCII
)
# What Grafana offers.
INTERVALS = ("5s", "10s", "15s", "30s", "1m", "5m", "15m", "30m", "1h", "2h", "1d")
SECONDS = {"y": 365 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
PLACEHOLDER = re.compile(r"\$\{([^}:]+)\}")
TITLE_LIMIT = 5000
EXPORT = "Export the dashboard as JSON in the classic model"
EXPORT_ONLY = ("__inputs", "__requires", "__elements")
# An export lists Grafana's own expressions as if they were a data source; no one provisions them.
EXPRESSIONS = "__expr__"


def grafana_dashboards(
    dirs: Sequence[str],
    datasources: Sequence[Mapping[str, Any]],
    own: str = "",
    time_range: str = "1h",
    refresh: str = "15s",
) -> dict[str, str]:
    """Read the dashboards of some folders and make each one ready for Grafana's file provisioning.

    Args:
        dirs: folders on the controller; their `*.json` files are read, hidden files and subfolders are not.
        datasources: what is provisioned, in Grafana's own syntax (name, type, uid, isDefault).
        own: the one of the folders whose dashboards open with the following two; what others say themselves stays.
        time_range: how far they look back, such as 1h.
        refresh: how often they ask again, as a duration of Prometheus; empty is never.

    Returns:
        The JSON text of each dashboard, keyed by file name. A text that needs no change is passed as it is.

    Raises:
        AnsibleFilterError: something that Grafana would refuse, skip or freeze on; it names the file and
            the remedy.
    """
    # A number or a yes is no duration, and is refused as one.
    opened = _opened(str(time_range), str(refresh))
    texts: dict[str, str] = {}
    # Grafana stops updating a whole folder over any of these: who had it first, so that both can be named.
    seen: dict[tuple[str, str], Path] = {}
    for path in _json_files(dirs):
        try:
            text, dashboard = _read(path)
            resolved = _resolve(path, dashboard, datasources) | (opened if str(path.parent) == own else {})
        except RecursionError:
            _refuse(path, "is nested too deeply for a dashboard", EXPORT)
        if not path.name.isprintable():
            _refuse(path, "has unprintable characters in its name", "Rename it")
        identity = {"file name": path.name, "uid": resolved["uid"], "title": resolved["title"].strip()}
        for what, value in identity.items():
            first = seen.setdefault((what, value), path)
            if first is not path:
                _refuse(path, f"has the same {what} as {first}: {value!r}", "Change it in one of the two")
        texts[path.name] = text if resolved == dashboard else _dump(resolved)
    return texts


def grafana_dashboard_uids(files: Mapping[str, str]) -> dict[str, str]:
    """Return the title of each dashboard, keyed by uid.

    Args:
        files: what `grafana_dashboards` returned.
    """
    dashboards = map(json.loads, files.values())
    return {dashboard["uid"]: dashboard["title"] for dashboard in dashboards}


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


def _json_files(dirs: Iterable[str]) -> Iterable[Path]:
    for folder in dict.fromkeys(Path(name).expanduser().absolute() for name in dirs):
        if not folder.is_dir():
            _refuse(
                folder,
                "is not a folder" if folder.exists() else "does not exist",
                "List existing folders of this controller, best with a path that starts with"
                " {{ playbook_dir }} or {{ inventory_dir }}",
            )
        # Not glob: it takes a folder that may not be read for an empty one.
        for path in sorted(folder.iterdir()):
            if path.suffix == ".json" and not path.name.startswith(".") and not path.is_dir():
                yield path


def _read(path: Path) -> tuple[str, Json]:
    try:
        # Not read_text: it would change the line ends, and with them the file's checksum.
        text = path.read_bytes().decode()
        dashboard = json.loads(text)
        # Python reads more than JSON has: NaN, numbers without end, halves of characters.
        json.dumps(dashboard, allow_nan=False, ensure_ascii=False).encode()
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}", "Make it readable or remove it")
    except UnicodeDecodeError as error:
        _refuse(path, f"is not UTF-8 at byte {error.start}", "Save it as UTF-8")
    except json.JSONDecodeError as error:
        _refuse(
            path,
            f"is not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}",
            "Correct it there, or export the dashboard again",
        )
    except ValueError as error:
        _refuse(path, f"holds a number or a character that cannot be: {error}", "Correct it")
    _check(path, dashboard)
    return text, dashboard


def _check(path: Path, dashboard: Any) -> None:
    if not isinstance(dashboard, dict):
        _refuse(path, "is not a dashboard: it holds no JSON object", EXPORT)
    if "elements" in dashboard or {"apiVersion", "spec"} <= dashboard.keys():
        _refuse(path, "is in the v2 (resource) format, which file provisioning refuses", EXPORT)
    if isinstance(dashboard.get("dashboard"), dict):
        _refuse(path, "is an answer of Grafana's API", 'Keep only the value of its key "dashboard"')
    if not isinstance(dashboard.get("title"), str) or not dashboard["title"].strip():
        _refuse(path, "is not a dashboard: it has no title", f'Give it a "title". {EXPORT}')
    if len(dashboard["title"].encode()) > TITLE_LIMIT:
        _refuse(path, f"has a title of more than {TITLE_LIMIT} bytes, which Grafana refuses", "Shorten it")
    if not any(isinstance(dashboard.get(key), list) for key in ("panels", "rows")):
        _refuse(path, "is not a dashboard: it has no list of panels", EXPORT)
    if dashboard.get("__elements"):
        _refuse(path, "holds library panels, which cannot be provisioned", "Unlink them and export it again")
    uid = dashboard.get("uid")
    if not isinstance(uid, str) or not UID.fullmatch(uid):
        found = f"the uid {uid!r}, not 1 to 40 of the characters A-Z a-z 0-9 _ -" if uid else "no uid"
        slug = re.sub(r"[^A-Za-z0-9_]+", "-", path.stem)[:40].strip("-") or "dashboard"
        _refuse(path, f"has {found}", f'Set "uid": "{slug}" in it')


def _resolve(path: Path, dashboard: Json, datasources: Sequence[Mapping[str, Any]]) -> Json:
    try:
        values = {
            item["name"]: str(item["value"])
            if item["type"] == "constant"
            else _datasource_uid(path, item["name"], item["pluginId"], datasources)
            for item in dashboard.get("__inputs") or ()
        }
    except (KeyError, TypeError):
        _refuse(
            path,
            "has an entry in __inputs without a name, type, and value or pluginId",
            "Complete it, or export the dashboard for sharing externally again",
        )
    model = {key: value for key, value in dashboard.items() if key not in EXPORT_ONLY}
    if "id" in model:
        model["id"] = None
    resolved: Json = _substitute(model, values)
    # Once more: a constant may stand in the title.
    _check(path, resolved)

    try:
        variables = {variable.get("name") for variable in (resolved.get("templating") or {}).get("list") or ()}
    except (AttributeError, TypeError):
        _refuse(path, "has a templating that is no list of variables", EXPORT)
    for name in PLACEHOLDER.findall(_dump(resolved)):
        if name.startswith("DS_") and name not in variables:
            _refuse(
                path,
                f"uses ${{{name}}}, which neither its __inputs nor its variables declare",
                "Put the uid of a data source in its place, or export the dashboard for sharing externally",
            )
    return resolved


def _datasource_uid(path: Path, name: str, kind: str, datasources: Sequence[Mapping[str, Any]]) -> str:
    if kind == EXPRESSIONS:
        return EXPRESSIONS
    # A stable sort: the default one first, the others in their order.
    matching = sorted(
        (source for source in datasources if source.get("type") == kind),
        key=lambda source: not source.get("isDefault"),
    )
    if not matching:
        _refuse(
            path,
            f"needs a data source of type {kind!r} for ${{{name}}}, and none is provisioned",
            "Add one to grafana_datasources, or take the dashboard out",
        )
    if not matching[0].get("uid"):
        _refuse(
            path,
            f"needs the uid of the data source {matching[0].get('name')!r} for ${{{name}}}, and it has none",
            'Give it a "uid" in grafana_datasources',
        )
    return str(matching[0]["uid"])


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


def _refuse(path: Path, problem: str, remedy: str) -> NoReturn:
    shown = str(path) if str(path).isprintable() else ascii(str(path))
    raise AnsibleFilterError(f"grafana_dashboards_dirs: {shown} {problem}. {remedy}.")


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        """Return the filters by name."""
        return {
            "grafana_dashboards": grafana_dashboards,
            "grafana_dashboard_uids": grafana_dashboard_uids,
        }
