"""The stand-in answers as the genuine Grafana did when its answers were recorded (grafana_cases.py)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.grafana_cases import CASES, TABLE, ask, unpack
from tests.unit.grafana_program import STANDIN

RECORDED: dict[str, Any] = json.loads(TABLE.read_text("utf-8"))
CHOSEN = os.environ.get("TESTBED_GRAFANA_ARCHIVE")


@pytest.fixture(scope="session")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the release in the archive of the user's choice."""
    return unpack(Path(__file__).parents[2] / Path(str(CHOSEN)).expanduser(), tmp_path_factory.mktemp("release"))


def is_refused(answer: list[Any]) -> bool:
    """Tell whether a stranger is asked for the login."""
    return answer[0] == 401 or answer == [302, "/login"]


@pytest.mark.parametrize("case", CASES)
def test_the_stand_in_answers_as_recorded(tmp_path: Path, case: str) -> None:
    found, recorded = ask(case, tmp_path, STANDIN), RECORDED[case]
    if case == "open_routes":
        # It has few of the routes, and is no kinder than Grafana: what it does not have, it does not give.
        found = {route: recorded[route] if is_refused(answer) else answer for route, answer in found.items()}
    assert found == recorded


@pytest.mark.skipif(not CHOSEN, reason="TESTBED_GRAFANA_ARCHIVE names no archive")
@pytest.mark.parametrize("case", CASES)
def test_the_chosen_grafana_answers_as_recorded(tmp_path: Path, chosen: Path, case: str) -> None:
    assert ask(case, tmp_path, chosen) == RECORDED[case]


def test_every_case_was_recorded_of_a_genuine_grafana() -> None:
    assert RECORDED.keys() == {"recorded of", *CASES}
    assert not RECORDED["recorded of"].endswith("-standin")
