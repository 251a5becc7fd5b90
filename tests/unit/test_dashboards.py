"""The dashboards show what the monitoring guide asks for, and Grafana and Prometheus can read them."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.__main__ import ROLE_FILES, files
from dashboards.alerts import listed

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
RULES_TESTS = sorted((Path(__file__).parents[1] / "rules").glob("*.yml"))


def panels(dashboard: Json) -> Iterator[Json]:
    """Return the panels of a dashboard, those of its collapsed rows too."""
    for panel in dashboard["panels"]:
        yield from panel["panels"] if panel["type"] == "row" else [panel]


def of_kind(*kinds: str) -> pytest.MarkDecorator:
    """Run a test with each panel of some types, of all by default."""
    found = [
        pytest.param(panel, id=f"{uid}: {panel['title']}")
        for uid, dashboard in DASHBOARDS.items()
        for panel in panels(dashboard)
        if not kinds or panel["type"] in kinds
    ]
    return pytest.mark.parametrize("panel", found)


each_panel, each_timeseries = of_kind(), of_kind("timeseries")
each_service = pytest.mark.parametrize("uid", GUIDE)
each_dashboard = pytest.mark.parametrize("uid", DASHBOARDS)


def expressions(dashboard: Json) -> Iterator[str]:
    """Return the PromQL of every query of a dashboard's panels."""
    return (target["expr"] for panel in panels(dashboard) for target in panel["targets"])


def alerts(dashboard: Json) -> str:
    """Return the PromQL of the alerts that a dashboard's panels mark."""
    (annotation,) = dashboard["annotations"]["list"]
    return str(annotation["target"]["expr"])


def test_committed_files_are_up_to_date() -> None:
    committed = {
        str(path.relative_to(ROLE_FILES)): path.read_text(encoding="utf-8") for path in ROLE_FILES.glob("*/*.json")
    }
    assert committed == files(), "run `python -m dashboards`"


def test_there_is_one_dashboard_per_service_and_those_of_the_alerts_of_prometheus_and_of_the_cluster() -> None:
    assert {uid: dashboard["uid"] for uid, dashboard in DASHBOARDS.items()} == {
        uid: uid for uid in ("vision-general", "alertas", "prometheus", *GUIDE, "cluster", "hdfs", "yarn", "nodos")
    }
    assert DASHBOARDS["vision-general"]["title"] == "Visión general"
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)


@each_service
def test_panels_are_those_of_the_guide(uid: str) -> None:
    *shown, reasons = DASHBOARDS[uid]["panels"]
    assert reasons["type"] == "row"
    assert len(shown) == len(GUIDE[uid])
    for panel, (title, kind, unit, queries) in zip(shown, GUIDE[uid], strict=True):
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
    assert dashboard["refresh"] == "15s"
    assert dashboard["refresh"] in dashboard["timepicker"]["refresh_intervals"]
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
    variable, *others = DASHBOARDS[uid]["templating"]["list"]
    assert [other["name"] for other in others] == (["nodo"] if uid == "nodos" else [])
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert variable["current"]["value"] == "prometheus"


@each_dashboard
def test_panel_ids_are_unique(uid: str) -> None:
    ids = [panel["id"] for each in DASHBOARDS[uid]["panels"] for panel in (each, *each.get("panels", ()))]
    assert len(set(ids)) == len(ids)


@each_dashboard
def test_panels_neither_overlap_nor_leave_the_grid(uid: str) -> None:
    places = [panel["gridPos"] for each in DASHBOARDS[uid]["panels"] for panel in (each, *each.get("panels", ()))]
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
    # Where there is no alert, all is well.
    assert defaults["noValue"] == "Sin datos" or "ALERTS" in str(panel["targets"])
    # Grafana fills what a stat lacks with thresholds of its own, red from 80.
    assert panel["type"] != "stat" or defaults.keys() & {"color", "thresholds", "mappings"}


@each_panel
def test_panel_asks_the_chosen_data_source(panel: Json) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert [asker["datasource"] for asker in (panel, *panel["targets"])] == [chosen] * (len(panel["targets"]) + 1)
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])
    assert all(target["legendFormat"] for target in panel["targets"])


def bottom(dashboard: Json) -> int:
    """Return how many grid units a dashboard takes while its rows are collapsed."""
    return int(max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]))


@each_dashboard
def test_a_dashboard_fills_a_screen_of_1080_pixels(uid: str) -> None:
    # Of them Grafana takes 145 above the panels; a unit has 38.
    assert 1080 - 2 * 38 < 145 + 38 * bottom(DASHBOARDS[uid]) <= 1080


# On a genuine Grafana at 1440 pixels, its navigation open: tests/integration/browser looks whether it is so.
COLUMN = 46.3


@each_panel
def test_a_title_is_whole_at_1440_pixels(panel: Json) -> None:
    icons = 46 + (24 if panel["description"] else 0) + (32 if panel.get("links") else 0)
    assert 8.3 * len(panel["title"]) + icons <= COLUMN * panel["gridPos"]["w"]


@each_timeseries
def test_a_legend_shows_three_rows_and_no_part_of_one(panel: Json) -> None:
    # It gets at most 35 % of what the title and the margins leave, of which its heading takes 23.3.
    rows = (0.35 * (38 * panel["gridPos"]["h"] - 65) - 23.3) / 23.8
    assert round(rows) >= 3
    assert abs(rows - round(rows)) * 23.8 < 6


# The longest that a label of the services may hold.
VALUES = {
    "content_type": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "model_name": "text-embedding-3-small",
    "error_type": "APIConnectionError",
    "stage": "s3_download",
    "status": "error_unsupported_type",
    "topic": "chunks.processed",
    "path": "/api/v1/documents",
    "company_id": "3f2b8c1e-94d7-4c55-a0f6-7d2f1f0e9b21",
    "instance": "ip-172-31-255-255.eu-central-1.compute.internal:8003",
    "component": "resourcemanager",
    "queue": "root.default",
    "mode": "iowait",
    "mountpoint": "/mnt1",
    "device": "nvme1n1",
    "remote_name": "amazon-managed-prometheus",
    "group": "docproc-service",
}


def displayed(panel: Json, legend: str) -> str:
    """Return what a legend shows of a series, after the panel's transformations."""
    name = re.sub(r"\{\{(\w+)\}\}", lambda label: VALUES[label[1]], legend)
    for each in panel["transformations"]:
        if each["id"] == "renameByRegex":
            name = re.sub(each["options"]["regex"], each["options"]["renamePattern"].replace("$", "\\"), name)
    return name


@each_timeseries
def test_the_columns_of_a_legend_are_visible_at_1440_pixels(panel: Json) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"].removeprefix("suffix:")
    # With 3 significant digits: milliseconds, messages of which few fail, parts, and what happens in a minute.
    values = {"s": "97.9 ms", "mps": "0.00351 msg/s", "percentunit": "0.0748%", "bytes": "24.8 MiB", "none": "1024"} | {
        "binBps": "24.8 MiB/s"
    }
    characters = len(values.get(unit, f"{'0.00351' if unit.endswith('/s') else '0.211'} {unit}"))
    columns = 2 * max(6.5 * characters + 16, 73)
    assert panel["options"]["legend"]["calcs"] == ["lastNotNull", "max"]
    for target in panel["targets"]:
        name = displayed(panel, target["legendFormat"])
        assert len(name) <= 12 or 24 + 49 + 5.4 * len(name) + columns <= COLUMN * panel["gridPos"]["w"], name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (f"application/vnd.openxmlformats-officedocument.{kind}{rest}", f"{short}{rest}")
        for kind, short in (
            ("wordprocessingml.document", "Word"),
            ("spreadsheetml.sheet", "Excel"),
            ("presentationml.presentation", "PowerPoint"),
        )
        for rest in (" - Success", " - Error")
    ]
    + [("text/plain - Success", "text/plain - Success"), ("application/pdf - Error", "application/pdf - Error")],
)
def test_a_long_content_type_has_a_short_name(name: str, shown: str) -> None:
    (panel,) = (p for p in DASHBOARDS["ingest-service"]["panels"] if p["title"] == "Tasa de Ingesta de Documentos")
    assert displayed(panel, name) == shown


@each_timeseries
def test_the_end_of_a_long_name_stays(panel: Json) -> None:
    name = displayed(panel, "a" * 300 + " - Error")
    assert re.fullmatch("a+….*rror", name)


@each_panel
def test_one_thing_has_one_unit_with_three_digits(panel: Json) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    # Grafana's own choice is 3 significant digits.
    assert "decimals" not in defaults
    # What is rare is shown per minute or as a part; documents per minute; what Kafka and the workers move per second.
    assert defaults["unit"] in {
        *(
            "suffix:docs/min",
            "suffix:errores/min",
            "suffix:ops/min",
            "suffix:pet./min",
            "suffix:llam./min",
            "suffix:/min",
            "suffix:apps/min",
        ),
        *("binBps", "suffix:chunks/s", "mps", "s", "percentunit", "bytes", "suffix:docs", "suffix:chunks", "none"),
    }


@each_timeseries
def test_a_rate_per_second_is_shown_per_minute_where_the_unit_says_so(panel: Json) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    per_minute = [each for each in panel["transformations"] if each["id"] == "calculateField"]
    for target in panel["targets"]:
        factors = re.findall(r"\* (\d+)", target["expr"]) + [
            each["options"]["binary"]["right"]["fixed"] for each in per_minute
        ]
        assert factors == (["60"] if unit.endswith("/min") else []), target["expr"]


GUIDE_QUERIES = {expr for panels in GUIDE.values() for *_, queries in panels for expr, _ in queries}


@each_dashboard
def test_what_a_scrape_causes_is_left_out_where_the_project_chooses_the_query(uid: str) -> None:
    for expr in expressions(DASHBOARDS[uid]):
        if "ingest_request_processing" in expr and (uid == "vision-general" or expr not in GUIDE_QUERIES):
            assert 'path!="/metrics"' in expr


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
        expr.removesuffix(" * 60").removeprefix("sum(").removesuffix(")") if "sum(sum(" in expr else expr
        for uid in GUIDE
        for expr in expressions(DASHBOARDS[uid])
    }
    own = {
        "min(up) by (job)",
        "job_service:ingest_uploads_errors:ratio_rate5m",
        'count(ALERTS{alertstate="firing",alertname!="Watchdog"}) or vector(0)',
        "histogram_quantile(0.95, "
        'sum(rate(ingest_request_processing_duration_seconds_bucket{path!="/metrics"}[5m])) by (le, path))',
    }
    for expr in expressions(DASHBOARDS["vision-general"]):
        assert expr in own or any(query in expr for query in queries), expr


def test_each_panel_of_the_overview_leads_to_a_service_or_to_the_alerts_with_its_time_range() -> None:
    for panel in DASHBOARDS["vision-general"]["panels"]:
        by_value = [
            each
            for override in panel["fieldConfig"]["overrides"]
            for each in override["properties"]
            if each["id"] == "links"
        ]
        links = [*panel.get("links", []), *(each["value"][0] for each in by_value)]
        assert links, panel["title"]
        for link in links:
            found = re.fullmatch(r"/d/([\w-]+)\?\$\{__url_time_range\}&\$\{datasource:queryparam\}", link["url"])
            assert found, link
            assert found[1] in DASHBOARDS
        # A line has a menu of its links but for this.
        assert panel["type"] != "timeseries" or panel.get("links") or all(link["oneClick"] for link in links)


@each_service
def test_a_service_answers_why(uid: str) -> None:
    row = DASHBOARDS[uid]["panels"][-1]
    service = uid.removesuffix("-service")
    assert (row["type"], row["collapsed"]) == ("row", True)
    asked = " ".join(target["expr"] for panel in row["panels"] for target in panel["targets"])
    for part in (
        "_count",  # rate
        "error",
        "histogram_quantile(0.5, ",  # duration
        f'process_resident_memory_bytes{{service="{service}"}}',
        f'rate(process_cpu_seconds_total{{service="{service}"}}[5m])',
        f'process_open_fds{{service="{service}"}}',
        f'process_max_fds{{service="{service}"}}',
    ):
        assert part in asked
    titles = [panel["title"] for panel in row["panels"]]
    assert titles.index("Kafka: Entrada y Salida") + 1 == titles.index("Kafka: Entre Entrada y Salida")


@each_service
def test_a_service_shows_when_its_own_alerts_fired(uid: str) -> None:
    assert alerts(DASHBOARDS[uid]) == f'ALERTS{{alertstate="firing",service="{uid.removesuffix("-service")}"}}'


@each_dashboard
def test_alerts_are_marked_from_the_chosen_data_source(uid: str) -> None:
    (annotation,) = DASHBOARDS[uid]["annotations"]["list"]
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert annotation["enable"]
    assert annotation["datasource"] == annotation["target"]["datasource"] == chosen
    assert annotation["titleFormat"] == "{{alertname}}"


def test_all_well_looks_well() -> None:
    (panel,) = (p for p in DASHBOARDS["vision-general"]["panels"] if p["title"] == "Alertas Activas")
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert mapping["options"] == {"0": {"color": "green", "index": 0, "text": "Sin alertas activas"}}
    assert panel["gridPos"]["w"] * panel["gridPos"]["h"] <= 18
    (target,) = panel["targets"]
    assert target["expr"].endswith(" or vector(0)")


def test_alerts_are_listed_with_headings_of_their_own() -> None:
    (panel,) = (panel for panel in DASHBOARDS["alertas"]["panels"] if panel["type"] == "table")
    (target,) = panel["targets"]
    assert (target["format"], target["instant"]) == ("table", True)
    chosen, organize = panel["transformations"]
    shown = organize["options"]["renameByName"]
    assert set(chosen["options"]["include"]["names"]) == set(shown)
    assert {"Estado", "Desde", "Resumen", "Runbook"} <= set(shown.values())
    (hidden,) = (
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "custom.hidden"
    )
    assert shown["link"] == hidden


def fired() -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Return the labels and the annotations of an alert of each name, as promtool's tests of the rules have them."""
    return {
        one["alertname"]: (each["exp_labels"], each["exp_annotations"])
        for path in RULES_TESTS
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for one in case["alert_rule_test"]
        for each in one["exp_alerts"]
    }


def series(name: str, labels: dict[str, str]) -> str:
    """Return a series as PromQL writes it."""
    return f"{name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in labels.items())}}}"


@pytest.mark.parametrize("url", ["https://git.example.com/runbook.md", "docs/runbook.md", ""])
def test_the_list_says_of_each_alert_what_the_alert_says(
    promtool: Callable[..., str], tmp_path: Path, url: str
) -> None:
    given = [{"series": series("alerts:runbook:info", {"url": url}), "values": "1x5"}] if url else []
    expected = []
    alerts = {name: each for name, each in fired().items() if name != "Watchdog"}
    assert len(alerts) > 20
    alerts["MyOwn"] = ({"severity": "page", "job": "a"}, {})
    for number, (name, (labels, annotations)) in enumerate(alerts.items()):
        named = {"alertname": name, **labels}
        state = "pending" if number % 2 else "firing"
        given.append({"series": series("ALERTS", {**named, "alertstate": state}), "values": "1x5"})
        given.append({"series": series("ALERTS_FOR_STATE", named), "values": f"{1000 + number}x5"})
        said = {"alertstate": state, "summary": annotations.get("summary", "")}
        if url:
            said["url"] = url
        if url and annotations:
            said["runbook"] = f"{url}#{name.lower()}"
        if url.startswith("https:") and annotations:
            said["link"] = said["runbook"]
        expected.append((named | said, (1000 + number) * 1000))
    key = re.findall(r'"key", "\\x1f", ([^)]+)\)', listed())[0]
    for labels, _ in expected:
        labels["key"] = "\x1f".join(labels.get(name.strip(' "'), "") for name in key.split(","))
    samples = [{"labels": series("", {k: v for k, v in labels.items() if v}), "value": v} for labels, v in expected]
    watchdog = series("ALERTS", {"alertname": "Watchdog", "alertstate": "firing"})
    file = tmp_path / "test.yml"
    file.write_text(
        json.dumps(
            {
                "tests": [
                    {
                        "input_series": [*given, {"series": watchdog, "values": "1x5"}],
                        "promql_expr_test": [{"expr": listed(), "eval_time": "1m", "exp_samples": samples}],
                    },
                    {
                        "input_series": [{"series": watchdog, "values": "1x5"}],
                        "promql_expr_test": [
                            {
                                "expr": listed(),
                                "eval_time": "1m",
                                "exp_samples": [
                                    {"labels": '{alertstate="none", summary="Sin alertas activas"}', "value": 0}
                                ],
                            }
                        ],
                    },
                ]
            }
        )
    )
    promtool("test", "rules", file)


@each_dashboard
def test_prometheus_can_parse_every_query(uid: str, promtool: Callable[..., str], tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:query{number}", "expr": expr}
        for number, expr in enumerate([*expressions(DASHBOARDS[uid]), alerts(DASHBOARDS[uid])])
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": uid, "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)
