"""The alerts of the cluster fire at Alertmanager when the real thing breaks, and end when it is mended."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.cluster.nodes import Node
from tests.integration.node import Api, poll

pytestmark = pytest.mark.usefixtures("_quick_alerts")


@pytest.fixture
def alerts(alertmanager: Api) -> Any:
    """Return a function that returns the names of the alerts that Alertmanager has."""
    return lambda: {each["labels"]["alertname"] for each in alertmanager.data("/api/v2/alerts?active=true")}


@pytest.fixture
def _file(primary: Node) -> Iterator[None]:
    """Have a file of which each core node has a replica."""
    primary.run("head -c 200000 /dev/urandom >/srv/data && chmod a+r /srv/data")
    primary.hdfs("-put", "-f", "/srv/data", "/data")
    yield
    primary.hdfs("-rm", "-f", "-skipTrash", "/data")


def fires_and_ends(alerts: Any, expected: set[str], mend: Any) -> None:
    """Wait until some alerts are at Alertmanager, mend what is broken, and wait until they are over."""
    try:
        assert poll(lambda: expected <= alerts(), 90), alerts()
    finally:
        mend()
    assert poll(lambda: not expected & alerts(), 180), alerts()


def test_a_datanode_that_dies(alerts: Any, core: Node) -> None:
    core.run("systemctl kill --signal=KILL hadoop-hdfs-datanode")
    fires_and_ends(
        alerts,
        {"HdfsDataNodeDead", "TargetDown"},
        lambda: core.run("systemctl reset-failed hadoop-hdfs-datanode; systemctl start hadoop-hdfs-datanode"),
    )


def test_a_nodemanager_that_dies(alerts: Any, core: Node) -> None:
    core.run("systemctl kill --signal=KILL hadoop-yarn-nodemanager")
    # One of two is more than a tenth.
    fires_and_ends(
        alerts,
        {"YarnNodeManagerLost", "YarnNodesLost", "TargetDown"},
        lambda: core.run("systemctl reset-failed hadoop-yarn-nodemanager; systemctl start hadoop-yarn-nodemanager"),
    )


def test_a_local_disk_that_is_full(alerts: Any, core: Node) -> None:
    disk = "mount -t tmpfs -o size=20m,mode=0755,uid=$(id -u yarn) none /mnt/yarn"
    core.run(f"systemctl stop hadoop-yarn-nodemanager && {disk}")
    core.run("systemctl start hadoop-yarn-nodemanager")
    core.run("head -c 19500000 /dev/zero >/mnt/yarn/filler")
    fires_and_ends(
        alerts,
        {"YarnNodeManagerUnhealthy", "YarnLocalDirBad"},
        lambda: core.run(
            "rm -f /mnt/yarn/filler; systemctl stop hadoop-yarn-nodemanager; umount /mnt/yarn; "
            "systemctl start hadoop-yarn-nodemanager"
        ),
    )


@pytest.mark.usefixtures("_file")
def test_a_block_that_is_corrupt(alerts: Any, core: Node, primary: Node) -> None:
    other = Node(f"{primary.name}-core-2")
    # With one replica left, nothing can replace it.
    other.run("systemctl stop hadoop-hdfs-datanode")
    blocks = "find /mnt/hdfs -name 'blk_*' ! -name '*.meta'"
    core.run(f"for block in $({blocks}); do dd if=/dev/zero of=$block bs=1k count=9 conv=notrunc; done")
    # HDFS notices when it is read.
    assert poll(lambda: not _readable(primary), 60)

    def mend() -> None:
        other.run("systemctl start hadoop-hdfs-datanode")
        # With two DataNodes there is no place for a new replica.
        primary.hdfs("-rm", "-skipTrash", "/data")

    fires_and_ends(alerts, {"HdfsCorruptBlocks"}, mend)


def _readable(primary: Node) -> bool:
    try:
        primary.hdfs("-cat", "/data")
    except subprocess.CalledProcessError:
        return False
    return True


def test_applications_that_fail_and_wait(alerts: Any, primary: Node) -> None:
    for _ in range(5):
        primary.application("exit 3")
    fires_and_ends(alerts, {"YarnApplicationsFailing"}, lambda: None)
    for _ in range(4):
        primary.application("sleep 60", megabytes=2048)
    fires_and_ends(alerts, {"YarnApplicationsWaiting"}, lambda: None)


def test_a_namenode_that_is_killed(alerts: Any, primary: Node) -> None:
    primary.run("systemctl kill --signal=KILL hadoop-hdfs-namenode")
    fires_and_ends(
        alerts,
        {"HadoopDaemonDown", "NodeServiceFailed"},
        lambda: primary.run("systemctl reset-failed hadoop-hdfs-namenode; systemctl start hadoop-hdfs-namenode"),
    )


def test_a_resourcemanager_that_stops(alerts: Any, primary: Node) -> None:
    primary.run("systemctl stop hadoop-yarn-resourcemanager")
    fires_and_ends(alerts, {"HadoopDaemonDown"}, lambda: primary.run("systemctl start hadoop-yarn-resourcemanager"))
