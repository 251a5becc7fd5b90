"""The alerts fire when the demo services really misbehave, and the dashboards show it.

They do so within seconds: of the rule files that the role ships, every window is divided by 30 and every wait by 120.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from tests.integration.node import PROJECT, Api, Playbook, poll, words

WINDOWS, WAITS = 30, 120
SHIPPED = PROJECT / "roles/prometheus/files/rules"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# What the latency of the demo services passes without making them too slow for such short windows.
THRESHOLDS = {"request_latency_seconds": 0.2, "processing_duration_seconds": 0.5, "openai_latency_seconds": 0.5}
FAULTS = "/var/lib/demo/faults"
BUDGET = {f"UploadErrorBudgetBurn ingest {window}" for window in ("1h", "6h", "1d", "3d")}
# Faults that do not hide each other, and the alerts that they set off.
CASES: dict[str, dict[str, set[str]]] = {
    "uploads fail and chunks stay": {
        "ingest-errors": {"UploadErrorRatioHigh ingest", *BUDGET},
        "ingest-kafka-errors": {"KafkaProductionErrors ingest documents.raw"},
        "ingest-latency": {"RequestLatencyHigh ingest /api/v1/documents"},
        "embedding-stop": {"EmbeddingStalled embedding"},
    },
    "documents and chunks fail": {
        "docproc-errors": {"ProcessingErrorRatioHigh docproc extraction"},
        "docproc-latency": {"ProcessingDurationHigh docproc"},
        "openai-rate-limit": {"OpenAIRateLimited embedding rate_limit"},
        "openai-authentication": {"OpenAIAuthenticationErrors embedding authentication"},
        "openai-timeout": {"OpenAIErrorRatioHigh embedding timeout"},
        "openai-latency": {"OpenAILatencyHigh embedding"},
        "embedding-drop": {"KafkaFlowUnbalanced embedding"},
    },
    "services die and uploads end": {
        "traffic-stop": {"NoTraffic ingest"},
        "docproc-exit": {"TargetDown docproc", "JobDown docproc"},
        "embedding-exit": {"TargetDown embedding", "JobDown embedding"},
    },
}
Switch = Callable[..., None]


def shorter(duration: str, factor: int) -> str:
    """Return a duration of Prometheus, a number with one unit, divided by a factor; a second at least."""
    return f"{max(1, int(duration[:-1]) * UNITS[duration[-1]] // factor)}s"


def shorten(rule_file: str) -> str:
    """Return the text of a rule file whose windows and waits are shorter."""
    content = yaml.safe_load(rule_file)
    for group in content["groups"]:
        if "interval" in group:
            group["interval"] = shorter(group["interval"], WAITS)
        for rule in group["rules"]:
            rule["expr"] = re.sub(
                r"\[(\d+[smhd])\]", lambda window: f"[{shorter(window[1], WINDOWS)}]", str(rule["expr"])
            )
            if "for" in rule:
                rule["for"] = shorter(rule["for"], WAITS)
    return yaml.safe_dump(content, sort_keys=False)


@pytest.fixture(scope="module", autouse=True)
def quick_rules(playbook: Playbook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let Prometheus scrape and evaluate the shortened rules each second."""
    folder = tmp_path_factory.mktemp("rules")
    for path in SHIPPED.iterdir():
        (folder / path.name).write_text(shorten(path.read_text("utf-8")))
    done = playbook(
        "site.yml",
        "--tags=prometheus",
        prometheus_default_rules=False,
        prometheus_rules_dirs=[str(folder)],
        prometheus_alert_thresholds=THRESHOLDS,
        prometheus_global={"scrape_interval": "1s", "evaluation_interval": "1s"},
    )
    assert done.returncode == 0, words(done)[-4000:]
    yield
    done = playbook("site.yml", "--tags=prometheus", verify_targets_must_be_up=False)
    assert done.returncode == 0, words(done)[-4000:]


@pytest.fixture
def switch(host: Host) -> Iterator[Switch]:
    """Return a function that switches faults of the demo services on, and all others off."""

    def on(*faults: str) -> None:
        # Seconds, for those that are slow; more than the thresholds.
        makes = "".join(f"echo 0.6 >{FAULTS}/{fault}; " for fault in faults)
        host.check_output(f"sudo sh -c 'rm -f {FAULTS}/*; {makes}'")

    yield on
    on()


def firing(prometheus: Api) -> set[str]:
    """Return the alerts that fire: their name, the service, and of what of it they are."""
    alerts = prometheus.data("/api/v1/alerts")["data"]["alerts"]
    tell = ("alertname", "service", "window", "path", "topic", "stage", "error_type")
    return {
        " ".join(alert["labels"][label] for label in tell if label in alert["labels"])
        for alert in alerts
        if alert["state"] == "firing"
    }


def test_nothing_fires_before(prometheus: Api) -> None:
    assert poll(lambda: firing(prometheus) == {"Watchdog"}, 30), firing(prometheus)


@pytest.mark.parametrize("case", CASES)
def test_the_alerts_of_a_fault_fire(prometheus: Api, switch: Switch, case: str) -> None:
    faults = CASES[case]
    expected = set().union(*faults.values())
    # In windows that are so short a healthy service's rare error is one of few calls, and may fire for a moment.
    assert poll(lambda: not firing(prometheus) & expected, 30), firing(prometheus)
    switch(*faults)
    silent = set(expected)

    def all_fired() -> bool:
        silent.difference_update(firing(prometheus))
        return not silent

    assert poll(all_fired, 60), f"silent: {silent}"


def test_the_overview_lists_what_fires_and_the_dashboard_of_the_service_marks_it(
    prometheus: Api, grafana: Api, switch: Switch
) -> None:
    switch("docproc-stop")
    assert poll(lambda: "ProcessingStalled docproc" in firing(prometheus), 60), firing(prometheus)
    (panel,) = (p for p in dashboard(grafana, "vision-general")["panels"] if p["type"] == "table")
    (annotation,) = dashboard(grafana, "docproc-service")["annotations"]["list"]
    for target in (panel["targets"][0], annotation["target"]):
        query = target | {"datasource": {"type": "prometheus", "uid": "prometheus"}, "intervalMs": 1000}
        answer = grafana.data("/api/ds/query", {"from": "now-1m", "to": "now", "queries": [query]})
        assert "ProcessingStalled" in str(answer["results"][target["refId"]]["frames"])


def dashboard(grafana: Api, uid: str) -> dict[str, Any]:
    """Return a dashboard's model."""
    return dict(grafana.data(f"/api/dashboards/uid/{uid}")["dashboard"])
