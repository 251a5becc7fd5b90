"""An endpoint is asked as Prometheus would write to it, and what it answers is told from what it means."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils import remote_credentials
from ansible_collections.emr.monitoring.plugins.module_utils.remote_credentials import NoKeysError, find_keys
from ansible_collections.emr.monitoring.plugins.module_utils.remote_probe import (
    ACCEPTED,
    AWAY,
    NOT_ASKED,
    REFUSED,
    Endpoint,
    Verdict,
)
from ansible_collections.emr.monitoring.plugins.module_utils.remote_sigv4 import Keys, Scope, cleaned, signed

from tests.certificates import sign
from tests.unit import endpoints
from tests.unit.endpoints import listening


@pytest.fixture
def server() -> Iterator[endpoints.Endpoint]:
    with listening(endpoints.Endpoint()) as found:
        yield found


def ask(folder: Path, environment: dict[str, str] | None = None, /, **entry: Any) -> Verdict:
    """Return what an endpoint answers; the files that the entry names lie in a folder."""
    return Endpoint({"name": "a", **entry}, environment or {}, lambda file: str(folder / file)).ask()


def test_a_request_holds_nothing_and_is_what_prometheus_sends(tmp_path: Path, server: endpoints.Endpoint) -> None:
    assert ask(tmp_path, url=f"http://{server.address}/api/v1/write?x=1") == Verdict(ACCEPTED)
    ((method, path, headers, body),) = server.asked
    assert (method, path, body) == ("POST", "/api/v1/write?x=1", b"\0")
    assert headers["content-encoding"] == "snappy"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["x-prometheus-remote-write-version"] == "0.1.0"


def test_the_second_protocol_is_asked_for_as_such(tmp_path: Path, server: endpoints.Endpoint) -> None:
    ask(tmp_path, url=f"http://{server.address}/", protobuf_message="io.prometheus.write.v2.Request")
    headers = server.asked[0][2]
    assert headers["content-type"] == "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    assert headers["x-prometheus-remote-write-version"] == "2.0.0"


@pytest.mark.parametrize(
    ("status", "word", "said"),
    [
        (200, ACCEPTED, ""),
        (204, ACCEPTED, ""),
        (429, ACCEPTED, ""),
        (401, REFUSED, "answers HTTP 401 (the words of the endpoint): is its login right, and may it write?"),
        (403, REFUSED, "is its login right"),
        (404, REFUSED, "is the path in its url right?"),
        (405, REFUSED, "is the path in its url right?"),
        (407, REFUSED, "is the login in proxy_url right?"),
        (302, REFUSED, "answers HTTP 302 and leads to https://login.example.com/?…: is that its address"),
        (308, REFUSED, "answers HTTP 308 and leads to"),
        (400, NOT_ASKED, "answers HTTP 400 (the words of the endpoint) to a request that holds nothing"),
        (415, NOT_ASKED, "answers HTTP 415"),
        (500, AWAY, "answers HTTP 500 (the words"),
        (503, AWAY, "answers HTTP 503"),
    ],
)
def test_what_an_answer_means(tmp_path: Path, server: endpoints.Endpoint, status: int, word: str, said: str) -> None:
    server.answer = (status, "the words\n of the endpoint", {"Location": "https://me:pw@login.example.com/?token=x"})
    found = ask(tmp_path, url=f"http://{server.address}/w")
    assert found.word == word
    assert said in found.said
    # It was not followed.
    assert len(server.asked) == 1


def test_a_page_is_not_told_whole(tmp_path: Path, server: endpoints.Endpoint) -> None:
    server.answer = (401, "<html>" + "x" * 9000, {})
    found = ask(tmp_path, url=f"http://{server.address}/w")
    assert "x" * 150 in found.said
    assert len(found.said) < 300


def test_a_name_that_stands_in_the_subject_alone_is_none(tmp_path: Path) -> None:
    pair = sign(common_name="localhost", usages=())
    (tmp_path / "pair.pem").write_text(pair.certificate + pair.key)
    (tmp_path / "ca").write_text(pair.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    with listening(endpoints.Endpoint(), context) as server:
        port = server.address.rpartition(":")[2]
        found = ask(tmp_path, url=f"https://localhost:{port}/w", tls_config={"ca_file": "ca"})
    assert (found.word, "certificate" in found.said) == (AWAY, True)


def test_nobody_there_and_a_name_that_is_none_are_told_with_the_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = ask(tmp_path, url=f"http://127.0.0.1:{port}/w")
    assert found.word == AWAY
    assert "Connection refused" in found.said
    assert ask(tmp_path, url="http://no-such-host.invalid/w").word == AWAY


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"basic_auth": {"username": "me", "password_file": "secret"}}, {"authorization": basic("me:S3")}),
        ({"basic_auth": {"username_file": "name", "password_file": "secret"}}, {"authorization": basic("myself:S3")}),
        ({"authorization": {"credentials_file": "secret"}}, {"authorization": "Bearer S3"}),
        ({"authorization": {"type": "Token", "credentials_file": "secret"}}, {"authorization": "Token S3"}),
        # Prometheus sends these as they are, too.
        ({"authorization": {"type": "Bearer"}}, {"authorization": "Bearer "}),
        ({"authorization": {"type": ""}}, {"authorization": "Bearer "}),
        ({"authorization": {}}, {"authorization": "Bearer "}),
        ({"basic_auth": {}}, {"authorization": basic(":")}),
        ({"bearer_token_file": "secret"}, {"authorization": "Bearer S3"}),
        ({"http_headers": {"X-A": {"values": ["v"], "files": ["secret"]}}}, {"x-a": "v, S3"}),
    ],
)
def test_the_login_is_read_from_the_files(
    tmp_path: Path, server: endpoints.Endpoint, entry: dict[str, Any], expected: dict[str, str]
) -> None:
    (tmp_path / "secret").write_text("S3\n")
    (tmp_path / "name").write_text("myself\n")
    assert ask(tmp_path, url=f"http://{server.address}/w", **entry).word == ACCEPTED
    assert expected.items() <= server.asked[0][2].items()


def test_a_token_is_asked_for_by_either_way_to_send_a_secret(tmp_path: Path, server: endpoints.Endpoint) -> None:
    (tmp_path / "secret").write_text("S3 3")
    server.others["/token"] = (200, json.dumps({"access_token": "T0KEN"}))
    oauth2 = {
        "client_id": "c", "client_secret_file": "secret", "token_url": f"http://{server.address}/token",
        "scopes": ["a", "b"], "endpoint_params": {"resource": "r"},
    }  # fmt: skip
    assert ask(tmp_path, url=f"http://{server.address}/w", oauth2=oauth2).word == ACCEPTED
    token, write = server.asked
    assert token[2]["authorization"] == basic("c:S3+3")
    sent = {"grant_type": ["client_credentials"], "scope": ["a b"], "resource": ["r"]}
    assert parse_qs(token[3].decode()) == sent
    assert write[2]["authorization"] == "Bearer T0KEN"
    server.others["/token"] = (401, "{}")
    server.asked.clear()
    found = ask(tmp_path, url=f"http://{server.address}/w", oauth2=oauth2)
    assert (found.word, "token_url answers HTTP 401" in found.said) == (REFUSED, True)
    assert parse_qs(server.asked[1][3].decode()) == {**sent, "client_id": ["c"], "client_secret": ["S3 3"]}
    server.others["/token"] = (503, "")
    assert ask(tmp_path, url=f"http://{server.address}/w", oauth2=oauth2).word == AWAY


@pytest.mark.parametrize("answer", ["{}", "[]", "null", '{"access_token": null}', "<html>a login</html>", ""])
def test_an_answer_without_a_token_is_told(tmp_path: Path, server: endpoints.Endpoint, answer: str) -> None:
    (tmp_path / "secret").write_text("S3")
    server.others["/token"] = (200, answer)
    oauth2 = {"client_id": "c", "client_secret_file": "secret", "token_url": f"http://{server.address}/token"}
    found = ask(tmp_path, url=f"http://{server.address}/w", oauth2=oauth2)
    assert (found.word, "answers HTTP 200 and no access_token" in found.said) == (REFUSED, True)
    assert len(server.asked) == 1


def test_a_token_is_asked_for_by_the_way_of_oauth2_alone(tmp_path: Path, server: endpoints.Endpoint) -> None:
    (tmp_path / "secret").write_text("S3")
    server.others["http://tokens.example.invalid/token"] = (200, "access_token=FORM&token_type=bearer")
    oauth2 = {
        "client_id": "c", "client_secret_file": "secret", "token_url": "http://tokens.example.invalid/token",
        "proxy_url": f"http://{server.address}",
    }  # fmt: skip
    assert ask(tmp_path, url=f"http://{server.address}/w", oauth2=oauth2).word == ACCEPTED
    token, write = server.asked
    assert token[1] == "http://tokens.example.invalid/token"
    assert (write[1], write[2]["authorization"]) == ("/w", "Bearer FORM")


@pytest.mark.parametrize(
    "entry",
    [
        {"azuread": {"cloud": "AzurePublic"}},
        {"google_iam": {}},
        {"proxy_connect_header": {"X": ["v"]}},
        {"sigv4": {"region": "r", "role_arn": "arn:x"}},
        {"oauth2": {"client_certificate_key_file": "x", "token_url": "http://localhost/"}},
    ],
)
def test_what_prometheus_alone_can_ask_is_told(
    tmp_path: Path, server: endpoints.Endpoint, entry: dict[str, Any]
) -> None:
    environment = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"}
    found = ask(tmp_path, environment, url=f"http://{server.address}/w", **entry)
    assert (found.word, found.said[:34]) == (NOT_ASKED, "is not asked before: Prometheus al")
    assert server.asked == []


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[endpoints.Endpoint]:
    pair = sign("metrics.example.com")
    (tmp_path / "pair.pem").write_text(pair.certificate + pair.key)
    (tmp_path / "ca").write_text(pair.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    with listening(endpoints.Endpoint(), context) as found:
        yield found


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"ca_file": "ca", "server_name": "metrics.example.com"}, ACCEPTED),
        ({"insecure_skip_verify": True}, ACCEPTED),
        ({"ca_file": "ca"}, AWAY),
        ({"ca_file": "ca", "server_name": "other.example.com"}, AWAY),
        ({"ca_file": "nowhere"}, AWAY),
        ({}, AWAY),
    ],
)
def test_a_certificate_is_verified_as_prometheus_does(
    tmp_path: Path, encrypted: endpoints.Endpoint, config: dict[str, Any], word: str
) -> None:
    found = ask(tmp_path, url=f"https://{encrypted.address}/w", tls_config=config)
    assert (found.word, "give its authority in tls_config.ca" in found.said) == (
        word,
        word == AWAY and config.get("ca_file") != "nowhere",
    )


@pytest.mark.parametrize(
    ("entry", "environment", "by_proxy"),
    [
        ({}, {"HTTP_PROXY": "PROXY"}, False),
        ({"proxy_url": "PROXY"}, {}, True),
        ({"proxy_url": "PROXY", "no_proxy": "other, example.invalid"}, {}, False),
        ({"proxy_from_environment": True}, {"http_proxy": "PROXY"}, True),
        ({"proxy_from_environment": True}, {"HTTP_PROXY": "PROXY", "NO_PROXY": "a.example.invalid"}, False),
        ({"proxy_from_environment": True}, {"HTTPS_PROXY": "PROXY"}, False),
    ],
)
def test_a_proxy_is_asked_where_the_entry_says_so(
    tmp_path: Path, server: endpoints.Endpoint, entry: dict[str, Any], environment: dict[str, str], by_proxy: bool
) -> None:
    entry, environment = (
        {name: f"http://me:S3@{server.address}" if value == "PROXY" else value for name, value in given.items()}
        for given in (entry, environment)
    )
    # Nobody but the proxy knows that host.
    found = ask(tmp_path, environment, url="http://a.example.invalid/w", **entry)
    assert found.word == (ACCEPTED if by_proxy else AWAY)
    assert [asked[2]["proxy-authorization"] for asked in server.asked] == [basic("me:S3")] * by_proxy


def test_what_is_set_for_ansible_is_not_what_prometheus_has(
    tmp_path: Path, server: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    found = ask(tmp_path, url="http://a.example.invalid/w", proxy_url=f"http://{server.address}")
    assert found.word == ACCEPTED


def test_only_a_plain_proxy_is_gone_by(tmp_path: Path, server: endpoints.Endpoint) -> None:
    found = ask(tmp_path, url="http://a.example.invalid/w", proxy_url=f"socks5://{server.address}")
    assert (found.word, "goes by a proxy of the scheme socks5" in found.said) == (NOT_ASKED, True)
    assert server.asked == []


KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SCOPE = Scope("eu-central-1", "aps", datetime(2026, 11, 26, 12, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize("token", ["", "a/token=="])
@pytest.mark.parametrize(
    "url",
    [
        "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
        "https://host:8443/a%20b/c//d/?z=1&a=x%20y&a=b&empty=",
        "https://host",
    ],
)
def test_a_signature_is_that_of_aws_own_library(url: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = pytest.importorskip("botocore.auth", reason="botocore is with the tests of the inventory of EC2: make aws")
    requests, credentials = pytest.importorskip("botocore.awsrequest"), pytest.importorskip("botocore.credentials")
    now = SCOPE.at.replace(tzinfo=None)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: now)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    request = requests.AWSRequest("POST", cleaned(url), dict(headers), b"\0")
    auth.SigV4Auth(credentials.Credentials(KEYS.access, KEYS.secret, token or None), "aps", "eu-central-1").add_auth(
        request
    )
    ours = signed(cleaned(url), headers, b"\0", Keys(KEYS.access, KEYS.secret, token), SCOPE)
    assert ours["Authorization"] == request.headers["Authorization"]


def test_a_signature_is_the_known_one() -> None:
    """So that the test above is not the only one where botocore is not at hand."""
    ours = signed("https://example.amazonaws.com/", {}, b"", KEYS, Scope("us-east-1", "service", datetime(
        2015, 8, 30, 12, 36, 0, tzinfo=UTC)))  # fmt: skip
    # "post-vanilla" of the test suite that AWS publishes for Signature Version 4.
    assert ours["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    )


def test_a_signed_request_arrives_with_its_signature(tmp_path: Path, server: endpoints.Endpoint) -> None:
    environment = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SESSION_TOKEN": "T"}
    more = {"X-More": {"values": ["v"]}}
    found = ask(
        tmp_path, environment, url=f"http://{server.address}/w/", sigv4={"region": "eu-central-1"}, http_headers=more
    )
    assert found.word == ACCEPTED
    _, path, headers, _ = server.asked[0]
    assert path == "/w"
    assert headers["x-amz-security-token"] == "T"
    assert "Credential=AKIA/" in headers["authorization"]
    # Neither is what the configuration adds: Prometheus signs before it does.
    assert "x-more" not in headers["authorization"]
    assert headers["x-more"] == "v"
    assert "/eu-central-1/aps/aws4_request" in headers["authorization"]
    server.answer = (403, "", {})
    found = ask(tmp_path, environment, url=f"http://{server.address}/w", sigv4={"region": "eu-central-1"})
    assert "aps:RemoteWrite" in found.said


FILE = "[default]\naws_access_key_id = D\naws_secret_access_key = S%D\n[p]\naws_access_key_id = P\n" + (
    "aws_secret_access_key = SP\naws_session_token = TP\n[sso]\nsso_session = x\n"
)


def read(path: str) -> str:
    if path != "/file":
        raise FileNotFoundError(path)
    return FILE


@pytest.mark.parametrize(
    ("sigv4", "environment", "keys"),
    [
        ({}, {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"}, Keys("A", "S")),
        ({"profile": "p"}, {"AWS_SHARED_CREDENTIALS_FILE": "/file"}, Keys("P", "SP", "TP")),
        # The profile that an entry names comes first.
        (
            {"profile": "p"},
            {"AWS_SHARED_CREDENTIALS_FILE": "/file", "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"},
            Keys("P", "SP", "TP"),
        ),
        ({}, {"AWS_SHARED_CREDENTIALS_FILE": "/file"}, Keys("D", "S%D")),
        ({"profile": "sso"}, {"AWS_SHARED_CREDENTIALS_FILE": "/file"}, None),
        ({}, {"AWS_WEB_IDENTITY_TOKEN_FILE": "/x"}, None),
    ],
)
def test_keys_are_found_where_the_sdk_finds_them(
    sigv4: dict[str, str], environment: dict[str, str], keys: Keys | None
) -> None:
    assert find_keys(sigv4, environment, read) == keys


@pytest.mark.parametrize(
    ("sigv4", "environment", "said"),
    [
        ({"profile": "p"}, {}, "no file that AWS_SHARED_CREDENTIALS_FILE names holds no profile p"),
        ({"profile": "q"}, {"AWS_SHARED_CREDENTIALS_FILE": "/file"}, "/file holds no profile q"),
        ({}, {"AWS_EC2_METADATA_DISABLED": "true"}, "disables the metadata service"),
        ({}, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"}, "names no role of this node"),
    ],
)
def test_without_keys_prometheus_would_not_start(sigv4: dict[str, str], environment: dict[str, str], said: str) -> None:
    with pytest.raises(NoKeysError, match=said):
        find_keys(sigv4, environment, read)


def test_an_endpoint_without_keys_is_refused(tmp_path: Path, server: endpoints.Endpoint) -> None:
    environment = {"AWS_EC2_METADATA_DISABLED": "true"}
    found = ask(tmp_path, environment, url=f"http://{server.address}/w", sigv4={"region": "r"})
    assert found.word == REFUSED
    assert "there are no credentials, so Prometheus does not start" in found.said
    assert server.asked == []


def test_the_role_of_the_node_is_asked_for_as_its_metadata_service_wants_it(server: endpoints.Endpoint) -> None:
    base = remote_credentials.ROLE
    server.others = {
        "/latest/api/token": (200, "TOKEN"),
        base: (200, "emr-role"),
        f"{base}emr-role": (200, json.dumps({"AccessKeyId": "ASIA", "SecretAccessKey": "S", "Token": "T"})),
    }
    environment = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{server.address}/"}
    assert find_keys({}, environment, read) == Keys("ASIA", "S", "T")
    assert [asked[0] for asked in server.asked] == ["PUT", "GET", "GET"]
    assert {asked[2].get("x-aws-ec2-metadata-token") for asked in server.asked[1:]} == {"TOKEN"}
    server.others[base] = (404, "")
    with pytest.raises(NoKeysError, match="names no role of this node"):
        find_keys({}, environment, read)
