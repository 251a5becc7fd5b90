"""A node that the project's first version provisioned is taken over as it is."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.faults.tools import changes, pids
from tests.integration.node import UNITS, Playbook

PROJECT = Path(__file__).resolve().parents[3]
RELEASES = "sudo find /mnt/prometheus/releases /mnt/grafana/releases -printf '%p %i %T@\\n' | sort"
# The last commit before each service became one transaction.
VERSION_1 = "2661c428a71b0561c4efa9bd32e391fe1456cf91"


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """Return a checkout of version 1 with the test bed's archives."""
    archived = subprocess.run(["git", "archive", VERSION_1], cwd=PROJECT, capture_output=True, check=False)
    if archived.returncode:
        pytest.skip("this checkout has no history with version 1")
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
        archive.extractall(tmp_path, filter="tar")
    generated = "molecule/testbed/group_vars/testbed/generated.yml"
    shutil.copy(PROJECT / generated, tmp_path / generated)
    return tmp_path


def test_a_node_of_version_1_is_taken_over_with_its_releases_and_without_a_gap_in_the_metrics(
    host: Host, playbook: Playbook, version_1: Path, variables: dict[str, Any]
) -> None:
    newest, *_ = variables["prometheus_checksums"]
    changes(playbook("playbooks/uninstall.yml", uninstall_purge_data=True))
    # Its own ansible.cfg counts.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        ["ansible-playbook", "site.yml", "-i", "molecule/upgrade/inventory", "-e", f"prometheus_version={newest}"],
        cwd=version_1,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert changes(done)
    before, running = host.check_output(RELEASES), dict(zip(UNITS, pids(host), strict=True))
    assert changes(playbook("site.yml", prometheus_version=newest))
    assert host.check_output(RELEASES) == before
    now = dict(zip(UNITS, pids(host), strict=True))
    # Grafana reads at its start where dashboards lie, which are folders of their own since.
    assert {unit for unit in UNITS if now[unit] != running[unit]} == {"grafana-server.service"}
    assert changes(playbook("site.yml", prometheus_version=newest)) == 0
