"""The primary nodes of one cluster whose other nodes come by themselves have one login and one certificate."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.lookup.shared_hosts import LookupModule

FOLDER = {"monitoring_secrets_dir": "secrets/cluster"}
LOGIN = {"node_exporter_password": "needle", "node_exporter_tls_key": "K"}


def said(**hosts: tuple[str, dict[str, Any]]) -> list[str]:
    known = {name: {"ansible_facts": {"emr": {"cluster_id": cluster}}, **own} for name, (cluster, own) in hosts.items()}
    variables = {"hostvars": known, "ansible_play_hosts_all": list(known), "inventory_hostname": "a"}
    found: list[str] = LookupModule().run(list(LOGIN), variables)
    return found


@pytest.mark.parametrize(
    ("own", "cluster", "other"),
    [(LOGIN, "j-1", LOGIN), (FOLDER, "j-1", FOLDER), ({}, "j-2", {}), (LOGIN, "", {})],
    ids=["one login", "one folder", "another cluster", "no cluster"],
)
def test_what_each_cluster_has_for_itself_is_right(own: dict[str, Any], cluster: str, other: dict[str, Any]) -> None:
    assert said(a=("j-1", own), b=(cluster, other)) == []
    assert said(a=("", own), b=("", {})) == []
    assert said(a=("j-1", {})) == []


@pytest.mark.parametrize(
    ("own", "other", "differs"),
    [
        ({}, {}, "node_exporter_password, node_exporter_tls_key is not set to one value"),
        ({**FOLDER, "node_exporter_password": "needle"}, FOLDER, "and node_exporter_password is not set to one value"),
        (LOGIN, {}, "node_exporter_password, node_exporter_tls_key is not set to one value"),
        (
            LOGIN,
            {**LOGIN, "node_exporter_tls_key": "L"},
            "certificate, and node_exporter_tls_key is not set to one value",
        ),
    ],
)
def test_two_logins_of_one_cluster_are_refused(own: dict[str, Any], other: dict[str, Any], differs: str) -> None:
    (sentence,) = said(a=("j-1", own), b=("j-1", other), c=("j-2", {}))
    assert sentence.startswith("a and b are primary nodes of one cluster")
    assert differs in sentence
    assert "needle" not in sentence
