"""What a unit wrote last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.text import printable

LINES = 20
# How many lines are looked through for what a service said some time ago.
SEARCHED = 2000


def last_lines(run: Callable[..., Any], unit: str, since: float) -> list[str]:
    """Return the last journal lines of a unit since a moment (seconds since the epoch), or that there are none.

    :param run: runs a command; returns exit code, stdout and stderr
    """
    # What the service wrote last may not have arrived yet.
    run(["journalctl", "--sync"])
    lines = [f"  {printable(line)}" for line in _backwards(run, unit, LINES, "--since", f"@{int(since)}")[::-1]]
    return lines or ["  (none, the journal has no lines of this unit for that time)"]


def recent_lines(run: Callable[..., Any], unit: str) -> list[str]:
    """Return what a unit wrote lately, the last line first, as it wrote it: to be searched, not to be shown.

    :param run: runs a command; returns exit code, stdout and stderr
    """
    return _backwards(run, unit, SEARCHED)


def _backwards(run: Callable[..., Any], unit: str, count: int, *options: str) -> list[str]:
    # Backwards: with --since, older versions of journalctl take -n as the first lines, not the last.
    command = ["journalctl", "-u", unit, "-n", str(count), "-r", "-o", "cat", "--no-pager", "--quiet", *options]
    lines: list[str] = run(command)[1].splitlines()
    return lines
