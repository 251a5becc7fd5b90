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
# Of the good targets' scrapes. At one second, Prometheus would miss some for want of CPU beside two other scenarios.
INTERVAL = 2
# Of the targets that send too much: on a busy machine that takes more than the second that the others get.
PATIENCE = {"scrape_interval": "5s", "scrape_timeout": "5s"}
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
    good = [job | {"scrape_interval": f"{INTERVAL}s"} for job in variables["prometheus_scrape_configs"]]
    bad = [
        job(fault, server.PORT, metrics_path=f"/{fault}", **(PATIENCE if "limit" in reason else {}))
        for fault, reason in FAULTS.items()
    ]
    done = playbook(
        "site.yml",
        "--tags=prometheus",
        prometheus_scrape_configs=[*good, *bad, job("nobody", 9)],
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
        alive = prometheus.data("/api/v1/query?query=count_over_time(up%7Bjob%3D%22slow%22%7D%5B1m%5D)")
        return any(float(series["value"][1]) >= SECONDS for series in alive["data"]["result"])

    assert poll(for_long_enough, 40)
    for name, samples in scraped().items():
        times = [at for at, _ in samples]
        assert {value for _, value in samples} == {"1"}, f"{name} was down: {samples}"
        assert max(b - a for a, b in pairwise(times)) < 2 * INTERVAL, f"{name} missed a scrape: {samples}"
    assert pids(host) == before
    shown = unit_properties(host, "prometheus.service", "MemoryCurrent", "MemoryMax")
    print(shown)
    assert int(shown["MemoryCurrent"]) < int(shown["MemoryMax"]) / 2


@pytest.mark.usefixtures("healed")
def test_a_job_that_finds_no_target_is_told_with_the_reason_and_fails_where_targets_must_be_up(
    playbook: Playbook, variables: dict[str, Any]
) -> None:
    wanted = [
        *variables["prometheus_scrape_configs"],
        {"job_name": "by-file", "file_sd_configs": [{"files": ["/nowhere/*.json"]}]},
        {"job_name": "by-http", "http_sd_configs": [{"url": "http://localhost:9/targets?token=hidden"}]},
        job("all-dropped", 8000, relabel_configs=[{"action": "drop", "regex": ".*"}]),
    ]
    reasons = [
        "by-file has found no target: /nowhere/: no such file or directory",
        'by-http has found no target: Get "http://localhost:9/targets?…": dial tcp',
        "all-dropped has found no target: its relabel_configs drop all of the 1 that it has",
    ]
    options: dict[str, Any] = {"prometheus_scrape_configs": wanted}
    done = playbook("site.yml", "--tags=prometheus", verify_targets_must_be_up=False, **options)
    assert changes(done)
    assert all(reason in words(done) for reason in reasons), words(done)[-4000:]
    done = playbook("site.yml", "--tags=prometheus", verify_targets_must_be_up=True, **options)
    assert done.returncode
    assert all(reason in words(done) for reason in reasons), words(done)[-4000:]
    assert "hidden" not in words(done)
