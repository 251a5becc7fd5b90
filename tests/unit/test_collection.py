"""The repository is a collection in place: it works from anywhere, and an archive of it holds what runs alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
PLAYBOOKS = ["site.yml", *(f"playbooks/{path.name}" for path in (PROJECT / "playbooks").glob("*.yml"))]


def ansible(*arguments: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's commands without the variables that would tell it where to look."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    command = [sys.executable, "-m", "ansible", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment | variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_is_read_from_any_folder_and_without_ansible_cfg(tmp_path: Path, playbook: str) -> None:
    listed = ansible("playbook", PROJECT / playbook, "-i", PROJECT / "inventory/emr", "--list-tasks", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert re.search(r"emr\.monitoring\.\w+ : ", listed.stdout)


def test_an_archive_holds_what_runs_alone(tmp_path: Path) -> None:
    # Of what git knows, and of what it does not.
    checkout = tmp_path / "checkout"
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for file in filter(lambda file: (PROJECT / file).exists(), files):
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / file, checkout / file, follow_symlinks=False)
    for stray in ("secrets/emr/prometheus_password", ".venv/bin/python", ".cache/testbed/ssh_key", "archive.tar.gz"):
        (checkout / stray).parent.mkdir(parents=True, exist_ok=True)
        (checkout / stray).write_text("not for others")
    built = ansible("galaxy", "collection", "build", checkout, "--output-path", tmp_path, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    version = yaml.safe_load((PROJECT / "galaxy.yml").read_text())["version"]
    with tarfile.open(tmp_path / f"emr-monitoring-{version}.tar.gz") as archive:
        names = archive.getnames()
    texts = {"CHANGELOG.md", "LICENSE", "README.md", "FILES.json", "MANIFEST.json"}
    assert {name.split("/")[0] for name in names} == texts | {"docs", "meta", "playbooks", "plugins", "roles"}
    assert "playbooks/collections" not in names
    assert [name for name in names if "__pycache__" in name] == []


def test_every_plugin_and_role_is_named_with_its_collection() -> None:
    """Without it Ansible looks for them in places that only an ansible.cfg could name."""
    links = PROJECT / "collections/ansible_collections/emr/monitoring"
    assert {path.name for path in links.iterdir()} == {"plugins", "roles", "playbooks", "meta", "galaxy.yml"}
    assert all(path.resolve() == PROJECT / path.name for path in links.iterdir())
    assert (PROJECT / "playbooks/collections").resolve() == PROJECT / "collections"
    assert "_plugins" not in (PROJECT / "ansible.cfg").read_text()
