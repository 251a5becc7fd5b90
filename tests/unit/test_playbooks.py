"""What the playbooks say before they reach a node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/verify.yml", "playbooks/uninstall.yml"])
@pytest.mark.parametrize("inventory", ["[emr_master]\n", "[other]\nnode.example.com\n"], ids=["empty", "missing"])
def test_an_inventory_without_a_node_is_refused(tmp_path: Path, playbook: str, inventory: str) -> None:
    (tmp_path / "hosts").write_text(inventory)
    command = ["ansible-playbook", playbook, "--inventory", str(tmp_path / "hosts")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "The inventory has no host in the group emr_master." in done.stderr + done.stdout
