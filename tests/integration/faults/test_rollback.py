"""What passes the checks and does not work: what ran before runs again, and no file of the attempt is left."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.faults.tools import FILES, State, all_up, answers, changes, loaded, pids
from tests.integration.node import (
    CUT_OFF,
    KILL_THE_MODULE,
    Api,
    Playbook,
    poll,
    refused,
    unit_properties,
    words,
)

# Holds a port from the moment on when Prometheus' files are staged: after the node check, before the start.
BIND = """
import glob, socket, time
deadline = time.monotonic() + 600
open("/run/beside.ready", "w").close()
while not glob.glob("/etc/.prometheus.prometheus.staging-*"):
    assert time.monotonic() < deadline
    time.sleep(0.01)
holder = socket.create_server(("0.0.0.0", {port}))
time.sleep(600)
"""
# Sends a signal to the main process of a unit some seconds after it is another one than before.
SIGNAL = """
import os, subprocess, time
def pid():
    return int(subprocess.check_output(["systemctl", "show", "--value", "--property=MainPID", "{unit}"]))
before, deadline = pid(), time.monotonic() + 600
open("/run/beside.ready", "w").close()
while pid() in (before, 0):
    assert time.monotonic() < deadline
    time.sleep(0.05)
time.sleep({seconds})
os.kill(pid(), {signal})
"""
# Counts who connects: what a trial sends nobody may get.
LISTEN = """
import socket
holder = socket.create_server(("0.0.0.0", {port}))
open("/run/beside.ready", "w").close()
while True:
    holder.accept()
    open("/run/heard", "a").write("x")
"""
GRAFANA = "grafana-server.service"


@contextmanager
def nothing_of_it_is_left(host: Host, prometheus: Api, jobs: set[str]) -> Iterator[None]:
    """Fail where a file, a link, an enabled state or what is loaded differs afterwards, or a service is not there."""
    all_up(prometheus, jobs)
    before = State.of(host, prometheus)
    yield
    assert poll(lambda: answers(prometheus), 30)
    after = State.of(host, prometheus)
    assert (after.files, after.loaded) == (before.files, before.loaded)
    for unit in ("prometheus.service", GRAFANA):
        assert unit_properties(host, unit, "UnitFileState", "ActiveState") == {
            "UnitFileState": "enabled",
            "ActiveState": "active",
        }
    kept = (
        "sudo find /etc /mnt /var/lib/ansible-template-tree -name '*.undo*' -o -name '*.staging-*' -o -name '*.trial-*'"
    )
    assert host.check_output(kept) == ""


BACK = "What was live before was put back and runs again; it was ready after"


def test_a_port_that_is_taken_between_check_and_start(
    host: Host, playbook: Playbook, prometheus: Api, jobs: set[str], beside: Callable[[str], None]
) -> None:
    with nothing_of_it_is_left(host, prometheus, jobs):
        beside(BIND.format(port=19090))
        refused(playbook("site.yml", prometheus_port=19090), "prometheus.service dies again and again", BACK)
    missed = "/api/v1/query?query=15%2A5-count_over_time%28up%7Bjob%3D%22prometheus%22%7D%5B75s%5D%29"
    print("scrapes missed of 75:", prometheus.data(missed)["data"]["result"])


def test_a_flag_that_only_a_start_refuses_costs_no_scrape(
    host: Host, playbook: Playbook, prometheus: Api, jobs: set[str]
) -> None:
    before = pids(host)
    with nothing_of_it_is_left(host, prometheus, jobs):
        refused(
            playbook("site.yml", prometheus_flags=["--storage.tsdb.wal-segment-size=1KB"]),
            "prometheus.service would not start: a trial of it ended before it was ready",
            "flag 'storage.tsdb.wal-segment-size' must be set between 10MB and 256MB",
            "nothing was changed on the node",
        )
    assert pids(host) == before


def test_nothing_that_a_trial_does_leaves_it(
    host: Host, playbook: Playbook, prometheus: Api, beside: Callable[[str], None]
) -> None:
    """The trial has the job and the remote endpoint, and the start fails only after both would have been asked."""
    beside(LISTEN.format(port=19191))
    config: dict[str, Any] = {
        "prometheus_scrape_configs": [
            {"job_name": "heard", "scrape_interval": "1s", "static_configs": [{"targets": ["127.0.0.1:19191"]}]}
        ],
        "prometheus_flags": ["--storage.tsdb.wal-segment-size=1KB"],
    }
    refused(playbook("site.yml", **config), "a trial of it ended before it was ready")
    assert not host.run("sudo test -e /run/heard").succeeded
    # The listener works: the same job is heard where it goes live.
    heard = {"prometheus_scrape_configs": config["prometheus_scrape_configs"], "verify_targets_must_be_up": False}
    changes(playbook("site.yml", **heard))
    assert poll(lambda: host.run("sudo test -e /run/heard").succeeded, 30)
    changes(playbook("site.yml"))
    host.check_output("sudo rm -f /run/heard")
    assert answers(prometheus)


def test_a_grafana_that_never_becomes_ready(
    host: Host, playbook: Playbook, prometheus: Api, jobs: set[str], beside: Callable[[str], None]
) -> None:
    with nothing_of_it_is_left(host, prometheus, jobs):
        # Before it can answer: a main process that is younger than a second is not asked.
        beside(SIGNAL.format(unit=GRAFANA, seconds=0.3, signal=int(signal.SIGSTOP)))
        done = playbook("site.yml", grafana_ini={"log": {"level": "debug"}}, grafana_start_timeout=20)
        refused(done, f"{GRAFANA} is not ready after 20 s", BACK)


@pytest.mark.parametrize(("unit", "tag"), [("prometheus.service", "prometheus"), (GRAFANA, "grafana")])
def test_a_service_that_dies_five_seconds_after_its_start(
    *,
    host: Host,
    playbook: Playbook,
    prometheus: Api,
    jobs: set[str],
    beside: Callable[[str], None],
    unit: str,
    tag: str,
) -> None:
    change: dict[str, dict[str, Any]] = {
        "prometheus": {"prometheus_flags": ["--query.max-concurrency=7"], "monitoring_watch": 60},
        "grafana": {"grafana_ini": {"log": {"level": "debug"}}, "monitoring_watch": 60},
    }
    with nothing_of_it_is_left(host, prometheus, jobs):
        beside(SIGNAL.format(unit=unit, seconds=6, signal=int(signal.SIGKILL)))
        refused(playbook("site.yml", f"--tags={tag}", **change[tag]), f"{unit} was ready and died soon after", BACK)


def test_a_data_source_that_grafana_refuses(
    host: Host, playbook: Playbook, prometheus: Api, jobs: set[str], variables: dict[str, Any]
) -> None:
    """Of the same name and another uid: Grafana says 500 when it is told to read it, and would not start with it."""
    (own,) = variables["grafana_datasources"]
    before = pids(host)
    with nothing_of_it_is_left(host, prometheus, jobs):
        done = playbook("site.yml", grafana_datasources=[own | {"uid": "another"}])
        refused(done, f"{GRAFANA} did not load its configuration again", "HTTP 500", BACK)
    # Grafana had only read it, so it only had to read the old one again.
    assert pids(host) == before
    assert changes(playbook("site.yml")) == 0


@pytest.mark.parametrize("seconds", [0, 0.5, 2])
@pytest.mark.parametrize("wanted", ["the new", "the old"])
def test_after_a_module_that_was_killed_the_next_run_completes_either(
    *,
    host: Host,
    playbook: Playbook,
    prometheus: Api,
    jobs: set[str],
    beside: Callable[[str], None],
    wanted: str,
    seconds: float,
) -> None:
    all_up(prometheus, jobs)
    before = loaded(prometheus), host.check_output(FILES)
    beside(KILL_THE_MODULE.format(name="prometheus", seconds=seconds))
    change = {"prometheus_flags": ["--query.max-concurrency=9"], "monitoring_watch": 6}
    killed = playbook("site.yml", "--tags=prometheus", **change)
    assert killed.returncode != 0, words(killed)[-2000:]
    done = playbook("site.yml", "--tags=prometheus", **(change if wanted == "the new" else {}))
    assert CUT_OFF in words(done)
    assert changes(done) >= 0
    flags = prometheus.data("/api/v1/status/flags")["data"]
    assert (flags["query.max-concurrency"] == "9") is (wanted == "the new")
    if wanted == "the old":
        assert (loaded(prometheus), host.check_output(FILES)) == before
    assert changes(playbook("site.yml", "--tags=prometheus", **(change if wanted == "the new" else {}))) == 0
    changes(playbook("site.yml", "--tags=prometheus"))


def test_of_a_first_install_that_does_not_work_nothing_is_left_enabled_or_running(
    host: Host, playbook: Playbook, beside: Callable[[str], None]
) -> None:
    changes(playbook("playbooks/uninstall.yml", "--tags=prometheus"))
    beside(BIND.format(port=19090))
    refused(
        playbook("site.yml", "--tags=prometheus", prometheus_port=19090),
        "prometheus.service dies again and again",
        "It was never live before, so nothing of it is left enabled or running",
    )
    assert host.run("systemctl is-enabled prometheus.service").stdout.strip() in ("", "not-found")
    assert host.run("systemctl is-active prometheus.service").stdout.strip() == "inactive"
    assert not host.run("sudo test -e /etc/prometheus/prometheus.yml").succeeded
    began = time.monotonic()
    changes(playbook("site.yml"))
    print(f"the next run took {time.monotonic() - began:.0f} s")
