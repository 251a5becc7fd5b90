"""The hosts of a cluster: how they are reached, what guards them, and what is said of those that are not watched."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.filter.cluster_hosts import (
    host_addresses,
    host_login_problems,
    host_targets,
    hosts_not_watched,
    hosts_ready_at,
    other_login_problems,
    unit_pattern_problems,
)

from tests.certificates import sign

PAIR = sign("node-exporter")
KNOWN: dict[str, dict[str, Any]] = {
    "a": {"ansible_host": "203.0.113.1", "emr_cluster_address": "10.0.0.2"},
    "b": {"ansible_host": "10.0.0.3", "node_exporter_port": 9101},
    "c": {},
    "d": {"ansible_host": "fd00::4"},
}
SHARED = {
    "username": "prometheus", "password": "a phrase for hosts", "password_salt": "0123456789abcdefghijkl",
    "certificate": PAIR.certificate, "key": PAIR.key,
}  # fmt: skip


def test_a_node_is_reached_by_what_the_primary_knows_it_by() -> None:
    assert host_addresses(KNOWN, KNOWN) == {"a": "10.0.0.2", "b": "10.0.0.3", "c": "c", "d": "fd00::4"}
    assert host_targets(KNOWN, KNOWN, 9100) == {
        "a": "10.0.0.2:9100",
        "b": "10.0.0.3:9101",
        "c": "c:9100",
        "d": "[fd00::4]:9100",
    }


@pytest.mark.parametrize(
    ("written", "needed", "expected"),
    [
        ({}, True, []),
        ({"password": "", "certificate": "", "key": ""}, False, []),
        ({"listen_address": "10.0.0.5"}, False, []),
        ({"password": ""}, True, ["node_exporter_password is empty"]),
        ({"certificate": "", "key": ""}, True, ["node_exporter_tls_certificate is empty"]),
        (
            {"password": "", "certificate": "", "key": "", "listen_address": "10.0.0.5"},
            False,
            ["node_exporter_listen_address is 10.0.0.5, and this cluster has no core and task nodes"],
        ),
        ({"key": sign("other").key}, True, ["node_exporter_tls_key does not belong to node_exporter_tls_certificate"]),
        ({"key": ""}, True, ["node_exporter_tls_certificate is set and node_exporter_tls_key is not"]),
    ],
)
def test_nothing_leaves_a_host_without_a_login_and_a_certificate(
    written: dict[str, str], needed: bool, expected: list[str]
) -> None:
    problems = host_login_problems({**SHARED, "listen_address": "127.0.0.1", **written}, needed)
    assert [problem[: len(start)] for problem, start in zip(problems, expected, strict=True)] == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "(hadoop|spark).*",
        "a(?i)b",
        r"\pL+",
        r"\p{Greek}x",
        r"a\z",
        r"(?P<a>b)",
        "(?:a)",
        "(?<name>a)",
        r"a\x{41}",
        r"a\\1",
    ],
)
def test_units_of_which_node_exporter_knows_the_pattern_are_taken(pattern: str) -> None:
    assert unit_pattern_problems(pattern) == []


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(hadoop", "which is no regular expression"),
        ("*a", "which is no regular expression"),
        ("(?!emr).*", "have no (?!"),
        ("(?<=a)b", "have no (?<="),
        ("(?>a)b", "have no (?>"),
        ("(?P<a>x)(?P=a)", "have no (?P="),
        (r"a\Z", r"have no \Z"),
        (r"(foo)\1", r"have no \1"),
    ],
)
def test_units_that_are_no_pattern_are_refused_where_they_are_written(pattern: str, said: str) -> None:
    (problem,) = unit_pattern_problems(pattern)
    assert problem.startswith("node_exporter_units is ")
    assert said in problem


def test_what_is_said_for_one_host_alone_is_refused_and_not_shown() -> None:
    assert other_login_problems(SHARED, KNOWN["c"]) == []
    same = {"node_exporter_password": SHARED["password"], "node_exporter_tls_certificate": f"Mine\n{PAIR.certificate}"}
    assert other_login_problems(SHARED, same) == []
    (other,) = other_login_problems(SHARED, {"node_exporter_password": "its own phrase"})
    assert other.startswith("node_exporter_password of this host is not that of the primary node")
    assert "phrase" not in other


def test_why_a_host_is_not_watched_is_said_in_the_words_of_what_failed() -> None:
    known: dict[str, dict[str, Any]] = {
        "away": {"__emr_node_worker": {"unreachable": True, "msg": "no route to host"}},
        "busy": {
            "__emr_node_worker": {"failed": True, "msg": "Port 9100 is taken by nc"},
        },
        "dies": {
            "__emr_node_worker": {"changed": False},
            "__node_exporter_run": {"failed": True, "msg": "node_exporter.service died"},
        },
        "else": {},
    }
    or_out = "or take it out of emr_workers"
    assert hosts_not_watched(known, known) == [
        f"away is not watched: it cannot be reached (no route to host). Run again once it can, {or_out}.",
        "busy is not watched: Port 9100 is taken by nc",
        "dies is not watched: node_exporter.service died",
        f"else is not watched: what stopped it is said above. Run again once that is mended, {or_out}.",
    ]


def test_the_last_of_the_restarts_is_waited_for() -> None:
    known: dict[str, dict[str, Any]] = {
        "a": {"__node_exporter_run": {"ready_at": 7.5}},
        "b": {"__node_exporter_run": {"failed": True}},
        "c": {},
    }
    assert hosts_ready_at(known, known) == 7.5
    assert hosts_ready_at([], known) == 0
