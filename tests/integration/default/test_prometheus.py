"""Prometheus: it runs what the inventory says, and every target is up."""

from __future__ import annotations

import json
from typing import Any

import yaml
from testinfra.host import Host

from tests.integration.node import Api, poll


def contains(actual: Any, expected: Any) -> bool:
    """Tell whether ``actual`` holds all of ``expected``; Prometheus adds its defaults to what it is given."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(contains(actual.get(k), v) for k, v in expected.items())
    if isinstance(expected, list):
        return len(actual) == len(expected) and all(map(contains, actual, expected))
    return bool(actual == expected)


def test_every_target_of_the_inventory_is_up(prometheus: Api, variables: dict[str, Any]) -> None:
    expected = {
        (job["job_name"], target, group.get("labels", {}).get("service"))
        for job in variables["prometheus_scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }

    def up() -> set[tuple[str, str, str | None]]:
        targets = prometheus.data("/api/v1/targets")["data"]["activeTargets"]
        return {
            (t["labels"]["job"], t["labels"]["instance"], t["labels"].get("service"))
            for t in targets
            if t["health"] == "up"
        }

    assert poll(lambda: up() == expected, 40), (up(), expected)


def test_the_loaded_configuration_is_the_inventorys(prometheus: Api, variables: dict[str, Any]) -> None:
    loaded = yaml.safe_load(prometheus.data("/api/v1/status/config")["data"]["yaml"])
    assert contains(loaded["global"], variables["prometheus_global"])
    assert [j["job_name"] for j in loaded["scrape_configs"]] == [
        j["job_name"] for j in variables["prometheus_scrape_configs"]
    ]
    assert contains(loaded["scrape_configs"], variables["prometheus_scrape_configs"])
    assert loaded["scrape_configs"][0]["basic_auth"]["username"] == variables["prometheus_username"]


def test_the_cluster_id_is_an_external_label(prometheus: Api, host: Host) -> None:
    job_flow = json.loads(host.check_output("cat /mnt/var/lib/info/job-flow.json"))
    loaded = yaml.safe_load(prometheus.data("/api/v1/status/config")["data"]["yaml"])
    assert loaded["global"]["external_labels"] == {"cluster": job_flow["jobFlowId"]}


def test_the_flags_are_the_inventorys(prometheus: Api, variables: dict[str, Any]) -> None:
    flags = prometheus.data("/api/v1/status/flags")["data"]
    assert flags["storage.tsdb.path"].startswith("/mnt/")
    assert flags["storage.tsdb.retention.time"] == variables["prometheus_retention_time"]
    assert flags["web.enable-lifecycle"] == "false"
