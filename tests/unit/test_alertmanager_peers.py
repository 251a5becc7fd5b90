"""Several Alertmanagers are one cluster, and their alerts are told apart where they are not the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_peers import (
    alertmanager_peers,
    alertmanager_targets,
    told_apart,
)

HOSTS = ["ip-10-0-0-1.eu-central-1.compute.internal", "10.0.0.2", "fd00::3"]
PAIR = {"certificate": "a certificate", "key": "a key"}


def made(written: Any) -> dict[str, Any]:
    return alertmanager_peers(written, 9094, PAIR, "/etc/alertmanager")


@pytest.mark.parametrize("nobody", [None, [], "", "a", ["a"], ["a", "a"]])
def test_without_others_it_listens_for_none(nobody: Any) -> None:
    assert made(nobody) == {"arguments": ["--cluster.listen-address="], "files": {}, "others": 0, "problems": []}


def test_all_know_each_other_by_one_pair_from_both_sides() -> None:
    found = made(HOSTS)
    assert found["problems"] == []
    assert found["others"] == 2
    assert found["arguments"] == [
        "--cluster.listen-address=0.0.0.0:9094",
        "--cluster.tls-config=/etc/alertmanager/peers.yml",
        "--cluster.peer=ip-10-0-0-1.eu-central-1.compute.internal:9094",
        "--cluster.peer=10.0.0.2:9094",
        "--cluster.peer=[fd00::3]:9094",
    ]
    tls = yaml.safe_load(found["files"]["peers.yml"]["content"])
    assert tls["tls_server_config"]["client_auth_type"] == "RequireAndVerifyClientCert"
    assert found["files"]["peers/key.pem"] == "a key"


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "a:9094", "http://a", "a b", True, {"a": 1}],  # noqa: S104
)
def test_what_is_no_host_that_others_reach_is_refused(host: Any) -> None:
    problems = made(["b", host])["problems"]
    assert problems[0].startswith("alertmanager_peers is ")


def relabelled(labels: dict[str, str], rules: list[dict[str, Any]]) -> dict[str, str]:
    """Return the labels of an alert as Prometheus' relabelling has them."""
    labels = dict(labels)
    for rule in rules:
        value = ";".join(labels.get(name, "") for name in rule["source_labels"])
        if re.fullmatch(rule["regex"], value):
            labels[rule["target_label"]] = rule["replacement"]
    return {name: value for name, value in labels.items() if value}


JOBS: list[dict[str, Any]] = [
    {"job_name": "ingest-service", "static_configs": [{"targets": ["localhost:8000", "127.0.0.1:8001"]}]},
    {"job_name": "hdfs", "static_configs": [{"targets": ["a:9870", "b:9870"]}]},
    {"job_name": "node", "static_configs": [{"targets": ["127.0.0.1:9100"]}], "ec2_sd_configs": [{"port": 9100}]},
]


@pytest.mark.parametrize(
    ("labels", "node"),
    [
        ({"job": "ingest-service"}, "emr-a"),
        ({"alertname": "AlertThresholdMissing"}, "emr-a"),
        ({"job": "hdfs"}, None),
        ({"job": "node", "instance": "ip-10-0-0-7"}, None),
        # Of the series themselves.
        ({"job": "hdfs", "node": "rack-1"}, "rack-1"),
        ({"job": "ingest-service", "node": "rack-1"}, "rack-1"),
        # An external label of the user's own.
        ({"job": "hdfs", "node": "emr-a"}, None),
    ],
)
def test_what_all_see_is_one_alert_and_what_one_sees_names_its_node(labels: dict[str, str], node: str | None) -> None:
    assert relabelled(labels, told_apart(["a", "b"], JOBS, "emr-a", {})).get("node") == node


def test_one_alone_tells_nothing_apart() -> None:
    assert told_apart(["a"], JOBS, "emr-a", {}) == told_apart(None, JOBS, "emr-a", {}) == []


@pytest.mark.parametrize("name", ["node", "__replica__", "replica"])
@pytest.mark.parametrize("value", ["emr-a", "${HOSTNAME}"])
def test_by_which_replicas_differ_is_not_in_what_all_of_them_see(name: str, value: str) -> None:
    rules = told_apart(["a", "b"], JOBS, "emr-a", {"cluster": "j-1", name: value})
    alert = {"cluster": "j-1", name: value.replace("${HOSTNAME}", "emr-a")}
    assert relabelled({"job": "hdfs", **alert}, rules) == {"job": "hdfs", "cluster": "j-1"}
    assert relabelled({"job": "ingest-service", **alert}, rules)[name] == "emr-a"


def test_each_prometheus_sends_to_all() -> None:
    assert alertmanager_targets(HOSTS, 9093) == [
        "ip-10-0-0-1.eu-central-1.compute.internal:9093",
        "10.0.0.2:9093",
        "[fd00::3]:9093",
    ]
    assert alertmanager_targets(["a"], 9093) == []
