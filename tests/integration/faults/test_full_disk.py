"""A disk that fills up: nothing goes live half, and the same run succeeds once there is room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.faults.tools import changes
from tests.integration.node import Api, Playbook, refused

SMALL = "/mnt/small"
RULES = {"groups": [{"name": "room", "rules": [{"record": "room:up:sum", "expr": "sum(up)"}]}]}


@pytest.fixture
def small_disk(host: Host) -> Iterator[str]:
    """Mount a disk that has room for the archive, but not for what is in it."""
    host.check_output(f"sudo mkdir {SMALL} && sudo mount -t tmpfs -o size=100m tmpfs {SMALL}")
    yield SMALL
    host.check_output(f"sudo umount {SMALL} && sudo rmdir {SMALL}")


@pytest.mark.usefixtures("untouched")
def test_a_release_that_does_not_fit_is_refused_and_leaves_nothing(
    host: Host, playbook: Playbook, small_disk: str
) -> None:
    # Without the node check, which sees beforehand what is too small: this disk fills up after it.
    done = playbook("site.yml", prometheus_root=small_disk, __emr_node_space=[])
    refused(done, f"The disk of {small_disk}/releases is full: about", "are needed", "Nothing was installed")
    left = host.check_output(f"sudo find {small_disk} -type f ! -name .lock ! -name '.download-*'")
    assert not left


@pytest.fixture
def rules(tmp_path: Path) -> str:
    """Return a folder with a rule file."""
    (tmp_path / "room.yml").write_text(str(RULES))
    return str(tmp_path)


@pytest.mark.parametrize("full", ["/etc/prometheus", "/var/lib/ansible-template-tree"])
@pytest.mark.usefixtures("untouched")
def test_a_configuration_that_cannot_be_written_is_refused(
    host: Host, playbook: Playbook, rules: str, full: str
) -> None:
    # A disk of its own over the folder, with the same content, and full.
    host.check_output(
        f"sudo sh -ec 'mount -t tmpfs -o size=256k,mode=$(stat -c 0%a {full}) tmpfs /media; "
        f"cp -a {full}/. /media; chown --reference={full} /media; mount --bind /media {full}; umount /media; "
        f"cat /dev/zero >{full}/.filler 2>/dev/null || true'"
    )
    try:
        done = playbook("site.yml", prometheus_rules_dirs=[rules])
        refused(done, "prometheus: cannot", full, "No space left on device", "nothing was changed on the node")
        left = host.check_output(f"sudo find {full} -name '*.staging-*' -o -name 'room.yml'")
        assert not left
    finally:
        host.check_output(f"sudo umount {full}")


@pytest.mark.usefixtures("healed")
def test_the_same_run_succeeds_once_there_is_room(playbook: Playbook, prometheus: Api, rules: str) -> None:
    assert changes(playbook("site.yml", "--tags=prometheus", prometheus_rules_dirs=[rules]))
    groups: list[dict[str, Any]] = prometheus.data("/api/v1/rules")["data"]["groups"]
    assert "room" in {group["name"] for group in groups}
