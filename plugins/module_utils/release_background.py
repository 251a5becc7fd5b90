"""Install a release in a process of its own, so that whoever asked for it can say meanwhile how far it is."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
import uuid
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.release import Release, ReleaseError
from ansible_collections.emr.monitoring.plugins.module_utils.release_install import install, is_installed

INTERVAL = 0.1
WRITTEN_EVERY = 0.5
# Who waits for an installation looks at it every few seconds.
ABANDONED = 600.0
# The file of an installation. Its process holds a lock on it for as long as it lives, and writes how far it is into it.
JOB = "install-{}.json"
JOBS = re.compile(r"install-[0-9a-f]{32}\.json")


def installed_within(release: Release, folder: str, seconds: float, job: str = "") -> dict[str, Any] | None:
    """Install a release unless it is there, and return None; where that takes longer, return how far it is.

    :param release: the release
    :param folder: where the installation tells of itself
    :param seconds: how long to wait for the end
    :param job: what an earlier call returned under this name, "" for the first one
    :returns: ``job`` for the next call, and ``doing``, ``done`` and ``total`` (bytes; 0 is unknown)
    :raises ReleaseError: it cannot be installed
    """
    deadline = time.monotonic() + seconds
    if not job:
        job = _start(release, folder)
    path = os.path.join(folder, JOB.format(job))
    while _runs(path):
        if time.monotonic() >= deadline:
            return {"job": job, "doing": "installing", "done": 0, "total": 0, **_status(path).get("progress", {})}
        time.sleep(INTERVAL)
    status = _status(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if is_installed(release):
        return None
    raise ReleaseError(
        status.get("error")
        or f"The installation of {release.label} {release.version} in {release.root} ended without a word, as it does "
        "when somebody kills it. What it had done is kept: run again."
    )


def sweep(folder: str, age: float = 0.0) -> None:
    """Remove the files of installations whose end nobody waited for.

    :param age: seconds since they ended: a younger one may be that of another run, which has not looked yet
    """
    for left in filter(JOBS.fullmatch, os.listdir(folder) if os.path.isdir(folder) else []):
        path = os.path.join(folder, left)
        with contextlib.suppress(FileNotFoundError):
            if not _runs(path) and time.time() - os.stat(path).st_mtime >= age:
                os.unlink(path)


def _runs(path: str) -> bool:
    """Tell whether the process of an installation lives."""
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _status(path: str) -> dict[str, Any]:
    """Return what an installation wrote of itself; nothing where it is just writing, or never did."""
    try:
        with open(path, encoding="utf-8") as file:
            status: dict[str, Any] = json.load(file)
            return status
    except (OSError, ValueError):
        return {}


def _start(release: Release, folder: str) -> str:
    """Start the installation in a child that outlives this process and its terminal; return its name."""
    os.makedirs(folder, 0o700, exist_ok=True)
    sweep(folder, ABANDONED)
    job = uuid.uuid4().hex
    path = os.path.join(folder, JOB.format(job))
    # Locked before anybody else looks at it and before there is a child, which inherits that.
    file = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.rename(f"{path}.new", path)
    if os.fork():
        os.close(file)
        return job
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        _install(release, file)
    finally:
        # Not sys.exit: what the parent is to clean up is not the child's.
        os._exit(0)


def _install(release: Release, file: int) -> None:
    last = 0.0

    def write(**status: Any) -> None:
        # It only tells: an installation does not fail because that cannot be written.
        with contextlib.suppress(OSError):
            text = json.dumps(status).encode()
            os.pwrite(file, text, 0)
            os.ftruncate(file, len(text))

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
        write(error=f"Installing {release.label} {release.version} failed: {type(error).__name__}: {error}")
