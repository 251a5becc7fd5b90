"""What a run that changes nothing may consist of: counts do not drift with the machine, as seconds do."""

from __future__ import annotations

import pytest

from bench.figures import MAX_ROUND_TRIPS, MAX_TASKS
from bench.harness import Counts, counts
from tests.integration.node import Playbook


@pytest.fixture(scope="module")
def unchanged(playbook: Playbook) -> Counts:
    """Return what a run with the inventory's own variables consists of."""
    done = playbook("site.yml", "-vvv")
    assert done.returncode == 0, done.stdout
    return counts(done.stdout)


def test_it_changes_nothing(unchanged: Counts) -> None:
    assert unchanged.changed == 0


def test_it_makes_no_more_round_trips_than_it_may(unchanged: Counts) -> None:
    # Each module execution is one at least; none at all would mean that they are no longer counted.
    assert 0 < unchanged.module_executions <= unchanged.round_trips <= MAX_ROUND_TRIPS


def test_it_has_no_more_tasks_than_it_may(unchanged: Counts) -> None:
    assert 0 < unchanged.tasks <= MAX_TASKS
