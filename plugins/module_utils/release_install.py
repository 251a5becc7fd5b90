"""Install releases beside each other, and remove the old ones."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator

from ansible_collections.emr.monitoring.plugins.module_utils.release import (
    DISK_FULL,
    Progress,
    Release,
    ReleaseError,
    digest,
    disk_full,
    local_path,
    mismatch,
    no_progress,
    shown,
)
from ansible_collections.emr.monitoring.plugins.module_utils.release_archive import Tree, unpack
from ansible_collections.emr.monitoring.plugins.module_utils.release_download import download
from ansible_collections.emr.monitoring.plugins.module_utils.release_zip import (
    is_zip,
    refuse_another_plugin,
    unpack_zip,
)

MARKER = ".release.json"
STAGING = ".staging-"
DOWNLOAD = ".download-"
LOCK = ".lock"
# What a user may have put there under a name that begins likewise is not ours.
STAGED = re.compile(r"\.staging-[a-z0-9_]{8}")
DOWNLOADED = re.compile(r"\.download-.+-[0-9a-f]{12}\.part")


def is_installed(release: Release) -> bool:
    """Tell whether the directory of the release says that it holds exactly this release."""
    try:
        with open(os.path.join(release.path, MARKER), encoding="utf-8") as file:
            marker = json.load(file)
        return {key: marker.get(key) for key in release.identity} == release.identity
    except (OSError, ValueError, AttributeError):
        return False


def _sync(folder: str) -> None:
    """Write what the file system of folder holds in memory to the disk: one call instead of one per file."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(fd):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
    finally:
        os.close(fd)


def _remove_leftovers(root: str, pattern: re.Pattern[str]) -> None:
    for name in os.listdir(root):
        path = os.path.join(root, name)
        if pattern.fullmatch(name):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def _discard(path: str, root: str) -> None:
    # Renamed first: a removal that is cut off must not leave half a version that looks complete.
    gone = tempfile.mkdtemp(prefix=STAGING, dir=root)
    os.rename(path, os.path.join(gone, "old"))
    shutil.rmtree(gone, ignore_errors=True)


def in_use(release: Release) -> str:
    """Return the version that the link release.current points to, "" when there is none."""
    return os.path.basename(os.path.realpath(release.current)) if os.path.exists(release.current) else ""


def installed_at(release: Release) -> float:
    """Return when the release was unpacked (epoch seconds); now, where it is not yet."""
    try:
        return os.stat(os.path.join(release.path, MARKER)).st_mtime
    except OSError:
        return time.time()


def versions(root: str, name: str) -> dict[str, float]:
    """Return when each version below root (a path) was unpacked, by its name.

    Only a directory that bears this module's marker with the program's name (str) counts. Raises OSError.
    """
    ages: dict[str, float] = {}
    for entry in os.scandir(root):
        marker = os.path.join(entry.path, MARKER)
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            with contextlib.suppress(OSError, ValueError, AttributeError), open(marker, encoding="utf-8") as file:
                if json.load(file).get("name") == name:
                    ages[entry.name] = os.fstat(file.fileno()).st_mtime
    return ages


def remove(name: str, root: str, dry: bool) -> tuple[list[str], list[str]]:
    """Remove all that this module made for the program name (str) below root (a path), and root if that was all.

    With dry (bool) nothing is removed. Returns the names of what goes and the paths of what stays. Raises OSError.
    """
    if not os.path.isdir(root):
        return [], []
    ours = versions(root, name)
    everything = sorted(os.listdir(root))
    gone = [
        each
        for each in everything
        if each in ours or each == LOCK or STAGED.fullmatch(each) or DOWNLOADED.fullmatch(each)
    ]
    if not dry:
        for each in gone:
            path = os.path.join(root, each)
            if each in ours:
                _discard(path, root)
            elif os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        if gone == everything and not os.path.islink(root) and not os.path.ismount(root):
            os.rmdir(root)
    return gone, [os.path.join(root, each) for each in everything if each not in gone]


def prune(release: Release, dry: bool) -> list[str]:
    """Remove the oldest versions until release.keep are left, but not this one, which has proved itself.

    With dry (bool) nothing is removed. Returns their names. Raises OSError.
    """
    if not os.path.isdir(release.root):
        return []
    with contextlib.nullcontext() if dry else _locked(release.root):
        ages = versions(release.root, release.label)
        ages.pop(release.version, None)
        gone = sorted(ages, key=lambda version: -ages[version])[release.keep - 1 :]
        for version in [] if dry else gone:
            _discard(os.path.join(release.root, version), release.root)
    return gone


@contextlib.contextmanager
def removing() -> Iterator[None]:
    """Turn an OSError of a removal into a ReleaseError that names the file."""
    try:
        yield
    except OSError as error:
        raise ReleaseError(
            f"{error.filename} cannot be removed: {error.strerror}. Run the task with become."
        ) from error


@contextlib.contextmanager
def _locked(root: str) -> Iterator[None]:
    with open(os.path.join(root, LOCK), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _verified_archive(release: Release, progress: Progress) -> str:
    given = release.archive or local_path(release.url)
    if given is None:
        part = f"{DOWNLOAD}{release.label}-{release.version}-{release.sha256[:12]}.part".replace("/", "_")
        path = os.path.join(release.root, part)
        remedy = (
            f"Set {release.variable('url')} to a mirror, a bucket or a file:// path that the node reaches, set "
            f"monitoring_download_proxy to a proxy that it reaches, or set {release.variable('fetch')} to "
            "controller to download on the controller and copy the archive to the node."
        )
        download(release, path, remedy, progress=progress)
        return path
    try:
        got = digest(given)
    except OSError as error:
        raise ReleaseError(
            f"The archive {given} cannot be read: {error.strerror}. Put it there, or change {release.variable('url')}."
        ) from error
    if got != release.sha256:
        raise mismatch(release, got)
    return given


def _swap_in(staging: str, release: Release) -> None:
    if not os.path.lexists(release.path):
        os.rename(staging, release.path)
        return
    old = tempfile.mkdtemp(prefix=STAGING, dir=release.root)
    os.rename(release.path, os.path.join(old, "old"))
    try:
        os.rename(staging, release.path)
    except OSError:
        os.rename(os.path.join(old, "old"), release.path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _build(release: Release, archive: str, staging: str, progress: Progress) -> None:
    # Without this, a setgid root directory would hand its group down.
    os.chown(staging, os.geteuid(), os.getegid())
    os.chmod(staging, 0o755)  # noqa: S103 - services read it under their own users
    try:
        # Whoever may write the file could have changed it since it was verified.
        got = (
            unpack_zip(archive, staging, progress)
            if is_zip(archive)
            else unpack(archive, staging, release.exclude, progress)
        )
        if got != release.sha256:
            raise mismatch(release, got)
        if release.plugin:
            refuse_another_plugin(staging, release.plugin, release.version)
        marker = {
            "name": release.label,
            "version": release.version,
            "url": shown(release.url),
            **release.identity,
        }
        content = json.dumps(marker, indent=2) + "\n"
        Tree(staging).file(MARKER, False, [memoryview(content.encode())])
        _sync(staging)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        # gzip ends with the size of what it holds, modulo 4 GiB.
        with open(archive, "rb") as file:
            file.seek(-4, os.SEEK_END)
            needed = None if is_zip(archive) else int.from_bytes(file.read(4), "little")
        shutil.rmtree(staging, ignore_errors=True)
        raise disk_full(release.root, needed) from error


def install(release: Release, progress: Progress = no_progress) -> bool:
    """Install the release unless it is there, and return whether it had to be.

    `progress` is told what is being done, and how many bytes of how many are. Either all of the release is there
    afterwards, or the disk is as before but for a partial download. Raises ReleaseError.
    """
    if is_installed(release):
        return False
    umask = os.umask(0o022)
    try:
        os.makedirs(release.root, exist_ok=True)
        with _locked(release.root):
            _remove_leftovers(release.root, STAGED)
            if is_installed(release):
                return False
            _install(release, progress)
            return True
    except OSError as error:
        if error.errno in DISK_FULL:
            raise disk_full(release.root, None) from error
        raise ReleaseError(
            f"Installing {release.label} {release.version} in {release.path} failed: {error}. "
            "Run the task with become, and set root to a directory on a writable disk."
        ) from error
    finally:
        os.umask(umask)


def _install(release: Release, progress: Progress) -> None:
    marker = os.path.join(release.path, MARKER)
    if os.path.lexists(release.path) and (os.path.islink(release.path) or not os.path.lexists(marker)):
        raise ReleaseError(
            f"{release.path} exists but was not installed by this module, so it is not replaced. "
            f"Move it away, or set root to a directory of {release.label}'s own."
        )
    archive = _verified_archive(release, progress)
    staging = tempfile.mkdtemp(prefix=STAGING, dir=release.root)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, staging, ignore_errors=True)
        _build(release, archive, staging, progress)
        _swap_in(staging, release)
    _remove_leftovers(release.root, DOWNLOADED)
    _sync(release.root)
