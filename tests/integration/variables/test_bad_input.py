"""Wrong input: the error names variable, value and remedy, and the node stays as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import Playbook, refused

DASHBOARD = {"uid": "mine", "title": "Mine", "panels": []}


def job(name: str, **settings: Any) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": ["localhost:9090"]}], **settings}


# What is wrong in one place is said at once, so each case holds all that goes wrong there.
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "ports that do not exist": (
        {"grafana_port": 70000, "prometheus_port": "web"},
        ["prometheus_port is web, grafana_port is 70000: choose a port from 1 to 65535"],
    ),
    "ports and folders that the node has another use for": (
        {
            "prometheus_port": 22,
            "prometheus_data_dir": "/etc",
            "grafana_data_dir": "/etc/grafana",
        },
        ["22", "sshd", "pid", "set prometheus_port to a free port", "/etc does not belong to prometheus",
         "/etc/grafana lies in /etc, where prometheus can put links"],
    ),
    "variables that several services share, and of a service that does not run": (
        {"monitoring_adress": "x", "verify_target_must_be_up": True, "alertmanager_recievers": [{"name": "me"}]},
        ["monitoring_adress is not a variable of this project: did you mean monitoring_address?",
         "did you mean verify_targets_must_be_up?", "did you mean alertmanager_receivers?"],
    ),
    "what nobody can fetch": (
        {"monitoring_fetch": "nobody"},
        ["monitoring_fetch is 'nobody': write one of node, controller"],
    ),
    "variables of prometheus": (
        {
            "prometheus_prot": 9,
            "prometheus_version": "9.9.9",
            "prometheus_retention_time": "15x",
            "prometheus_retention_size": "much",
            "prometheus_memory_max": "2GB",
            "prometheus_password": "short ",
            "prometheus_username": "the:admin",
            "prometheus_external_url": "monitoring.example.com:9090",
            "prometheus_scrape_configs": [job("x" * 2001), job("twice"), job("twice")],
            "prometheus_alert_thresholds": {"upload_error_ratio": 5},
            "prometheus_flags": ["--a={config}"],
        },
        ["prometheus_prot is not a variable of this project: did you mean prometheus_port?",
         "prometheus_version is 9.9.9, but prometheus_checksums has no", "sha256sums.txt",
         "prometheus_retention_time is '15x'", "prometheus_retention_size is 'much'", "prometheus_memory_max is '2GB'",
         "prometheus_password needs 12 characters", "prometheus_password begins or ends with a space",
         "prometheus_username is 'the:admin'",
         "prometheus_external_url is 'monitoring.example.com:9090'", "https://monitoring.example.com:9090/",
         "job_name in prometheus_scrape_configs has 2001 characters", "several named twice: rename",
         "prometheus_alert_thresholds: upload_error_ratio is 5", "0 to less than 1",
         "prometheus_flags holds --a, which has a { or }"],
    ),
    "variables of grafana": (
        {
            "grafana_dashboard_dirs": [],
            "grafana_version": "9.9.9",
            "grafana_memory_max": "1 gig",
            "grafana_admin_user": "the admin",
            "grafana_admin_password": "a\nb",
            "grafana_external_url": "https://monitoring.example.com/?orgId=1",
            "grafana_tls_key": "a key",
            "grafana_datasources": [{"name": "a", "uid": "p"}],
            "grafana_ini": {"metrics": {"enabled": True}},
        },
        ["did you mean grafana_dashboards_dirs?", "grafana_version is 9.9.9, but grafana_checksums has no",
         "grafana_memory_max is '1 gig': write it like 1G", "grafana_admin_user is 'the admin'",
         "grafana_admin_password has fewer than 12 characters", "grafana_admin_password holds a line break",
         "grafana_external_url is 'https://monitoring.example.com/?orgId=1'", "https://monitoring.example.com:3000/",
         "grafana_tls_key is set and grafana_tls_certificate is not", "grafana_datasources[1], a has no type:",
         "grafana_ini.metrics.enabled is 'true'", "Set grafana_metrics to true"],
    ),
    "metrics of grafana that two variables set": (
        {
            "grafana_metrics": True,
            "grafana_metrics_username": "the metrics",
            "grafana_metrics_password": "short",
            "grafana_ini": {"metrics": {"enabled": False}},
        },
        ["grafana_metrics_password has fewer than 12 characters", "grafana_metrics_username is 'the metrics'",
         "grafana_ini.metrics.enabled would undo what grafana_metrics: true sets. Remove it from grafana_ini"],
    ),
    "no login on the network": (
        {"prometheus_password": "", "prometheus_allow_unauthenticated": "false"},
        ["prometheus_password is empty", "prometheus_listen_address is 0.0.0.0", "prometheus_allow_unauthenticated"],
    ),
    "jobs that are no list": (
        {"prometheus_scrape_configs": "all"},
        ["prometheus_scrape_configs[1] is 'all': write a job"],
    ),
    "folders that a unit does not see, or that are none": (
        {
            "monitoring_volume": "/home/hadoop/m",
            "prometheus_root": "/mnt/a\nUser=root",
            "grafana_data_dir": "/tmp/grafana",  # noqa: S108
            "alertmanager_root": "~/alertmanager",
        },
        ["monitoring_volume is /home/hadoop/m, and a unit does not see /home", "prometheus_root is '/mnt/a User=root'",
         "grafana_data_dir is /tmp/grafana, and a unit has a /tmp of its own", "alertmanager_root is '~/alertmanager'"],
    ),
    "addresses that are none, or that another node has": (
        {"monitoring_listen_address": "10.0.0.5:9090", "grafana_listen_address": "[::1]"},
        ["monitoring_listen_address is '10.0.0.5:9090': write an address", "grafana_listen_address is '[::1]'"],
    ),
    "an address that the node does not have": (
        {"monitoring_listen_address": "192.0.2.7", "prometheus_listen_address": "node.invalid"},
        ["monitoring_listen_address is 192.0.2.7, which this node does not have: write one of",
         "prometheus_listen_address is node.invalid, a name that this node does not know"],
    ),
    "values of the wrong type, or of none": (
        {
            "prometheus_password": False,
            "grafana_admin_password": 1.5,
            "grafana_memory_max": None,
            "grafana_start_timeout": "soon",
            "prometheus_allow_unauthenticated": "maybe",
            "prometheus_flags": [None, {"a": "b"}],
            "grafana_ini": "a text",
        },
        ["prometheus_password is False: YAML has read it as something else than text: put it in quotes",
         "grafana_admin_password is a number: YAML", "grafana_memory_max is empty: write a value, or remove the line",
         "grafana_start_timeout is 'soon': write a whole number", "prometheus_allow_unauthenticated is 'maybe'",
         "prometheus_flags[1] is empty", "prometheus_flags[2] is a mapping",
         "grafana_ini is a text: write a mapping"],
    ),
    "what the role itself writes into Grafana's configuration": (
        {
            "grafana_ini": {
                "server": {"http_port": 3001, "domain": "x", "serve_from_sub_path": True},
                "paths": {"data": "/var/lib/grafana"},
                "auth.basic": {"enabled": False},
                "database": {"path": "/var/lib/grafana.db"},
                "smtp": "a text",
            }
        },
        ["grafana_ini.server.http_port would have no effect or break the service: use grafana_port",
         "grafana_ini.paths.data", "use grafana_data_dir",
         "grafana_ini.server.domain", "grafana_ini.server.serve_from_sub_path", "use monitoring_proxy_keeps_path",
         "grafana_ini.auth.basic.enabled can be true alone", "grafana_ini.database.path is /var/lib/grafana.db",
         "grafana_ini.smtp is a text: write a mapping"],
    ),
    "a flag that the role writes": (
        {"prometheus_flags": ["--web.listen-address=0.0.0.0:1"]},
        ["prometheus_flags holds --web.listen-address, which the role writes: use prometheus_listen_address"],
    ),
    "a flag that Prometheus does not know": ({"prometheus_flags": ["--nonsense"]}, ["unknown long flag '--nonsense'"]),
    "a scrape interval that is no duration": (
        {"prometheus_scrape_configs": [job("slow", scrape_interval="15x")]},
        ["promtool check config", "15x", "nothing was changed"],
    ),
    # Filters say what they cannot write; their unit tests have the rest.
    "a misspelt threshold": (
        {"prometheus_alert_thresholds": {"upload_eror_ratio": 0.1}},
        ["prometheus_alert_thresholds.upload_eror_ratio", "upload_error_ratio"],
    ),
    "a password that bcrypt would cut": ({"prometheus_password": "é" * 37}, ["prometheus_password", "72 bytes"]),
    "a flag of two lines": ({"prometheus_flags": ["--a=b\n[Service]"]}, ["'--a=b\\n[Service]' holds a line break"]),
    "a setting of two lines": ({"grafana_ini": {"a": {"b": "c\n[d]"}}}, ["grafana_ini.a.b holds a line break"]),
    "a dashboard folder that does not exist": (
        {"grafana_dashboards_dirs": ["/nowhere/dashboards"]},
        ["grafana_dashboards_dirs", "/nowhere/dashboards"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("unchanged")
def test_it_is_refused(playbook: Playbook, case: str) -> None:
    extra_vars, words = CASES[case]
    refused(playbook("site.yml", **extra_vars), *words)


@pytest.mark.usefixtures("unchanged")
def test_an_archive_with_another_checksum_is_refused(playbook: Playbook, variables: dict[str, Any]) -> None:
    version = variables["prometheus_version"]
    wrong = {version: dict.fromkeys(variables["prometheus_checksums"][version], "f" * 64)}
    done = playbook("site.yml", prometheus_checksums=wrong)
    refused(done, "prometheus_checksums", "f" * 64, "prometheus_url")


@pytest.mark.usefixtures("unchanged")
def test_an_archive_that_cannot_be_reached_is_refused_without_the_login_of_its_address(
    host: Host, playbook: Playbook, variables: dict[str, Any]
) -> None:
    (architecture,) = variables["prometheus_checksums"][variables["prometheus_version"]]
    checksums = {"9.9.9": {architecture: "f" * 64}}
    url = "http://user:hunter2@archives/9.9.9.tar.gz?signature=hunter2"
    began = host.check_output("date +@%s")
    done = playbook("site.yml", "-vvvv", prometheus_version="9.9.9", prometheus_checksums=checksums, prometheus_url=url)
    refused(done, "http://archives/9.9.9.tar.gz", "404")
    assert "hunter2" not in done.stdout
    assert host.run(f"sudo journalctl --no-pager --since={began} | grep 'hunter[2]'").stdout == ""


@pytest.mark.usefixtures("unchanged")
def test_rules_that_promtool_refuses_keep_the_configuration_out_too(playbook: Playbook, tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("groups: [{name: a, rules: [{record: a, expr: 'sum('}]}]")
    refused(playbook("site.yml", prometheus_rules_dirs=[str(tmp_path)]), "broken.yml", "promtool")


@pytest.mark.usefixtures("unchanged")
def test_a_rule_file_with_the_name_of_one_of_the_role_is_refused(playbook: Playbook, tmp_path: Path) -> None:
    (tmp_path / "ingest-service.yml").write_text("groups: []")
    done = playbook("site.yml", prometheus_rules_dirs=[str(tmp_path)])
    refused(done, str(tmp_path), "roles/prometheus/files/rules/ingest-service.yml", "same name: rename one")


@pytest.mark.usefixtures("unchanged")
def test_broken_dashboards_are_refused(playbook: Playbook, tmp_path: Path) -> None:
    for name, title in (("a.json", "Mine"), ("b.json", "Other")):
        (tmp_path / name).write_text(json.dumps(DASHBOARD | {"title": title}))
    refused(playbook("site.yml", grafana_dashboards_dirs=[str(tmp_path)]), "uid", "mine", "grafana_dashboards_dirs")


def test_the_placeholder_address_is_refused_at_once(playbook: Playbook) -> None:
    refused(playbook("site.yml", ansible_host="primary-node.invalid"), "primary-node.invalid", "placeholder")
