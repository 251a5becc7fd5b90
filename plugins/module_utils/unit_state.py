"""What systemd says of a unit, what that calls for, and what was noted of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

PROPERTIES = (
    "LoadState,ActiveState,SubState,Result,UnitFileState,NeedDaemonReload,MainPID,NRestarts,Job,"
    "ExecMainStartTimestampMonotonic,DropInPaths"
)
# The drop-in that a service brings for its unit.
DROPIN = "/etc/systemd/system/{unit}.d/emr-monitoring.conf"
# Units without an [Install] section, generated ones and aliases cannot be enabled: asking would never end.
ENABLED = ("enabled", "static", "indirect", "generated", "alias")
# A process that is younger may end at once.
MIN_AGE = 1.0
# Empty after a boot, as the processes are that it speaks of.
NOTES = Path("/run/ansible-systemd-unit")


class UnitError(Exception):
    """The unit cannot be brought to the wanted state; the text goes on from the unit's name."""


class State(NamedTuple):
    """What `systemctl show` says about a unit; `started` and `now` are seconds since the epoch.

    `process` is when the main process started, in microseconds since the boot: no other process of the unit shares it.
    """

    load: str
    active: str
    sub: str
    result: str
    file: str
    stale: bool
    pid: int
    process: int
    restarts: int
    job: bool
    started: float
    now: float


def parse_state(text: str, now: float, monotonic: float, unit: str = "") -> State:
    """Return the state in `text`, the output of `systemctl show`.

    `now` and `monotonic` are the wall clock and the monotonic clock at the time of the output, in seconds; `unit` is
    whose it is.
    """
    dropin = DROPIN.format(unit=unit)
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    process = int(fields.get("ExecMainStartTimestampMonotonic") or 0)
    return State(
        load=fields.get("LoadState", ""),
        active=fields.get("ActiveState", ""),
        sub=fields.get("SubState", ""),
        result=fields.get("Result", ""),
        file=fields.get("UnitFileState", ""),
        # systemd does not see by itself that the first drop-in of a folder has come.
        stale=fields.get("NeedDaemonReload") == "yes"
        or (dropin in fields.get("DropInPaths", "").split()) != os.path.exists(dropin),
        pid=int(fields.get("MainPID") or 0),
        process=process,
        restarts=int(fields.get("NRestarts") or 0),
        job=fields.get("Job", "") not in ("", "0"),
        started=now - (monotonic - process / 1e6) if process else 0.0,
        now=now,
    )


def plan(state: State, restart_after: float) -> list[str]:
    """Return the actions that `state` calls for, but for a reload; `restart_after` is in epoch seconds."""
    actions = []
    if state.stale or state.load == "not-found":
        actions.append("daemon-reload")
    if state.active == "failed":
        actions.append("reset-failed")
    if state.file not in ENABLED:
        actions.append("enable")
    if state.active not in ("active", "activating", "reloading"):
        actions.append("start")
    elif state.started < restart_after:
        actions.append("restart")
    return actions


def not_up(state: State) -> str:
    """Return why a unit is not up yet, empty where it is; raise UnitError where it is not going to be."""
    if not state.job and state.active in ("failed", "inactive"):
        raise UnitError("does not stay up")
    if state.job or state.active != "active":
        return "it is not active yet"
    return f"its main process is not older than {MIN_AGE:g} s" if state.now - state.started < MIN_AGE else ""


def note_load(unit: str, process: int, at: float) -> None:
    """Note that the main process of `unit`, as in State, loaded its configuration at the epoch second `at`."""
    NOTES.mkdir(mode=0o700, exist_ok=True)
    new = NOTES / f"{unit}.new"
    new.write_text(json.dumps({"process": process, "loaded_at": at}))
    new.replace(NOTES / unit)


def last_reload(unit: str) -> float:
    """Return the epoch second at which `note_load` noted something last for `unit`, 0 where it never did."""
    try:
        return (NOTES / unit).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def noted_load(unit: str, process: int) -> float:
    """Return the epoch second that `note_load` noted last for `unit`, 0 if there is none for `process`."""
    try:
        note = json.loads((NOTES / unit).read_text())
    except FileNotFoundError:
        return 0.0
    return float(note["loaded_at"]) if note["process"] == process else 0.0
