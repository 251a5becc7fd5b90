"""Behind a load balancer that leaves the path in what it passes on, each service serves below its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.integration.node import Api, Playbook, poll, refused, words

OUTSIDE = "https://monitoring.example.com"
BEHIND = {
    "monitoring_proxy_keeps_path": True,
    "prometheus_external_url": f"{OUTSIDE}/prometheus/",
    "alertmanager_external_url": f"{OUTSIDE}/am",
    "grafana_external_url": f"{OUTSIDE}/team/grafana/",
    "grafana_metrics": True,
    "verify_targets_must_be_up": True,
    # In the two seconds of this inventory a node that others keep busy does not always answer.
    "prometheus_global": {"scrape_interval": "10s", "evaluation_interval": "1s"},
}


@pytest.fixture(scope="module")
def behind(playbook: Playbook) -> Iterator[str]:
    """Have the services behind a load balancer, and return what the run said."""
    done = playbook("site.yml", **BEHIND)
    assert done.returncode == 0, done.stdout
    yield words(done)
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout


def below(api: Api, path: str) -> Api:
    """Return a service as a load balancer that keeps the path reaches it."""
    return replace(api, base=api.base + path)


def test_the_run_finds_all_targets_up_below_the_paths(behind: str, playbook: Playbook) -> None:
    assert "http://localhost:9090/prometheus/metrics" in behind
    assert "http://localhost:9093/am/metrics" in behind
    assert "http://localhost:3000/team/grafana/metrics" in behind
    assert "Alerts go to http://localhost:9093/am/api/v2/alerts" in behind
    again = playbook("site.yml", **BEHIND)
    assert again.returncode == 0, again.stdout
    assert "changed=0" in again.stdout
    asked = playbook("playbooks/verify.yml", **BEHIND)
    assert asked.returncode == 0, asked.stdout


@pytest.mark.usefixtures("behind")
def test_pages_and_links_are_those_of_the_load_balancer(prometheus: Api, alertmanager: Api, grafana: Api) -> None:
    assert below(prometheus, "/prometheus")("/-/ready")[0] == 200
    assert prometheus("/-/ready")[0] == 404
    assert below(alertmanager, "/am")("/-/ready")[0] == 200
    assert alertmanager("/-/ready")[0] == 404
    status, headers, _ = grafana.as_user(None).send("/team/grafana/d/alertas")
    assert status == 200 or headers["Location"].startswith("/team/grafana/login")
    alerts = poll(lambda: below(alertmanager, "/am").data("/api/v2/alerts"), 60)
    assert {alert["generatorURL"].startswith(f"{OUTSIDE}/prometheus/graph") for alert in alerts} == {True}


@pytest.mark.usefixtures("behind")
def test_grafana_asks_prometheus_below_its_path(grafana: Api) -> None:
    answer = below(grafana, "/team/grafana").data("/api/datasources/uid/prometheus/health")
    assert answer["status"] == "OK"


@pytest.mark.parametrize("path", ["/a b/", "/a//b", "/../a", "/%70rom"])
def test_a_path_that_no_service_can_take_is_refused(playbook: Playbook, path: str) -> None:
    done = playbook("site.yml", monitoring_proxy_keeps_path=True, prometheus_external_url=f"{OUTSIDE}{path}")
    refused(done, f"prometheus_external_url is '{OUTSIDE}{path}'", "https://monitoring.example.com")
