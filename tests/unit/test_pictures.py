"""The hour of the past that `make pictures` gives to a new node."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from tests.integration.pictures.history import Seen, asked, history

STARTED = 1_000_000.0
BUCKETS = {"0.1": 20.0, "0.5": 90.0, "+Inf": 100.0}


def seen(name: str, first: float, last: float, **labels: str) -> Seen:
    return Seen(name, labels, [(STARTED, first), (STARTED + 100, last)])


SERIES = [
    seen("uploads_total", 500, 700, company="acme", said='with "quotes"'),
    seen("standing_total", 7, 7),
    *(seen("seconds_bucket", 0, count, le=le) for le, count in BUCKETS.items()),
    seen("seconds_count", 0, 100),
    seen("seconds_sum", 0, 25),
    seen("up", 1, 1),
    seen("memory_bytes", 4000, 4100),
]


@pytest.fixture(scope="module")
def values() -> dict[str, list[float]]:
    """Return the values by series."""
    *lines, end = history(SERIES, STARTED - 3601, STARTED - 1, 15)
    assert end == "# EOF"
    found: dict[str, list[float]] = {}
    for line in lines:
        series, value, time = line.rsplit(" ", 2)
        assert STARTED - 3601 <= float(time) < STARTED
        found.setdefault(series, []).append(float(value))
    return found


def test_every_series_has_the_hour(values: dict[str, list[float]]) -> None:
    assert {len(each) for each in values.values()} == {241}
    assert r'uploads_total{company="acme",said="with \"quotes\""}' in values


def test_a_counter_never_falls_and_leads_to_what_was_seen(values: dict[str, list[float]]) -> None:
    for series, each in values.items():
        if re.search(r"_(total|count|sum|bucket)\b", series):
            assert all(before <= after for before, after in pairwise(each)), series
    uploads = next(each for series, each in values.items() if series.startswith("uploads"))
    assert uploads[-1] == pytest.approx(500 - 2)
    assert values["standing_total{}"] == [7.0] * 241


def test_a_curve_is_a_curve(values: dict[str, list[float]]) -> None:
    uploads = next(each for series, each in values.items() if series.startswith("uploads"))
    gains = [after - before for before, after in pairwise(uploads)]
    assert max(gains) > 2 * min(gains)
    assert gains[-1] == pytest.approx(30, rel=0.1)


def test_the_buckets_of_a_histogram_belong_together(values: dict[str, list[float]]) -> None:
    buckets = [values[f'seconds_bucket{{le="{le}"}}'] for le in BUCKETS]
    gains = [[after - before for before, after in pairwise(each)] for each in buckets]
    assert all(low <= high + 1e-6 for below, above in pairwise(gains) for low, high in zip(below, above, strict=True))
    counted = [after - before for before, after in pairwise(values["seconds_count{}"])]
    assert gains[-1] == pytest.approx(counted)


def test_what_does_not_move_stays(values: dict[str, list[float]]) -> None:
    assert values["up{}"] == [1.0] * 241
    assert len(set(values["memory_bytes{}"])) > 200
    assert all(3000 < value < 5000 for value in values["memory_bytes{}"])


def test_the_words_of_the_queries_are_found() -> None:
    model = {"panels": [{"targets": [{"expr": 'sum(rate(a_total{x="y"}[5m])) / job:b:ratio'}]}], "title": "not_this"}
    assert {"a_total", "job:b:ratio"} <= asked([model])
    assert "not_this" not in asked([model])
