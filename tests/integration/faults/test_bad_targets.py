"""Services that answer slowly, wrongly, endlessly or not at all: only they are down, and it says why."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.faults import fault_server as server
from tests.integration.faults.tools import all_up, changes, job, pids
from tests.integration.node import Api, Playbook, poll, unit_properties, words

SECONDS = 8
# Each path of the misbehaving service, and what Prometheus says about it.
FAULTS = {
    "slow": "context deadline exceeded",
    "silent": "context deadline exceeded",
    "html": "text/html",
    "garbage": "expected a valid start token",
    "huge": "body size limit exceeded",
    "bomb": "body size limit exceeded",
    "many": "sample limit exceeded",
}


@pytest.mark.usefixtures("healed", "fault_server")
def test_only_the_bad_targets_are_down_and_each_says_why(
    host: Host, playbook: Playbook, prometheus: Api, variables: dict[str, Any], jobs: set[str]
) -> None:
    all_up(prometheus, jobs)
    before = pids(host)
    bad = [job(fault, server.PORT, metrics_path=f"/{fault}") for fault in FAULTS]
    done = playbook(
        "site.yml",
        "--tags=prometheus",
        prometheus_scrape_configs=[*variables["prometheus_scrape_configs"], *bad, job("nobody", 9)],
        verify_targets_must_be_up=False,
    )
    assert changes(done)
    said = words(done)
    for fault, reason in {**FAULTS, "nobody": "connection refused"}.items():
        assert f"{fault} is DOWN at" in said, said[-4000:]
        assert reason in said, said[-4000:]

    def scraped() -> dict[str, list[tuple[float, str]]]:
        query = f"/api/v1/query?query=up%7Bjob%3D~%22{'%7C'.join(jobs)}%22%7D%5B{SECONDS}s%5D"
        series = prometheus.data(query)["data"]["result"]
        return {one["metric"]["job"]: one["values"] for one in series}

    def for_long_enough() -> bool:
        alive = prometheus.data("/api/v1/query?query=count_over_time(up%7Bjob%3D%22huge%22%7D%5B1m%5D)")
        return bool(float(alive["data"]["result"][0]["value"][1]) >= SECONDS)

    # On a busy machine Prometheus is late by itself now and then, with bad targets all the time.
    def undisturbed() -> bool:
        series = scraped()
        gaps = [b - a for samples in series.values() for (a, _), (b, _) in pairwise(samples)]
        values = {value for samples in series.values() for _, value in samples}
        enough = series.keys() == jobs and min(map(len, series.values())) >= SECONDS - 1
        return enough and values == {"1"} and max(gaps) < 2

    assert poll(for_long_enough, 40)
    assert poll(undisturbed, 60), scraped()
    assert pids(host) == before
    shown = unit_properties(host, "prometheus.service", "MemoryCurrent", "MemoryMax")
    print(shown)
    assert int(shown["MemoryCurrent"]) < int(shown["MemoryMax"]) / 2
