"""What a cluster tells of itself: every daemon is read, every query of the dashboards has an answer, nothing grows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from testinfra.host import Host

from tests.integration.cluster.nodes import Node
from tests.integration.node import PROJECT, Api, Playbook, poll, words

DASHBOARDS = sorted((PROJECT / "roles/grafana/files/cluster_dashboards").glob("*.json"))
CORES = ("ip-172-31-0-11", "ip-172-31-0-12")
PRIMARY = "ip-172-31-0-10.ec2.internal"
EXPECTED = {
    ("node", "node_exporter", PRIMARY),
    *(("node", "node_exporter", core) for core in CORES),
    ("hdfs", "namenode", PRIMARY),
    ("yarn", "resourcemanager", PRIMARY),
    *(("hdfs", "datanode", core) for core in CORES),
    *(("yarn", "nodemanager", core) for core in CORES),
}
# What a daemon had left after the relabelling when this was written, with some room.
MOST = {"namenode": 240, "resourcemanager": 320, "datanode": 200, "nodemanager": 145}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield from panel["panels"] if panel["type"] == "row" else [panel]


QUERIES = [
    pytest.param(target["expr"].replace("$nodo", ".*"), id=f"{path.stem}: {panel['title']} {target['refId']}")
    for path in DASHBOARDS
    for panel in panels(json.loads(path.read_text()))
    for target in panel["targets"]
]


@pytest.fixture(scope="session")
def ask(prometheus: Api) -> Callable[[str], list[dict[str, Any]]]:
    """Return a function that asks Prometheus a question."""
    return lambda expr: list(prometheus.data(f"/api/v1/query?query={quote(expr)}")["data"]["result"])


def test_each_daemon_is_read_under_the_name_of_its_host(ask: Callable[[str], list[dict[str, Any]]]) -> None:
    def up() -> set[tuple[str, str, str]]:
        found = [each["metric"] for each in ask('up{job=~"node|hdfs|yarn"} == 1')]
        return {(each["job"], each["component"], each["instance"]) for each in found}

    assert poll(lambda: up() == EXPECTED, 60), up()


@pytest.mark.parametrize("expr", QUERIES)
def test_every_query_of_the_dashboards_has_an_answer(ask: Callable[[str], list[dict[str, Any]]], expr: str) -> None:
    assert poll(lambda: ask(expr), 60), expr


def test_what_nobody_looks_at_is_dropped_and_no_series_changes_with_a_write(
    ask: Callable[[str], list[dict[str, Any]]], primary: Node
) -> None:
    names = 'group by (__name__, hastate, instance) ({__name__=~"fs_namesystem_.+"})'
    before = len(ask(names))
    label = primary.run("curl -s http://ip-172-31-0-10:9870/prom | grep -o 'totalsynctimes=\"[0-9 ]*\"' | head -1")
    for number in range(3):
        primary.hdfs("-put", "/etc/hosts", f"/written-{number}")
    # Hadoop itself has another one now.
    assert label not in primary.run("curl -s http://ip-172-31-0-10:9870/prom")
    made = poll(lambda: ask("fs_namesystem_files_total > 3"), 30)
    assert made
    assert (
        len(ask("group by (__name__, hastate, instance) (last_over_time({__name__=~'fs_namesystem_.+'}[5m]))"))
        == before
    )
    assert ask('{totalsynctimes!=""}') == ask('{__name__=~"(rpcdetailed|container_resource|http_server2)_.*"}') == []
    kept = {each["metric"]["component"]: int(each["value"][1]) for each in ask(
        'max by (component) (scrape_samples_post_metric_relabeling{job=~"hdfs|yarn"})')}  # fmt: skip
    assert {name: count for name, count in kept.items() if count > MOST[name]} == {}, kept


def test_node_exporter_sees_the_host_from_its_sandbox(ask: Callable[[str], list[dict[str, Any]]], host: Host) -> None:
    security = host.run("systemd-analyze security --no-pager --threshold=20 node_exporter.service")
    assert security.rc == 0, security.stdout.splitlines()[-1:]
    # What a sandbox too tight takes away, without a word.
    assert int(ask("node_procs_running + on (instance) node_procs_blocked")[0]["value"][1]) > 0
    assert ask("node_timex_maxerror_seconds")
    assert ask('node_filesystem_readonly{mountpoint=~"/mnt.*"} == 1') == []
    assert {each["metric"]["name"] for each in ask('node_systemd_unit_state{state="active"} == 1')} >= {
        "prometheus.service", "grafana-server.service", "hadoop-hdfs-namenode.service",
    }  # fmt: skip
    denied = host.run("sudo journalctl -u node_exporter --no-pager | grep -iE 'permission denied|not permitted'")
    assert denied.stdout == ""


def test_it_listens_for_this_node_alone(host: Host) -> None:
    assert host.socket("tcp://127.0.0.1:9100").is_listening
    assert not host.socket("tcp://0.0.0.0:9100").is_listening


def test_metrics_of_a_users_own_are_read(ask: Callable[[str], list[dict[str, Any]]], host: Host) -> None:
    folder = "/mnt/node_exporter/textfile"
    host.check_output(f"echo 'nightly_load_rows 42' | sudo tee {folder}/mine.prom")
    assert poll(lambda: ask("nightly_load_rows == 42"), 30)
    host.check_output(f"sudo rm {folder}/mine.prom")


def test_a_daemon_that_serves_no_metrics_is_told_from_one_that_is_not_there(playbook: Playbook) -> None:
    ports = {"namenode_port": 9864, "resourcemanager_port": 9093, "datanode_port": 8042, "nodemanager_port": 8042}
    done = playbook("site.yml", "--tags=prometheus", emr_cluster_hadoop=ports, verify_targets_must_be_up=False)
    said = words(done)
    assert done.returncode == 0, said
    assert "hdfs is DOWN at http://ip-172-31-0-10.ec2.internal:9864/prom" in said
    assert "connection refused). Does the daemon run on that host?" in said
    # Alertmanager has no such page, as Hadoop has none before it is told to.
    assert "HTTP status 404 Not Found). It does not serve its metrics." in said or "401" in said
    assert playbook("site.yml", "--tags=prometheus").returncode == 0


def test_without_it_nothing_of_it_is_left(playbook: Playbook, host: Host, core: Node, prometheus: Api) -> None:
    done = playbook("site.yml", emr_cluster_monitoring=False)
    assert done.returncode == 0, done.stdout
    assert not host.service("node_exporter").is_running
    assert not host.file("/etc/systemd/system/node_exporter.service").exists
    left = "ls /etc/systemd/system /mnt/node_exporter | grep -E 'node_exporter.service|releases' || true"
    assert core.run(left) == ""
    expected = {"prometheus", "alertmanager", "ingest-service", "docproc-service", "embedding-service"}
    # Its last values stay for five minutes where a whole job goes.
    targets = prometheus.data("/api/v1/targets")["data"]["activeTargets"]
    assert {target["scrapePool"] for target in targets} == expected
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout
