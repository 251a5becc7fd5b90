"""The stand-in is only worth something while it behaves as Grafana does: each test is one such behaviour."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.grafana_program import (
    ADMIN,
    PROMETHEUS_PASSWORD,
    Certificate,
    Grafana,
    board,
    serving_prometheus,
    source,
    until,
)


@pytest.fixture
def grafana(tmp_path: Path) -> Grafana:
    return Grafana(tmp_path)


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    with serving_prometheus() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path, "grafana", ("localhost",))


def source_of(url: str, uid: str = "prom", certificate: str | None = None, **options: Any) -> dict[str, Any]:
    secret = {"basicAuthPassword": PROMETHEUS_PASSWORD.replace("$", "$$")}
    secret |= {"tlsCACert": certificate} if certificate else {}
    login = {"basicAuth": True, "basicAuthUser": "grafana", "secureJsonData": secret}
    return source(uid, uid=uid, url=url, jsonData=options, **login)


def test_first_start_takes_the_password_from_the_ini_and_later_ones_do_not(grafana: Grafana) -> None:
    with grafana.running():
        assert grafana.call("/api/health", auth=None)[1]["database"] == "ok"
        assert grafana.call("/api/user")[1]["login"] == "admin"
        assert grafana.call("/api/user", auth=("admin", "admin"))[0] == 401
        assert grafana.call("/api/user", auth=None)[0] == 401
        assert grafana.call("/login", {"user": ADMIN[0], "password": ADMIN[1]}, auth=None)[0] == 200
    grafana.ini(admin="changed-later")
    with grafana.running():
        assert grafana.call("/api/user")[0] == 200
        assert grafana.call("/api/user", auth=("admin", "changed-later"))[0] == 401


def test_password_from_a_file_and_with_the_characters_that_end_a_value(grafana: Grafana) -> None:
    (grafana.root / "secret").write_text("s#cr;t\n")
    grafana.ini(admin=f"$__file{{{grafana.root}/secret}}")
    with grafana.running():
        assert grafana.call("/api/user", auth=("admin", "s#cr;t"))[0] == 200


def test_unquoted_hash_cuts_a_value_and_triple_quotes_keep_it(grafana: Grafana) -> None:
    more = '[users]\nallow_sign_up = false\n[auth]\nlogin_cookie_name = """c#k"""'
    grafana.ini(admin="cut#off", more=more)
    with grafana.running():
        assert grafana.call("/api/user", auth=("admin", "cut"))[0] == 200


def test_cli_resets_the_password_while_the_server_runs(grafana: Grafana) -> None:
    reset = ("admin", "reset-admin-password")
    assert grafana.cli(*reset, "--password-from-stdin", stdin="without-database\n").returncode == 1
    with grafana.running():
        assert grafana.cli(*reset, "--password-from-stdin", stdin="a new one\n").returncode == 0
        assert grafana.call("/api/user", auth=("admin", "a new one"))[0] == 200
        assert grafana.call("/api/user")[0] == 401


def test_five_wrong_passwords_block_the_right_one(grafana: Grafana) -> None:
    with grafana.running():
        for _ in range(5):
            assert grafana.call("/api/user", auth=("admin", "admin"))[0] == 401
        assert grafana.call("/api/user")[0] == 401


def test_two_default_data_sources_refuse_to_start(grafana: Grafana) -> None:
    grafana.datasources(source("one", isDefault=True))
    grafana.datasources(source("two", isDefault=True), name="b.yml")
    assert grafana.start().wait(10) == 1
    assert "Only one datasource per organization can be marked as default" in grafana.logged()


def test_unknown_keys_and_other_file_names_are_ignored(grafana: Grafana) -> None:
    # It is the default only for being the first.
    grafana.datasources(source(uid="prom", isDefualt=True, acces="direct"))
    grafana.datasources(source("not read"), name="c.yaml.bak")
    with grafana.running():
        (found,) = grafana.call("/api/datasources")[1]
    assert (found["name"], found["isDefault"], found["access"]) == ("Prometheus", True, "proxy")
    assert found["readOnly"] is True


def test_provisioned_source_without_uid_gets_the_one_grafana_computes(grafana: Grafana) -> None:
    grafana.datasources(source("Prometheus"))
    with grafana.running():
        assert grafana.call("/api/datasources")[1][0]["uid"] == "PBFA97CFB590B2093"


def test_dollars_are_expanded_and_doubled_dollars_are_not(grafana: Grafana) -> None:
    grafana.datasources(source(uid="prom", user="$WHO", database="$$WHO", basicAuthUser="a$nothing-b"))
    with grafana.running(WHO="me"):
        found = grafana.call("/api/datasources/uid/prom")[1]
    assert (found["user"], found["database"], found["basicAuthUser"]) == ("me", "$WHO", "a-b")


def test_user_created_sources_stay_and_provisioned_ones_follow_the_files(grafana: Grafana) -> None:
    grafana.datasources(source("pruned"), prune=True)
    grafana.datasources(source("kept"), source("deleted"), name="b.yaml")
    with grafana.running():
        assert grafana.call("/api/datasources", source("mine"))[0] == 200
        assert grafana.call("/api/datasources", source("mine"))[0] == 409
        grafana.datasources()
        grafana.datasources(name="b.yaml", deleteDatasources=[{"name": "deleted", "orgId": 1}])
        assert grafana.call("/api/admin/provisioning/datasources/reload", {})[0] == 200
        names = [found["name"] for found in grafana.call("/api/datasources")[1]]
    assert names == ["kept", "mine"]


def test_dashboard_files_come_change_and_go(grafana: Grafana) -> None:
    path = grafana.dashboard("a.json", **board("First", "one", id=7, tags=["emr"]))
    with grafana.running():
        (found,) = grafana.call("/api/search?type=dash-db&query=fir")[1]
        assert (found["uid"], found["folderTitle"], found["tags"]) == ("one", "EMR", ["emr"])
        got = grafana.call("/api/dashboards/uid/one")[1]
        assert got["meta"]["provisioned"] is True
        assert got["meta"]["provisionedExternalId"] == "a.json"
        status, answer = grafana.call("/api/dashboards/db", {"dashboard": board("Mine", "one")})
        assert (status, answer["message"]) == (400, "Cannot save provisioned dashboard")
        grafana.dashboard("a.json", **board("Second", "one"))
        until(lambda: grafana.titles() == ["Second"], "updated")
        path.unlink()
        until(lambda: grafana.titles() == [], "deleted")


def test_duplicate_uid_freezes_the_provider_until_it_is_gone(grafana: Grafana) -> None:
    grafana.dashboard("a.json", **board("First", "one"))
    grafana.dashboard("b.json", **board("Innocent", "two"))
    copy = grafana.dashboard("c.json", **board("Copy", "one"))
    with grafana.running():
        grafana.dashboard("b.json", **board("Never seen", "two"))
        until(lambda: "Not saving new dashboard due to restricted" in grafana.logged(), "restricted")
        assert "Innocent" in grafana.titles()
        copy.unlink()
        until(lambda: grafana.titles() == ["First", "Never seen"], "thawed")


def test_one_title_twice_in_a_folder_freezes_too(grafana: Grafana) -> None:
    grafana.dashboard("a.json", **board("Same", "one"))
    grafana.dashboard("b.json", **board("Same", "two"))
    with grafana.running():
        assert "no database write permissions because of duplicates" in grafana.logged()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        (json.dumps({"apiVersion": "dashboard.grafana.app/v2", "spec": {"title": "T"}}), "no kind "),
        (json.dumps({"apiVersion": "dashboard.grafana.app/v2beta1", "spec": {}}), "title cannot be empty"),
        (json.dumps({"uid": "no-title"}), "title cannot be empty"),
        (json.dumps({"title": "T", "uid": "white space"}), "illegal characters"),
    ],
)
def test_bad_dashboard_is_logged_and_skipped(grafana: Grafana, content: str, message: str) -> None:
    (grafana.dashboards / "bad.json").write_text(content)
    grafana.dashboard("good.json", **board("Good", "good"))
    with grafana.running():
        assert grafana.titles() == ["Good"]
        assert message in grafana.logged()


def test_missing_dashboard_folder_does_not_stop_the_start(grafana: Grafana) -> None:
    grafana.dashboards.rmdir()
    with grafana.running():
        assert "no such file or directory" in grafana.logged()


def test_data_source_health_is_prometheus_own_word(grafana: Grafana, prometheus: str) -> None:
    grafana.datasources(source_of(prometheus), source("Down", uid="down"))
    with grafana.running():
        status, answer = grafana.call("/api/datasources/uid/prom/health")
        assert (status, answer["status"]) == (200, "OK"), answer
        assert answer["message"] == "Successfully queried the Prometheus API."
        status, answer = grafana.call("/api/datasources/uid/down/health")
        assert (status, answer["status"]) == (400, "ERROR")
        assert PROMETHEUS_PASSWORD not in json.dumps(grafana.call("/api/datasources/uid/prom")[1])


def test_query_answers_in_frames(grafana: Grafana, prometheus: str) -> None:
    grafana.datasources(source_of(prometheus))
    base = {"datasource": {"uid": "prom"}, "expr": "up", "legendFormat": "{{job}} up"}

    def ask(**query: Any) -> tuple[int, Any]:
        body = {"queries": [{"refId": "A", **base, **query}], "from": "now-1h", "to": "now"}
        status, answer = grafana.call("/api/ds/query", body)
        return status, answer["results"]["A"]

    with grafana.running():
        (frame,) = ask(range=True)[1]["frames"]
        assert [field["name"] for field in frame["schema"]["fields"]] == ["Time", "Value"]
        assert frame["schema"]["fields"][1]["labels"] == {"job": "ingest"}
        assert frame["schema"]["fields"][1]["config"]["displayNameFromDS"] == "ingest up"
        assert frame["data"] == {"values": [[1000, 16000], [2.0, None]], "entities": [None, {"NaN": [1]}]}
        assert ask(instant=True)[1]["frames"][0]["data"]["values"] == [[1000], [2.5]]
        assert ask(expr="absent_series")[1]["frames"][0]["data"]["values"] == []
        status, answer = ask(expr="broken(")
        assert status == 400
        assert "parse error" in answer["error"]


def test_https_answers_with_the_certificate_of_the_ini(grafana: Grafana, certificate: Certificate) -> None:
    grafana.https(certificate)
    with grafana.running():
        assert grafana.call("/api/user")[0] == 200
        assert "protocol=https" in grafana.logged()


def test_plain_http_to_https_is_a_bad_request(grafana: Grafana, certificate: Certificate) -> None:
    grafana.https(certificate)
    with grafana.running():
        grafana.tls = None
        assert grafana.call("/api/health") == (400, "Client sent an HTTP request to an HTTPS server.\n")


def test_clients_without_a_handshake_block_no_one_and_are_cut_off(grafana: Grafana, certificate: Certificate) -> None:
    grafana.https(certificate)
    with grafana.running():
        address = ("127.0.0.1", grafana.port)
        with socket.create_connection(address, 10) as silent, socket.create_connection(address, 10) as broken:
            broken.sendall(b"\x16 but no handshake")
            assert grafana.call("/api/user")[0] == 200
            silent.setblocking(False)
            with pytest.raises(BlockingIOError):
                silent.recv(1)
            silent.settimeout(10)
            assert silent.recv(1) == b""
        until(lambda: grafana.logged().count("TLS handshake error") == 2, "two failed handshakes")
        assert "Traceback" not in grafana.logged()


@pytest.mark.parametrize("pair", ["cert_file = /nowhere.pem", "cert_key = {other.key_path}"])
def test_a_bad_pair_refuses_to_start(grafana: Grafana, certificate: Certificate, pair: str) -> None:
    grafana.https(certificate, server=pair.format(other=Certificate(grafana.root, "other")))
    assert grafana.start().wait(10) == 1
    assert "could not load SSL certificate" in grafana.logged()


def test_the_cookie_follows_the_ini(grafana: Grafana, certificate: Certificate) -> None:
    grafana.https(certificate, "cookie_secure = true\ncookie_samesite = strict")
    with grafana.running():
        headers = grafana.ask("/login", {"user": ADMIN[0], "password": ADMIN[1]}, auth=None)[1]
    assert headers["Set-Cookie"].endswith("; HttpOnly; SameSite=Strict; Secure")


def test_links_begin_with_the_address_of_the_ini(grafana: Grafana) -> None:
    grafana.ini(more="[server]\nroot_url = https://monitoring.example.com/")
    with grafana.running():
        assert grafana.call("/api/frontend/settings")[1]["appUrl"] == "https://monitoring.example.com/"


AUTHORITY = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
HEALTHY = "Successfully queried the Prometheus API."


def test_data_source_trusts_a_pinned_certificate_under_its_name(grafana: Grafana) -> None:
    asked: list[str | None] = []
    authority = Certificate(grafana.root, "authority")
    leaf = Certificate(grafana.root, "leaf", ("prometheus.test",), authority)
    tls = leaf.server_context()
    tls.sni_callback = lambda _, name, __: asked.append(name)
    with serving_prometheus(tls) as port:
        url = f"https://127.0.0.1:{port}"
        pinned: dict[str, Any] = {"certificate": leaf.text, "tlsAuthWithCACert": True}
        grafana.datasources(
            source_of(url, "pinned", serverName="prometheus.test", **pinned),
            source_of(url, "issued", authority.text, tlsAuthWithCACert=True, serverName="prometheus.test"),
            source_of(url, "wrong", serverName="grafana.test", **pinned),
            source_of(url, "address", **pinned),
        )
        with grafana.running():
            assert grafana.health("pinned") == grafana.health("issued") == HEALTHY
            assert asked == ["prometheus.test", "prometheus.test"]
            assert "x509: Hostname mismatch, certificate is not valid for 'grafana.test'" in grafana.health("wrong")
            assert "x509: IP address mismatch, certificate is not valid for '127.0.0.1'" in grafana.health("address")
            described = grafana.call("/api/datasources/uid/pinned")[1]
    assert described["secureJsonFields"] == {"basicAuthPassword": True, "tlsCACert": True}
    assert "BEGIN CERTIFICATE" not in json.dumps(described)


def test_data_source_refuses_an_unknown_certificate(grafana: Grafana) -> None:
    leaf, other = (Certificate(grafana.root, name, ("localhost",)) for name in ("leaf", "other"))
    with serving_prometheus(leaf.server_context()) as port:
        url = f"https://localhost:{port}"
        grafana.datasources(
            source_of(url, "system"),
            source_of(url, "other", other.text, tlsAuthWithCACert=True),
            source_of(url, "ignored", leaf.text, serverName="localhost"),
            source_of(url, "text", leaf.text, tlsAuthWithCACert="true"),
            source_of(url, "broken", "not PEM", tlsAuthWithCACert=True),
        )
        with grafana.running():
            ending = "There was an error returned querying the Prometheus API."
            assert grafana.health("system") == f'Post "{url}/api/v1/query": {AUTHORITY} - {ending}'
            assert all(AUTHORITY in grafana.health(uid) for uid in ("other", "ignored", "text"))
            assert "failed to parse TLS CA PEM certificate" in grafana.health("broken")


def test_data_source_without_a_certificate_trusts_the_systems_list_and_the_urls_name(grafana: Grafana) -> None:
    leaf = Certificate(grafana.root, "leaf", ("localhost",))
    with serving_prometheus(leaf.server_context()) as port:
        grafana.datasources(source_of(f"https://localhost:{port}", serverName="ignored.test"))
        with grafana.running(SSL_CERT_FILE=str(leaf.path)):
            assert grafana.health("prom") == HEALTHY


def test_data_source_takes_no_common_name_for_a_host_name(grafana: Grafana) -> None:
    leaf = Certificate(grafana.root, "localhost")
    with serving_prometheus(leaf.server_context()) as port:
        grafana.datasources(source_of(f"https://localhost:{port}", "prom", leaf.text, tlsAuthWithCACert=True))
        with grafana.running():
            assert "certificate is not valid for 'localhost'" in grafana.health("prom")
