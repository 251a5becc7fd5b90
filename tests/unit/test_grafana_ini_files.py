"""What grafana.ini names comes along, and an LDAP configuration is one."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_ini_files import (
    grafana_files_elsewhere,
    grafana_ini_file_problems,
)

from tests.certificates import sign

PAIR, OTHER = sign("client.example.com"), sign("other.example.com")
GROUP = '[[servers.group_mappings]]\ngroup_dn = "*"\n'
SERVER = '[[servers]]\nhost = "ldap"\nsearch_filter = "(cn=%s)"\nsearch_base_dns = ["dc=a"]\nbind_password = "needle"\n'
LDAP = SERVER + GROUP + 'org_role = "Viewer"\n'
FOLDER = "/etc/grafana"
FILE = f"{FOLDER}/files/ldap.toml"


def problems(ini: dict[str, dict[str, Any]], **files: str) -> list[str]:
    brought = {f"files/{name.replace('_', '.')}": text for name, text in files.items()}
    return grafana_ini_file_problems(ini, brought, ["dashboards/hdfs.json"], FOLDER)


def ldap(text: str, **settings: Any) -> list[str]:
    return problems({"auth.ldap": {"enabled": True, "config_file": FILE, **settings}}, ldap_toml=text)


@pytest.mark.parametrize(
    "text",
    [
        LDAP.replace("host", "Host"),
        f"{LDAP}\nport = ${{PORT}}",
        f'{SERVER}client_key = "${{KEY}}"',
        SERVER,
        SERVER + GROUP + "grafana_admin = true\n",
        f"{LDAP}\n{LDAP}",
    ],
)
def test_an_ldap_configuration_that_grafana_reads_is_taken(text: str) -> None:
    assert ldap(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[servers]\nneedle", "is no TOML"),
        ("", "has no [[servers]]"),
        ('servers = "needle"', "has no [[servers]]"),
        ('[[servers]]\nhost = "needle"\n', "server 1, has no search_filter, search_base_dns"),
        (LDAP + SERVER.replace('host = "ldap"', ""), "server 2, has no host"),
        (f'{SERVER}root_ca_cert = "{FOLDER}/files/ca.pem"\n', "names with root_ca_cert a file that is not there"),
        (SERVER + GROUP, "group_mappings without org_role or grafana_admin"),
    ],
)
def test_one_that_it_would_not_read_is_refused_without_a_value(text: str, said: str) -> None:
    (problem,) = ldap(text)
    assert problem.startswith("grafana_ini.auth.ldap.config_file")
    assert said in problem
    assert "needle" not in problem


@pytest.mark.parametrize("off", [False, "false", None])
def test_what_is_off_needs_no_file(off: Any) -> None:
    assert problems({"auth.ldap": {"enabled": off, "config_file": FILE}}) == []


@pytest.mark.parametrize("ini", [{"enabled": True}, {"enabled": "yes", "config_file": f"{FOLDER}/ldap.toml"}])
def test_grafanas_own_place_for_it_is_none_that_comes_along(ini: dict[str, Any]) -> None:
    (problem,) = problems({"auth.ldap": ini}, ldap_toml=LDAP)
    assert "grafana_ini.auth.ldap.config_file is '/etc/grafana/ldap.toml', which is not there" in problem
    assert "grafana_files" in problem


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("smtp", "cert_file", f"{FOLDER}/files/cert.pem"),
        ("auth.generic_oauth", "client_secret", f"$__file{{{FOLDER}/files/secret}}"),
        ("auth.jwt", "jwk_set_file", f"{FOLDER}/jwks.json"),
        ("enterprise", "license_path", f"{FOLDER}/license.jwt"),
        ("dashboards", "default_home_dashboard_path", f"{FOLDER}/files/home.json"),
    ],
)
def test_a_file_that_nobody_brings_is_refused(section: str, key: str, value: str) -> None:
    (problem,) = problems({section: {key: value}})
    assert problem.startswith(f"grafana_ini.{section}.{key} is ")
    assert "which is not there" in problem


def test_what_is_brought_or_lies_elsewhere_is_taken() -> None:
    taken: dict[str, dict[str, Any]] = {
        "smtp": {"cert_file": f"{FOLDER}/files/cert", "key_file": "/opt/key.pem", "password": "$__file{/opt/x}"},
        "auth.azuread": {"workload_identity_token_file": "$__env{TOKEN}"},
        "quota": {"global_file": 1000},
        "auth": {"signout_redirect_url": "/login"},
        "dashboards": {"default_home_dashboard_path": f"{FOLDER}/dashboards/hdfs.json"},
        "plugin.x": {"upload_file": True},
    }
    assert problems(taken, cert="") == []


def test_a_relative_path_is_not_below_the_configuration() -> None:
    (problem,) = problems({"auth.ldap": {"enabled": True, "config_file": "files/ldap.toml"}}, ldap_toml=LDAP)
    assert "write the whole path, such as /etc/grafana/files/ldap.toml" in problem


@pytest.mark.parametrize(("certificate", "key"), [("cert_file", "key_file"), ("tls_client_cert", "tls_client_key")])
def test_a_key_of_another_certificate_is_refused(certificate: str, key: str) -> None:
    ini = {"smtp": {certificate: f"{FOLDER}/files/c.pem", key: f"{FOLDER}/files/k.pem"}}
    assert problems(ini, c_pem=PAIR.certificate, k_pem=PAIR.key) == []
    (problem,) = problems(ini, c_pem=PAIR.certificate, k_pem=OTHER.key)
    assert f"grafana_ini.smtp.{key}" in problem


def test_a_file_elsewhere_is_looked_for_on_the_node() -> None:
    ini: dict[str, dict[str, Any]] = {
        "auth.ldap": {"enabled": True, "config_file": "/opt/ldap.toml"},
        "auth.generic_oauth": {"client_secret": "$__file{/opt/secret}", "signout_redirect_url": "/login"},
        "smtp": {"password": "$__file{/run/credentials/x}", "cert_file": "/opt/cert.pem"},
    }
    assert problems(ini) == []
    assert sorted(path for _, path in grafana_files_elsewhere(ini, FOLDER)) == [
        "/opt/cert.pem",
        "/opt/ldap.toml",
        "/opt/secret",
    ]
