"""PostgreSQL for Grafana: what is written is what it uses, with its secrets in files, or it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.lookup.shared_databases import LookupModule, place
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_database import grafana_database_files

from tests.certificates import sign

AUTHORITY = sign(common_name="an authority", authority=True)
GIVEN = {"host": "db.example.com", "user": "grafana", "password": "needle-4711"}


def made(ini: Mapping[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    return grafana_database_files({**GIVEN, **given}, "/etc/grafana", ini or {})


def test_the_password_is_in_a_file_and_the_server_is_verified() -> None:
    found = made(ca=AUTHORITY.certificate + AUTHORITY.key)
    assert found["problems"] == []
    assert found["files"] == {"database_password": "needle-4711", "database-ca.pem": AUTHORITY.certificate}
    assert found["ini"]["database"] == {
        "type": "postgres",
        "host": "db.example.com",
        "name": "grafana",
        "user": "grafana",
        "password": "$__file{/run/credentials/grafana-server.service/database_password}",
        "ssl_mode": "verify-full",
        "ca_cert_path": "/etc/grafana/database-ca.pem",
    }


@pytest.mark.parametrize("nothing", [None, {}])
def test_nothing_is_sqlite(nothing: Any) -> None:
    assert grafana_database_files(nothing, "/etc/grafana", {}) == {"ini": {}, "files": {}, "problems": []}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": ""}, "grafana_database has no host: Grafana's PostgreSQL needs host, user, password."),
        ({"user": None, "password": ""}, "has no user and no password"),
        ({"hots": "x"}, "grafana_database.hots is not known: it has host, name"),
        ({"host": "postgres://db/x"}, "host is 'postgres://db/x': write a name or an address"),
        ({"host": 5432.1}, "host is a number: YAML has read it"),
        ({"ssl_mode": "prefer"}, "ssl_mode is 'prefer': write one of verify-full"),
        ({"ssl_mode": "require"}, "ssl_mode is 'require', and grafana_database.host is not this node"),
        ({"ssl_mode": "disable", "host": "10.0.0.5:5432"}, "Use verify-full"),
        ({"password": "a\nb"}, "password holds a line break"),
        ({"password": "needle-4711 "}, "grafana_database.password begins or ends with a space"),
        ({"user": "a b"}, "user is 'a b': it can hold no space"),
        ({"name": "$__env{X}"}, "name is"),
        ({"ca": "no certificate"}, "ca is no certificate: write the PEM text"),
    ],
)
def test_what_is_wrong_is_said_and_the_password_is_not(given: dict[str, Any], said: str) -> None:
    problems = made(**given)["problems"]
    assert any(said in problem for problem in problems), problems
    assert "needle" not in str(problems)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:5433", "[::1]"])
def test_on_this_node_nobody_stands_between(host: str) -> None:
    assert made(host=host, ssl_mode="disable")["problems"] == []


def test_two_places_for_the_data_are_refused() -> None:
    (problem,) = made({"database": {"type": "mysql"}})["problems"]
    assert problem == "grafana_ini.database and grafana_database say both where the data are: keep one of them."


@pytest.mark.parametrize(
    ("database", "where"),
    [
        ({"host": "db"}, ("db:5432", "grafana")),
        ({"host": "db:5432", "name": "other"}, ("db:5432", "other")),
        ({"host": "[::1]"}, ("[::1]:5432", "grafana")),
        ({"host": "[::1]:1"}, ("[::1]:1", "grafana")),
        ({}, None),
        (None, None),
    ],
)
def test_one_database_is_known_in_each_way_to_write_it(database: Any, where: Any) -> None:
    assert place(database) == where


def shared(**hosts: dict[str, Any]) -> list[str]:
    first = next(iter(hosts))
    known = {**hosts[first], "hostvars": hosts, "inventory_hostname": first, "ansible_play_hosts_all": list(hosts)}
    return LookupModule().run(["grafana_secret_key"], known)


DB = {"grafana_database": {"host": "db"}}


def test_what_encrypts_a_database_is_one_for_all() -> None:
    one = {**DB, "grafana_secret_key": "k", "prometheus_password": "p"}
    assert shared(a=one, b=one, c={}) == []
    assert shared(a={}, b=DB) == []
    said, _ = shared(a={**DB, "grafana_secret_key": "k1"}, b={**DB, "grafana_secret_key": "k2"}, c={})
    assert said.startswith("grafana_secret_key has to be one value for all")
    assert said.endswith("It is not set, or differs, on a and b.")
    assert "k1" not in said


def test_one_data_source_asks_each_nodes_own_prometheus() -> None:
    one = {**DB, "grafana_secret_key": "k", "prometheus_password": "p"}
    (said,) = shared(a=one, b={**one, "prometheus_password": "q"})
    assert said.startswith("prometheus_password has to be one value on a and b")
    assert "p" not in said.split()
    elsewhere = {"grafana_prometheus_url": "https://engine.example.com", "prometheus_password": None}
    assert shared(a={**one, **elsewhere}, b={**one, **elsewhere}) == []
    (said,) = shared(a={**one, "tls_self_signed": True}, b=one)
    assert "use tls_certificate and tls_key for all of them" in said
    assert shared(a={**DB, "grafana_secret_key": "k", "tls_self_signed": True}) == []


def test_what_a_node_generates_for_itself_is_no_key_of_what_outlives_it() -> None:
    (said,) = shared(a=DB, b={"grafana_database": {"host": "another"}})
    assert said.endswith("on a.")
