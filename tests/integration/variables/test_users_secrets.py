"""Secrets that users write into the services' own structures: they arrive, decrypted, and no output shows them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from tests.integration.node import PROJECT, Playbook

# Where a user can put a secret, whether or not its key sounds like one. X is the secret, another one in each place.
STRUCTURES = """
prometheus_scrape_configs:
  - job_name: guarded
    params: {key: [X]}
    authorization: {credentials: X}
    http_headers: {X-Any: {values: [X]}}
    proxy_url: http://me:X@localhost:9
    relabel_configs: [{target_label: __param_any, replacement: X}]
    static_configs: [{targets: ["localhost:8003"], labels: {__param_other: X, service: docproc}}]
  - job_name: login
    basic_auth: {username: X, password: X}
    static_configs: [{targets: ["localhost:8002"]}]
prometheus_config:
  remote_read:
    - url: http://me:X@localhost:9/X?key=X
      headers: {X-Any: X}
      oauth2: {client_id: X, client_secret: X, token_url: "http://localhost:9/X"}
prometheus_remote_write:
  - name: far
    url: http://me:X@localhost:9/X?key=X
    headers: {X-Any: X}
    http_headers: {X-Other: {secrets: [X]}}
    write_relabel_configs: [{target_label: any, replacement: X}]
  - name: with-a-token
    url: http://localhost:9/X
    oauth2: {client_id: X, client_secret: X, token_url: "http://localhost:9/X"}
  - name: signed
    url: http://localhost:9/X
    sigv4: {region: eu-central-1, access_key: X, secret_key: X}
prometheus_remote_write_must_be_accepted: false
grafana_ini:
  smtp: {password: X, user: X}
  auth.generic_oauth: {client_secret: X, token_url: "http://localhost:9/X"}
grafana_datasources:
  - {name: Prometheus, uid: prometheus, type: prometheus, url: "http://localhost:9090/?X", isDefault: true}
  - name: Other
    uid: other
    type: loki
    url: http://me:X@localhost:9/X
    user: X
    basicAuthUser: X
    jsonData: {any: X, httpHeaderName1: X}
    secureJsonData: {httpHeaderValue1: X}
alertmanager_receivers:
  - name: people
    slack_configs: [{channel: X, title: X, api_url_file: /etc/alertmanager/secrets/any}]
    webhook_configs: [{url: "http://localhost:9/X", http_config: {proxy_url: "http://me:X@localhost:9"}}]
alertmanager_config:
  global: {smtp_auth_username: X, smtp_smarthost: "localhost:9"}
alertmanager_secrets: {any: "http://localhost:9/X"}
"""


def with_secrets() -> tuple[str, list[str]]:
    """Return the structures and the secrets in them."""
    first, *parts = STRUCTURES.replace("X-", "H-").split("X")
    secrets = [f"needle{number}q" for number in range(len(parts))]
    return first + "".join(secret + part for secret, part in zip(secrets, parts, strict=True)), secrets


@pytest.fixture
def variables_file(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.yml"
    path.write_text(with_secrets()[0])
    return path


def test_a_dry_run_shows_what_changes_and_no_secret(playbook: Playbook, variables_file: Path) -> None:
    _, secrets = with_secrets()
    done = playbook("site.yml", "--check", "--diff", "-vvv", "-e", f"@{variables_file}")
    assert [secret for secret in secrets if secret in done.stdout] == []
    # Which keys, though, and what is no secret.
    for text in ("job_name: guarded", "replacement: (not shown)  (new)", "client_secret = (not shown)  (new)",
                 "uid: other", "httpHeaderValue1: (not shown)", "localhost:8003", "name: people"):  # fmt: skip
        assert text in done.stdout, text
    assert done.returncode == 0, done.stdout


def test_what_a_checker_says_shows_no_secret(playbook: Playbook) -> None:
    secrets = ["needle-1", "ndl2", "nd3"]
    for secret in secrets:
        # As the first key of an item, and as a later one.
        for remote in ({"headers": secret}, {"url": "http://localhost:9/", "headers": secret}):
            done = playbook("site.yml", "--tags=prometheus", prometheus_config={"remote_read": [remote]})
            assert done.returncode != 0
            assert "cannot unmarshal" in done.stdout
            assert secret not in done.stdout
    address = "http://me:needle/of/a/login@localhost:9/"
    done = playbook("site.yml", "--tags=prometheus", prometheus_config={"remote_read": [{"url": address}]})
    assert done.returncode != 0
    assert "needle" not in done.stdout
    done = playbook(
        "site.yml",
        "--tags=prometheus",
        prometheus_remote_write=[{"name": "far", "url": address}],
        prometheus_remote_write_allow_http=True,
    )
    assert done.returncode != 0
    assert "needle" not in done.stdout


@pytest.fixture
def _as_it_was(playbook: Playbook) -> Iterator[None]:
    yield
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("_as_it_was")
def test_what_prometheus_says_of_its_targets_shows_no_secret(playbook: Playbook) -> None:
    secrets = ["needle-of-a-parameter", "needle-of-a-relabelling", "needle-of-a-label", "needle-of-a-login"]
    parameter, relabelling, label, address = secrets
    job = {
        "job_name": "guarded",
        "params": {"key": [parameter]},
        "relabel_configs": [{"target_label": "__param_any", "replacement": relabelling}],
        "static_configs": [{"targets": ["localhost:8003"], "labels": {"__param_other": label, "service": "docproc"}}],
    }
    login = {"username": address, "password": address}
    config = {"alerting": {"alertmanagers": [{"static_configs": [{"targets": ["localhost:9"]}], "basic_auth": login}]}}
    for _ in range(2):
        done = playbook(
            "site.yml", "--tags=prometheus", "-vvvv", prometheus_scrape_configs=[job], prometheus_config=config
        )
        assert done.returncode == 0, done.stdout
        assert "UP      guarded http://localhost:8003/metrics?…" in done.stdout
        assert [secret for secret in secrets if secret in done.stdout] == []


VAULTED = ["credentials", "username", "password", "header", "url", "basicAuthPassword", "smtp", "label"]


@pytest.fixture
def vault(tmp_path: Path) -> tuple[Path, Path]:
    """Return a file of variables from a vault, all used within structures, and the file of the vault's password."""
    password = tmp_path / "password"
    password.write_text("of the vault")

    def encrypted(name: str) -> str:
        command = ["ansible-vault", "encrypt_string", f"--vault-password-file={password}", f"--name=v_{name}"]
        return subprocess.run(
            [*command, f"decrypted-{name}"], check=True, capture_output=True, text=True, cwd=PROJECT
        ).stdout

    variables = {
        "prometheus_scrape_configs": [
            {
                "job_name": "vaulted",
                "basic_auth": {"username": "{{ v_username }}", "password": "{{ v_password }}"},
                "http_headers": {"H-Any": {"values": ["{{ v_header }}", "Bearer {{ v_header }}"]}},
                "static_configs": [{"targets": ["localhost:8003"], "labels": {"any": "{{ v_label }}"}}],
            }
        ],
        "prometheus_remote_write": [
            {
                "name": "far",
                "url": "http://localhost:9/{{ v_url }}",
                "authorization": {"credentials": "{{ v_credentials }}"},
                # Nobody is there, and what is to be sent would be lost.
                "write_relabel_configs": [{"action": "drop", "source_labels": ["__name__"], "regex": ".*"}],
                "metadata_config": {"send": False},
            }
        ],
        "prometheus_remote_write_must_be_accepted": False,
        "grafana_ini": {"smtp": {"password": "{{ v_smtp }}"}},
        "grafana_datasources": [
            {
                "name": "Prometheus",
                "uid": "prometheus",
                "type": "prometheus",
                "access": "proxy",
                "url": "http://localhost:9090",
                "isDefault": True,
                "basicAuth": True,
                "basicAuthUser": "{{ v_username }}",
                "secureJsonData": {"basicAuthPassword": "{{ v_basicAuthPassword }}"},
            }
        ],
        "verify_targets_must_be_up": False,
    }
    path = tmp_path / "vaulted.yml"
    path.write_text(yaml.safe_dump(variables) + "".join(map(encrypted, VAULTED)))
    return path, password


@pytest.mark.usefixtures("_as_it_was")
def test_what_is_in_a_vault_reaches_every_file_decrypted(
    host: Host, playbook: Playbook, vault: tuple[Path, Path]
) -> None:
    variables, password = vault
    # The data source's password is wrong, which the run says in the end.
    playbook("site.yml", "-e", f"@{variables}", f"--vault-password-file={password}")

    def read(path: str) -> str:
        return str(host.check_output(f"sudo cat {path}"))

    def loaded(path: str) -> Any:
        return yaml.safe_load(read(path))

    config = loaded("/etc/prometheus/prometheus.yml")
    (job,) = config["scrape_configs"]
    assert job["basic_auth"]["username"] == "decrypted-username"
    assert read(f"/etc/prometheus/{job['basic_auth']['password_file']}") == "decrypted-password"
    assert job["http_headers"]["H-Any"]["values"] == ["decrypted-header", "Bearer decrypted-header"]
    assert job["static_configs"][0]["labels"]["any"] == "decrypted-label"
    (remote,) = config["remote_write"]
    assert read(f"/etc/prometheus/{remote['authorization']['credentials_file']}") == "decrypted-credentials"
    assert remote["url"] == "http://localhost:9/decrypted-url"
    (source,) = loaded("/etc/grafana/provisioning/datasources/datasources.yml")["datasources"]
    assert (source["basicAuthUser"], source["secureJsonData"]["basicAuthPassword"]) == (
        "decrypted-username",
        "decrypted-basicAuthPassword",
    )
    assert "password = decrypted-smtp" in read("/etc/grafana/grafana.ini")
    assert "ANSIBLE_VAULT" not in host.check_output("sudo grep -r VAULT /etc/prometheus /etc/grafana || true")
