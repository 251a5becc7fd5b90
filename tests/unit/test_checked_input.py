"""What the gates hand over: all that is wrong at once, or what was made, which no run shows."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a password of some length"  # noqa: S105


def run(folder: Path, arguments: dict[str, Any], *options: str, code: int = 0) -> str:
    tasks = [
        {"name": "Check", "emr.monitoring.checked_input": arguments, "register": "checked"},
        {"name": "Show", "ansible.builtin.debug": {"msg": "{{ checked.made.password | length }}"}},
    ]
    play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    command = ["ansible-playbook", str(folder / "play.yml"), "--inventory=localhost,", "--connection=local", *options]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout
    return str(done.stdout + done.stderr)


def test_what_was_made_is_handed_over_and_never_shown(tmp_path: Path) -> None:
    output = run(tmp_path, {"made": {"password": PASSWORD, "problems": []}}, "-vvv", "--diff")
    assert f"msg: {len(PASSWORD)}" in output or f'"msg": {len(PASSWORD)}' in output
    assert PASSWORD not in output


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_all_that_is_wrong_is_said_at_once(tmp_path: Path, options: tuple[str, ...]) -> None:
    arguments = {"made": {"password": PASSWORD, "problems": ["The first."]}, "problems": ["The second."]}
    output = run(tmp_path, arguments, *options, code=2)
    assert "The first.\n" in output
    assert "The second." in output
    assert PASSWORD not in output
