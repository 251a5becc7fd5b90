"""The units: they run, come back, and are locked in."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

from tests.integration.node import UNITS, Api, poll, unit_properties


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_runs_and_starts_at_boot(host: Host, unit: str) -> None:
    assert unit_properties(host, unit, "ActiveState", "UnitFileState") == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
    }


@pytest.mark.parametrize("unit", UNITS)
def test_a_killed_service_comes_back(host: Host, unit: str) -> None:
    before = unit_properties(host, unit, "MainPID")["MainPID"]
    host.run_expect([0], f"sudo kill -9 {before}")

    def back() -> bool:
        now = unit_properties(host, unit, "MainPID", "ActiveState")
        return now["ActiveState"] == "active" and now["MainPID"] not in {"0", before}

    assert poll(back, 20)


# Two parts of Grafana reach for this lock at a start, and the one that comes too late calls it an error.
RACE = "Server lock for secret migration already exists"


def test_a_healthy_start_logs_no_error(host: Host, grafana: Api, prometheus: Api) -> None:
    host.check_output(f"sudo systemctl restart {' '.join(UNITS)}")
    assert poll(lambda: answers(prometheus, "/-/ready") and answers(grafana, "/api/health"), 120)
    # What a run and a look at the pages ask.
    assert poll(lambda: answers(grafana, "/api/datasources/uid/prometheus/health"), 60)
    for item in grafana.data("/api/search?type=dash-db"):
        grafana.data(f"/api/dashboards/uid/{item['uid']}")
    for unit in UNITS:
        invocation = unit_properties(host, unit, "InvocationID")["InvocationID"]
        journal = host.check_output(f"sudo journalctl --no-pager -o cat _SYSTEMD_INVOCATION_ID={invocation}")
        assert "level=info" in journal.lower(), "the search itself has to find something"
        errors = [
            line
            for line in journal.splitlines()
            if re.search(r"\blevel=(error|crit|fatal)", line, re.IGNORECASE) and RACE not in line
        ]
        assert errors == [], unit


def answers(api: Api, path: str) -> bool:
    """Tell whether a service answers, which while it starts it does not."""
    try:
        return api(path)[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("unit", UNITS)
def test_the_sandbox_is_on(host: Host, unit: str) -> None:
    summary = host.check_output(f"sudo systemd-analyze security --no-pager {unit}").splitlines()[-1]
    exposure = float(summary.split(":")[1].split()[0])
    assert exposure <= 1.5, summary


@pytest.mark.parametrize("unit", UNITS)
def test_a_service_can_write_its_data_and_nothing_else(host: Host, unit: str) -> None:
    shown = unit_properties(host, unit, "MainPID", "User", "ReadWritePaths")
    data = shown["ReadWritePaths"].lstrip("-")
    inside = f"sudo nsenter --target {shown['MainPID']} --mount runuser --user={shown['User']} --"
    assert host.run(f"{inside} touch {data}/probe && sudo rm {data}/probe").succeeded
    for folder in (
        "/etc",
        "/mnt",
        "/var/lib",
        "/usr/bin",
        f"/etc/{shown['User']}",
        f"/mnt/{shown['User']}/releases",
    ):
        assert not host.run(f"{inside} touch {folder}/probe").succeeded, f"{folder} can be written"


@pytest.mark.parametrize("unit", UNITS)
def test_memory_is_limited(host: Host, unit: str) -> None:
    shown = unit_properties(host, unit, "MemoryMax", "ControlGroup")
    assert shown["MemoryMax"] != "infinity"
    # The hierarchy of cgroup v2, or the one of v1 for memory.
    group = shown["ControlGroup"]
    files = f"/sys/fs/cgroup{group}/memory.max /sys/fs/cgroup/memory{group}/memory.limit_in_bytes"
    assert host.run(f"cat {files}").stdout.strip() == shown["MemoryMax"]
