"""Hosts that send their metrics to one place have to be told apart there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.lookup.shared_labels import LookupModule

AMP = [{"name": "amp", "url": "https://amp.example.com/write"}]


def tenant(name: str, option: str = "headers", header: str = "x-scope-orgid") -> dict[str, Any]:
    return {"prometheus_remote_write": [{**AMP[0], option: {header: name}}]}


def said(own: dict[str, Any], other: dict[str, Any]) -> list[str]:
    facts = {"ansible_facts": {"emr": {"cluster_id": "j-1"}}}
    hosts = {"a": {**facts, "prometheus_remote_write": AMP, **own}, "b": {**facts, **other}}
    known = {"hostvars": hosts, "ansible_play_hosts": ["a", "b"], "inventory_hostname": "a", **hosts["a"]}
    found: list[str] = LookupModule().run([], known)
    return found


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ({}, {}),
        ({"prometheus_external_labels": {"cluster": "x"}}, {"prometheus_external_labels": {"cluster": "x"}}),
        ({}, {"prometheus_external_labels": {"cluster": "j-1"}}),
        (
            {"prometheus_global": {"external_labels": {"team": "t"}}},
            {"prometheus_external_labels": {"team": "t", "cluster": "j-1"}},
        ),
    ],
)
def test_two_hosts_of_one_cluster_are_refused_by_name(own: dict[str, Any], other: dict[str, Any]) -> None:
    (sentence,) = said(own, {"prometheus_remote_write": AMP, **other})
    assert sentence.startswith("a and b send their metrics to one place")
    assert "prometheus_external_labels: {cluster:" in sentence


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ({}, [{"url": "https://amp.example.com/write/"}]),
        (tenant("a"), tenant("a")["prometheus_remote_write"]),
        (tenant("a"), [{**AMP[0], "http_headers": {"X-Scope-OrgID": {"values": ["a"]}}}]),
        # Of any other header nobody knows that it tells them apart.
        (tenant("a", header="X-Node"), tenant("b", header="X-Node")["prometheus_remote_write"]),
        ({}, [{**AMP[0], "headers": None}]),
    ],
)
def test_one_place_is_one_however_it_is_written(own: dict[str, Any], other: list[dict[str, Any]]) -> None:
    assert len(said(own, {"prometheus_remote_write": other})) == 1


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ({}, {"prometheus_remote_write": []}),
        ({}, {}),
        ({}, {"prometheus_remote_write": [{"name": "other", "url": "https://elsewhere.example.com/write"}]}),
        ({"prometheus_external_labels": {"cluster": "j-1", "node": "a"}}, {"prometheus_remote_write": AMP}),
        ({}, {"prometheus_remote_write": AMP, "ansible_facts": {"emr": {"cluster_id": "j-2"}}}),
        ({"prometheus_remote_write": []}, {"prometheus_remote_write": AMP}),
        *(
            (tenant("a", option, header), tenant("b", option, header))
            for option, header in (("headers", "X-Scope-OrgID"), ("http_headers", "THANOS-TENANT"))
        ),
    ],
)
def test_what_can_be_told_apart_is_not(own: dict[str, Any], other: dict[str, Any]) -> None:
    assert said(own, other) == []
