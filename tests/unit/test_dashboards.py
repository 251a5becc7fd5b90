"""The dashboards show what the monitoring guide asks for, and Grafana and Prometheus can read them."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dashboards.__main__ import TARGET, files

Json = dict[str, Any]

# The guide, to the letter: title, type, unit and queries with their legends. None: the guide leaves it open.
GUIDE: dict[str, list[tuple[str, str, str | None, list[tuple[str, str | None]]]]] = {
    "ingest-service": [
        (
            "Tasa de Ingesta de Documentos",
            "timeseries",
            None,
            [
                (
                    'sum(rate(ingest_uploads_total{status="success"}[5m])) by (content_type)',
                    "{{content_type}} - Success",
                ),
                (
                    'sum(rate(ingest_uploads_total{status=~"error_.*"}[5m])) by (content_type)',
                    "{{content_type}} - Error",
                ),
            ],
        ),
        (
            "Latencia de Petición (p95)",
            "timeseries",
            "s",
            [
                (
                    "histogram_quantile(0.95, "
                    "sum(rate(ingest_request_processing_duration_seconds_bucket[5m])) by (le, path))",
                    None,
                )
            ],
        ),
        (
            "Tasa de Producción a Kafka (Ingest)",
            "timeseries",
            None,
            [("sum(rate(ingest_kafka_messages_produced_total[5m])) by (topic, status)", None)],
        ),
    ],
    "docproc-service": [
        (
            "Documentos Procesados por Minuto",
            "timeseries",
            None,
            [("sum(rate(docproc_processing_duration_seconds_count[1m]) * 60) by (content_type)", None)],
        ),
        (
            "Duración del Procesamiento (p95)",
            "timeseries",
            "s",
            [
                (
                    "histogram_quantile(0.95, "
                    "sum(rate(docproc_processing_duration_seconds_bucket[5m])) by (le, content_type))",
                    None,
                )
            ],
        ),
        (
            "Tasa de Chunks Producidos",
            "timeseries",
            None,
            [("sum(rate(docproc_chunks_produced_total[5m])) by (company_id)", None)],
        ),
        (
            "Tasa de Errores de Procesamiento (DocProc)",
            "timeseries",
            None,
            [("sum(rate(docproc_processing_errors_total[5m])) by (stage)", None)],
        ),
    ],
    "embedding-service": [
        (
            "Chunks Procesados para Embedding por Minuto",
            "stat",
            "suffix:ops/min",
            [("sum(rate(embedding_batch_processing_duration_seconds_count[1m]) * 60)", None)],
        ),
        (
            "Chunks Procesados para Embedding por Segundo",
            "timeseries",
            None,
            [("sum(rate(embedding_texts_processed_total[5m])) by (company_id)", None)],
        ),
        (
            "Latencia API OpenAI (p95)",
            "timeseries",
            "s",
            [
                (
                    "histogram_quantile(0.95, "
                    "sum(rate(embedding_openai_api_duration_seconds_bucket[5m])) by (le, model_name))",
                    None,
                )
            ],
        ),
        (
            "Errores de API OpenAI",
            "timeseries",
            None,
            [("sum(rate(embedding_openai_api_errors_total[5m])) by (error_type)", None)],
        ),
        (
            "Flujo de Mensajes Kafka (Embedding)",
            "timeseries",
            None,
            [
                ("sum(rate(embedding_messages_consumed_total[5m])) by (topic)", "Consumidos de {{topic}}"),
                (
                    "sum(rate(embedding_kafka_messages_produced_total[5m])) by (topic)",
                    "Producidos a {{topic}}",
                ),
            ],
        ),
    ],
}

DASHBOARDS: dict[str, Json] = {Path(name).stem: json.loads(text) for name, text in files().items()}
PANELS = [
    pytest.param(panel, id=f"{uid}: {panel['title']}")
    for uid, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
]
each_dashboard = pytest.mark.parametrize("uid", DASHBOARDS)
each_panel = pytest.mark.parametrize("panel", PANELS)


def expressions(dashboard: Json) -> Iterator[str]:
    """Return the PromQL of every query of a dashboard's panels."""
    return (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])


def alerts(dashboard: Json) -> str:
    """Return the PromQL of the alerts that a dashboard's panels mark."""
    (annotation,) = dashboard["annotations"]["list"]
    return str(annotation["target"]["expr"])


def test_committed_files_are_up_to_date() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in TARGET.iterdir()}
    assert committed == files(), "run `python -m dashboards`"


def test_there_is_one_dashboard_per_service_and_an_overview() -> None:
    assert {uid: dashboard["uid"] for uid, dashboard in DASHBOARDS.items()} == {
        uid: uid for uid in ("vision-general", *GUIDE)
    }
    assert DASHBOARDS["vision-general"]["title"] == "Visión general"
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)


@pytest.mark.parametrize("uid", GUIDE)
def test_panels_are_those_of_the_guide(uid: str) -> None:
    panels = DASHBOARDS[uid]["panels"]
    assert len(panels) == len(GUIDE[uid])
    for panel, (title, kind, unit, queries) in zip(panels, GUIDE[uid], strict=True):
        assert (panel["title"], panel["type"]) == (title, kind)
        assert unit in (None, panel["fieldConfig"]["defaults"]["unit"])
        assert [target["expr"] for target in panel["targets"]] == [expr for expr, _ in queries]
        for target, (_, legend) in zip(panel["targets"], queries, strict=True):
            assert legend in (None, target["legendFormat"])


@each_dashboard
def test_dashboard_is_of_the_classic_schema(uid: str) -> None:
    dashboard = DASHBOARDS[uid]
    assert dashboard["schemaVersion"] <= 41
    assert not {"id", "elements", "apiVersion", "spec", "__inputs"} & dashboard.keys()
    assert dashboard["description"]
    assert dashboard["timezone"] == "browser"
    assert dashboard["refresh"] == "30s"
    assert dashboard["time"] == {"from": "now-1h", "to": "now"}
    assert dashboard["editable"] is True
    assert dashboard["graphTooltip"] == 1


@each_dashboard
def test_links_lead_to_the_other_dashboards(uid: str) -> None:
    (link,) = DASHBOARDS[uid]["links"]
    assert (link["type"], link["keepTime"], link["includeVars"]) == ("dashboards", True, True)
    assert all(set(link["tags"]) <= set(other["tags"]) for other in DASHBOARDS.values())


@each_dashboard
def test_data_source_can_be_chosen_and_is_the_provisioned_one_by_default(uid: str) -> None:
    (variable,) = DASHBOARDS[uid]["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert variable["current"]["value"] == "prometheus"


@each_dashboard
def test_panel_ids_are_unique(uid: str) -> None:
    ids = [panel["id"] for panel in DASHBOARDS[uid]["panels"]]
    assert len(set(ids)) == len(ids)


@each_dashboard
def test_panels_neither_overlap_nor_leave_the_grid(uid: str) -> None:
    places = [panel["gridPos"] for panel in DASHBOARDS[uid]["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or apart, f"{a} overlaps {b}"


@each_panel
def test_panel_explains_itself(panel: Json) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert "\n" not in panel["description"]
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    assert defaults["noValue"] == "Sin datos"
    # Grafana fills what a stat lacks with thresholds of its own, red from 80.
    assert panel["type"] != "stat" or defaults.keys() & {"color", "thresholds", "mappings"}


@each_panel
def test_panel_asks_the_chosen_data_source(panel: Json) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert [asker["datasource"] for asker in (panel, *panel["targets"])] == [chosen] * (len(panel["targets"]) + 1)
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])
    assert all(target["legendFormat"] for target in panel["targets"])


def test_overview_fits_one_screen() -> None:
    places = [panel["gridPos"] for panel in DASHBOARDS["vision-general"]["panels"]]
    assert max(place["y"] + place["h"] for place in places) <= 20


def test_overview_says_what_is_up_and_what_is_down() -> None:
    (panel,) = (
        panel
        for panel in DASHBOARDS["vision-general"]["panels"]
        if any(re.search(r"\bup\b", target["expr"]) for target in panel["targets"])
    )
    assert panel["options"]["colorMode"] == "background"
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert {value: shown["text"] for value, shown in mapping["options"].items()} == {
        "0": "CAÍDO",
        "1": "ACTIVO",
    }


def test_overview_asks_the_services_own_queries() -> None:
    queries = {
        expr for uid, dashboard in DASHBOARDS.items() if uid != "vision-general" for expr in expressions(dashboard)
    }
    own = {
        "min(up) by (job)",
        "job_service:ingest_uploads_errors:ratio_rate5m",
        'count(ALERTS{alertstate="firing",alertname!="Watchdog"}) by (alertname, job, severity)',
    }
    for expr in expressions(DASHBOARDS["vision-general"]):
        assert expr in own or any(query in expr for query in queries), expr


@pytest.mark.parametrize("uid", GUIDE)
def test_a_service_shows_when_its_own_alerts_fired(uid: str) -> None:
    assert alerts(DASHBOARDS[uid]) == f'ALERTS{{alertstate="firing",service="{uid.removesuffix("-service")}"}}'


@each_dashboard
def test_alerts_are_marked_from_the_chosen_data_source(uid: str) -> None:
    (annotation,) = DASHBOARDS[uid]["annotations"]["list"]
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert annotation["enable"]
    assert annotation["datasource"] == annotation["target"]["datasource"] == chosen
    assert annotation["titleFormat"] == "{{alertname}}"


def test_overview_lists_the_alerts_with_headings_of_their_own() -> None:
    (panel,) = (panel for panel in DASHBOARDS["vision-general"]["panels"] if panel["type"] == "table")
    (target,) = panel["targets"]
    assert (target["format"], target["instant"]) == ("table", True)
    (organize,) = panel["transformations"]
    labels = re.findall(r"by \((.+)\)", target["expr"])[0].split(", ")
    assert set(organize["options"]["renameByName"]) == {*labels, "Value"}


@each_dashboard
def test_prometheus_can_parse_every_query(uid: str, promtool: Callable[..., str], tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:query{number}", "expr": expr}
        for number, expr in enumerate([*expressions(DASHBOARDS[uid]), alerts(DASHBOARDS[uid])])
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": uid, "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)
