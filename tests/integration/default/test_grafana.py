"""Grafana: no one gets in without the password, and every panel shows data."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.integration.node import PROJECT, Api, poll

SENT_ON = re.compile("prometheus_remote_(storage|write)_")
DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in (PROJECT / "roles/grafana/files/dashboards").glob("*.json")
}


def test_the_password_works(grafana: Api, variables: dict[str, Any]) -> None:
    assert grafana.data("/api/user")["login"] == variables["grafana_admin_user"]


def test_the_default_password_does_not(grafana: Api) -> None:
    status, _ = grafana.as_user(("admin", "admin"))("/api/user")
    assert status == 401


@pytest.mark.parametrize("path", ["/api/user", "/api/datasources", "/api/search", "/api/dashboards/uid/ingest-service"])
def test_anonymous_is_refused(grafana: Api, path: str) -> None:
    status, _ = grafana.as_user(None)(path)
    assert status == 401


def test_the_data_source_works_through_grafana(grafana: Api, variables: dict[str, Any]) -> None:
    for source in variables["grafana_datasources"]:
        found = grafana.data(f"/api/datasources/uid/{source['uid']}")
        assert (found["name"], found["access"], found["url"], found["isDefault"]) == (
            source["name"],
            source["access"],
            source["url"],
            source["isDefault"],
        )
        assert grafana.data(f"/api/datasources/uid/{source['uid']}/health")["status"] == "OK"


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_the_dashboard_is_provisioned(grafana: Api, uid: str) -> None:
    found = grafana.data(f"/api/dashboards/uid/{uid}")
    assert found["meta"]["provisioned"]
    assert found["dashboard"]["title"] == DASHBOARDS[uid]["title"]
    assert len(found["dashboard"]["panels"]) == len(DASHBOARDS[uid]["panels"])


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_the_dashboard_opens_with_the_range_and_asks_as_often_as_prometheus_scrapes(
    grafana: Api, variables: dict[str, Any], uid: str
) -> None:
    model = grafana.data(f"/api/dashboards/uid/{uid}")["dashboard"]
    assert model["time"] == {"from": f"now-{variables['grafana_dashboards_range']}", "to": "now"}
    assert model["refresh"] == variables["prometheus_global"]["scrape_interval"]
    assert model["refresh"] in model["timepicker"]["refresh_intervals"]


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_each_panel_query_returns_data(grafana: Api, uid: str) -> None:
    targets = {
        f"P{panel['id']}{target['refId']}": (panel["title"], target["expr"])
        for each in DASHBOARDS[uid]["panels"]
        # A collapsed row holds panels.
        for panel in each.get("panels") or [each]
        for target in panel["targets"]
        # Of the alerts that fire there are none, which only some of the queries say.
        if "ALERTS" not in target["expr"] or (" or " in target["expr"] and panel["type"] != "state-timeline")
        # This node sends its metrics nowhere; that of the browser does.
        if not SENT_ON.search(target["expr"])
    }
    queries = [
        {
            "refId": ref,
            "datasource": {"type": "prometheus", "uid": "prometheus"},
            "expr": expr,
            "range": True,
            "intervalMs": 15000,
            "maxDataPoints": 100,
        }
        for ref, (_, expr) in targets.items()
    ]

    def without_data() -> list[tuple[str, str]]:
        results = grafana.data("/api/ds/query", {"from": "now-5m", "to": "now", "queries": queries})["results"]
        return [targets[ref] for ref, result in results.items() if not any(map(has_values, result["frames"]))]

    # A rate needs two scrapes of a series, and the rarer errors take their time to appear.
    assert poll(lambda: not without_data(), 120), f"no data: {without_data()}"


def has_values(frame: dict[str, Any]) -> bool:
    """Tell whether a frame of Grafana's query answer holds at least one number."""
    values = frame["data"]["values"]
    return len(values) > 1 and any(value is not None for value in values[1])
