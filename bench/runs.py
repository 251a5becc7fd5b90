"""Runs on one node: the first, one that changes nothing, one that changes a scrape job, and what they consist of."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from bench.figures import MAX_ROUND_TRIPS, MAX_TASKS, Target, ratio, spread, table
from bench.harness import Bed, BenchError, Run, bed, counts, say, scrape_configs

TITLE = "Runs on one node"
LOADED_AT = re.compile(r"loaded_at: ([\d.]+)")
EXTRA_TARGET = {"static_configs": [{"targets": ["localhost:8003"], "labels": {"service": "extra"}}]}
# Ordered as the table shows them.
RUNS = {
    "floor": "an empty play: facts off, one ping",
    "first": "the first run on a bare node, archives on a mirror beside it",
    "first_scrapes": "… of which it waits for the first scrape of every target",
    "first_work": "… and the rest",
    "unchanged": "nothing changed",
    "job": "one scrape job changed, from the command until Prometheus has loaded it",
    "job_run": "… until the end of the run, which has then seen the new targets scraped",
}


PROSE = """\
Prometheus spreads its first scrapes over the scrape interval, here 15 s, by a hash of each target. A run that says
whether a target is up has to wait for them, after the first run and wherever a job is new: there is no way to ask
Prometheus for a scrape. What is installed meanwhile shortens the wait, such as a Grafana of real size."""


def measure(quick: bool) -> dict[str, Any]:
    """Measure on nodes made anew.

    :param quick: one node and one run of each kind
    :returns: seconds by kind of run, and what a run that changes nothing consists of
    """
    seconds: dict[str, list[float]] = {kind: [] for kind in RUNS}
    for number in range(1 if quick else 3):
        say(f"runs: node {number + 1}")
        with bed() as made:
            first = made.site()
            seconds["first_scrapes"].append(first.task("emr.monitoring.prometheus : Ask Prometheus until"))
            seconds["first"].append(first.seconds)
            seconds["first_work"].append(seconds["first"][-1] - seconds["first_scrapes"][-1])
            for _ in range(1 if quick else 2):
                seconds["floor"].append(made.floor().seconds)
                seconds["unchanged"].append(made.unchanged().seconds)
            _change_a_job(made, seconds)
            consists = counts(made.unchanged("-vvv").output)
    return {"seconds": seconds, "counts": asdict(consists)}


def _change_a_job(made: Bed, seconds: dict[str, list[float]]) -> None:
    """Add a job, take it away again, and note what either took."""
    jobs = scrape_configs()
    for changed in ([*jobs, {"job_name": "extra", **EXTRA_TARGET}], jobs):
        made.describe(prometheus_scrape_configs=changed)
        run = made.site("-v")
        seconds["job"].append(loaded_at(run) - run.began)
        seconds["job_run"].append(run.seconds)


def loaded_at(run: Run) -> float:
    """Return when Prometheus loaded its configuration, in its own word: seconds since the epoch.

    :param run: a run with ``-v``, which shows the tasks' results
    :raises BenchError: the run does not say
    """
    found = LOADED_AT.findall(run.output)
    if not found:
        raise BenchError("No task says when Prometheus loaded its configuration.")
    return max(map(float, found))


def targets(data: dict[str, Any]) -> list[Target]:
    """Hold the figures against the targets."""
    seconds, consists = data["seconds"], data["counts"]

    def floors(kind: str) -> float:
        return ratio(seconds[kind], seconds["floor"])

    return [
        Target("nothing changed", 3, "x floor", floors("unchanged")),
        Target("… module executions on the node", MAX_ROUND_TRIPS, "", consists["module_executions"]),
        Target("… ssh round trips", MAX_ROUND_TRIPS, "", consists["round_trips"]),
        Target("… tasks", MAX_TASKS, "", consists["tasks"]),
        Target("one scrape job changed, until it is loaded", 2.5, "x floor", floors("job")),
        Target("the first run without the wait for the first scrapes", 7, "x floor", floors("first_work")),
    ]


def text(data: dict[str, Any]) -> str:
    """Describe the figures in Markdown."""
    seconds, consists = data["seconds"], data["counts"]
    rows = [
        [what, spread(seconds[kind]), f"{ratio(seconds[kind], seconds['floor']):.1f}"] for kind, what in RUNS.items()
    ]
    parts = [
        PROSE,
        table(["run", "seconds", "x floor"], *rows),
        f"A run that changes nothing has {consists['tasks']} tasks, {consists['module_executions']} module executions "
        f"on the node and {consists['round_trips']} ssh round trips.",
    ]
    return "\n\n".join(parts)
