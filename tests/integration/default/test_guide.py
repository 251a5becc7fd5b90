"""The Spanish guide: every command in it works, where it says that it is typed."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import PROJECT

GUIDE = (PROJECT / "docs/guia.es.md").read_text("utf-8")
BLOCKS: list[str] = re.findall(r"^```sh\n(.+?)^```", GUIDE, re.DOTALL | re.MULTILINE)
HERE, NODE = "# en su equipo\n", "# en el nodo\n"


def commands(place: str) -> list[str]:
    """Return the commands of a place, in the order of the guide."""
    return [line for block in BLOCKS if block.startswith(place) for line in block.removeprefix(place).splitlines()]


def test_every_block_says_where_it_is_typed() -> None:
    assert [block for block in BLOCKS if not block.startswith((HERE, NODE))] == []


@pytest.mark.parametrize("command", commands(HERE))
def test_a_command_on_the_own_machine_works(
    request: pytest.FixtureRequest, variables: dict[str, Any], command: str
) -> None:
    secrets = f"{variables['testbed_cache']}/secrets/{variables['inventory_hostname']}"
    inventory = request.config.getoption("--ansible-inventory")
    typed = command.replace("inventory/emr", shlex.quote(str(inventory))).replace("secrets/emr", shlex.quote(secrets))
    done = subprocess.run(["bash", "-c", typed], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", commands(NODE))
def test_a_command_on_the_node_works(host: Host, command: str) -> None:
    # The whole of a pipe has to work, not its last part alone.
    assert host.check_output(f"bash -o pipefail -c {shlex.quote(command)}")
