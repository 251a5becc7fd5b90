"""The part of Grafana's classic dashboard schema that these dashboards use, as plain dictionaries.

Sizes are those of a genuine Grafana 12.4 whose navigation is open, at 1440 pixels, the narrowest window that shows all.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from string import ascii_uppercase
from typing import Any

Json = dict[str, Any]

COLUMNS = 24
COLUMN_PIXELS = 46.3
TAG = "emr-monitoring"
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
NO_VALUE = "Sin datos"
# The role puts the settings grafana_dashboards_range and grafana_dashboards_refresh in their place.
RANGE = "1h"
REFRESH = "15s"
# Grafana hides the interval that is none of these.
REFRESHES = ["5s", "10s", "15s", "30s", "1m", "5m", "15m", "30m", "1h", "2h", "1d"]
PROVISIONED = "Lo gestiona Ansible: aquí no se guardan cambios; guarde una copia con «Save as»."
# Without a colour of its own, a stat gets Grafana's default thresholds and turns red at 80.
PLAIN: Json = {"color": {"mode": "fixed", "fixedColor": "blue"}}
# What Prometheus' own scrapes cause is no traffic.
NO_SCRAPES = 'path!="/metrics"'
PER_MINUTE = 60
# The official names of these content types fill a legend; what is left of other long values, see `row`.
OFFICE = {"wordprocessing": "Word", "spreadsheet": "Excel", "presentation": "PowerPoint"}
# The longest values in a legend: Grafana shows 3 significant digits, and few things in a second are a small number.
LONGEST = {
    "s": "24.8 ms",
    "mps": "0.00351 msg/s",
    "percentunit": "0.0748%",
    "bytes": "24.8 MiB",
    "binBps": "24.8 MiB/s",
    "none": "1024",
}


def quantile(share: float, buckets: str, *labels: str, matcher: str = "") -> str:
    """Return the PromQL of a percentile over five minutes.

    Args:
        share: which one, such as 0.95.
        buckets: the name of a histogram's `_bucket` metric; the result has its unit.
        labels: the labels whose values are kept apart.
        matcher: which series count, as label matchers; all by default.
    """
    selector = f"{buckets}{{{matcher}}}" if matcher else buckets
    return f"histogram_quantile({share}, sum(rate({selector}[5m])) by ({', '.join(('le', *labels))}))"


def p95(buckets: str, label: str, matcher: str = "") -> str:
    """Return the PromQL of the 95th percentile over five minutes; see `quantile`."""
    return quantile(0.95, buckets, label, matcher=matcher)


def per_minute(rate: str) -> str:
    """Return the PromQL of what happens in a minute: of what is rare, a rate per second says nothing.

    Args:
        rate: PromQL of a rate per second.
    """
    return f"{rate} * {PER_MINUTE}"


def query(expr: str, legend: str) -> Json:
    """Return a range query.

    Args:
        expr: PromQL.
        legend: Grafana's legend format; `{{label}}` stands for a label's value.
    """
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": expr,
        "instant": False,
        "legendFormat": legend,
        "range": True,
    }


def timeseries(
    title: str, description: str, unit: str, *queries: Json, times: int = 1, links: Mapping[str, str] | None = None
) -> Json:
    """Return a panel that draws lines over time, with a table of last and highest values below.

    Args:
        title: the panel's heading.
        description: one sentence, shown on hovering over the panel's information icon.
        unit: a Grafana unit id (`s`, `mps`, ...) or `suffix:<text>`; Grafana puts the space before the text.
        queries: what `query` returned, 26 at most.
        times: what the values are multiplied by for display, where the guide's query has another unit.
        links: the uid of the dashboard that a click on a line opens, by the query's place: A, B, ...
    """
    return {
        **_panel("timeseries", title, description, queries),
        "fieldConfig": {
            "defaults": {
                "custom": {"fillOpacity": 10, "lineWidth": 2, "showPoints": "auto", "spanNulls": False},
                "min": 0,
                "noValue": NO_VALUE,
                "unit": unit,
            },
            "overrides": [
                _override("byFrameRefID", ref, links=[{**link(uid), "oneClick": True}])
                for ref, uid in (links or {}).items()
            ],
        },
        "options": {
            "legend": {
                "calcs": ["lastNotNull", "max"],
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "transformations": [*_multiplied(times), *_short_content_types(queries), *_short_hosts(queries)],
    }


def stat(
    title: str,
    description: str,
    unit: str,
    value: Json,
    *,
    field: Json = PLAIN,
    background: bool = False,
    text_size: int = 0,
    links: Mapping[str, str] | None = None,
) -> Json:
    """Return a panel that shows the present value of each series as a large number.

    Args:
        title: the panel's heading.
        description: one sentence, shown on hovering over the panel's information icon.
        unit: as in `timeseries`.
        value: what `query` returned.
        field: Grafana's field defaults that decide the colour: color, thresholds or mappings.
        background: colour the tile instead of the number.
        text_size: of the value, in pixels; as large as the tile by default.
        links: the uid of the dashboard that a click on a value opens, by the value's name.
    """
    # A range query would go on showing the last value of a service that died within the time range.
    now = {**value, "instant": True, "range": False}
    return {
        **_panel("stat", title, description, [now]),
        "fieldConfig": {
            "defaults": {**field, "noValue": NO_VALUE, "unit": unit},
            "overrides": [_override("byName", name, links=[link(uid)]) for name, uid in (links or {}).items()],
        },
        "options": {
            "colorMode": "background" if background else "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "text": {"valueSize": text_size} if text_size else {},
            "textMode": "auto",
        },
        **({"transformations": short} if (short := _short_hosts([value])) else {}),
    }


def table(title: str, description: str, value: Json, columns: Mapping[str, tuple[str, Json]], order: str) -> Json:
    """Return a panel that lists the present series, one on each line.

    Args:
        title: the panel's heading.
        description: one sentence, shown on hovering over the panel's information icon.
        value: what `query` returned.
        columns: the heading and the properties of each of the series' labels, and of `Value`, from left to right.
        order: the heading of the column that says which line is the first.
    """
    now = {**value, "format": "table", "instant": True, "range": False}
    return {
        **_panel("table", title, description, [now]),
        "fieldConfig": {
            "defaults": {"noValue": "", "unit": "none"},
            "overrides": [_override("byName", heading, **properties) for heading, properties in columns.values()],
        },
        "options": {"cellHeight": "sm", "showHeader": True, "sortBy": [{"desc": False, "displayName": order}]},
        "transformations": [
            {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
            {
                "id": "organize",
                "options": {
                    "indexByName": {label: place for place, label in enumerate(columns)},
                    "renameByName": {label: heading for label, (heading, _) in columns.items()},
                },
            },
        ],
    }


def states(title: str, description: str, value: Json, field: Json) -> Json:
    """Return a panel that shows over time in which state each series was, one on each line.

    Args:
        title: the panel's heading.
        description: one sentence, shown on hovering over the panel's information icon.
        value: what `query` returned.
        field: Grafana's field defaults that say what the values mean.
    """
    return {
        **_panel("state-timeline", title, description, [value]),
        "fieldConfig": {"defaults": {"noValue": NO_VALUE, "unit": "none", **field}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
            "mergeValues": True,
            "rowHeight": 0.8,
            "showValue": "never",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        **({"transformations": short} if (short := _short_hosts([value])) else {}),
    }


def mapped(**values: tuple[str, str]) -> Json:
    """Return the mapping that shows texts in colours in the place of values.

    Args:
        values: text and colour by value; a number follows a `_`.
    """
    shown = {
        value.removeprefix("_"): {"color": colour, "index": place, "text": text}
        for place, (value, (text, colour)) in enumerate(values.items())
    }
    return {"options": shown, "type": "value"}


def link(uid: str) -> Json:
    """Return a link to another dashboard that keeps the time range and the data source.

    Args:
        uid: of the dashboard.
    """
    return {"title": f"Abrir {uid}", "url": f"/d/{uid}?${{__url_time_range}}&${{datasource:queryparam}}"}


def linked(panel: Json, uid: str) -> Json:
    """Return a panel with a link to another dashboard in its heading.

    Args:
        panel: what shows one service.
        uid: of the dashboard.
    """
    return {**panel, "links": [link(uid)]}


def row(height: int, *panels: Json, widths: Sequence[int] = ()) -> list[Json]:
    """Place panels side by side.

    Args:
        height: of each panel, in grid units (38 pixels).
        panels: from left to right.
        widths: one per panel, in grid columns, 24 together; equal shares by default.

    Raises:
        ValueError: there are not as many widths as panels.
    """
    shares = widths or [COLUMNS // len(panels)] * len(panels)
    return columns(*((width, [(height, panel)]) for panel, width in zip(panels, shares, strict=True)))


def columns(*stacks: tuple[int, Sequence[tuple[int, Json]]]) -> list[Json]:
    """Place stacks of panels side by side.

    Args:
        stacks: from left to right the width of each in grid columns, 24 together, and from top to bottom the height in
            grid units of each of its panels, and the panel.

    Returns:
        The panels in the order in which one reads them, and in which a telephone shows them.
    """
    lefts = accumulate((width for width, _ in stacks), initial=0)
    placed = [
        {**_with_short_names(panel, width), "gridPos": {"h": height, "w": width, "x": left, "y": top}}
        for (width, stack), left in zip(stacks, lefts, strict=False)
        for (height, panel), top in zip(stack, accumulate((h for h, _ in stack), initial=0), strict=False)
    ]
    return sorted(placed, key=lambda panel: (panel["gridPos"]["y"], panel["gridPos"]["x"]))


def collapsed(title: str, *rows: list[Json]) -> list[Json]:
    """Return rows that a click on their heading unfolds.

    Args:
        title: the heading.
        rows: what `row` returned.
    """
    place = {"h": 1, "w": COLUMNS, "x": 0, "y": 0}
    return [{"collapsed": True, "gridPos": place, "panels": _below(rows, 1), "title": title, "type": "row"}]


def firing(matcher: str) -> str:
    """Return the PromQL of the alerts that fire.

    Args:
        matcher: which ones, as a label matcher.
    """
    return f'ALERTS{{alertstate="firing",{matcher}}}'


def dashboard(uid: str, title: str, description: str, alerts: str, *rows: list[Json]) -> Json:
    """Return a dashboard of rows, from top to bottom.

    Args:
        uid: its identity and its address in Grafana; also its file's name.
        title: its name in Grafana's folder.
        description: one sentence.
        alerts: the PromQL of the alerts that its panels mark.
        rows: what `row`, `columns` or `collapsed` returned.
    """
    return {
        "annotations": {
            "list": [
                {
                    "datasource": DATASOURCE,
                    "enable": True,
                    "iconColor": "red",
                    "name": "Alertas",
                    "tagKeys": "severity,job",
                    "target": {
                        "datasource": DATASOURCE,
                        "expr": alerts,
                        "instant": False,
                        "interval": "60s",
                        "range": True,
                        "refId": "Anno",
                    },
                    "titleFormat": "{{alertname}}",
                }
            ]
        },
        "description": f"{description} {PROVISIONED}",
        "editable": True,
        "graphTooltip": 1,
        "links": [
            {
                "asDropdown": False,
                "icon": "dashboard",
                "includeVars": True,
                "keepTime": True,
                "tags": [TAG],
                "targetBlank": False,
                "title": "Paneles",
                "type": "dashboards",
            }
        ],
        "panels": _numbered(_below(rows, 0), iter(range(1, 1000))),
        "refresh": REFRESH,
        "schemaVersion": 41,
        "tags": [TAG],
        "templating": {
            "list": [
                {
                    "current": {"selected": True, "text": "Prometheus", "value": "prometheus"},
                    "hide": 0,
                    "includeAll": False,
                    "label": "Fuente de datos",
                    "multi": False,
                    "name": "datasource",
                    "options": [],
                    "query": "prometheus",
                    "refresh": 1,
                    "regex": "",
                    "skipUrlSync": False,
                    "type": "datasource",
                }
            ]
        },
        "time": {"from": f"now-{RANGE}", "to": "now"},
        "timepicker": {"refresh_intervals": REFRESHES},
        "timezone": "browser",
        "title": title,
        "uid": uid,
    }


def _panel(kind: str, title: str, description: str, queries: Sequence[Json]) -> Json:
    return {
        "datasource": DATASOURCE,
        "description": description,
        "targets": [{**target, "refId": ref} for ref, target in zip(ascii_uppercase, queries, strict=False)],
        "title": title,
        "type": kind,
    }


def _override(matcher: str, value: str, **properties: Any) -> Json:
    """Return the properties of the fields that a matcher finds; `__` in a name stands for a dot."""
    return {
        "matcher": {"id": matcher, "options": value},
        "properties": [{"id": name.replace("__", "."), "value": each} for name, each in properties.items()],
    }


def _multiplied(times: int) -> list[Json]:
    if times == 1:
        return []
    binary = {
        "left": {"matcher": {"id": "byType", "options": "number"}},
        "operator": "*",
        "right": {"fixed": str(times)},
    }
    return [{"id": "calculateField", "options": {"binary": binary, "mode": "binary", "replaceFields": True}}]


def _short_content_types(queries: Sequence[Json]) -> list[Json]:
    if not any("{{content_type}}" in each["legendFormat"] for each in queries):
        return []
    prefix = r"^application/vnd\.openxmlformats-officedocument\."
    return [_renamed(rf"{prefix}{kind}ml\.[a-z]+(.*)$", f"{name}$1") for kind, name in OFFICE.items()]


def _short_hosts(queries: Sequence[Json]) -> list[Json]:
    """Leave out the domain of AWS' names of hosts, and what all units of systemd end in."""
    legends = " ".join(each["legendFormat"] for each in queries)
    # Grafana looks whether a whole name is like that.
    hosts = [_renamed(r"^(.*ip(?:-\d+){4})\.\S+(.*)$", "$1$2")] if "{{instance}}" in legends else []
    return hosts + ([_renamed(r"^(.*)\.service(.*)$", "$1$2")] if "{{name}}" in legends else [])


def _with_short_names(panel: Json, width: int) -> Json:
    """Return a panel whose names leave the columns of its legend their place: the middle of a long one goes."""
    if panel["type"] != "timeseries":
        return panel
    unit = panel["fieldConfig"]["defaults"]["unit"]
    text = unit.removeprefix("suffix:")
    longest = LONGEST.get(unit, f"0.00351 {text}" if text.endswith("/s") else f"0.211 {text}")
    # 24 are the panel's margins, 49 the name's with its colour, 16 a value's; a column has 73 for its heading.
    space = width * COLUMN_PIXELS - 24 - 49 - 2 * max(6.5 * len(longest) + 16, 73)
    length = max(int(space / 5.8), 12)
    end = length // 3
    shortened = _renamed(f"^(.{{{length - end - 1}}}).{{2,}}(.{{{end}}})$", "$1…$2")
    return {**panel, "transformations": [*panel["transformations"], shortened]}


def _renamed(regex: str, name: str) -> Json:
    return {"id": "renameByRegex", "options": {"regex": regex, "renamePattern": name}}


def _below(rows: Sequence[list[Json]], top: int) -> list[Json]:
    """Place rows below each other, those inside a collapsed one below its heading."""
    placed = []
    for panels in rows:
        placed += [_moved(panel, top) for panel in panels]
        top += max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    return placed


def _moved(panel: Json, down: int) -> Json:
    place = panel["gridPos"]
    inside = {"panels": [_moved(each, down) for each in panel["panels"]]} if "panels" in panel else {}
    return {**panel, **inside, "gridPos": {**place, "y": place["y"] + down}}


def _numbered(panels: Sequence[Json], numbers: Iterator[int]) -> list[Json]:
    return [
        {**panel, "id": next(numbers)} | ({"panels": _numbered(panel["panels"], numbers)} if "panels" in panel else {})
        for panel in panels
    ]
