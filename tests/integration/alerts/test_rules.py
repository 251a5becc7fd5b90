"""The alerts fire when the demo services really misbehave, and the dashboards show it.

They do so within seconds: of the rule files that the role ships, every window is divided by 30 and every wait by 120.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

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
        # The tests wait for what they need; a scrape a second may miss its second on a busy machine.
        verify_targets_must_be_up=False,
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


def test_lost_samples_are_noticed_although_they_were_found_before_the_first_scrape(host: Host, prometheus: Api) -> None:
    host.check_output("sudo systemctl stop prometheus")
    # At the beginning: nothing is left of the time before, with which the new count could be compared.
    write = "yes | head -c 4096 | dd of=$1 bs=1 seek=1024 conv=notrunc status=none"
    host.check_output(f"sudo sh -c 'cd /mnt/prometheus/data/wal && set -- 0* && {write}'")
    try:
        host.check_output("sudo systemctl start prometheus")
        assert poll(lambda: is_ready(prometheus), 60)
        assert poll(lambda: "PrometheusWALCorrupted" in firing(prometheus), 30), host.check_output(
            "sudo journalctl --no-pager --lines=30 --unit=prometheus"
        )
    finally:
        # It counts anew.
        host.check_output("sudo systemctl restart prometheus")
        assert poll(lambda: is_ready(prometheus), 60)


def is_ready(prometheus: Api) -> bool:
    """Tell whether Prometheus has started."""
    try:
        return prometheus("/-/ready")[0] == 200
    except OSError:
        return False


def test_the_page_of_the_alerts_lists_what_fires_and_the_dashboard_of_the_service_marks_it(
    prometheus: Api, grafana: Api, switch: Switch
) -> None:
    switch("docproc-stop")
    assert poll(lambda: "ProcessingStalled docproc" in firing(prometheus), 60), firing(prometheus)
    (panel,) = (p for p in dashboard(grafana, "alertas")["panels"] if p["type"] == "table")
    (annotation,) = dashboard(grafana, "docproc-service")["annotations"]["list"]
    for target in (panel["targets"][0], annotation["target"]):
        query = target | {"datasource": {"type": "prometheus", "uid": "prometheus"}, "intervalMs": 1000}
        body = {"from": "now-5m", "to": "now", "queries": [query]}

        def listed(body: dict[str, Any] = body, ref: str = target["refId"]) -> bool:
            return "ProcessingStalled" in str(grafana.data("/api/ds/query", body)["results"][ref]["frames"])

        # The annotation is asked for at each full minute alone.
        assert poll(listed, 90), grafana.data("/api/ds/query", body)


# Selectors of series that this node cannot show: it sends its metrics nowhere. The scenarios remote and browser do.
NOT_ON_A_NODE = re.compile("prometheus_remote_storage_|job_instance_remote_name:")


def test_every_series_that_a_rule_or_a_dashboard_uses_is_seen_on_a_node(
    prometheus: Api, grafana: Api, switch: Switch
) -> None:
    switch(*(fault for faults in CASES.values() for fault in faults if not fault.endswith(("-exit", "-stop"))))
    parsed = [parse(prometheus, expression) for expression in sorted(expressions(prometheus, grafana))]
    used = {selector for tree in parsed for selector in selectors(tree)}
    # Else the expressions were not found.
    assert {"process_start_time_seconds", "ALERTS", "threshold:upload_error_ratio"} <= {s.split("{")[0] for s in used}
    seen: dict[str, set[str]] = {}

    def all_seen() -> bool:
        for selector in used - seen.keys():
            if jobs := jobs_of(prometheus, selector):
                seen[selector] = jobs
        return all(map(NOT_ON_A_NODE.match, used - seen.keys()))

    assert poll(all_seen, 60), f"never seen: {sorted(used - seen.keys())}"
    assert not any(map(NOT_ON_A_NODE.match, seen)), "seen after all"
    # And where two are matched, there is a job that has both: a name alone may be that of another service's series.
    for tree in parsed:
        for left, right in matched(tree):
            if any(NOT_ON_A_NODE.match(selector) for selector in (*left, *right)):
                continue
            jobs = [{job for selector in side for job in seen[selector]} for side in (left, right)]
            assert jobs[0] & jobs[1], (left, right)


def expressions(prometheus: Api, grafana: Api) -> set[str]:
    """Return the queries of all rules that run, of their annotations, and of all dashboards."""
    found: set[str] = set()
    for group in prometheus.data("/api/v1/rules")["data"]["groups"]:
        for rule in group["rules"]:
            annotations = " ".join(rule.get("annotations", {}).values())
            found |= {rule["query"], *re.findall(r'\bquery "([^"]+)"', annotations)}
    for item in grafana.data("/api/search?type=dash-db"):
        model = dashboard(grafana, item["uid"])
        for each in model["panels"]:
            # A collapsed row holds panels.
            for panel in each.get("panels") or [each]:
                found |= {target["expr"] for target in panel.get("targets", [])}
        found |= {each["target"]["expr"] for each in model["annotations"]["list"] if "target" in each}
        queries = [str(each["query"]) for each in model["templating"]["list"] if each["type"] == "query"]
        found |= {re.sub(r"label_values\((.+), *\w+\)", r"\1", query) for query in queries}
    # What Grafana puts in: a window, and the chosen values.
    return {re.sub(r"\$\{?\w+\}?", ".+", re.sub(r"\$__\w+", "5m", expression)) for expression in found}


def parse(prometheus: Api, expression: str) -> Any:
    """Return the syntax tree of an expression."""
    return prometheus.data("/api/v1/parse_query?" + urlencode({"query": expression}))["data"]


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield each node of a syntax tree."""
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []:
        yield from nodes(child)


def selectors(tree: Any) -> set[str]:
    """Return the selectors of series in a syntax tree."""
    return {
        node["name"]
        + "{"
        + ",".join(
            f"{matcher['name']}{matcher['type']}{json.dumps(matcher['value'])}"
            for matcher in node["matchers"]
            if matcher["name"] != "__name__"
        )
        + "}"
        for node in nodes(tree)
        if node.get("type") in {"vectorSelector", "matrixSelector"}
    }


def matched(tree: Any) -> Iterator[tuple[set[str], set[str]]]:
    """Yield the selectors on either side of each operator that needs two series with the same job."""
    for node in nodes(tree):
        matching = node.get("matching")
        if node.get("type") == "binaryExpr" and matching and node["op"] not in {"or", "unless"}:
            sides = selectors(node["lhs"]), selectors(node["rhs"])
            if ("job" in matching["labels"]) == matching["on"] and all(sides):
                yield sides


def jobs_of(prometheus: Api, selector: str) -> set[str]:
    """Return the jobs whose series a selector has ever found; "" stands for none, which recorded series have."""
    found = prometheus.data("/api/v1/series?" + urlencode({"match[]": selector}))["data"]
    return {series.get("job", "") for series in found}


def dashboard(grafana: Api, uid: str) -> dict[str, Any]:
    """Return a dashboard's model."""
    return dict(grafana.data(f"/api/dashboards/uid/{uid}")["dashboard"])
