"""Install a release in a process of its own, so that whoever asked for it can say meanwhile how far it is."""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.release import Release, ReleaseError
from ansible_collections.emr.monitoring.plugins.module_utils.release_install import LOCK, STATUS, install, is_installed

INTERVAL = 0.1
WRITTEN_EVERY = 0.5
GRACE = 3.0
Progress = Callable[[str, int, int], None]


def installed_within(release: Release, seconds: float, job: str = "") -> dict[str, Any] | None:
    """Install a release unless it is there, and return None; where that takes longer, return how far it is.

    :param release: the release
    :param seconds: how long to wait for the end
    :param job: what an earlier call returned under this name, "" for the first one
    :returns: ``job`` for the next call, and ``doing``, ``done`` and ``total`` (bytes; 0 is unknown)
    :raises ReleaseError: it cannot be installed
    """
    deadline = time.monotonic() + seconds
    child = 0
    if not job:
        job = uuid.uuid4().hex
        child = _start(release, job)
    while _runs(release, child):
        if time.monotonic() >= deadline:
            status = _status(release)
            return {"job": job, "doing": "installing", "done": 0, "total": 0, **status.get("progress", {})}
        time.sleep(INTERVAL)
    # The lock is free a moment before the reason of a failure is written.
    grace = time.monotonic() + GRACE
    while not is_installed(release) and not _status(release).get("error") and time.monotonic() < grace:
        time.sleep(INTERVAL)
    if is_installed(release):
        return None
    status = _status(release)
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(release.root, STATUS))
    if status.get("job") == job and status.get("error"):
        raise ReleaseError(status["error"])
    raise ReleaseError(
        f"The installation of {release.name} {release.version} in {release.root} ended without a word, as it does when "
        "somebody kills it. What it had done is kept: run again."
    )


def _runs(release: Release, child: int) -> bool:
    """Tell whether an installation is under way: that of a child of this process, or of another one."""
    if child:
        with suppress(ChildProcessError):
            return os.waitpid(child, os.WNOHANG)[0] == 0
    with suppress(FileNotFoundError), open(os.path.join(release.root, LOCK), encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _status(release: Release) -> dict[str, Any]:
    """Return what the last installation wrote of itself."""
    try:
        with open(os.path.join(release.root, STATUS), encoding="utf-8") as file:
            status: dict[str, Any] = json.load(file)
            return status
    except (OSError, ValueError):
        return {}


def _start(release: Release, job: str) -> int:
    """Start the installation in a child that outlives this process and its terminal; return the child's id."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        _install(release, job)
    finally:
        # Not sys.exit: what the parent is to clean up is not the child's.
        os._exit(0)


def _install(release: Release, job: str) -> None:
    path = os.path.join(release.root, STATUS)
    last = 0.0

    def write(**status: Any) -> None:
        # It only tells. A full disk, which is why it may fail, is told by the installation itself.
        with suppress(OSError):
            new = f"{path}.{job}"
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump({"job": job, **status}, file)
            os.rename(new, path)

    def progress(doing: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= WRITTEN_EVERY:
            last = time.monotonic()
            write(progress={"doing": doing, "done": done, "total": total})

    try:
        install(release, progress)
    except ReleaseError as error:
        write(error=str(error))
    except Exception as error:  # nobody else would tell of it
        write(error=f"Installing {release.name} {release.version} failed: {type(error).__name__}: {error}")
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)
