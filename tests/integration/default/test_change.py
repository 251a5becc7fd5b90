"""A changed variable and another run: exactly that changes, without a restart where a reload is enough."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from testinfra.host import Host

from tests.integration.node import PROJECT, Api, Playbook, Run, poll, process

SCRAPE_INTERVAL = 15.0
DASHBOARD = {"uid": "mine", "title": "Mine", "panels": [], "schemaVersion": 41}


def targets(prometheus: Api, job: str) -> list[tuple[str, str | None]]:
    """Return the health and the label service of each target of a job."""
    active = prometheus.data("/api/v1/targets")["data"]["activeTargets"]
    return [(t["health"], t["labels"].get("service")) for t in active if t["labels"]["job"] == job]


def longest_gap(prometheus: Api, job: str, since: float) -> float:
    """Return the longest time in seconds between two scrapes of a job, and until now."""
    query = f"/api/v1/query?query=up%7Bjob%3D%22{job}%22%7D%5B{int(time.time() - since) + 1}s%5D"
    (series,) = prometheus.data(query)["data"]["result"]
    scrapes = [float(when) for when, _ in series["values"]]
    return max(later - earlier for earlier, later in pairwise([*scrapes, time.time()]))


def test_a_scrape_job_comes_changes_and_goes_without_a_gap(
    host: Host, run: Run, prometheus: Api, variables: dict[str, Any]
) -> None:
    jobs = variables["prometheus_scrape_configs"]
    began = time.time()
    before = process(host, "prometheus.service")
    for service in ("first", "second"):
        target = {"targets": ["localhost:8003"], "labels": {"service": service}}
        run(prometheus_scrape_configs=[*jobs, {"job_name": "extra", "static_configs": [target]}])
        assert targets(prometheus, "extra") == [("up", service)]
    run()
    assert targets(prometheus, "extra") == []
    assert process(host, "prometheus.service") == before
    assert poll(lambda: time.time() - began > 3 * SCRAPE_INTERVAL, 60)
    gaps = {job["job_name"]: longest_gap(prometheus, job["job_name"], began) for job in jobs}
    assert max(gaps.values()) < 1.5 * SCRAPE_INTERVAL, gaps


def test_a_threshold_of_the_alerts_changes_without_a_restart_and_the_others_stay(
    host: Host, run: Run, prometheus: Api
) -> None:
    defaults = yaml.safe_load((PROJECT / "roles/prometheus/defaults/main.yml").read_text())
    thresholds = defaults["prometheus_alert_thresholds"]
    before = process(host, "prometheus.service")
    run(
        prometheus_alert_thresholds={"request_latency_seconds": 3}, prometheus_runbook_url="https://example.com/runbook"
    )

    def recorded() -> dict[str, float]:
        found = prometheus.data("/api/v1/query?query=%7B__name__%3D~%22threshold%3A.%2B%22%7D")["data"]["result"]
        return {one["metric"]["__name__"].removeprefix("threshold:"): float(one["value"][1]) for one in found}

    def watchdogs_runbook() -> str:
        alerts = prometheus.data("/api/v1/alerts")["data"]["alerts"]
        (watchdog,) = (alert for alert in alerts if alert["labels"]["alertname"] == "Watchdog")
        return str(watchdog["annotations"]["runbook_url"])

    assert poll(lambda: recorded() == thresholds | {"request_latency_seconds": 3}, 40), recorded()
    assert poll(lambda: watchdogs_runbook() == "https://example.com/runbook#watchdog", 40), watchdogs_runbook()
    run()
    assert poll(lambda: recorded() == thresholds, 40), recorded()
    assert process(host, "prometheus.service") == before


def test_a_dashboard_comes_changes_and_goes_without_a_restart(
    host: Host, run: Run, grafana: Api, tmp_path: Path
) -> None:
    before = process(host, "grafana-server.service")
    for title in ("Mine", "Mine, changed"):
        (tmp_path / "mine.json").write_text(json.dumps(DASHBOARD | {"title": title}))
        run(grafana_dashboards_dirs=[str(tmp_path)])

        def shown(title: str = title) -> bool:
            status, answer = grafana("/api/dashboards/uid/mine")
            return bool(status == 200 and answer["dashboard"]["title"] == title)

        assert poll(shown, 30)
    run()
    assert poll(lambda: grafana("/api/dashboards/uid/mine")[0] == 404, 30)
    assert process(host, "grafana-server.service") == before


def test_a_provisioned_dashboard_is_not_saved_in_grafana_but_says_so(grafana: Api) -> None:
    dashboard = grafana.data("/api/dashboards/uid/ingest-service")["dashboard"]
    status, answer = grafana("/api/dashboards/db", {"dashboard": dashboard | {"title": "Edited"}, "overwrite": True})
    assert (status, answer["message"]) == (400, "Cannot save provisioned dashboard")
    assert "no se guardan cambios" in dashboard["description"]


def test_data_sources_change_without_a_restart_and_users_keep_theirs(
    host: Host, run: Run, grafana: Api, variables: dict[str, Any]
) -> None:
    before = process(host, "grafana-server.service")
    users = {"name": "Users", "uid": "users", "type": "prometheus", "access": "proxy", "url": "http://localhost:1"}
    assert grafana("/api/datasources", users)[0] == 200
    (own,) = variables["grafana_datasources"]
    edited = own | {"jsonData": {"timeInterval": "15s"}}
    second = own | {"name": "Second", "uid": "second", "isDefault": False}
    run(grafana_datasources=[edited, second])
    assert grafana.data("/api/datasources/uid/prometheus")["jsonData"]["timeInterval"] == "15s"
    assert grafana.data("/api/datasources/uid/second")["url"] == own["url"]
    again = run(grafana_datasources=[edited, second])
    assert "changed=0" in again
    run()
    assert "timeInterval" not in grafana.data("/api/datasources/uid/prometheus")["jsonData"]
    assert grafana("/api/datasources/uid/second")[0] == 404
    assert grafana.data("/api/datasources/uid/users")["name"] == "Users"
    assert process(host, "grafana-server.service") == before


def test_check_and_diff_show_the_change_and_make_none(host: Host, run: Run, prometheus: Api) -> None:
    config = "sudo sha256sum /etc/prometheus/prometheus.yml"
    before = (host.check_output(config), process(host, "prometheus.service"))
    shown = run(
        "--check", "--diff", prometheus_global={"scrape_interval": "20s"}, prometheus_flags=["--log.level=warn"]
    )
    assert "-  scrape_interval: 15s" in shown
    assert "+  scrape_interval: 20s" in shown
    assert '+    "--log.level=warn"' in shown
    assert (host.check_output(config), process(host, "prometheus.service")) == before


def test_a_tag_limits_the_run_to_its_service(host: Host, run: Run) -> None:
    before = process(host, "grafana-server.service")
    output = run("--tags", "prometheus", grafana_ini={"log": {"level": "debug"}})
    assert "TASK [emr.monitoring.prometheus : Bring the release" in output
    assert "TASK [emr.monitoring.grafana : Bring the release" not in output
    assert process(host, "grafana-server.service") == before


def test_a_limit_to_a_host_that_is_not_there_does_nothing(playbook: Playbook) -> None:
    done = playbook("site.yml", "--limit", "elsewhere")
    assert "emr_node" not in done.stdout


def test_a_flag_costs_one_restart_and_no_data(host: Host, run: Run, prometheus: Api) -> None:
    before = process(host, "prometheus.service")
    oldest = "/api/v1/query?query=prometheus_tsdb_lowest_timestamp_seconds%20or%20vector(0)"
    samples = "/api/v1/query?query=count_over_time(up%7Bjob%3D%22prometheus%22%7D%5B1h%5D)"
    kept = float(prometheus.data(samples)["data"]["result"][0]["value"][1])
    run(prometheus_flags=["--query.max-concurrency=7"])
    assert prometheus.data("/api/v1/status/flags")["data"]["query.max-concurrency"] == "7"
    after = process(host, "prometheus.service")
    assert after["MainPID"] != before["MainPID"]
    assert after["NRestarts"] == "0"
    assert prometheus(oldest)[0] == 200
    assert float(prometheus.data(samples)["data"]["result"][0]["value"][1]) >= kept
