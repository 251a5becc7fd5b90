"""Draw how the seconds of a run grow with the nodes and with the targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot


def draw(path: Path, axis: str, lines: Mapping[str, Mapping[int, list[float]]]) -> None:
    """Draw a picture.

    :param path: the PNG file to write
    :param axis: what the runs grow with
    :param lines: by label, the seconds of some runs by the size that they had
    """
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for label, points in lines.items():
        axes.plot(list(points), [median(seconds) for seconds in points.values()], "o-", label=label)
    axes.set(xlabel=axis, ylabel="seconds", xlim=0, ylim=0)
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
