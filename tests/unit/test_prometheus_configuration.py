"""All files of Prometheus' configuration come out of what the role's variables say, or all that is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.emr.monitoring.plugins.filter.prometheus_configuration import prometheus_configuration
from ansible_collections.emr.monitoring.plugins.filter.prometheus_input import retention_problems

DEFAULTS = Path(__file__).parents[2] / "roles/prometheus/defaults/main.yml"
WRITTEN: dict[str, Any] = {
    "scrape_configs": [{"job_name": "prometheus", "static_configs": [{"targets": ["localhost:9090"]}]}],
    "monitoring_scrape_configs": [],
    "global": {},
    "own": [],
    "scrape_limits": {"label_value_length_limit": 20},
    "external_labels": {},
    "alertmanagers": [],
    "config": {},
    "remote_write": [],
    "rules_dirs": [],
}
SETTINGS: dict[str, Any] = {
    "defaults": str(DEFAULTS),
    "rules_dirs": [],
    "thresholds": {},
    "runbook_url": "docs/runbook.md",
    "username": "admin",
    "password": "a password of some length",
    "password_salt": "abcdefghijklmnopqrstuv",
    "certificate": "",
    "key": "",
    "data_dir": "/mnt/data",
    "peers": [],
    "node": "a",
    "files": {},
    "unit": {"service": "prometheus", "unit": "x.service", "environment": {}, "dropin": {}},
    "arguments": [],
    "addresses": ["localhost:9090/*"],
    "port": 9090,
    "path": "",
    "target": "localhost:9090",
    "remote_write": {"defaults": {}, "allow_http": False, "config_dir": "/etc/prometheus"},
}


def made(written: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    return prometheus_configuration({**SETTINGS, "written": {**WRITTEN, **(written or {})}, **settings})


def test_the_configuration_is_whole_and_the_own_job_gets_the_login_in_a_file() -> None:
    found = made()
    (password,) = (name for name in found["files"] if name.startswith("password-"))
    assert found["problems"] == []
    assert set(found["files"]) == {"prometheus.yml", "web.yml", "rules/thresholds.yml", "rules/runbook.yml", password}
    config = yaml.safe_load(found["files"]["prometheus.yml"]["content"])
    assert list(config) == ["global", "rule_files", "scrape_configs"]
    assert config["scrape_configs"][0]["basic_auth"] == {"username": "admin", "password_file": password}
    assert found["files"][password] == SETTINGS["password"]
    assert found["static_targets"] == {"prometheus": [{"address": "localhost:9090", "labels": {}}]}


def test_names_of_files_are_shown_and_a_parameter_of_such_a_name_is_not() -> None:
    secret = {"key_file": ["needle"]}
    job = {
        "job_name": "a",
        "params": secret,
        "tls_config": {"cert_file": "/opt/shown.pem"},
        "oauth2": {"client_secret_file": "/opt/shown", "endpoint_params": {"key_file": "needle"}},
        "static_configs": [{"targets": ["localhost:1"], "labels": {"__param_key_file": "needle"}}],
    }
    entry = {"name": "a", "url": "https://x/w", "oauth2": {
        "client_id": "c", "token_url": "https://t", "endpoint_params": {"key_file": "needle"}}}  # fmt: skip
    made_of = made({"scrape_configs": [job], "remote_write": [entry], "external_labels": {"cluster": "c"}})
    assert made_of["problems"] == []
    shown = made_of["files"]["prometheus.yml"]["shown"]
    assert "needle" not in shown
    assert shown.count("/opt/shown") == 2


def test_without_a_login_nothing_asks_for_one() -> None:
    found = made(password="")
    assert set(found["files"]) == {"prometheus.yml", "web.yml", "rules/thresholds.yml", "rules/runbook.yml"}
    assert "basic_auth" not in found["files"]["prometheus.yml"]["content"] + found["files"]["web.yml"]["content"]


def test_below_a_path_it_scrapes_itself_there_unless_a_job_says_otherwise() -> None:
    own = [
        {"job_name": name, "static_configs": [{"targets": [target]}]}
        for name, target in (("a", "localhost:9090"), ("b", "node:1"))
    ]
    jobs = [*own, {**own[0], "job_name": "c", "metrics_path": "/federate"}]
    config = yaml.safe_load(made({"scrape_configs": jobs}, path="/prometheus")["files"]["prometheus.yml"]["content"])
    assert [job.get("metrics_path") for job in config["scrape_configs"]] == ["/prometheus/metrics", None, "/federate"]


def test_the_thresholds_of_the_user_are_merged_over_those_of_the_role() -> None:
    written = made(thresholds={"request_latency_seconds": 7})["files"]["rules/thresholds.yml"]["content"]
    (rules,) = (group["rules"] for group in yaml.safe_load(written)["groups"])
    values = {rule["record"]: rule["expr"] for rule in rules}
    assert values["threshold:request_latency_seconds"] == "7.0"
    assert values["threshold:upload_error_ratio"] == "0.05"


TWICE = {"scrape_configs": [{"job_name": "a"}, {"job_name": "a"}, {"job_name": "b"}]}
SHARED = {"static_configs": [{"targets": ["localhost:9090", "node:1"]}]}


@pytest.mark.parametrize(
    ("written", "settings", "sentence"),
    [
        pytest.param(TWICE, {}, "several named a: rename or merge", id="a name twice"),
        pytest.param(
            {"scrape_configs": [{"job_name": "n" * 21}]},
            {},
            "job_name in prometheus_scrape_configs has 21 characters",
            id="a name longer than a label",
        ),
        pytest.param(
            {"scrape_configs": [{"job_name": "n" * 9}], "global": {"label_value_length_limit": 8}},
            {},
            "is 8: choose a shorter name",
            id="a limit of the user's own",
        ),
        pytest.param({"scrape_configs": [{"job_name": "m", **SHARED}]}, {}, "Write two jobs", id="a login for others"),
        pytest.param({}, {"thresholds": {"upload_error_ratio": 5}}, "upload_error_ratio is 5", id="a threshold"),
        pytest.param({}, {"rules_dirs": ["/nowhere"]}, "/nowhere is not a folder", id="a folder of rules"),
        pytest.param({}, {"password": "ä" * 37}, "more than 72 bytes", id="a password that is too long"),
        pytest.param({}, {"password_salt": "short"}, "prometheus_password_salt does not begin", id="a salt"),
        pytest.param({"config": {"global": {}}}, {}, "use prometheus_global", id="what the gate refuses"),
    ],
)
def test_a_problem_is_said(written: dict[str, Any], settings: dict[str, Any], sentence: str) -> None:
    (problem,) = made(written, **settings)["problems"]
    assert sentence in problem


def test_all_problems_are_said_at_once() -> None:
    assert len(made(TWICE, thresholds={"upload_error_ratio": 5}, rules_dirs=["/nowhere"])["problems"]) == 3


@pytest.mark.parametrize("option", ["ca_file", "cert_file"])
def test_a_file_that_nobody_brings_is_refused_and_one_elsewhere_is_looked_for(option: str) -> None:
    job = {"job_name": "a", "static_configs": [{"targets": ["b:1"]}], "tls_config": {option: "files/x.pem"}}
    problems = made({"scrape_configs": [job]})["problems"]
    assert (
        f"job a.tls_config.{option} is /etc/prometheus/files/x.pem, and prometheus_files does not bring it"
        in problems[0]
    )
    job["tls_config"] = {option: "/etc/ssl/x.pem"}
    found = made({"scrape_configs": [job]})
    assert found["problems"] == []
    there, readable = found["checks"]
    assert there["command"] == ["test", "-r", "/etc/ssl/x.pem"]
    assert there["about"].startswith(f"job a.tls_config.{option} is '/etc/ssl/x.pem', and the node has no such file")
    assert readable["command"] == ["runuser", "--user=prometheus", "--", *there["command"]]
    assert f"job a.tls_config.{option} is '/etc/ssl/x.pem', which the user prometheus cannot read" in readable["about"]


@pytest.mark.parametrize("path", ["/home/hadoop/*.json", "//home/x/*.json", "/etc/../home/x.yml"])
def test_files_of_targets_that_the_unit_does_not_see_are_refused(path: str) -> None:
    job = {"job_name": "a", "file_sd_configs": [{"files": [path, "/srv/t/*.yml", "/run/spark-targets/*.json"]}]}
    (problem,) = made({"scrape_configs": [job]})["problems"]
    assert problem.startswith(f"job a.file_sd_configs.files is {path!r}, and a unit does not see /home")


@pytest.mark.parametrize("path", ["/home/hadoop/x.pem", "/root/x"])
@pytest.mark.parametrize(
    ("written", "where"),
    [
        (
            {"scrape_configs": [{"job_name": "a", "basic_auth": {"password_file": "PATH"}}]},
            "job a.basic_auth.password_file",
        ),
        (
            {"config": {"remote_read": [{"url": "https://x", "bearer_token_file": "PATH"}]}},
            "remote_read.bearer_token_file",
        ),
        (
            {
                "remote_write": [{"name": "far", "url": "https://x/w", "tls_config": {"ca_file": "PATH"}}],
                "external_labels": {"cluster": "c"},
            },
            "prometheus_remote_write: far.tls_config.ca_file",
        ),
    ],
)
def test_a_file_that_the_unit_does_not_see_is_refused(written: dict[str, Any], where: str, path: str) -> None:
    wanted = json.loads(json.dumps(written).replace("PATH", path))
    (problem,) = made(wanted)["problems"]
    assert problem.startswith(f"{where} is {path!r}, and a unit does not see")
    assert problem.endswith("bring it by prometheus_files, or put it elsewhere.")
    # What may let the unit see and read more, is the user's to know.
    found = made(wanted, unit={**SETTINGS["unit"], "dropin": {"Service": {"ProtectHome": "no"}}})
    assert found["problems"] == []
    assert [check["command"][0] for check in found["checks"]] == ["test"]


@pytest.mark.parametrize("target", ["localhost:8000 ", " localhost:8000", "localhost :8000"])
def test_a_target_with_a_space_is_refused(target: str) -> None:
    job = {"job_name": "a", "static_configs": [{"targets": [target]}]}
    (problem,) = made({"scrape_configs": [job]})["problems"]
    assert problem == f"The job a has the target {target!r}, which holds a space: remove it."


@pytest.mark.parametrize(("time", "size", "right"), [("0d", "0", False), ("0s", 0, False), ("0d", "1GB", True)])
def test_no_limit_at_all_would_be_fifteen_days(time: str, size: Any, right: bool) -> None:
    assert (retention_problems(time, size) == []) == right
