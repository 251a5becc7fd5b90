"""The fixtures: the storage, and that nothing of what is scraped during a test is missing there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.node import Api, Playbook, poll
from tests.integration.remote.far import Far, Window, now


@pytest.fixture(scope="session")
def far(variables: dict[str, Any]) -> Far:
    """Return the storage."""
    return Far(f"{variables['inventory_hostname']}-far")


@pytest.fixture
def nothing_lost(prometheus: Api, far: Far) -> Iterator[Window]:
    """Fail where a sample that was scraped during the test does not arrive soon after it."""
    window = Window(prometheus, far, now())
    yield window
    until = now()
    lacking: list[Any] = []

    def whole() -> bool:
        lacking[:] = window.missing(until).items()
        return not lacking

    assert poll(whole, 60), f"missing until {until}: {lacking}"


@pytest.fixture
def _as_it_was(far: Far, playbook: Playbook) -> Iterator[None]:
    """Have the storage and the node as they were, whatever a test did."""
    yield
    far.answer(0)
    far.passwords("right-password")
    far.start(1, 2, 3)
    far.run("systemctl start haproxy")
    done = playbook("site.yml", "--tags=prometheus", prometheus_remote_write_lose_unsent=True)
    assert done.returncode == 0, done.stdout
