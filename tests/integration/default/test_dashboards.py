"""What people have as dashboards and data sources is shown and filled, or it is refused before anything changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import Api, Playbook, Run, poll, process, refused, words

UNKNOWN = {"type": "prometheus", "uid": "5JyaSIk4k"}
OWN = {"type": "grafana-testdata-datasource", "uid": "users-own"}
PROVISIONED = ["alertas", "docproc-service", "embedding-service", "ingest-service", "prometheus", "vision-general"]


def panel(source: Any) -> dict[str, Any]:
    """Return a panel that asks a data source which targets are up."""
    place = {"x": 0, "y": 0, "w": 12, "h": 8}
    target = {"refId": "A", "expr": "up", "datasource": source}
    return {"id": 1, "type": "timeseries", "title": "P", "gridPos": place, "datasource": source, "targets": [target]}


def classic(title: str, source: Any, **more: Any) -> dict[str, Any]:
    """Return a dashboard as older Grafanas export it."""
    return {"title": title, "schemaVersion": 39, "panels": [panel(source)], **more}


def second(title: str) -> dict[str, Any]:
    """Return the second version of a dashboard, as Grafana 13 exports it."""
    query = {"kind": "DataQuery", "version": "v0", "group": "prometheus", "datasource": {"name": "gone"}}
    queries = [
        {"kind": "PanelQuery", "spec": {"refId": "A", "hidden": False, "query": {**query, "spec": {"expr": "up"}}}}
    ]
    data = {"kind": "QueryGroup", "spec": {"queries": queries, "transformations": [], "queryOptions": {}}}
    looks: dict[str, Any] = {"options": {}, "fieldConfig": {"defaults": {}, "overrides": []}}
    visual = {"kind": "VizConfig", "group": "timeseries", "version": "12.4.0", "spec": looks}
    shown = {"id": 1, "title": "P", "description": "", "links": [], "data": data, "vizConfig": visual}
    place = {"x": 0, "y": 0, "width": 12, "height": 8, "element": {"kind": "ElementReference", "name": "panel-1"}}
    return {
        "title": title,
        "elements": {"panel-1": {"kind": "Panel", "spec": shown}},
        "layout": {"kind": "GridLayout", "spec": {"items": [{"kind": "GridLayoutItem", "spec": place}]}},
        "variables": [],
        "annotations": [],
    }


def resource(version: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard as Grafana 12.2 and newer export it, from another Grafana and another folder."""
    metadata = {"name": name, "namespace": "stacks-1", "annotations": {"grafana.app/folder": "abc"}}
    about = {"apiVersion": f"dashboard.grafana.app/{version}", "kind": "Dashboard"}
    return {**about, "metadata": metadata, "spec": spec}


# By their paths: the content and Grafana's folder.
FILES: dict[str, tuple[Any, str]] = {
    "unknown.json": (classic("Unknown", UNKNOWN, uid="unknown"), "Pipeline"),
    "name.json": (classic("Name", "Thanos", uid="name"), "Pipeline"),
    "mark.json": (classic("Mark", UNKNOWN, uid="mark"), "Pipeline"),
    "no-uid.json": (classic("No uid", None), "Pipeline"),
    "Spark jobs/v1.json": (resource("v1beta1", "v1", classic("V1", UNKNOWN)), "Spark jobs"),
    "Spark jobs/no-uid.json": (classic("No uid", UNKNOWN), "Spark jobs"),
    "deep/er/v2.json": (resource("v2beta1", "v2", second("V2")), "er"),
    "deep/stable.json": (resource("v2", "stable", second("Stable")), "deep"),
    "deep/bare.json": (second("Bare"), "deep"),
    "deep/answer.json": ({"dashboard": classic("Answer", UNKNOWN, uid="answer"), "meta": {}}, "deep"),
    "deep/own.json": (classic("Own", OWN, uid="own"), "deep"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with dashboards of all kinds."""
    for name, (content, _) in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("\ufeff" * name.startswith("mark") + json.dumps(content), encoding="utf-8")
    return tmp_path


@pytest.fixture
def users_own(grafana: Api) -> Iterator[None]:
    """Have a data source that a user made in Grafana."""
    source = {"name": "Users' own", "uid": OWN["uid"], "type": OWN["type"], "access": "proxy"}
    assert grafana("/api/datasources", source)[0] == 200
    yield
    grafana(f"/api/datasources/uid/{OWN['uid']}", method="DELETE")


def shown(grafana: Api) -> dict[str, tuple[str, str | None]]:
    """Return the title and the folder of each dashboard by its uid."""
    found = grafana.data("/api/search?type=dash-db&limit=5000")
    return {each["uid"]: (each["title"], each.get("folderTitle")) for each in found}


@pytest.mark.usefixtures("users_own")
def test_dashboards_of_all_formats_are_shown_in_their_folders_without_a_restart(
    host: Host, run: Run, grafana: Api, folder: Path
) -> None:
    before = process(host, "grafana-server.service")
    said = " ".join(run(grafana_dashboards_dirs=[str(folder)]).split())
    users = {uid: found for uid, found in shown(grafana).items() if uid not in PROVISIONED}
    assert sorted(users.values()) == sorted(
        ((content.get("spec") or content.get("dashboard") or content)["title"], place)
        for content, place in FILES.values()
    )
    for name in ("unknown.json", "name.json", "deep/er/v2.json", "deep/bare.json"):
        assert f"{folder}/{name}: the data source" in said
    assert "/own.json: the data source" not in said
    for uid in ("unknown", "name", "mark", "answer", "v1"):
        (kept,) = grafana.data(f"/api/dashboards/uid/{uid}")["dashboard"]["panels"]
        assert kept["datasource"] == kept["targets"][0]["datasource"] == {"type": "prometheus", "uid": "prometheus"}
    (kept,) = grafana.data("/api/dashboards/uid/own")["dashboard"]["panels"]
    assert kept["datasource"] == OWN
    assert "changed=0" in run(grafana_dashboards_dirs=[str(folder)])
    assert {uid for uid in shown(grafana) if uid not in PROVISIONED} == users.keys()
    run()
    assert poll(lambda: sorted(shown(grafana)) == PROVISIONED, 30), shown(grafana)
    assert process(host, "grafana-server.service") == before


def test_a_dashboard_that_would_be_empty_is_refused_with_the_source_that_it_needs(
    playbook: Playbook, folder: Path
) -> None:
    done = playbook("site.yml", grafana_dashboards_dirs=[str(folder)])
    refused(done, f"{folder}/deep/own.json needs a data source of type", OWN["type"], "grafana_further_datasources")
    assert "changed=0" in words(done)


def test_a_file_that_would_be_left_out_is_refused(playbook: Playbook, tmp_path: Path) -> None:
    (tmp_path / "spark").mkdir()
    (tmp_path / "spark/C.JSON").write_text(json.dumps(classic("C", None, uid="c")))
    done = playbook("site.yml", grafana_dashboards_dirs=[str(tmp_path)])
    refused(done, f"{tmp_path}/spark/C.JSON is no *.json file, and would be left out")
    assert "changed=0" in words(done)


def test_further_data_sources_stand_beside_the_own_one(run: Run, grafana: Api, variables: dict[str, Any]) -> None:
    alertmanager = {"name": "Alerts", "uid": "alerts", "type": "alertmanager", "access": "proxy"}
    further = [alertmanager | {"url": "http://localhost:9093", "jsonData": {"implementation": "prometheus"}}]
    said = run(grafana_further_datasources=further)
    assert "The data source alerts cannot be asked whether it works" in " ".join(said.split())
    uids = {source["uid"] for source in grafana.data("/api/datasources")}
    assert {"alerts", *(source["uid"] for source in variables["grafana_datasources"])} <= uids
    assert "changed=0" in run(grafana_further_datasources=further)
    run()
    assert grafana("/api/datasources/uid/alerts")[0] == 404


def test_a_list_without_what_the_dashboards_ask_is_refused(playbook: Playbook) -> None:
    done = playbook("site.yml", grafana_datasources=[{"name": "Logs", "uid": "logs", "type": "loki"}])
    refused(done, "grafana_datasources holds no data source of type prometheus", "monitoring_dashboards: false")
    assert "changed=0" in words(done)


def test_the_projects_own_dashboards_can_be_left_out(run: Run, grafana: Api, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(classic("Mine", UNKNOWN, uid="mine")))
    run(monitoring_dashboards=False, grafana_dashboards_dirs=[str(tmp_path)])
    assert poll(lambda: list(shown(grafana)) == ["mine"], 30), shown(grafana)
    run(monitoring_dashboards=False)
    assert poll(lambda: shown(grafana) == {}, 30), shown(grafana)
    run()
    assert poll(lambda: sorted(shown(grafana)) == PROVISIONED, 30), shown(grafana)
