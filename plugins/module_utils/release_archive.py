"""Unpack an archive that nobody has to trust."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Callable

from ansible_collections.emr.monitoring.plugins.module_utils.release import (
    BLOCK,
    Progress,
    ReleaseError,
    no_progress,
    write_all,
)

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _Hashed:
    """A file, and the SHA-256 of what was read from it."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file = file
        self._progress = progress
        self._size = os.fstat(file.fileno()).st_size
        self._done = 0
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        self._done += len(data)
        self._progress("unpacking", self._done, self._size)
        return data


def _gunzip(file: _Hashed) -> Iterator[bytes]:
    data = file.read(BLOCK)
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            block = member.decompress(data, BLOCK)
            if block:
                yield block
            elif not data:
                raise EOFError("it ends early")
            data = member.unconsumed_tail or file.read(BLOCK)
        data = (member.unused_data + data).lstrip(b"\0")


class _Stream:
    """The unpacked archive, as a file that tarfile can read.

    It is decompressed one block ahead in a thread: zlib gives up the GIL, so both cores of a small node work.
    """

    def __init__(self, file: _Hashed, pool: ThreadPoolExecutor) -> None:
        self._blocks = _gunzip(file)
        self._pool = pool
        self._ahead = pool.submit(next, self._blocks, b"")
        self._block = memoryview(b"")
        self._position = 0
        self.last_read = b""

    def pieces(self, size: int) -> Iterator[memoryview]:
        if size < 0:
            raise EOFError("a member has an impossible size")
        while size:
            if not self._block:
                self._block = memoryview(self._ahead.result())
                if not self._block:
                    return
                self._ahead = self._pool.submit(next, self._blocks, b"")
            piece, self._block = self._block[:size], self._block[size:]
            size -= len(piece)
            self._position += len(piece)
            yield piece

    def read(self, size: int) -> bytes:
        if size > BLOCK:
            raise EOFError("a header has an impossible size")
        self.last_read = b"".join(self.pieces(size))
        return self.last_read

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        for _ in self.pieces(position - self._position):
            pass


class Tree:
    """A directory that only this process writes to, and only inside."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.links: list[str] = []
        # Made by this process, hence not links that the archive planted: writing below them stays inside.
        self._directories = {""}

    def _make(self, path: str, make: Callable[[str], int | None]) -> int:
        self.directory(path.rpartition("/")[0])
        target = f"{self.root}/{path}"
        try:
            return make(target) or 0
        except FileExistsError:
            if path in self._directories:
                raise ReleaseError("it replaces a directory") from None
            os.unlink(target)
            return make(target) or 0

    def directory(self, path: str) -> None:
        if path in self._directories:
            return
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            step = "/".join(parts[:depth])
            if step not in self._directories:
                try:
                    os.mkdir(f"{self.root}/{step}", 0o755)
                except FileExistsError:
                    raise ReleaseError(f"{step} is a link or a file, not a directory") from None
                self._directories.add(step)

    def file(self, path: str, executable: bool, pieces: Iterable[memoryview]) -> None:
        fd = self._make(path, lambda target: os.open(target, _CREATE, 0o755 if executable else 0o644))
        try:
            for piece in pieces:
                write_all(fd, piece)
        finally:
            os.close(fd)

    def symlink(self, path: str, to: str) -> None:
        if to.startswith("/"):
            raise ReleaseError(f"it links to the absolute path {to}")
        self._make(path, lambda target: os.symlink(to, target))
        self.links.append(path)

    def hardlink(self, path: str, to: str) -> None:
        source = f"{self.root}/{to}"
        if to.rpartition("/")[0] not in self._directories or not os.path.lexists(source):
            raise ReleaseError(f"it links to {to}, which is not unpacked")
        if not stat.S_ISREG(os.lstat(source).st_mode):
            raise ReleaseError(f"it links to {to}, which is not a file")
        self._make(path, lambda target: os.link(source, target, follow_symlinks=False))

    def check_links(self) -> None:
        # Last, on the complete tree: a chain of links can leave it although no single one seems to.
        root = os.path.realpath(self.root) + "/"
        for link in self.links:
            if not (os.path.realpath(f"{root}{link}") + "/").startswith(root):
                raise ReleaseError(f"{link!r} is a link that leaves the release")


def inside(name: str, depth: int = 1) -> str:
    """Return a path below the folders of an archive that lie this deep, "" for one of those itself."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise ReleaseError(f"{name!r} is not a path inside the release")
    return "/".join(parts[depth:])


def unpack(archive: str, into: str, exclude: Iterable[str] = (), progress: Progress = no_progress) -> str:
    """Unpack a .tar.gz into an empty directory, without its top folder, and return the SHA-256 of what was read.

    Nothing is ever written outside.

    archive and into are paths (str), exclude shell patterns (str) over the path without the top folder, progress is
    told how far it is. The caller sets a umask of 022. Raises ReleaseError for an archive that is damaged or hostile,
    else OSError.
    """
    patterns = [form for pattern in exclude for form in (pattern.rstrip("/"), pattern.rstrip("/") + "/*")]
    excluded = re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)").match
    tree = Tree(into)
    # A bare ValueError comes from tarfile for numbers, and from os for names, that cannot be.
    damage = (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError)
    with open(archive, "rb", buffering=0) as raw, ThreadPoolExecutor(1) as pool:
        file = _Hashed(raw, progress)
        stream = _Stream(file, pool)
        member: tarfile.TarInfo | None = None
        try:
            tar = tarfile.TarFile(fileobj=stream, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
            while member := tar.next():
                tar.members.clear()  # type: ignore[attr-defined]  # else it grows with the archive
                path = inside(member.name)
                if path and not excluded(path):
                    _place(tree, path, member, stream)
                elif not path and not member.isdir():
                    raise ReleaseError("it lies beside the top folder, which every release archive has")
            # tarfile takes a header that it cannot read for the end of the archive.
            if stream.last_read != tarfile.NUL * tarfile.BLOCKSIZE:
                raise EOFError("it ends early, or is damaged")
            # To gzip's own checksum, which lies behind the last member.
            stream.seek(sys.maxsize)
            while file.read(BLOCK):
                pass
            tree.check_links()
        except damage as error:
            raise ReleaseError(
                f"The archive {archive} cannot be read: {error}. Point url at a sound .tar.gz."
            ) from error
        except ReleaseError as error:
            at = f" at {member.name!r}" if member else ""
            raise ReleaseError(
                f"The archive {archive} is refused{at}: {error}. Use upstream's archive, or exclude the path."
            ) from error
    return file.sha256.hexdigest()


def _place(tree: Tree, path: str, member: tarfile.TarInfo, stream: _Stream) -> None:
    if member.isdir():
        tree.directory(path)
    elif member.isreg() and not member.issparse():
        tree.file(path, bool(member.mode & 0o111), stream.pieces(member.size))
    elif member.issym():
        tree.symlink(path, member.linkname)
    elif member.islnk():
        tree.hardlink(path, inside(member.linkname))
    else:
        raise ReleaseError("it is a device, a fifo or of another kind that no release needs")
