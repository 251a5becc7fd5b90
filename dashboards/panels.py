"""The part of Grafana's classic dashboard schema that these dashboards use, as plain dictionaries."""

from collections.abc import Sequence
from itertools import accumulate
from string import ascii_uppercase
from typing import Any

Json = dict[str, Any]

COLUMNS = 24
TAG = "emr-monitoring"
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
NO_VALUE = "Sin datos"
PROVISIONED = "Lo gestiona Ansible: aquí no se guardan cambios; guarde una copia con «Save as»."
# Without a colour of its own, a stat gets Grafana's default thresholds and turns red at 80.
PLAIN: Json = {"color": {"mode": "fixed", "fixedColor": "blue"}}


def p95(buckets: str, label: str) -> str:
    """Return the PromQL of the 95th percentile over five minutes.

    Args:
        buckets: the name of a histogram's `_bucket` metric; the result has its unit.
        label: the label whose values are kept apart.
    """
    return f"histogram_quantile(0.95, sum(rate({buckets}[5m])) by (le, {label}))"


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


def timeseries(title: str, description: str, unit: str, *queries: Json) -> Json:
    """Return a panel that draws lines over time, with a table of last and highest values below.

    Args:
        title: the panel's heading.
        description: one sentence, shown on hovering over the panel's information icon.
        unit: a Grafana unit id (`s`, `mps`, ...) or `suffix:<text>`; Grafana puts the space before the text.
        queries: what `query` returned, 26 at most.
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
            "overrides": [],
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
    }


def stat(
    title: str, description: str, unit: str, value: Json, *, field: Json = PLAIN, background: bool = False
) -> Json:
    """Return a panel that shows the present value of each series as a large number.

    Args:
        title: the panel's heading.
        description: one sentence, shown on hovering over the panel's information icon.
        unit: as in `timeseries`.
        value: what `query` returned.
        field: Grafana's field defaults that decide the colour: color, thresholds or mappings.
        background: colour the tile instead of the number.
    """
    # A range query would go on showing the last value of a service that died within the time range.
    now = {**value, "instant": True, "range": False}
    return {
        **_panel("stat", title, description, [now]),
        "fieldConfig": {"defaults": {**field, "noValue": NO_VALUE, "unit": unit}, "overrides": []},
        "options": {
            "colorMode": "background" if background else "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "auto",
        },
    }


def table(title: str, description: str, value: Json, columns: dict[str, str]) -> Json:
    """Return a panel that lists the present series, one on each line.

    Args:
        title: the panel's heading.
        description: one sentence, shown on hovering over the panel's information icon.
        value: what `query` returned.
        columns: the heading of each of the series' labels, and of `Value`, from left to right.
    """
    now = {**value, "format": "table", "instant": True, "range": False}
    return {
        **_panel("table", title, description, [now]),
        "fieldConfig": {"defaults": {"noValue": NO_VALUE, "unit": "none"}, "overrides": []},
        "options": {"cellHeight": "sm", "showHeader": True},
        "transformations": [
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {label: place for place, label in enumerate(columns)},
                    "renameByName": columns,
                },
            }
        ],
    }


def row(height: int, *panels: Json, widths: Sequence[int] = ()) -> list[Json]:
    """Place panels side by side.

    Args:
        height: of each panel, in grid units (38 pixels).
        panels: from left to right.
        widths: one per panel, in grid columns, 24 together; equal shares by default.

    Raises:
        ValueError: there are not as many widths as panels.
    """
    columns = widths or [COLUMNS // len(panels)] * len(panels)
    lefts = list(accumulate(columns, initial=0))[:-1]
    return [
        {**panel, "gridPos": {"h": height, "w": width, "x": left}}
        for panel, width, left in zip(panels, columns, lefts, strict=True)
    ]


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
        rows: what `row` returned.
    """
    tops = accumulate((panels[0]["gridPos"]["h"] for panels in rows), initial=0)
    placed = [
        {**panel, "gridPos": {**panel["gridPos"], "y": top}}
        for panels, top in zip(rows, tops, strict=False)
        for panel in panels
    ]
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
        "panels": [{**panel, "id": number} for number, panel in enumerate(placed, start=1)],
        "refresh": "30s",
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
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
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
