"""Alertmanagers that are one cluster take what each Prometheus sends: what that needs is the same on all hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.lookup.shared_alertmanagers import LookupModule

PEERS = {"alertmanager_peers": ["a", "b"]}
LOGIN = {"alertmanager_password": "needle"}
PAIR = {"tls_certificate": "PEM"}
SELF_SIGNED = {"tls_self_signed": True, "tls_self_signed_dir": "/secrets", "tls_self_signed_names": ["a", "b"]}


def said(own: dict[str, Any], other: dict[str, Any] | None = None) -> list[str]:
    hosts = {"a": own, "b": own if other is None else other, "c": {}}
    known = {"hostvars": hosts, "ansible_play_hosts_all": list(hosts), "inventory_hostname": "a", **own}
    found: list[str] = LookupModule().run([], known)
    return found


@pytest.mark.parametrize("pair", [PAIR, SELF_SIGNED])
def test_one_login_and_one_certificate_for_all_is_right(pair: dict[str, Any]) -> None:
    assert said({**PEERS, **LOGIN, **pair}) == []


@pytest.mark.parametrize("peers", [None, [], ["a"], ["a", "a"], "a"])
def test_one_alone_needs_nothing(peers: Any) -> None:
    assert said({"alertmanager_peers": peers}, {}) == []


@pytest.mark.parametrize(
    ("own", "other", "problem"),
    [
        ({**PEERS, **PAIR}, None, "alertmanager_password has to be one value"),
        ({**PEERS, **PAIR, **LOGIN}, {**PEERS, **PAIR, "alertmanager_password": "x"}, "alertmanager_password has to"),
        ({**PEERS, **LOGIN}, None, "in clear, with the login: set tls_certificate"),
        ({**PEERS, **LOGIN, **PAIR}, {**PEERS, **LOGIN, "tls_certificate": "X"}, "in clear, with the login"),
        ({**PEERS, **LOGIN, "tls_self_signed": "yes"}, None, "set tls_self_signed_dir and tls_self_signed_names"),
        (
            {**PEERS, **LOGIN, **PAIR},
            {**PEERS, **LOGIN, **PAIR, "alertmanager_port": 9193},
            "alertmanager_port differs on a and b",
        ),
        (
            {**PEERS, **LOGIN, **PAIR},
            {**LOGIN, **PAIR, "alertmanager_peers": ["a"]},
            "alertmanager_peers differs on a and b",
        ),
        ({**PEERS, **LOGIN, **PAIR, "monitoring_listen_address": "127.0.0.1"}, None, "listens for its own host alone"),
    ],
)
def test_what_differs_is_refused_by_name(own: dict[str, Any], other: dict[str, Any] | None, problem: str) -> None:
    (sentence,) = said(own, other)
    assert problem in sentence
    assert "needle" not in sentence


def test_a_host_may_listen_for_others_with_this_one_alone() -> None:
    listen = {"monitoring_listen_address": "127.0.0.1", "alertmanager_listen_address": "0.0.0.0"}  # noqa: S104
    assert said({**PEERS, **LOGIN, **PAIR, **listen}) == []
