"""Runs that are cut off at any moment: the next one does the rest, and the one after it finds nothing to do."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.faults.conftest import Connect
from tests.integration.faults.tools import all_up, answers, changes, dashboard, job, nothing_is_due, reachable
from tests.integration.node import Api, Playbook, Start, poll

NUMBERS = count(1)
PROMETHEUS = "emr.monitoring.prometheus : Bring the release"
GRAFANA = "emr.monitoring.grafana : Bring the release"
Break = Callable[["subprocess.Popen[str]", str], None]


def kill_the_run(run: subprocess.Popen[str], _node: str) -> None:
    """Kill ansible-playbook and all that it started; its workers have sessions of their own."""
    os.kill(run.pid, signal.SIGSTOP)
    rows = [line.split() for line in subprocess.check_output(["ps", "-eo", "pid=,ppid="], text=True).splitlines()]
    family = [run.pid]
    for parent in family:
        family += [int(pid) for pid, ppid in rows if int(ppid) == parent]
    for pid in family:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def cut_the_connection(_run: subprocess.Popen[str], node: str) -> None:
    """Kill each sshd on the node that serves somebody; the one that listens stays."""
    kill = "kill -9 $(ps -C sshd -o pid=,args= | sed -n 's/^ *\\([0-9]*\\) sshd: hadoop.*/\\1/p')"
    subprocess.run(["docker", "exec", node, "sh", "-c", kill], check=True, capture_output=True)


def reboot(_run: subprocess.Popen[str] | None, node: str) -> None:
    """Switch the node off and on, without a word to anything that runs on it."""
    subprocess.run(["docker", "restart", "--time=0", node], check=True, capture_output=True)


@pytest.fixture(scope="module", autouse=True)
def _healed(playbook: Playbook) -> Iterator[None]:
    """Bring the node back to the inventory in the end; until then each run's change replaces the one before."""
    yield
    changes(playbook("site.yml"))


def test_after_a_reboot_all_comes_back_without_a_run(
    host: Host, playbook: Playbook, connect: Connect, jobs: set[str]
) -> None:
    reboot(None, host.backend.host)
    assert poll(lambda: reachable(host), 30)

    def back() -> tuple[Api, Api] | None:
        try:
            apis = connect()
        except AssertionError:
            return None
        return apis if all(map(answers, apis)) else None

    apis = poll(back, 60)
    assert apis, "a service did not come back"
    all_up(apis[0], jobs, 40)
    assert changes(playbook("site.yml")) == 0


@pytest.mark.parametrize(
    ("point", "fault"),
    [
        (PROMETHEUS, kill_the_run),
        (GRAFANA, kill_the_run),
        (PROMETHEUS, cut_the_connection),
        (PROMETHEUS, reboot),
    ],
)
def test_the_next_run_does_the_rest(
    *,
    host: Host,
    playbook: Playbook,
    start: Start,
    connect: Connect,
    variables: dict[str, Any],
    jobs: set[str],
    tmp_path: Path,
    point: str,
    fault: Break,
) -> None:
    name = f"fault-{next(NUMBERS)}"
    concurrency = str(30 + next(NUMBERS))
    change: dict[str, Any] = {
        "prometheus_scrape_configs": [*variables["prometheus_scrape_configs"], job(name)],
        "prometheus_flags": [f"--query.max-concurrency={concurrency}"],
        "grafana_ini": {"auth": {"login_maximum_lifetime_duration": f"{concurrency}d"}},
        "grafana_dashboards_dirs": [str(dashboard(tmp_path, name))],
    }
    delay = random.uniform(0, 3)  # noqa: S311
    print(f"{fault.__name__} {delay:.2f} s after the start of '{point}'")

    run = start("site.yml", **change)
    assert run.stdout
    assert any(line.startswith("TASK [") and point in line for line in run.stdout), "the run did not get there"
    time.sleep(delay)
    fault(run, host.backend.host)
    said = run.stdout.read()
    finished = run.wait() == 0
    print("the run survived" if finished else f"the run ended with {run.returncode}: {said[-300:]}")
    assert poll(lambda: reachable(host), 30)

    began = time.monotonic()
    due = changes(playbook("site.yml", **change))
    print(f"healed in {time.monotonic() - began:.0f} s, with {due} changes")
    prometheus, grafana = connect()
    all_up(prometheus, jobs | {name})
    assert prometheus.data("/api/v1/status/flags")["data"]["query.max-concurrency"] == concurrency
    assert grafana.data(f"/api/dashboards/uid/{name}")["meta"]["provisioned"]
    # Ansible outlives a cut connection and a reboot: then there was nothing left for the next run.
    assert due == 0 if finished else nothing_is_due(playbook, **change)
