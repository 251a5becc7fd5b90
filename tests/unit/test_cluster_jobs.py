"""The jobs of the cluster: Prometheus takes them, each daemon is in the right one, and what cannot work is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.emr.monitoring.plugins.filter.cluster_jobs import (
    cluster_problems,
    cluster_scrape_configs,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.scrape_jobs import discoveries

from tests.certificates import sign

SETTINGS: dict[str, Any] = {
    "primaries": ["ip-10-0-0-1.ec2.internal"],
    "core": {"core-1": "10.0.0.2"},
    "task": {"task-1": "10.0.0.3"},
    "discovery": "inventory",
    "cluster_id": "j-2AXXXXXXGAPLF",
    "region": "eu-central-1",
    "hadoop": {},
    "ec2": {},
    "hosts": {
        "own": "localhost:9100", "nodename": "ip-10-0-0-1", "port": 9100,
        "username": "prometheus", "password": "", "certificate": "",
        "others": {"core-1": "10.0.0.2:9100", "task-1": "10.0.0.3:9101"},
    },
}  # fmt: skip
GUARDED = {"password": "a phrase for hosts", "certificate": sign("node-exporter").certificate}
EC2 = {"discovery": "ec2", "core": {}, "task": {}}


def jobs(**settings: Any) -> dict[str, dict[str, Any]]:
    return {job["job_name"]: job for job in cluster_scrape_configs({**SETTINGS, **settings})}


def targets(job: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        group["targets"][0]: (group["labels"]["component"], group["labels"]["instance"])
        for group in job["static_configs"]
    }


def test_each_daemon_is_asked_where_it_runs_under_the_name_of_its_host() -> None:
    found = jobs()
    assert {name: targets(job) for name, job in found.items()} == {
        "node": {
            "localhost:9100": ("node_exporter", "ip-10-0-0-1.ec2.internal"),
            "10.0.0.2:9100": ("node_exporter", "core-1"),
            "10.0.0.3:9101": ("node_exporter", "task-1"),
        },
        "hdfs": {
            "ip-10-0-0-1.ec2.internal:9870": ("namenode", "ip-10-0-0-1.ec2.internal"),
            "10.0.0.2:9864": ("datanode", "core-1"),
        },
        "yarn": {
            "ip-10-0-0-1.ec2.internal:8088": ("resourcemanager", "ip-10-0-0-1.ec2.internal"),
            "10.0.0.2:8042": ("nodemanager", "core-1"),
            "10.0.0.3:8042": ("nodemanager", "task-1"),
        },
    }
    assert {found[name]["metrics_path"] for name in ("hdfs", "yarn")} == {"/prom"}


def test_the_hosts_are_asked_with_the_login_and_trusted_by_the_certificate_alone() -> None:
    job = jobs(hosts={**SETTINGS["hosts"], **GUARDED})["node"]
    assert job["scheme"] == "https"
    assert job["tls_config"] == {"ca": GUARDED["certificate"], "server_name": "node-exporter"}
    assert job["basic_auth"] == {"username": "prometheus", "password": GUARDED["password"]}
    assert "scheme" not in jobs()["node"]


def test_three_primaries_are_all_asked() -> None:
    found = jobs(primaries=["a", "b", "c"])
    assert [address for address in targets(found["hdfs"]) if address.endswith(":9870")] == [
        "a:9870",
        "b:9870",
        "c:9870",
    ]


@pytest.mark.parametrize(
    ("primaries", "nodename", "instance"),
    [
        (["ip-1.ec2.internal"], "anything", "ip-1.ec2.internal"),
        (["ip-1.ec2.internal", "ip-2.ec2.internal"], "ip-2", "ip-2.ec2.internal"),
        (["ip-1", "ip-2"], "ip-2.ec2.internal", "ip-2"),
        (["ip-1", "ip-2"], "ip-3.ec2.internal", "ip-3.ec2.internal"),
    ],
)
def test_each_of_several_primaries_has_its_own_name(primaries: list[str], nodename: str, instance: str) -> None:
    found = jobs(primaries=primaries, hosts={**SETTINGS["hosts"], "nodename": nodename})
    assert targets(found["node"])["localhost:9100"] == ("node_exporter", instance)


def test_a_cluster_with_tls_and_a_login_by_name() -> None:
    hadoop = {"scheme": "https", "namenode_port": 9871, "ca": "PEM", "params": {"user.name": "prometheus"}}
    found = jobs(hadoop=hadoop)["hdfs"]
    assert (found["scheme"], found["tls_config"], found["params"]) == (
        "https", {"ca": "PEM"}, {"user.name": ["prometheus"]},
    )  # fmt: skip
    # What is not set keeps its default.
    assert set(targets(found)) == {"ip-10-0-0-1.ec2.internal:9871", "10.0.0.2:9864"}


@pytest.mark.parametrize(
    "settings",
    [{}, EC2, {"hosts": {**SETTINGS["hosts"], **GUARDED}}, {"hadoop": {"params": {"user.name": ["a", "b"]}}}],
)
def test_prometheus_takes_them(promtool: Callable[..., str], tmp_path: Path, settings: dict[str, Any]) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": list(jobs(**settings).values())}))
    assert "SUCCESS" in promtool("check", "config", file)


@pytest.mark.parametrize(
    ("job", "port", "role"), [("node", 9100, "CORE|TASK"), ("hdfs", 9864, "CORE"), ("yarn", 8042, "CORE|TASK")]
)
def test_ec2_is_asked_for_the_instances_of_this_cluster_that_run(job: str, port: int, role: str) -> None:
    found = jobs(**EC2)[job]
    (discovery,) = found["ec2_sd_configs"]
    assert (discovery["region"], discovery["port"]) == ("eu-central-1", port)
    assert {each["name"]: each["values"] for each in discovery["filters"]} == {
        "tag:aws:elasticmapreduce:job-flow-id": ["j-2AXXXXXXGAPLF"],
        "instance-state-name": ["running"],
    }
    assert found["relabel_configs"][0]["regex"] == f".+;|;({role})"


def test_what_cannot_be_found_is_refused_by_name() -> None:
    assert cluster_problems(SETTINGS, has_workers=True) == []
    assert cluster_problems({**SETTINGS, **EC2}, has_workers=False) == []
    (twice,) = cluster_problems({**SETTINGS, **EC2}, has_workers=True)
    assert "emr_workers" in twice
    (unknown,) = cluster_problems({**SETTINGS, **EC2, "cluster_id": "", "region": ""}, has_workers=False)
    assert "does not tell its cluster_id and its region" in unknown
    (empty,) = cluster_problems({**SETTINGS, "primaries": []}, has_workers=True)
    assert empty.startswith("emr_cluster_primaries is empty")
    (whose,) = cluster_problems(SETTINGS, has_workers=True, masters=2)
    assert "2 nodes in emr_master" in whose
    assert cluster_problems(SETTINGS, has_workers=False, masters=2) == []
    (written,) = cluster_problems({**SETTINGS, "ec2": {"port": 1}}, has_workers=True)
    assert "emr_cluster_ec2 holds port" in written


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"primaries": ["ip-1", "ip-2:9870"]}, ["emr_cluster_primaries holds 'ip-2:9870': write the name"]),
        ({"primaries": ["ip-1,ip-2", "fd00::1"]}, ["emr_cluster_primaries holds 'ip-1,ip-2'"]),
        ({"core": {"a": "10.0.0.300"}}, ["emr_cluster_address (or ansible_host) of a is '10.0.0.300'"]),
        (
            {"task": {"t": "http://t"}},
            ["emr_cluster_address (or ansible_host) of t is 'http://t'", "t of the group emr_task"],
        ),
        ({"task": {"t": "ip-9"}}, ["t of the group emr_task are not in emr_workers"]),
        (
            {"hadoop": {"namenode_port": 0, "datanode_port": 99999}},
            ["emr_cluster_hadoop.namenode_port is 0", "emr_cluster_hadoop.datanode_port is 99999"],
        ),
    ],
)
def test_what_would_never_be_reached_is_refused(change: dict[str, Any], expected: list[str]) -> None:
    problems = cluster_problems({**SETTINGS, **change}, has_workers=True)
    assert [problem[: len(start)] for problem, start in zip(problems, expected, strict=True)] == expected


def test_how_often_a_discovery_asks_is_known() -> None:
    found = [*jobs(**EC2).values(), {"job_name": "mine", "file_sd_configs": [{"refresh_interval": "5m"}, {}]}]
    assert discoveries(found) == {"node": 60, "hdfs": 60, "yarn": 60, "mine": 300}
    assert discoveries(jobs().values()) == {}
    # A forgotten dash is promtool's to refuse.
    wrong: list[dict[str, Any]] = [
        {"job_name": "a", "ec2_sd_configs": {"region": "x"}},
        {"job_name": "b", "file_sd_configs": ["a"]},
    ]
    assert discoveries(wrong) == {}


def test_ec2_can_be_asked_elsewhere() -> None:
    found = jobs(**EC2, ec2={"endpoint": "https://ec2.example.com", "refresh_interval": "15s"})
    for name in ("node", "hdfs", "yarn"):
        (discovery,) = found[name]["ec2_sd_configs"]
        assert (discovery["endpoint"], discovery["refresh_interval"]) == ("https://ec2.example.com", "15s")
