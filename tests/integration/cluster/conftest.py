"""The fixtures: the alerts as quick as a test needs them, and the nodes of the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster.nodes import Node
from tests.integration.node import PROJECT, Playbook

RULES = ("rules", "cluster_rules")
# By which a rule waits, or looks back, for so long that nobody sees it who does not mean to.
WAITS = ((r"^( *)for: .*$", r"\1for: 2s"), (r"\[(?:15m|30m|1h)\]", "[20s]"), ("offset 15m", "offset 20s"))


@pytest.fixture(scope="session")
def primary(variables: dict[str, Any]) -> Node:
    """Return the primary node."""
    return Node(str(variables["inventory_hostname"]))


@pytest.fixture(scope="session")
def core(primary: Node) -> Node:
    """Return one of the two core nodes."""
    return Node(f"{primary.name}-core-1")


@pytest.fixture(scope="module")
def _quick_alerts(playbook: Playbook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have the project's own alerts fire within seconds, each by its own expression."""
    folder = tmp_path_factory.mktemp("rules")
    for kind in RULES:
        for path in (PROJECT / "roles/prometheus/files" / kind).iterdir():
            (folder / path.name).write_text(quick(path))
    quickly = {"prometheus_default_rules": False, "prometheus_rules_dirs": [str(folder)]}
    done = playbook("site.yml", "--tags=prometheus", **quickly)
    assert done.returncode == 0, done.stdout
    yield
    done = playbook("site.yml", "--tags=prometheus")
    assert done.returncode == 0, done.stdout


def quick(path: Path) -> str:
    """Return a file of rules in which nothing waits for minutes."""
    text = path.read_text()
    for long, short in WAITS:
        text = re.sub(long, short, text, flags=re.MULTILINE)
    return text
