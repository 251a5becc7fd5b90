"""The alerts on a healthy node: the rules run, have something to look at, and say nothing."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from testinfra.host import Host

from tests.integration.node import PROJECT, Api, poll, runbook_is_answered

STEP = 15
HOUR = 3600 // STEP
RULES = [
    rule
    for path in (PROJECT / "roles/prometheus/files/rules").iterdir()
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
# What the services and Prometheus itself send, not what other rules record, nor what only a node has that sends its
# metrics on.
METRICS = {
    metric
    for rule in RULES
    for metric in re.findall(
        r"(?<![\w:])(?:up|(?:ingest|docproc|embedding|prometheus|process)_[a-z_]+)(?![\w:])", str(rule["expr"])
    )
    if not metric.startswith("prometheus_remote_storage_")
}


def groups(prometheus: Api) -> list[dict[str, Any]]:
    """Return the groups of rules that Prometheus evaluates."""
    return list(prometheus.data("/api/v1/rules")["data"]["groups"])


def test_every_rule_is_evaluated_without_an_error(prometheus: Api) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in groups(prometheus) for rule in group["rules"]]

    assert poll(lambda: all(rule["health"] == "ok" for rule in rules()), 90), [
        (rule["name"], rule["health"], rule.get("lastError")) for rule in rules() if rule["health"] != "ok"
    ]
    shipped = {rule.get("alert", rule.get("record")) for rule in RULES}
    assert shipped <= {rule["name"] for rule in rules()}


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_the_rules_look_at_something_that_is_there(prometheus: Api, metric: str) -> None:
    # What a service counts by a label is there once it has happened, and has been scraped.
    found = poll(lambda: prometheus.data(f"/api/v1/query?query={metric}")["data"]["result"], 60)
    assert found, f"no series of {metric}"


def test_nothing_but_the_watchdog_is_pending_or_firing(prometheus: Api) -> None:
    def active() -> dict[str, str]:
        alerts = prometheus.data("/api/v1/alerts")["data"]["alerts"]
        return {alert["labels"]["alertname"]: alert["state"] for alert in alerts}

    # A rate needs two scrapes after Prometheus has started: until then it looks as if there were no traffic.
    assert poll(lambda: active() == {"Watchdog": "firing"}, 90), active()


def test_an_hour_like_the_last_minutes_would_be_no_alert(
    host: Host, prometheus: Api, variables: dict[str, Any], tmp_path: Path
) -> None:
    names = host.check_output("sudo ls /etc/prometheus/rules").split()
    for name in names:
        (tmp_path / name).write_text(host.check_output(f"sudo cat /etc/prometheus/rules/{name}"))
    series = hour(prometheus)
    assert len(series) > len(METRICS)
    at_the_end = {"eval_time": "1h", "exp_samples": []}
    test = {
        "interval": f"{STEP}s",
        "input_series": series,
        "promql_expr_test": [
            {"expr": 'count_over_time(ALERTS{alertstate="firing",alertname!="Watchdog"}[1h])', **at_the_end},
            {
                "expr": 'min_over_time(ALERTS{alertname="Watchdog"}[1h])',
                "eval_time": "1h",
                "exp_samples": [{"labels": '{alertname="Watchdog", alertstate="firing", severity="info"}', "value": 1}],
            },
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"evaluation_interval": f"{STEP}s", "rule_files": names, "tests": [test]}))
    promtool = Path(variables["testbed_cache"]) / "promtool"
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def hour(prometheus: Api) -> list[dict[str, str]]:
    """Return what the rules look at, as promtool takes it: the last five minutes again and again, for an hour."""
    now = int(prometheus.data("/api/v1/query?query=time()")["data"]["result"][0])
    selector = quote(f'{{__name__=~"{"|".join(METRICS)}"}}')
    found = prometheus.data(
        f"/api/v1/query_range?query={selector}&start={now - 300}&end={now}&step={STEP}",
    )["data"]["result"]
    return [
        {"series": series_name(one["metric"]), "values": " ".join(map(repr, again(one)))}
        for one in found
        if len(one["values"]) > 1
    ]


def series_name(metric: dict[str, str]) -> str:
    """Return a series in PromQL's notation."""
    labels = ",".join(f"{name}={json.dumps(value)}" for name, value in metric.items() if name != "__name__")
    return f"{metric['__name__']}{{{labels}}}"


def again(series: dict[str, Any]) -> list[float]:
    """Return an hour's values: those of a gauge again and again, and what a counter gained again and again."""
    values = [float(value) for _, value in series["values"]]
    if not series["metric"]["__name__"].endswith(("_total", "_count", "_bucket")):
        return [values[number % len(values)] for number in range(HOUR + 1)]
    gains = [after - before if after >= before else after for before, after in pairwise(values)]
    hours = [values[0]]
    for number in range(HOUR):
        hours.append(hours[-1] + gains[number % len(gains)])
    return hours


def test_the_questions_of_the_runbook_work_on_the_node(host: Host) -> None:
    assert runbook_is_answered(host)
