"""Downloads that go wrong: nothing goes live, the error says why, and the next run goes on from there."""

from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.faults.tools import State, all_up, changes
from tests.integration.node import Api, Playbook, poll, refused

VERSION = "9.9.9"
RELEASES = "/mnt/prometheus/releases"
OTHER_ROOT = "/mnt/faults"
INSTALL = "[emr.monitoring.prometheus : Bring the release"
# Each path of the server of faults, and what the error of the run holds.
FAULTS = {
    "drop": ["the connection broke after", "Set prometheus_url to a mirror", "prometheus_fetch to controller"],
    "error": ["the server says 500", "Set prometheus_url to a mirror"],
    "truncated": ["checksum", "is wrong: expected sha256", "Correct prometheus_checksums"],
    "corrupted": ["checksum", "is wrong: expected sha256", "Correct prometheus_checksums"],
}
# Kills whoever holds the lock of the releases as soon as a file of more than a megabyte is being unpacked.
KILL_WHILE_UNPACKING = f"""
import glob, os, time
deadline = time.monotonic() + 60
while not any(os.path.getsize(f) > 1 << 20 for f in glob.glob("{RELEASES}/.staging-*/*") if os.path.isfile(f)):
    assert time.monotonic() < deadline, "nothing was unpacked"
for fd in glob.glob("/proc/[0-9]*/fd/*"):
    if os.path.realpath(fd) == "{RELEASES}/.lock":
        os.kill(int(fd.split("/")[2]), 9)
        print("killed")
"""


@pytest.fixture
def release(host: Host, variables: dict[str, Any]) -> Any:
    """Return a function that gives the variables of a release which the server of faults serves."""
    ((architecture, checksum),) = variables["prometheus_checksums"][variables["prometheus_version"]].items()

    def point_at(address: str) -> dict[str, Any]:
        return {
            "prometheus_version": VERSION,
            "prometheus_checksums": {
                VERSION: {architecture: checksum},
                variables["prometheus_version"]: {architecture: checksum},
            },
            "prometheus_url": f"{address}/prometheus-{VERSION}.linux-{architecture}.tar.gz",
        }

    yield point_at
    host.check_output(f"sudo rm -rf {OTHER_ROOT} {RELEASES}/{VERSION}")


@pytest.mark.usefixtures("untouched")
def test_a_faulty_download_is_refused_and_what_runs_runs_on(
    host: Host, playbook: Playbook, fault_server: str, release: Any
) -> None:
    def run(fault: str) -> subprocess.CompletedProcess[str]:
        # At once, each with a root of its own: the patience with a server that answers is most of the time.
        return playbook("site.yml", **release(f"{fault_server}/{fault}"), prometheus_root=f"{OTHER_ROOT}/{fault}")

    with ThreadPoolExecutor() as pool:
        for fault, done in zip(FAULTS, pool.map(run, FAULTS), strict=True):
            refused(done, f"{fault_server}/{fault}/", INSTALL, *FAULTS[fault])
    left = host.check_output(f"sudo find {OTHER_ROOT} -type f ! -name .lock -printf '%P\n'").split()
    # What did arrive is kept, under a name that nobody takes for a release, and only the rest is asked for.
    assert [name.rpartition("-")[0] for name in left] == [f"drop/releases/.download-prometheus-{VERSION}"]
    asked = host.check_output("sudo journalctl --unit=fault-server --output=cat | grep /drop/").splitlines()
    assert all("bytes=" in line for line in asked[-4:]), asked


@pytest.mark.usefixtures("untouched")
def test_through_a_proxy_the_archive_arrives_and_its_login_is_not_shown(
    host: Host, playbook: Playbook, fault_server: str, release: Any
) -> None:
    def run(login: str) -> subprocess.CompletedProcess[str]:
        proxy = fault_server.replace("//", f"//{login}@")
        wanted = release("http://archives.example.invalid/truncated") | {"monitoring_download_proxy": proxy}
        return playbook("site.yml", "-vvv", **wanted, prometheus_root=f"{OTHER_ROOT}/proxy")

    # The server of faults stands for the proxy, which is what reaches that host; what it sends is refused as ever.
    done = run("user:pass%40word")
    refused(done, "The checksum of http://archives.example.invalid/truncated/", INSTALL)
    assert "pass%40word" not in done.stdout
    wrong = run("user:another-one")
    refused(wrong, "407", "monitoring_download_proxy")
    assert "another-one" not in wrong.stdout


@pytest.mark.usefixtures("healed")
def test_after_an_unpacking_that_was_killed_the_next_run_downloads_nothing_again(
    *, host: Host, playbook: Playbook, prometheus: Api, jobs: set[str], fault_server: str, release: Any
) -> None:
    all_up(prometheus, jobs)
    before = State.of(host, prometheus)
    killer = threading.Thread(target=lambda: killed.append(host.run(f"sudo python3 -c '{KILL_WHILE_UNPACKING}'")))
    killed: list[Any] = []
    killer.start()
    done = playbook("site.yml", **release(f"{fault_server}/sound"))
    killer.join()
    assert killed[0].stdout == "killed\n", killed
    refused(done, INSTALL)
    assert State.of(host, prometheus) == before

    assert changes(playbook("site.yml", "--tags=prometheus", **release(f"{fault_server}/nothing"))), (
        "the archive was there in full"
    )
    assert host.check_output("readlink /mnt/prometheus/current") == f"releases/{VERSION}"
    assert poll(lambda: not host.run(f"sudo ls -d {RELEASES}/.staging-* {RELEASES}/.download-*").stdout, 5)
    all_up(prometheus, jobs)
