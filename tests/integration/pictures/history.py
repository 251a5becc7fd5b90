"""An hour of the past for a node that has just been made: what it counts now, under the traffic of a working day.

The series, their labels and their rates are those that Prometheus has seen; only the time before is made up.
"""

from __future__ import annotations

import json
import math
import random
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Labels = Mapping[str, str]
Sample = tuple[float, float]
COUNTER = re.compile(r"(_total|_count|_sum|_bucket)$")
# A day in an hour: a morning, a pause for lunch, and an afternoon that is at its height now; centre, width and height.
QUIET = 0.35
BUSY = ((0.3, 0.11, 0.5), (0.97, 0.22, 0.65))


@dataclass(frozen=True)
class Seen:
    """A series as Prometheus has it: its samples of the last minutes, as (Unix time, value), the oldest first."""

    name: str
    labels: Labels
    samples: Sequence[Sample]

    def rate(self) -> float:
        """Return how much a counter grows in a second."""
        (start, first), (end, last) = self.samples[0], self.samples[-1]
        return max(last - first, 0.0) / (end - start)

    def group(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return what the parts of one histogram share."""
        labels = {k: v for k, v in self.labels.items() if k not in ("le", "__name__")}
        return COUNTER.sub("", self.name), tuple(sorted(labels.items()))


def asked(models: Sequence[Any]) -> set[str]:
    """Return all words of the queries of some dashboards: the metrics are among them."""
    text = json.dumps(models)
    return set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]+", " ".join(re.findall(r'"expr": "((?:[^"\\]|\\.)*)"', text))))


def day(place: float) -> float:
    """Return how busy the pipeline is at a place between 0 (the morning) and 1 (now), as a part of what it does now."""

    def busy(x: float) -> float:
        return QUIET + sum(high * math.exp(-(((x - centre) / wide) ** 2)) for centre, wide, high in BUSY)

    return busy(place) / busy(1)


def wobble(key: object, place: float, size: float) -> float:
    """Return a factor around 1 that belongs to a key and drifts slowly: no two lines of a picture are the same."""
    draw = random.Random(zlib.crc32(repr(key).encode()))  # noqa: S311 - a picture is no secret
    waves = [(draw.uniform(3, 14), draw.uniform(0, math.tau)) for _ in range(3)]
    # Now it is what it is.
    fade = min(1.0, 8 * (1 - place))
    return 1 + fade * size * sum(math.sin(math.tau * turns * place + phase) for turns, phase in waves) / 2


def slowness(key: object, place: float) -> float:
    """Return the factor by which all durations are longer: whoever has more to do takes longer."""
    return (0.6 + 0.4 * day(place)) * wobble(("slow", key), place, 0.05)


def share(bounds: Sequence[tuple[float, float]], le: float) -> float:
    """Return which part of the observations lies below a bound.

    :param bounds: the bounds of a histogram and how many observations each second lie below them, in ascending order
    """
    total = bounds[-1][1]
    if not total or math.isinf(le):
        return 1.0
    low, below = 0.0, 0.0
    for high, count in bounds:
        if le <= high:
            part = 1.0 if math.isinf(high) else (le - low) / (high - low)
            return (below + (count - below) * part) / total
        low, below = high, count
    return 1.0


def history(series: Sequence[Seen], start: float, end: float, step: float) -> Iterator[str]:
    """Return the lines of a file in the OpenMetrics format that ``promtool tsdb create-blocks-from`` reads.

    :param series: what Prometheus has seen, each with two samples or more
    :param start: Unix time of the first sample to make
    :param end: Unix time of the last one
    :param step: seconds between two
    """
    histograms: dict[object, list[tuple[float, float]]] = {}
    for each in series:
        if "le" in each.labels:
            histograms.setdefault(each.group(), []).append((float(each.labels["le"]), each.rate()))
    times = [start + number * step for number in range(int((end - start) / step) + 1)]
    for each in series:
        labels = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in each.labels.items())
        values = _counted if COUNTER.search(each.name) else _measured
        for time, value in zip(times, values(each, times, sorted(histograms.get(each.group(), []))), strict=True):
            yield f"{each.name}{{{labels}}} {value!r} {time:.3f}"
    yield "# EOF"


def _counted(seen: Seen, times: Sequence[float], bounds: Sequence[tuple[float, float]]) -> list[float]:
    """Return the values of a counter, which lead to the first one that was seen."""
    key, rate = seen.group(), seen.rate()
    grown, values = 0.0, []
    for time in times:
        values.append(grown)
        place = (time - times[0]) / (times[-1] - times[0])
        much = day(place) * wobble(key, place, 0.15) * (times[1] - times[0])
        if "le" in seen.labels:
            le = float(seen.labels["le"])
            grown += bounds[-1][1] * share(bounds, le / slowness(key, place)) * much
        elif seen.name.endswith("_sum"):
            grown += rate * slowness(key, place) * much
        else:
            grown += rate * much
    first_time, first = seen.samples[0]
    behind = first - rate * (first_time - times[-1]) - values[-1]
    return [value + behind for value in values]


def _measured(seen: Seen, times: Sequence[float], _: Sequence[tuple[float, float]]) -> list[float]:
    """Return the values of what goes up and down; what has not moved while it was seen has not moved before."""
    value = seen.samples[0][1]
    if len({each for _, each in seen.samples}) == 1:
        return [value] * len(times)
    places = [(time - times[0]) / (times[-1] - times[0]) for time in times]
    return [value * wobble((seen.name, *seen.labels.items()), place, 0.12) for place in places]
