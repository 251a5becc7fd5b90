"""What the playbooks say before they reach a node."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/verify.yml", "playbooks/uninstall.yml"])
@pytest.mark.parametrize("inventory", ["[emr_master]\n", "[other]\nnode.example.com\n"], ids=["empty", "missing"])
def test_an_inventory_without_a_node_is_refused(tmp_path: Path, playbook: str, inventory: str) -> None:
    (tmp_path / "hosts").write_text(inventory)
    command = ["ansible-playbook", playbook, "--inventory", str(tmp_path / "hosts")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "The inventory has no host in the group emr_master." in done.stderr + done.stdout


def test_every_generated_secret_is_compared_with_the_node_and_goes_when_its_service_does() -> None:
    kept = r"generated_secret', monitoring_secrets_dir ~ '/(\w+)'"
    defaults = PROJECT.glob("roles/*/defaults/main.yml")
    generated = {name for path in defaults for name in re.findall(kept, path.read_text("utf-8"))}
    assert generated, "the search itself has to find something"
    secrets = yaml.safe_load((PROJECT / "roles/emr_node/vars/main.yml").read_text("utf-8"))["__emr_node_secrets"]
    # The password of the backups goes with none of them.
    generated.remove("backup_password")
    assert {secret["variable"] for secret in secrets} == generated
    play = yaml.safe_load((PROJECT / "playbooks/uninstall.yml").read_text("utf-8"))[-1]
    roles = [task["ansible.builtin.import_role"] for task in play["tasks"] if "ansible.builtin.import_role" in task]
    removed = {role["name"].rpartition(".")[2] for role in roles if role["tasks_from"] == "uninstall"} - {"backup"}
    assert all(name.startswith(tuple(f"{service}_" for service in removed)) for name in generated)
    assert all(any(name.startswith(f"{service}_") for name in generated) for service in removed)


def test_no_link_in_the_repository_leads_out_of_it() -> None:
    listed = subprocess.run(["git", "ls-files", "--stage"], cwd=PROJECT, capture_output=True, text=True, check=True)
    links = [line.split("\t")[1] for line in listed.stdout.splitlines() if line.startswith("120000")]
    assert links, "the search itself has to find something"
    assert [link for link in links if not (PROJECT / link).resolve().is_relative_to(PROJECT)] == []
