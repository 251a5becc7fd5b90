"""Another version: the data stays, the old release stays on the disk, and what cannot work is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import Api, Playbook, unit_properties

SAMPLES = "/api/v1/query?query=count_over_time(up%7Bjob%3D%22prometheus%22%7D%5B1h%5D)"


def samples(prometheus: Api) -> float:
    """Return how many scrapes of Prometheus itself the last hour holds."""
    return float(prometheus.data(SAMPLES)["data"]["result"][0]["value"][1])


def running(prometheus: Api) -> str:
    """Return the version that answers."""
    return str(prometheus.data("/api/v1/status/buildinfo")["data"]["version"])


def releases(host: Host) -> set[str]:
    """Return the versions on the disk."""
    return set(host.check_output("ls /mnt/prometheus/releases").split())


@pytest.fixture(scope="module")
def versions(variables: dict[str, Any]) -> tuple[str, str]:
    """Return the present version and the older one."""
    newer, older = variables["prometheus_checksums"]
    return newer, older


def test_an_upgrade_keeps_the_data_and_the_old_release(
    host: Host, playbook: Playbook, prometheus: Api, versions: tuple[str, str]
) -> None:
    newer, older = versions
    assert running(prometheus) == older
    before = samples(prometheus)
    done = playbook("site.yml", prometheus_version=newer)
    assert done.returncode == 0, done.stdout
    assert running(prometheus) == newer
    assert samples(prometheus) >= before
    assert releases(host) == {newer, older}


def test_a_version_that_cannot_read_the_data_is_refused(
    host: Host, playbook: Playbook, prometheus: Api, versions: tuple[str, str]
) -> None:
    newer, older = versions
    before = unit_properties(host, "prometheus.service", "MainPID")
    done = playbook("site.yml", prometheus_version=older)
    output = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert f"prometheus_version is {older}, but /mnt/prometheus/data was written by {newer}" in output
    assert "Choose 2.55 or newer" in output
    assert running(prometheus) == newer
    assert unit_properties(host, "prometheus.service", "MainPID") == before


def test_going_back_takes_seconds_since_the_old_release_is_still_there(
    host: Host, playbook: Playbook, prometheus: Api, variables: dict[str, Any], versions: tuple[str, str]
) -> None:
    newer, _ = versions
    (architecture,) = variables["prometheus_checksums"][newer]
    relabelled = "3.99.0"
    checksums = variables["prometheus_checksums"] | {relabelled: variables["prometheus_checksums"][newer]}
    archives = Path(str(variables["testbed_cache"])) / "archives"
    copy = archives / f"prometheus-{relabelled}.linux-{architecture}.tar.gz"
    shutil.copyfile(archives / variables["testbed_archives"]["prometheus"], copy)
    forth = playbook("site.yml", prometheus_version=relabelled, prometheus_checksums=checksums)
    copy.unlink()
    assert forth.returncode == 0, forth.stdout
    assert host.check_output("readlink /mnt/prometheus/current") == f"releases/{relabelled}"
    # Two releases are kept: this one and the one before.
    assert releases(host) == {newer, relabelled}
    before = samples(prometheus)
    # Nobody answers there: nothing is downloaded.
    back = playbook("site.yml", prometheus_version=newer, prometheus_url="http://127.0.0.1:9/none.tar.gz")
    assert back.returncode == 0, back.stdout
    assert host.check_output("readlink /mnt/prometheus/current") == f"releases/{newer}"
    assert samples(prometheus) >= before
