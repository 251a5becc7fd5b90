"""Read what lies in a tree, without following a link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ansible_collections.emr.monitoring.plugins.module_utils.tree import File, TreeError, join, naming

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def holder(dest: str, rel: str) -> Iterator[tuple[int | None, str]]:
    """Open the folder that holds `rel` of `dest` without following a symlink from `dest` on.

    Yields the open folder, None if it does not exist, and the name in it. `rel` may be "" for `dest` itself.
    Raises TreeError if something else is in a folder's place.
    """
    *folders, name = [os.path.basename(dest), *filter(None, rel.split("/"))]
    path, fd = os.path.dirname(dest), None
    try:
        try:
            fd = os.open(path, FOLDER & ~os.O_NOFOLLOW)
            for folder in folders:
                path = f"{path}/{folder}"
                outer, fd = fd, os.open(folder, FOLDER, dir_fd=fd)
                os.close(outer)
        except FileNotFoundError:
            if fd is not None:
                os.close(fd)
                fd = None
        except OSError as err:
            if err.errno in (errno.ELOOP, errno.ENOTDIR):
                raise TreeError(f"{path} is a symlink or a file where a folder must be: remove it") from err
            raise TreeError(f"cannot open {path}: {err.strerror}") from err
        yield fd, name
    finally:
        if fd is not None:
            os.close(fd)


def read_file(dest: str, rel: str) -> File | None:
    """The live file; None if there is none. What is no regular file reads as one that nobody can want."""
    with holder(dest, rel) as (parent, name):
        if parent is None:
            return None
        with naming(f"read {join(dest, rel)}"):
            try:
                info = os.stat(name, dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                return None
            if stat.S_ISDIR(info.st_mode):
                raise TreeError(f"{join(dest, rel)} is a folder where a file must be: remove it")
            if not stat.S_ISREG(info.st_mode):
                return File(b"", 0, -1, -1)
            with open(os.open(name, FILE, dir_fd=parent), "rb") as stream:
                return File(stream.read(), stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)


def read_status(dest: str, rel: str) -> os.stat_result | None:
    """The status of `rel` in `dest` itself, not of what a symlink points to; None if there is nothing."""
    with holder(dest, rel) as (parent, name), suppress(FileNotFoundError):
        return None if parent is None else os.stat(name, dir_fd=parent, follow_symlinks=False)
    return None


def read_link(path: str) -> str | None:
    """The target of the symlink `path`; None if there is nothing. Raises TreeError for something else."""
    with holder(path, "") as (parent, name):
        try:
            return None if parent is None else os.readlink(name, dir_fd=parent)
        except FileNotFoundError:
            return None
        except OSError:
            raise TreeError(f"links: {path} is no symlink: move it away") from None
