"""What the tests compare the node with."""

from __future__ import annotations

import pytest
from testinfra.host import Host


@pytest.fixture(scope="module")
def bare(host: Host) -> set[str]:
    """Return what was on the node before the project."""
    return set(host.check_output("sudo cat /root/node.bare").splitlines())
