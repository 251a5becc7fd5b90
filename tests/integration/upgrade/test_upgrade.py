"""Another version: the data stays, the old release stays on the disk, and what cannot work is refused."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import Api, Playbook, refused, unit_properties

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


MIGRATES_AND_DIES = """#!/bin/sh
python3 -c '
import sqlite3
store = sqlite3.connect("/mnt/grafana/data/grafana.db")
store.execute("CREATE TABLE of_the_new_release (x)")
store.execute("UPDATE user SET login = login || 1")
store.commit()
'
echo "the migration went wrong" >&2
exit 1
"""
TABLES = """
import sqlite3
store = sqlite3.connect("file:/mnt/grafana/data/grafana.db?mode=ro", uri=True)
print(*sorted(store.execute("SELECT name FROM sqlite_master")), *store.execute("SELECT login FROM user"))
"""


def test_a_grafana_whose_migration_fails_goes_back_with_its_database(
    host: Host, playbook: Playbook, grafana: Api, variables: dict[str, Any]
) -> None:
    ((architecture, _),) = variables["grafana_checksums"][variables["grafana_version"]].items()
    broken = "99.0.0"
    archive = Path(str(variables["testbed_cache"])) / f"archives/grafana-{broken}.linux-{architecture}.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        program = MIGRATES_AND_DIES.encode()
        info = tarfile.TarInfo("grafana/bin/grafana")
        info.size, info.mode = len(program), 0o755
        packed.addfile(info, io.BytesIO(program))
    checksums = {broken: {architecture: hashlib.sha256(archive.read_bytes()).hexdigest()}}
    users = {"name": "Users", "uid": "users", "type": "prometheus", "access": "proxy", "url": "http://localhost:1"}
    assert grafana("/api/datasources", users)[0] in (200, 409)
    before = host.check_output(f"sudo python3 -c '{TABLES}'"), host.check_output("readlink /mnt/grafana/current")
    done = playbook(
        "site.yml",
        "--tags=grafana",
        grafana_version=broken,
        grafana_checksums=variables["grafana_checksums"] | checksums,
        grafana_url=f"http://archives/{archive.name}",
    )
    archive.unlink()
    refused(
        done, "grafana-server.service dies again and again", "the migration went wrong", "was put back and runs again"
    )
    assert before == (
        host.check_output(f"sudo python3 -c '{TABLES}'"),
        host.check_output("readlink /mnt/grafana/current"),
    )
    assert host.check_output("sudo find /mnt/grafana/data -name '*.before-upgrade*'") == ""
    assert grafana.data("/api/datasources/uid/users")["name"] == "Users"
    assert playbook("site.yml", "--tags=grafana").returncode == 0
