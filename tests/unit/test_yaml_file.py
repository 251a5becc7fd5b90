"""Structures as files: what Ansible decrypts arrives decrypted, and what may be secret is not shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.emr.monitoring.plugins.filter.yaml_file import HIDDEN, yaml_file

PROJECT = Path(__file__).resolve().parents[2]
PLAIN = "decrypted"
# Each place that a structure has: a value, an item of a list, a part of a text, a key.
PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    vaulted: {vaulted}
    structure:
      remote_write:
        - url: "{{{{ 'https://' ~ vaulted ~ '@example.com' }}}}"
          authorization: {{credentials: "{{{{ vaulted }}}}"}}
          direct: {vaulted}
      list: ["{{{{ vaulted }}}}", [1, true, null, 1.5]]
      "{{{{ 7 }}}}": !unsafe "{{{{ as it is }}}}"
  tasks:
    - ansible.builtin.copy:
        content: "{{{{ (structure | combine({{vaulted: 'key'}})) | emr.monitoring.yaml_file | to_json }}}}"
        dest: {output}
"""


def test_what_is_in_a_vault_arrives_decrypted_wherever_it_stands(tmp_path: Path) -> None:
    output, password = tmp_path / "output.json", tmp_path / "password"
    password.write_text("of the vault")
    environment = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections")}

    def ansible(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ansible", *arguments, f"--vault-password-file={password}"],
            capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    cipher = ansible("vault", "encrypt_string", PLAIN).splitlines()
    vaulted = cipher[0] + "\n" + "\n".join(" " * 20 + line.strip() for line in cipher[1:]) + "\n"
    (tmp_path / "play.yml").write_text(PLAY.format(vaulted=vaulted, output=output))
    ansible(
        "playbook", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", "play.yml"
    )
    written = json.loads(output.read_text())
    assert yaml.safe_load(written["content"]) == {
        "remote_write": [
            {
                "url": f"https://{PLAIN}@example.com",
                "authorization": {"credentials": PLAIN},
                "direct": PLAIN,
            }
        ],
        "list": [PLAIN, [1, True, None, 1.5]],
        "{{ 7 }}": "{{ as it is }}",
        PLAIN: "key",
    }
    assert "VAULT" not in written["content"]


@pytest.mark.parametrize(
    ("value", "pattern", "harmless"),
    [
        ("15s", "a.b", True),
        ("15s", "a.*", True),
        ("15s", "*", True),
        ("15s", "a", False),
        ("15s", "b", False),
        ("15s", "a.b.c", False),
        (15, "a.b", True),
        ("me:secret@host:9090", "*", False),
        ("http://host/?token=secret", "*", False),
    ],
)
def test_a_value_is_shown_where_it_is_known_to_be_harmless(value: Any, pattern: str, harmless: bool) -> None:
    written = yaml_file({"a": [{"b": value}]}, [pattern])
    assert yaml.safe_load(written["content"]) == {"a": [{"b": value}]}
    assert yaml.safe_load(written["shown"]) == {"a": [{"b": value if harmless else HIDDEN}]}


def test_nothing_is_shown_unless_it_is_said_to_be_harmless() -> None:
    assert HIDDEN in yaml_file({"a": 1})["shown"]
