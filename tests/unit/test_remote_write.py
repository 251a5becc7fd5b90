"""Where metrics are sent to: refused where that loses samples or shows a login, and each secret in a file."""

from __future__ import annotations

import configparser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.emr.monitoring.plugins.filter.service_settings import service_problems

from tests.unit.test_prometheus_configuration import SETTINGS, made

VARS = Path(__file__).parents[2] / "roles/prometheus/vars/main.yml"
DEFAULTS = yaml.safe_load(VARS.read_text())["__prometheus_remote_write_defaults"]
REMOTE = {**SETTINGS["remote_write"], "defaults": DEFAULTS}
URL = "https://metrics.example.com/api/v1/write"
LABELS = {"cluster": "j-1"}


def sent(*entries: Any, labels: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """Return what is made of entries of remote_write."""
    written = {"remote_write": list(entries), "external_labels": LABELS if labels is None else labels}
    return made(written, **{"remote_write": REMOTE, **settings})


def rendered(found: dict[str, Any]) -> list[dict[str, Any]]:
    assert found["problems"] == []
    return list(yaml.safe_load(found["files"]["prometheus.yml"]["content"]).get("remote_write", []))


def test_nothing_is_sent_unless_it_is_said() -> None:
    found = made()
    assert rendered(found) == []
    assert (found["remote_write"], found["remote_files"]) == ([], {})


def test_an_entry_gets_what_loses_nothing_and_keeps_what_it_says_itself() -> None:
    plain, own = rendered(
        sent(
            {"url": URL, "name": "plain"},
            {"name": "own", "url": URL, "follow_redirects": True, "queue_config": {"max_shards": 50, "capacity": 5}},
        )
    )
    # By its name an entry is told from others before it goes live.
    assert list(plain) == ["name", "url", "follow_redirects", "queue_config"]
    assert plain["follow_redirects"] is False
    assert plain["queue_config"] == {
        "max_samples_per_send": 1000,
        "min_shards": 4,
        "max_shards": 4,
        "retry_on_http_429": True,
    }
    assert own["follow_redirects"] is True
    # Their number stays: what the old ones have not sent is lost when it changes.
    assert own["queue_config"] == {**plain["queue_config"], "min_shards": 50, "max_shards": 50, "capacity": 5}


PEM = "-----BEGIN X-----\nMIIB\n-----END X-----\n"
CERT = {"cert": PEM, "key": PEM}
# Each place in the syntax of Prometheus 3.13 that holds a secret for which it can read a file, the part of a request
# that tells of it, and what belongs together with it.
SECRETS: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, Any]]] = {
    "a password": (
        {"basic_auth": {"username": "me", "password": "S3"}},
        {"basic_auth.password": "S3"},
        {"basic_auth": {"username": "me", "password_file": "remote-write/a/basic_auth.password"}},
    ),
    "a login in the url": (
        {"url": "https://me:S%2F3@metrics.example.com:8443/w?x=1"},
        {"basic_auth.password": "S/3"},
        {
            "url": "https://metrics.example.com:8443/w?x=1",
            "basic_auth": {"username": "me", "password_file": "remote-write/a/basic_auth.password"},
        },
    ),
    "a token": (
        {"authorization": {"type": "Token", "credentials": "S3"}},
        {"authorization.credentials": "S3"},
        {"authorization": {"type": "Token", "credentials_file": "remote-write/a/authorization.credentials"}},
    ),
    "a bearer token": (
        {"bearer_token": "S3"},
        {"bearer_token": "S3"},
        {"bearer_token_file": "remote-write/a/bearer_token"},
    ),
    "oauth2": (
        {"oauth2": {"client_id": "c", "client_secret": "S3", "token_url": "https://t", "tls_config": CERT}},
        {"oauth2.client_secret": "S3", "oauth2.tls_config.cert": PEM, "oauth2.tls_config.key": PEM},
        {
            "oauth2": {
                "client_id": "c",
                "token_url": "https://t",
                "tls_config": {
                    "cert_file": "remote-write/a/oauth2.tls_config.cert",
                    "key_file": "remote-write/a/oauth2.tls_config.key",
                },
                "client_secret_file": "remote-write/a/oauth2.client_secret",
            }
        },
    ),
    "a key that signs for a token": (
        {"oauth2": {"client_id": "c", "token_url": "https://t", "client_certificate_key": PEM}},
        {"oauth2.client_certificate_key": PEM},
        {
            "oauth2": {
                "client_id": "c",
                "token_url": "https://t",
                "client_certificate_key_file": "remote-write/a/oauth2.client_certificate_key",
            }
        },
    ),
    "certificates": (
        {"tls_config": {"ca": PEM, "cert": PEM, "key": PEM, "server_name": "s"}},
        {"tls_config.ca": PEM, "tls_config.cert": PEM, "tls_config.key": PEM},
        {
            "tls_config": {
                "server_name": "s",
                **{f"{part}_file": f"remote-write/a/tls_config.{part}" for part in ("ca", "cert", "key")},
            }
        },
    ),
    "headers": (
        {
            "headers": {"X-Scope-OrgID": "S1"},
            "http_headers": {"X-More": {"values": ["v"], "secrets": ["S2", "S3"], "files": ["files/own"]}},
        },
        {"header.X-Scope-OrgID.1": "S1", "header.X-More.1": "S2", "header.X-More.2": "S3"},
        {
            "http_headers": {
                "X-More": {
                    "values": ["v"],
                    "files": ["files/own", "remote-write/a/header.X-More.1", "remote-write/a/header.X-More.2"],
                },
                "X-Scope-OrgID": {"files": ["remote-write/a/header.X-Scope-OrgID.1"]},
            }
        },
    ),
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_goes_into_a_file_whose_name_does_not_change_with_it(kind: str) -> None:
    entry, files, expected = SECRETS[kind]
    found = sent({"name": "a", "url": URL, **entry})
    (shown,) = rendered(found)
    assert found["remote_files"] == {f"a/{file}": text for file, text in files.items()}
    assert {key: shown.get(key) for key in expected} == expected
    assert "headers" not in shown
    # What goes live is what the endpoint is asked with.
    assert found["remote_write"] == [shown]
    text = found["files"]["prometheus.yml"]["content"]
    assert [secret for secret in files.values() if secret in text] == []


@pytest.mark.parametrize("kind", SECRETS)
def test_prometheus_takes_an_entry_whose_secrets_are_in_files(
    promtool: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    entry = {**SECRETS[kind][0]}
    if kind == "a key that signs for a token":
        entry["oauth2"] = {**entry["oauth2"], "client_id": "c", "token_url": "https://t", "grant_type": (
            "urn:ietf:params:oauth:grant-type:jwt-bearer")}  # fmt: skip
    found = sent({"name": "a", "url": URL, **entry})
    config = yaml.safe_load(found["files"]["prometheus.yml"]["content"])
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump({key: config[key] for key in ("global", "remote_write")}))
    assert "SUCCESS" in promtool("check", "config", file)


def test_keys_of_aws_are_a_profile_of_a_file_that_a_reload_reads() -> None:
    keys = {"region": "eu-central-1", "access_key": "AKIA", "secret_key": "S%3", "role_arn": "arn:x"}
    found = sent({"name": "a", "url": URL, "sigv4": keys}, {"name": "b", "url": f"{URL}/b", "sigv4": {**keys}})
    first, second = rendered(found)
    assert first["sigv4"] == {"region": "eu-central-1", "role_arn": "arn:x", "profile": "a"}
    assert second["sigv4"]["profile"] == "b"
    assert found["remote_files"] == {}
    assert "aws-credentials" in found["secret"]
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(found["files"]["aws-credentials"])
    assert dict(parser["a"]) == {"aws_access_key_id": "AKIA", "aws_secret_access_key": "S%3"}
    assert found["command_line"] == sent()["command_line"]


def test_a_file_for_google_or_azure_is_named_in_full() -> None:
    (google, azure) = rendered(
        sent(
            {"name": "g", "url": URL, "google_iam": {"credentials_file": "files/g.json"}},
            {"name": "z", "url": URL, "azuread": {"certificate": {"certificate_path": "/opt/c.pem"}}},
        )
    )
    assert google["google_iam"] == {"credentials_file": "/etc/prometheus/files/g.json"}
    assert azure["azuread"]["certificate"]["certificate_path"] == "/opt/c.pem"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"url": URL}, "prometheus_remote_write[1] has no name: give it one of its own"),
        ({"name": "../x", "url": URL}, "prometheus_remote_write[1] has the name '../x'"),
        ({"name": "a b", "url": URL}, "has the name 'a b'"),
        (URL, "prometheus_remote_write[1] is a text: write where to send metrics to"),
        ({"name": "a"}, "prometheus_remote_write, a has a url that is no address"),
        ({"name": "a", "url": "ftp://x/"}, "has a url that is no address"),
        ({"name": "a", "url": "https://[::1/"}, "has a url that is no address"),
        ({"name": "a", "url": "http://10.0.0.5/w"}, "the url of 10.0.0.5 over http"),
        ({"name": "a", "url": "http://localhost.example.com/w"}, "over http: everybody on the way"),
        ({"name": "a", "url": URL, "sigv4": {}}, "sigv4 has no region: write the one of the workspace"),
        ({"name": "a", "url": URL, "sigv4": None}, "prometheus_remote_write, a.sigv4 is empty: fill it in"),
        ({"name": "a", "url": URL, "authorization": None}, "prometheus_remote_write, a.authorization is empty"),
        ({"name": "a", "url": URL, "basic_auth": {"password": "needle "}}, "a.basic_auth.password begins or ends with"),
        ({"name": "a", "url": URL, "bearer_token": " needle"}, "a.bearer_token begins or ends with a space"),
        ({"name": "a", "url": URL, "headers": {"X-A": "needle\t"}}, "a.headers.X-A begins or ends with a space"),
        (
            {"name": "a", "url": URL, "http_headers": {"X-A": {"secrets": [" needle"]}}},
            "a.http_headers.X-A begins or ends with a space",
        ),
        ({"name": "a", "url": URL, "basic_auth": "needle"}, "a.basic_auth is a text: write a mapping"),
        ({"name": "a", "url": URL, "tls_config": ["needle"]}, "a.tls_config is a list: write a mapping"),
        (
            {"name": "default", "url": URL, "sigv4": {"region": "r", "secret_key": "needle", "access_key": "y"}},
            "by this name all entries without any would sign with them",
        ),
        ({"name": "a", "url": URL, "oauth2": {}}, "a.oauth2 has no client_id and no token_url"),
        ({"name": "a", "url": URL, "oauth2": {"client_id": "c", "token_url": None}}, "a.oauth2 has no token_url"),
        ({"name": "a", "url": URL, "sigv4": {"region": "r", "secret_key": "x"}}, "has but one of access_key and"),
        (
            {"name": "a", "url": URL, "sigv4": {"region": "r", "secret_key": "x", "access_key": "y", "profile": "p"}},
            "has a profile and keys of its own",
        ),
        (
            {"name": "a", "url": "https://me:needle@x/", "authorization": {"credentials": "x"}},
            "has a login in its url, and authorization: leave one of them out",
        ),
        (
            {"name": "a", "url": URL, "basic_auth": {"password": "x", "password_file": "y"}},
            "has basic_auth.password and basic_auth.password_file",
        ),
        ({"name": "a", "url": URL, "basic_auth": {"password": ["needle"]}}, "a.basic_auth.password is a list: write"),
        ({"name": "a", "url": URL, "tls_config": {"key": {"x": "needle"}}}, "a.tls_config.key is a mapping: write"),
        ({"name": "a", "url": URL, "sigv4": {"region": "r", "secret_key": ["needle"]}}, "secret_key is a list: write"),
        ({"name": "a", "url": URL, "headers": {"X": ["needle"]}}, "headers.X is not as Prometheus has it"),
        ({"name": "a", "url": URL, "http_headers": {"X": {"secrets": [["needle"]]}}}, "X is not as Prometheus has it"),
        ({"name": False, "url": URL}, "prometheus_remote_write[1].name is False: YAML has read it as something else"),
        ({"name": "a", "url": URL, "oauth2": {"token_url": "https://me:needle@x/"}}, "token_url holds a login"),
        (
            {"name": "a", "url": URL, "oauth2": {"token_url": "http://idp.example.com/"}},
            "that of idp.example.com over http",
        ),
        ({"name": "a", "url": URL, "oauth2": {"token_url": "https://[::/"}}, "token_url is no address"),
        ({"name": "a", "url": URL, "queue_config": {"min_shards": 1, "max_shards": 9}}, "Write one of the two"),
        ({"name": "a", "url": URL, "headers": {"X/Y": "v"}}, "'X/Y', which is no name of a header"),
        ({"name": "a", "url": URL, "headers": {"X": {"secrets": ["v"]}}}, "headers.X is not as Prometheus has it"),
        ({"name": "a", "url": URL, "http_headers": {"X": "v"}}, "http_headers.X is not as Prometheus has it"),
        ({"name": "a", "url": URL, "http_headers": {"X": {"secrets": "needle"}}}, "X is not as Prometheus has it"),
        (
            {"name": "a", "url": URL, "headers": {"X-A": "v"}, "http_headers": {"x-a": {"values": ["v"]}}},
            "the header x-a several times",
        ),
    ],
)
def test_what_would_lose_samples_or_show_a_login_is_refused(entry: Any, sentence: str) -> None:
    problems = sent(entry)["problems"]
    assert [problem for problem in problems if sentence in problem], problems
    assert "needle" not in " ".join(problems)


@pytest.mark.parametrize("host", ["localhost:9009", "127.0.0.1:9009", "[::1]:9009"])
def test_http_may_lead_to_the_node_itself(host: str) -> None:
    assert sent({"name": "a", "url": f"http://{host}/w"})["problems"] == []


def test_http_may_be_allowed() -> None:
    allowed = {**REMOTE, "allow_http": True}
    assert sent({"name": "a", "url": "http://10.0.0.5/w"}, remote_write=allowed)["problems"] == []


def test_a_name_twice_is_refused() -> None:
    (problem,) = sent({"name": "a", "url": URL}, {"name": "a", "url": f"{URL}/2"})["problems"]
    assert "several named a: rename or merge them" in problem


def test_without_the_label_cluster_nothing_is_sent() -> None:
    (problem,) = sent({"name": "a", "url": URL}, labels={"node": "n"})["problems"]
    assert "prometheus_external_labels has no cluster" in problem
    assert made({"external_labels": {}})["problems"] == []


@pytest.mark.parametrize("target", ["localhost:9090", "127.0.0.1:8000", "[::1]:8000", "localhost"])
def test_a_replica_must_not_scrape_what_it_alone_can(target: str) -> None:
    labels = {**LABELS, "__replica__": "n"}
    jobs = [{"job_name": "own", "static_configs": [{"targets": ["other:1", target]}]}]
    written = {"remote_write": [{"name": "a", "url": URL}], "external_labels": labels, "scrape_configs": jobs}
    (problem,) = made(written, remote_write=REMOTE, addresses=[], target="localhost:9090")["problems"]
    assert "holds __replica__, and the job 'own' scrapes this node alone" in problem
    jobs[0]["static_configs"] = [{"targets": ["other:1"]}]
    assert made(written, remote_write=REMOTE, addresses=[])["problems"] == []


def test_keys_of_aws_and_a_file_of_the_users_own_contradict() -> None:
    unit = {**SETTINGS["unit"], "environment": {"AWS_SHARED_CREDENTIALS_FILE": "/x"}}
    keys = {"region": "r", "access_key": "A", "secret_key": "S"}
    (problem,) = sent({"name": "a", "url": URL, "sigv4": keys}, unit=unit)["problems"]
    assert "prometheus_environment sets AWS_SHARED_CREDENTIALS_FILE" in problem
    assert sent({"name": "a", "url": URL, "sigv4": {"region": "r", "profile": "p"}}, unit=unit)["problems"] == []


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("--agent", "there are no rules"),
        ("--no-agent", "there are no rules"),
        ("--web.enable-admin-api", "can delete them"),
        ("--web.enable-admin-api=true", "can delete them"),
        ("--storage.remote.flush-deadline=1m", "the role sets to 5s"),
    ],
)
def test_a_flag_that_would_lose_metrics_is_refused_with_the_reason(flag: str, why: str) -> None:
    common = {"version": "3", "architecture": "amd64", "checksums": {"3": {"amd64": "x"}}, "memory_max": "1G"}
    (problem,) = service_problems({**common, "flags": [flag]}, "prometheus")
    assert why in problem
    assert problem.endswith(": leave it out.")
