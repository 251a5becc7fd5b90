"""What a user writes for the backups is what happens, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.emr.monitoring.plugins.filter.backup_input import backup_input

PROJECT = Path(__file__).resolve().parents[2]
WRITTEN: dict[str, Any] = {
    "repository": "/srv/backup", "keep": {}, "environment": {}, "version": "0.18.1", "architecture": "amd64",
    "checksums": {"0.18.1": {"amd64": "abc"}}, "schedule": "*-*-* 03:00", "proxy": "", "password": "",
    "folders": {"prometheus_data_dir": "/mnt/prometheus/data", "grafana_data_dir": "/mnt/grafana/data"},
}  # fmt: skip


HOLDS, OWN = "backup_environment holds", ", which is the role's own: "


def given(**written: Any) -> dict[str, Any]:
    return backup_input({**WRITTEN, **written})


def test_what_is_not_said_is_kept_as_by_default() -> None:
    assert given(keep={"daily": 30}) == {
        "keep": {"daily": 30, "weekly": 4, "monthly": 6}, "environment": {}, "sha256": "abc", "problems": [],
    }  # fmt: skip


def test_a_number_of_the_environment_is_its_digits() -> None:
    assert given(environment={"AWS_REGION": "eu-west-1", "KEY": 123})["environment"] == {
        "AWS_REGION": "eu-west-1", "KEY": "123",
    }  # fmt: skip


@pytest.mark.parametrize(
    "repository",
    ["/mnt/prometheus/data2", "/srv/backup", "s3:https://host/mnt", "sftp:me@host:backups", "rest:http://x/"],
)
def test_where_restic_can_write_beside_the_data_is_taken(repository: str) -> None:
    assert given(repository=repository)["problems"] == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("repository", "", "backup_repository is empty"),
        ("repository", "/srv/backup ", "backup_repository begins or ends"),
        ("environment", {"RESTIC_PASSWORD": "needle"}, f"{HOLDS} RESTIC_PASSWORD{OWN}use backup_password."),
        ("environment", {"RESTIC_REPOSITORY_FILE": "/x"}, f"{HOLDS} RESTIC_REPOSITORY_FILE{OWN}use backup_repository."),
        ("environment", {"RESTIC_HOST": "x"}, f"{HOLDS} RESTIC_HOST{OWN}use backup_host."),
        ("repository", None, "backup_repository is empty"),
        ("repository", "backups", "backup_repository is neither an absolute path nor"),
        (
            "repository",
            "https//user:secret@host",
            "backup_repository is neither an absolute path nor an address such as s3",
        ),
        (
            "repository",
            "/mnt/prometheus/data/backup",
            "backup_repository is /mnt/prometheus/data/backup, and prometheus_data_dir",
        ),
        ("repository", "/mnt/prometheus", "backup_repository is /mnt/prometheus, and prometheus_data_dir"),
        (
            "repository",
            "local:/mnt//grafana/data/",
            "backup_repository is local:/mnt//grafana/data/, and grafana_data_dir",
        ),
        ("proxy", "http://user:phrase@proxy:3128", "monitoring_download_proxy has a login"),
        ("schedule", "03:00\nExecStart=/bin/x", "backup_schedule is a text of several lines"),
        ("keep", {"daily": 0, "weekly": 0, "monthly": 0}, "backup_keep keeps nothing"),
        ("keep", {"daily": "many"}, "backup_keep.daily is 'many': write a whole number"),
        ("keep", 7, "backup_keep is 7: write a mapping"),
        ("environment", {"KEY": False}, "backup_environment.KEY is False: YAML has read it"),
        ("password", "needle ", "backup_password begins or ends with a space"),
        ("environment", {"KEY=x": "y"}, "backup_environment holds 'KEY=x', which is no name of a variable"),
        ("environment", ["KEY=x"], "backup_environment is a list: write a mapping"),
        ("version", "0.1.0", "backup_restic_checksums has no 0.1.0 for amd64"),
        ("architecture", "arm64", "backup_restic_checksums has no 0.18.1 for arm64"),
        ("checksums", {"0.18.1": "abc"}, "backup_restic_checksums has no 0.18.1 for amd64"),
    ],
)
def test_what_is_of_no_use_is_refused_by_name(variable: str, value: Any, said: str) -> None:
    (problem,) = given(**{variable: value})["problems"]
    assert problem.startswith(said)


def test_none_of_the_folders_that_are_emptied_or_removed_may_hold_the_repository() -> None:
    role = yaml.safe_load((PROJECT / "roles/backup/vars/main.yml").read_text())
    folders = {name: str(value).strip("{} ") for name, value in role["__backup_written"]["folders"].items()}
    assert set(folders.values()) >= {"__backup_staging", "__backup_config_dir", "__backup_record", "__backup_programs"}
    assert given(folders={"the folder for what is being saved": "staging/emr-monitoring-backup"})["problems"] == []
    staging = {"the folder for what is being saved": "/mnt/prometheus/emr-monitoring-backup"}
    for repository in ("/mnt/prometheus/emr-monitoring-backup", "/mnt/prometheus/emr-monitoring-backup/all"):
        (problem,) = given(repository=repository, folders=staging)["problems"]
        assert "the folder for what is being saved is /mnt/prometheus/emr-monitoring-backup" in problem
