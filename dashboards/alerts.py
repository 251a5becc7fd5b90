"""The alerts: in which state each is, since when, what it says, and where its runbook is.

A series of an alert has its labels alone. What it says comes from the rules of the role prometheus, so that the page
works without Alertmanager; alerts of your own rules have no summary here, and say all in the row below.
"""

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from dashboards.panels import (
    DATASOURCE,
    NO_VALUE,
    Json,
    collapsed,
    dashboard,
    mapped,
    query,
    row,
    stat,
    states,
    table,
)

RULES = Path(__file__).parents[1] / "roles/prometheus/files"
# It always fires: that is how one sees that alerts work.
OTHERS = 'alertname!="Watchdog"'
FIRING = f'ALERTS{{alertstate="firing",{OTHERS}}}'
PENDING = f'ALERTS{{alertstate="pending",{OTHERS}}}'
ALL_WELL = "Sin alertas activas"
# Between values, in PromQL: none holds it, while a group of rules is called FILE;GROUP.
SEPARATOR = r"\x1f"


def summaries() -> dict[str, str]:
    """Return the summary of each alert of the role's rules, by its name."""
    rules: list[Any] = [
        rule
        for path in sorted(RULES.glob("*rules/*.yml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]
    return {
        rule["alert"]: rule["annotations"]["summary"] for rule in rules if rule.get("alert", "Watchdog") != "Watchdog"
    }


def listed() -> str:
    """Return the PromQL of a series for each alert: its value is since when, its labels say the rest."""
    label = re.compile(r"{{ \$labels\.(\w+) }}")
    names = sorted({name for summary in summaries().values() for name in label.findall(summary)})
    expr = (
        f"ALERTS{{{OTHERS}}} * ignoring (alertstate) group_left () (1000 * ALERTS_FOR_STATE)"
        " * on () group_left (url) (alerts:runbook:info or on () vector(1))"
    )
    joined = ", ".join(f'"{name}"' for name in ("alertname", *names, "url"))
    expr = f'label_join({expr}, "key", "{SEPARATOR}", {joined})'
    for alert, summary in summaries().items():
        used = [name for name in names if name in label.findall(summary)]
        text = summary
        for number, name in enumerate(used, start=1):
            text = text.replace(f"{{{{ $labels.{name} }}}}", f"${{{number}}}")
        said = alert + SEPARATOR + _picked([name in used for name in names]) + ".*"
        address = alert + SEPARATOR + _picked([False] * len(names)) + "(.+)"
        expr = f'label_replace({expr}, "summary", "{text}", "key", "{said}")'
        expr = f'label_replace({expr}, "runbook", "${{1}}#{alert.lower()}", "key", "{address}")'
    # Only what is an address becomes a link.
    expr = f'label_replace({expr}, "link", "${{1}}", "runbook", "(https?://.+)")'
    return f"{expr} or {well('summary')}"


def _picked(wanted: Sequence[bool]) -> str:
    """Return the regular expression that catches some of the values between separators."""
    value = f"[^{SEPARATOR}]*"
    parts = []
    for picked, run in groupby(wanted):
        count = len(list(run))
        parts.append(f"({value}){SEPARATOR}" * count if picked else f"(?:{value}{SEPARATOR}){{{count}}}")
    return "".join(parts)


def well(label: str) -> str:
    """Return the PromQL of the series that is there where no alert is; a label says so.

    Args:
        label: its name.
    """
    named = f'label_replace(label_replace(vector(0), "alertstate", "none", "", ""), "{label}", "{ALL_WELL}", "", "")'
    return f"{named} unless on () ALERTS{{{OTHERS}}}"


SUMMARY_PANEL = stat(
    "Alertas Activas",
    "Cuántas alertas se están disparando ahora.",
    "none",
    query(f"count({FIRING}) or vector(0)", "Activas"),
    field={
        "mappings": [mapped(_0=(ALL_WELL, "green"))],
        "thresholds": {"mode": "absolute", "steps": [{"color": "red", "value": None}]},
    },
    background=True,
    text_size=24,
    links={"Activas": "alertas"},
)
PENDING_PANEL = stat(
    "Alertas Pendientes",
    "Cuántas alertas se dispararán si lo que las causa no termina pronto.",
    "none",
    query(f"count({PENDING}) or vector(0)", "Pendientes"),
    field={
        "mappings": [mapped(_0=("Ninguna", "green"))],
        "thresholds": {"mode": "absolute", "steps": [{"color": "orange", "value": None}]},
    },
)
WATCHDOG_PANEL = stat(
    "Evaluación de las Reglas",
    "La alerta Watchdog se dispara siempre: sin ella, o no hay reglas del proyecto, o Prometheus no las evalúa.",
    "none",
    query('max(ALERTS{alertname="Watchdog",alertstate="firing"}) or vector(0)', "Watchdog"),
    field={"mappings": [mapped(_1=("Funciona", "green"), _0=("Sin Watchdog", "orange"))]},
)
LIST_PANEL = table(
    "Alertas",
    "Cada alerta activa o pendiente. El runbook dice qué mirar primero.",
    query(listed(), "{{alertname}}"),
    {
        "alertstate": (
            "Estado",
            {
                "custom__cellOptions": {"type": "color-text"},
                "custom__width": 100,
                "mappings": [
                    mapped(firing=("Activa", "red"), pending=("Pendiente", "orange"), none=("En orden", "green"))
                ],
            },
        ),
        "Value": (
            "Desde",
            {
                "custom__align": "left",
                "custom__width": 160,
                "mappings": [mapped(_0=("", "text"))],
                "unit": "dateTimeAsIso",
            },
        ),
        "severity": (
            "Gravedad",
            {
                "custom__cellOptions": {"type": "color-text"},
                "custom__width": 110,
                "mappings": [
                    mapped(critical=("Crítica", "red"), warning=("Aviso", "orange"), info=("Informativa", "blue"))
                ],
            },
        ),
        "alertname": ("Alerta", {"custom__width": 215}),
        "summary": ("Resumen", {"custom__wrapText": True}),
        "runbook": (
            "Runbook",
            {
                "custom__width": 150,
                "custom__wrapText": True,
                "links": [{"targetBlank": True, "title": "Abrir el runbook", "url": "${__data.fields.Enlace}"}],
                "mappings": [
                    {"options": {"pattern": "^https?://.*", "result": {"index": 0, "text": "Abrir"}}, "type": "regex"}
                ],
            },
        ),
        "link": ("Enlace", {"custom__hidden": True}),
    },
    # By the words of Prometheus: firing, pending.
    "Estado",
)
HISTORY_PANEL = states(
    "Historial de Alertas",
    "Cuándo estuvo cada alerta pendiente (naranja) o activa (rojo); verde, cuando no hubo ninguna.",
    # Without any series, Grafana says that the data has no time.
    query(f"max by (alertname, job) (2 * {FIRING} or {PENDING}) or {well('alertname')}", "{{alertname}} {{job}}"),
    {"mappings": [mapped(_0=("En orden", "green"), _1=("Pendiente", "orange"), _2=("Activa", "red"))]},
)
# Grafana asks Prometheus for its rules, and shows of each alert all that it says.
DETAIL_PANEL: Json = {
    "datasource": DATASOURCE,
    "description": "Todo lo que dice cada alerta, también las de reglas propias: se despliega con la flecha.",
    "fieldConfig": {"defaults": {"noValue": NO_VALUE, "unit": "none"}, "overrides": []},
    "options": {
        "alertInstanceLabelFilter": f"{{{OTHERS}}}",
        "alertName": "",
        "dashboardAlerts": False,
        "groupBy": ["alertname"],
        "groupMode": "custom",
        "maxItems": 50,
        "sortOrder": 3,
        "stateFilter": {
            "error": True,
            "firing": True,
            "noData": False,
            "normal": False,
            "pending": True,
            "recovering": True,
        },
        "viewMode": "list",
    },
    "targets": [],
    "title": "Detalle",
    "type": "alertlist",
}

DASHBOARD = dashboard(
    "alertas",
    "Alertas",
    "Las alertas: su estado, desde cuándo, qué dicen y dónde está su runbook.",
    FIRING,
    row(3, SUMMARY_PANEL, PENDING_PANEL, WATCHDOG_PANEL),
    row(11, LIST_PANEL),
    row(9, HISTORY_PANEL),
    collapsed("Detalle de cada alerta", row(12, DETAIL_PANEL)),
)
