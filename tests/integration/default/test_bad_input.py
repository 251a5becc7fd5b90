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


CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a misspelt variable of prometheus": ({"prometheus_prot": 9}, ["prometheus_prot", "did you mean prometheus_port?"]),
    "a misspelt variable of grafana": ({"grafana_dashboard_dirs": []}, ["did you mean grafana_dashboards_dirs?"]),
    "a scrape interval that is no duration": (
        {"prometheus_scrape_configs": [job("slow", scrape_interval="15x")]},
        ["promtool check config", "15x", "nothing was changed"],
    ),
    "two jobs with one name": (
        {"prometheus_scrape_configs": [job("twice"), job("twice")]},
        ["prometheus_scrape_configs", "twice", "Rename"],
    ),
    "a version without a checksum": (
        {"prometheus_version": "9.9.9"},
        ["prometheus_version is 9.9.9", "prometheus_checksums", "sha256sums.txt"],
    ),
    "a port that another process holds": ({"prometheus_port": 22}, ["22", "sshd", "pid", "prometheus_port"]),
    "a port that does not exist": ({"grafana_port": 70000}, ["grafana_port is 70000", "1 to 65535"]),
    "a port that is no number": ({"prometheus_port": "web"}, ["prometheus_port is web", "1 to 65535"]),
    "jobs that are no list": ({"prometheus_scrape_configs": "all"}, ["prometheus_scrape_configs", "list"]),
    "a flag that Prometheus does not know": ({"prometheus_flags": ["--nonsense"]}, ["unknown long flag '--nonsense'"]),
    "a limit that systemd cannot read": ({"grafana_memory_max": "1 gig"}, ["grafana_memory_max is '1 gig'", "1G"]),
    "a dashboard folder that does not exist": (
        {"grafana_dashboards_dirs": ["/nowhere/dashboards"]},
        ["grafana_dashboards_dirs", "/nowhere/dashboards"],
    ),
    "a misspelt threshold": (
        {"prometheus_alert_thresholds": {"upload_eror_ratio": 0.1}},
        ["prometheus_alert_thresholds.upload_eror_ratio", "upload_error_ratio"],
    ),
    "a threshold that is no number": (
        {"prometheus_alert_thresholds": {"upload_error_ratio": "high"}},
        ["'upload_error_ratio'", "'prometheus_alert_thresholds'", "float"],
    ),
    "a threshold that nothing can pass": (
        {"prometheus_alert_thresholds": {"upload_error_ratio": 5}},
        ["prometheus_alert_thresholds: upload_error_ratio is 5", "0 to less than 1"],
    ),
    "no login on the network": (
        {"prometheus_password": ""},
        ["prometheus_password is empty", "prometheus_listen_address is 0.0.0.0", "prometheus_allow_unauthenticated"],
    ),
    "an address without a scheme": (
        {"prometheus_external_url": "monitoring.example.com:9090"},
        ["prometheus_external_url is 'monitoring.example.com:9090'", "https://monitoring.example.com:9090/"],
    ),
    "an address with a query": (
        {"grafana_external_url": "https://monitoring.example.com/?orgId=1"},
        ["grafana_external_url is 'https://monitoring.example.com/?orgId=1'", "https://monitoring.example.com:3000/"],
    ),
    "a short password": ({"grafana_admin_password": "admin"}, ["grafana_admin_password", "12 characters"]),
    "a password that bcrypt would cut": ({"prometheus_password": "é" * 37}, ["prometheus_password", "72 bytes"]),
    "a password that ends in a space": ({"prometheus_password": "a good phrase "}, ["prometheus_password begins or"]),
    "a password of two lines": ({"grafana_admin_password": "a good\nphrase"}, ["grafana_admin_password", "line break"]),
    "a flag of two lines": ({"prometheus_flags": ["--a=b\n[Service]"]}, ["'--a=b\\n[Service]' holds a line break"]),
    "a setting of two lines": ({"grafana_ini": {"a": {"b": "c\n[d]"}}}, ["grafana_ini.a.b holds a line break"]),
    "a name of a setting of two lines": ({"grafana_ini": {"a]\n[b": {}}}, ["grafana_ini: 'a]\\n[b' is no name"]),
    "a folder of two lines": ({"grafana_data_dir": "/mnt/a\nUser=root"}, ["grafana_data_dir is", "absolute paths"]),
    "a folder in the data of a service": (
        {"grafana_data_dir": "/mnt/prometheus/data/grafana"},
        ["grafana_data_dir", "lies in /mnt/prometheus/data", "prometheus can put links"],
    ),
    "a folder of the system for data": ({"prometheus_data_dir": "/etc"}, ["/etc does not belong to prometheus"]),
    "a job name that is no label any more": (
        {"prometheus_scrape_configs": [job("x" * 2001)]},
        ["job_name in prometheus_scrape_configs has 2001 characters", "label_value_length_limit"],
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


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.json": "{"}, ["a.json", "JSON"]),
        ({"a.json": '{"name": "no dashboard"}'}, ["a.json", "dashboard"]),
        (
            {"a.json": json.dumps(DASHBOARD), "b.json": json.dumps(DASHBOARD | {"title": "Other"})},
            ["uid", "mine"],
        ),
    ],
    ids=["not JSON", "not a dashboard", "two with one uid"],
)
@pytest.mark.usefixtures("unchanged")
def test_broken_dashboards_are_refused(
    playbook: Playbook, tmp_path: Path, files: dict[str, str], words: list[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    refused(playbook("site.yml", grafana_dashboards_dirs=[str(tmp_path)]), *words, "grafana_dashboards_dirs")


def test_the_placeholder_address_is_refused_at_once(playbook: Playbook) -> None:
    refused(playbook("site.yml", ansible_host="primary-node.invalid"), "primary-node.invalid", "placeholder")
