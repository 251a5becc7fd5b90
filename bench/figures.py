"""Figures and what they are held against: the spread of some measurements, and the targets."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# What a run that changes nothing may cost. tests/integration/default holds each change of the project against these.
MAX_TASKS = 22
# Each module execution is an ssh round trip at least.
MAX_ROUND_TRIPS = 3


def spread(values: Sequence[float], unit: str = "s") -> str:
    """Write the median of some measurements, with the least and the greatest in brackets where there are several."""
    if not values:
        return ""
    middle = f"{_number(statistics.median(values))} {unit}".strip()
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))} to {_number(max(values))})"


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Divide the median of some measurements by that of others."""
    return statistics.median(values) / statistics.median(others)


def table(*rows: Sequence[object]) -> str:
    """Write a Markdown table; the first row is its head."""
    head, *others = (f"| {' | '.join(map(str, row))} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *others])


@dataclass(frozen=True)
class Target:
    """Something that must not cost more than a limit; ``measured`` is in the same ``unit``."""

    what: str
    limit: float
    unit: str
    measured: float

    @property
    def met(self) -> bool:
        """Tell whether the measured figure, as it is shown, is within the limit."""
        return round(self.measured, 2) <= self.limit

    def row(self) -> list[str]:
        """Return the target's row in the table of targets."""
        measured, limit = (f"{_number(value)} {self.unit}".strip() for value in (self.measured, self.limit))
        return [self.what, f"at most {limit}", measured, "met" if self.met else "**not met**"]


def _number(value: float) -> str:
    """Write three digits of a figure, or all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.{2 if value < 10 else 1}f}".rstrip("0").rstrip(".")
