"""The fixtures of the tests of a node that works."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.node import Playbook, Run


@pytest.fixture(scope="module")
def run(playbook: Playbook) -> Iterator[Run]:
    """Return a function that runs site.yml with some variables: those of the run before it hold no more.

    In the end the inventory's own hold again.
    """

    def site(*options: str, **extra_vars: Any) -> str:
        done = playbook("site.yml", *options, **extra_vars)
        assert done.returncode == 0, done.stdout
        return done.stdout

    yield site
    site()
