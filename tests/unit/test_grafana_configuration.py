"""What is made of all that was written for Grafana: whole, or everything that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.emr.monitoring.plugins.filter.grafana_configuration import (
    grafana_configuration,
    grafana_database,
)

WRITTEN: dict[str, Any] = {
    "ini": {},
    "dashboards_dirs": [],
    "data_dir": "/mnt/grafana/data",
    "external_url": "",
    "metrics": False,
    "datasources": [{"name": "Prometheus", "uid": "prometheus", "type": "prometheus"}],
    "further_datasources": [],
    "own_dashboards": False,
}
SETTINGS: dict[str, Any] = {
    "ini": {"server": {"http_port": 3000}, "security": {"admin_user": "admin"}},
    "providers": {"apiVersion": 1, "providers": []},
    "dashboards": {"others": None, "own": [], "folder": "Pipeline", "time_range": "1h", "refresh": "15s"},
    "files": {},
    "database": {},
    "config_dir": "/etc/grafana",
    "plugins": {"written": [], "folder": "/mnt/grafana/plugins"},
    "unit": {"service": "grafana", "unit": "x.service", "environment": {}, "dropin": {}},
    "certificate": "",
    "key": "",
    "metrics_password": "",
}


def made(written: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    return grafana_configuration({**SETTINGS, "written": {**WRITTEN, **(written or {})}, **settings})


def test_the_configuration_is_whole() -> None:
    found = made()
    assert found["problems"] == []
    assert sorted(found["files"]) == [
        "grafana.ini",
        "provisioning/alerting/alerting.yml",
        "provisioning/dashboards/dashboards.yml",
        "provisioning/plugins/plugins.yml",
    ]
    sources = yaml.safe_load(found["datasources"]["datasources.yml"]["content"])
    assert (sources["prune"], sources["datasources"]) == (True, WRITTEN["datasources"])
    assert (found["source_uids"], found["attempts"]) == (["prometheus"], 5)


def test_a_users_ini_wins_key_by_key_in_the_order_of_the_roles_own() -> None:
    """Another order would be another file, and restart Grafana."""
    ini = {"auth": {"login_cookie_name": "c"}, "security": {"brute_force_login_protection_max_attempts": 3}}
    found = made({"ini": ini})
    lines = [line for line in found["files"]["grafana.ini"]["content"].splitlines() if line.startswith("[")]
    assert lines == ["[server]", "[security]", "[auth]"]
    assert "admin_user = admin" in found["files"]["grafana.ini"]["content"]
    assert found["attempts"] == 3


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    found = made(
        {
            "ini": {"server": {"http_port": 1}},
            "further_datasources": [{"name": "Loki"}],
            "dashboards_dirs": [str(tmp_path)],
        },
        files={"../a": "text"},
    )
    for part in ("grafana_ini.server.http_port", "grafana_further_datasources[1]", "a.json", "grafana_files"):
        assert any(part in problem for problem in found["problems"]), part


def test_the_pair_and_the_password_of_the_metrics_are_files_that_no_diff_shows() -> None:
    found = made(certificate="the certificate", key="the key", metrics_password="a phrase")  # noqa: S106
    assert found["files"]["tls/certificate.pem"] == "the certificate"
    assert {found["files"][name] for name in ("tls/key.pem", "metrics_password")} == {"the key", "a phrase"}
    assert {"tls/key.pem", "metrics_password"} <= set(found["secret"])


def test_the_database_is_a_file_below_the_data_or_none() -> None:
    assert grafana_database({}, "/data", {}) == "/data/grafana.db"
    assert grafana_database({"database": {"path": "other.db"}}, "/data", {}) == "/data/other.db"
    assert grafana_database({"database": {"type": "postgres"}}, "/data", {}) == ""
    assert grafana_database({"database": {"url": "postgres://h/d"}}, "/data", {}) == ""
    # What is wrong is refused by the gate, which comes later.
    assert grafana_database({"database": ["wrong"]}, "/data", {}) == "/data/grafana.db"
    assert grafana_database("wrong", "/data", {}) == "/data/grafana.db"
    assert grafana_database({}, "/data", {"host": "db.example.com"}) == ""


def test_a_file_elsewhere_is_one_that_grafana_sees_and_reads() -> None:
    smtp = {"enabled": True, "cert_file": "/opt/c.pem", "key_file": "/root/k.pem"}
    found = made({"ini": {"smtp": smtp}})
    (problem,) = found["problems"]
    assert problem.startswith("grafana_ini.smtp.key_file is '/root/k.pem', and a unit does not see /root")
    assert ["runuser", "--user=grafana", "--", "test", "-r", "/opt/c.pem"] in [c["command"] for c in found["checks"]]


@pytest.mark.parametrize("enabled", [{}, {"enabled": False}, {"enabled": "false"}])
def test_of_a_part_that_is_off_grafana_reads_no_file(enabled: dict[str, Any]) -> None:
    found = made({"ini": {"smtp": {**enabled, "cert_file": "/root/c.pem", "password": "$__file{/opt/password}"}}})
    assert found["problems"] == []
    users = [check["command"][-1] for check in found["checks"] if check["command"][0] == "runuser"]
    assert users == ["/opt/password"]
