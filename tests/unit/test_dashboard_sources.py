"""Which data sources a dashboard asks: one that there is, or the run says so."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_dashboards import grafana_dashboards

Json = dict[str, Any]

SOURCES: list[Json] = [
    {"name": "Spare", "type": "prometheus", "uid": "spare"},
    {"name": "Prometheus", "type": "prometheus", "uid": "main", "isDefault": True},
    {"name": "Bill $$", "type": "mysql", "uid": "bill"},
]
MINE = [{"name": "Logs", "type": "cloudwatch", "uid": "cw-1"}]
GONE = {"type": "prometheus", "uid": "5JyaSIk4k"}
MAIN = {"type": "prometheus", "uid": "main"}
KNOWN: list[Any] = [
    None, "", "default", "grafana", "-- Mixed --", "-- Dashboard --", "-- Grafana --", "__expr__", "$ds", "${ds}",
    "${ds:text}", "[[ds]]", "Prometheus", "spare", "Bill $", "Logs", "cw-1", MAIN, {"uid": "spare"}, {"uid": "$ds"},
    {"type": "prometheus", "uid": "${ds}"}, {"type": "prometheus"}, {"type": "datasource", "uid": "grafana"},
    {"type": "datasource", "uid": "-- Mixed --"}, {"type": "grafana", "uid": "-- Grafana --"}, {"type": "__expr__"},
    {"type": "__expr__", "uid": "-100"}, {"type": "cloudwatch", "uid": "cw-1"},
    {"type": "prometheus", "uid": "Prometheus"},
]  # fmt: skip


def found(folder: Path, dashboard: Json, others: Any = MINE, sources: list[Json] = SOURCES) -> Json:
    """Return what the filter makes of a single dashboard."""
    (folder / "a.json").write_text(json.dumps({"uid": "a", "title": "A", "panels": []} | dashboard))
    return grafana_dashboards([str(folder)], sources, others)


def asked(folder: Path, dashboard: Json, others: Any = MINE) -> Json:
    """Return a single dashboard as it goes to Grafana."""
    (text,) = found(folder, dashboard, others)["files"].values()
    result: Json = json.loads(text)
    return result


def refusal(folder: Path, dashboard: Json, others: Any = MINE) -> str:
    """Return the message with which a dashboard is refused."""
    with pytest.raises(AnsibleFilterError) as caught:
        found(folder, dashboard, others)
    return str(caught.value)


def everywhere(source: Any) -> Json:
    """Return a dashboard that names a data source in each place that a classic one has."""
    target = {"refId": "A", "datasource": source, "expr": "up"}
    panel = {"type": "timeseries", "datasource": source, "targets": [target]}
    return {
        "panels": [panel, {"type": "row", "datasource": source, "expr": "", "panels": [panel]}],
        "rows": [{"panels": [panel]}],
        "annotations": {"list": [{"name": "a", "datasource": source, "expr": "ALERTS"}]},
        "templating": {
            "list": [
                {"name": "ds", "type": "datasource", "query": "prometheus"},
                {"name": "job", "type": "query", "datasource": source, "query": "label_values(up, job)"},
                {
                    "name": "job2",
                    "type": "query",
                    "datasource": source,
                    "query": {"query": "x", "expr": ""},
                    "expr": "",
                },
                {"name": "filters", "type": "adhoc", "datasource": source, "expr": ""},
            ]
        },
    }


@pytest.mark.parametrize("source", KNOWN, ids=str)
def test_what_is_known_stays(tmp_path: Path, source: Any) -> None:
    dashboard = everywhere(source)
    result = found(tmp_path, dashboard)
    assert json.loads(result["files"]["a.json"]) == {"uid": "a", "title": "A", **dashboard}
    assert result["notes"] == []


@pytest.mark.parametrize(
    "source", [GONE, "Thanos", "PROMETHEUS-PROD", "${DS_PROMETHEUS}", {"type": "prometheus", "uid": "$lost"}], ids=str
)
def test_what_is_unknown_becomes_the_default_of_its_type_everywhere(tmp_path: Path, source: Any) -> None:
    result = found(tmp_path, everywhere(source))
    assert json.loads(result["files"]["a.json"]) == {"uid": "a", "title": "A", **everywhere(MAIN)}
    name = source["uid"] if isinstance(source, dict) else source
    assert result["notes"] == [
        f"{tmp_path}/a.json: the data source {name!r} is none of this Grafana's; Prometheus is asked in its place."
    ]


def test_the_first_of_a_type_serves_where_none_of_it_is_the_default(tmp_path: Path) -> None:
    panels = [{"datasource": {"type": "mysql", "uid": "x"}}, {"datasource": {"type": "cloudwatch", "uid": "x"}}]
    kept = asked(tmp_path, {"panels": panels})["panels"]
    assert [panel["datasource"]["uid"] for panel in kept] == ["bill", "cw-1"]


def test_a_type_alone_is_asked_of_its_own_source(tmp_path: Path) -> None:
    (panel,) = asked(tmp_path, {"panels": [{"datasource": {"type": "mysql"}}]})["panels"]
    assert panel["datasource"] == {"type": "mysql", "uid": "bill"}


@pytest.mark.parametrize(
    ("dashboard", "kind"),
    [
        ({"__requires": [{"type": "grafana", "id": "grafana"}, {"type": "datasource", "id": "mysql"}]}, "mysql"),
        ({}, ""),
    ],
)
def test_a_name_without_a_type_gets_the_one_that_the_export_requires(
    tmp_path: Path, dashboard: Json, kind: str
) -> None:
    panels = {"panels": [{"datasource": "Orders", "targets": [{"rawSql": "SELECT 1"}]}]}
    if kind:
        (panel,) = asked(tmp_path, panels | dashboard)["panels"]
        assert panel["datasource"] == {"type": "mysql", "uid": "bill"}
    else:
        assert "asks the data source 'Orders', which is none of this Grafana's" in refusal(tmp_path, panels | dashboard)


def test_a_panels_name_gets_the_type_of_its_queries(tmp_path: Path) -> None:
    panel = {"datasource": "Orders", "targets": [{"datasource": {"type": "mysql", "uid": "x"}}]}
    (kept,) = asked(tmp_path, {"panels": [panel]})["panels"]
    assert kept["datasource"]["uid"] == kept["targets"][0]["datasource"]["uid"] == "bill"


@pytest.mark.parametrize(
    ("dashboard", "what"),
    [
        ({"panels": [{"datasource": {"type": "loki", "uid": "x"}}]}, "'loki' for 'x'"),
        ({"panels": [{"panels": [{"targets": [{"datasource": {"type": "loki"}}]}]}]}, "'loki' for a panel"),
        ({"annotations": {"list": [{"datasource": {"type": "loki", "uid": "x"}}]}}, "'loki' for 'x'"),
        ({"templating": {"list": [{"name": "v", "type": "datasource", "query": "loki"}]}}, "'loki' for its variable v"),
        ({"__inputs": [{"name": "DS_L", "type": "datasource", "pluginId": "loki"}]}, "'loki' for ${DS_L}"),
    ],
)
def test_a_type_of_which_there_is_none_is_refused_with_the_source_it_needs(
    tmp_path: Path, dashboard: Json, what: str
) -> None:
    assert refusal(tmp_path, dashboard) == (
        f"grafana_dashboards_dirs: {tmp_path}/a.json needs a data source of type {what}, and none is provisioned. "
        "Add one to grafana_further_datasources, or take the dashboard out."
    )


def test_a_plugins_own_options_are_left_alone(tmp_path: Path) -> None:
    panel = {"type": "alertlist", "options": {"datasource": "Gone"}, "fieldConfig": {"datasource": "Gone"}}
    assert asked(tmp_path, {"panels": [panel]})["panels"] == [panel]


def test_nothing_is_judged_where_nobody_knows_the_sources_of_users(tmp_path: Path) -> None:
    assert asked(tmp_path, {"panels": [{"datasource": GONE}]}, others=None)["panels"] == [{"datasource": GONE}]


def second(source: Any, kind: str = "prometheus") -> Json:
    """Return a dashboard of the second version's beta that names a data source in each place."""
    named = {} if source is None else {"datasource": {"name": source}}
    query = {"kind": "DataQuery", "group": kind, "version": "v0", **named, "spec": {"expr": "up"}}
    group = {
        "kind": "QueryGroup",
        "spec": {"queries": [{"kind": "PanelQuery", "spec": {"refId": "A", "query": query}}]},
    }
    return {
        "apiVersion": "dashboard.grafana.app/v2beta1",
        "kind": "Dashboard",
        "metadata": {"name": "a"},
        "spec": {
            "title": "A",
            "layout": {"kind": "GridLayout", "spec": {"items": []}},
            "elements": {"panel-1": {"kind": "Panel", "spec": {"id": 1, "title": "P", "data": group}}},
            "annotations": [{"kind": "AnnotationQuery", "spec": {"name": "x", "query": query}}],
            "variables": [
                {"kind": "DatasourceVariable", "spec": {"name": "ds", "pluginId": "prometheus"}},
                {"kind": "QueryVariable", "spec": {"name": "job", "query": query}},
                {"kind": "AdhocVariable", "group": kind, **named, "spec": {"name": "filters"}},
            ],
        },
    }


def second_asked(folder: Path, dashboard: Json) -> Json:
    """Return a dashboard of the second version as it goes to Grafana."""
    (folder / "a.json").write_text(json.dumps(dashboard))
    (text,) = grafana_dashboards([str(folder)], SOURCES, MINE)["files"].values()
    result: Json = json.loads(text)
    return result


@pytest.mark.parametrize("source", [None, "${ds}", "main", "spare", "-- Mixed --"])
def test_the_second_version_keeps_what_is_known(tmp_path: Path, source: Any) -> None:
    assert second_asked(tmp_path, second(source)) == second(source)


def test_the_second_version_asks_the_default_everywhere(tmp_path: Path) -> None:
    assert second_asked(tmp_path, second("gone")) == second("main")


def test_the_second_version_is_refused_for_another_type(tmp_path: Path) -> None:
    with pytest.raises(AnsibleFilterError, match="needs a data source of type 'loki' for a query"):
        second_asked(tmp_path, second(None, "loki"))
    dashboard = second(None)
    dashboard["spec"]["variables"][0]["spec"]["pluginId"] = "loki"
    with pytest.raises(AnsibleFilterError, match="needs a data source of type 'loki' for its variable ds"):
        second_asked(tmp_path, dashboard)


def test_the_alpha_of_the_second_version_names_its_sources_as_the_classic_model_does(tmp_path: Path) -> None:
    def alpha(source: Json) -> Json:
        query = {"refId": "A", "datasource": source, "query": {"kind": "prometheus", "spec": {"expr": "up"}}}
        dashboard = second(None)
        dashboard["apiVersion"] = "dashboard.grafana.app/v2alpha1"
        dashboard["spec"]["elements"]["panel-1"]["spec"]["data"]["spec"]["queries"] = [
            {"kind": "PanelQuery", "spec": query}
        ]
        return dashboard

    assert second_asked(tmp_path, alpha(GONE)) == alpha(MAIN)
