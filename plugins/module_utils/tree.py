"""Trees of files as they are wanted."""

from __future__ import annotations

import base64
import grp
import hashlib
import json
import os
import pwd
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple


class TreeError(Exception):
    """The task cannot go on. `detail` (a check's output) follows the message."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class File(NamedTuple):
    """A file, wanted or found. An id is None when the account does not exist yet (check mode only).

    `shown` is what a diff may show of a secret one; None is nothing.
    """

    content: bytes
    mode: int
    uid: int | None
    gid: int | None
    secret: bool = False
    shown: str | None = None

    def digest(self) -> str:
        """What the manifest remembers of the file."""
        attributes = f"{self.mode:o} {self.uid} {self.gid}".encode()
        return hashlib.sha256(attributes + b"\0" + self.content).hexdigest()


class Tree(NamedTuple):
    """A tree as it is wanted; `files` by relative path.

    What is no longer wanted of it goes last if it is `kept`: the service may read it until it has loaded what is live.
    """

    name: str
    dest: str
    dir_mode: int
    uid: int | None
    gid: int | None
    shared: bool
    files: dict[str, File]
    kept: bool = False

    def folders(self) -> list[str]:
        """Relative paths of the folders that the files need, outer before inner; "" is dest itself."""
        found = {""}
        for rel in self.files:
            while rel:
                rel = os.path.dirname(rel)  # noqa: PLW2901
                found.add(rel)
        return sorted(found)


class Check(NamedTuple):
    """A command that judges staged trees.

    `about` is what it judges, which an error says in place of the command; it may fail with an output in which the
    pattern `tolerated` is found.
    """

    command: list[str]
    about: str = ""
    tolerated: str = ""


class Task(NamedTuple):
    """What the task wants: `links` path to target, `check_timeout` in seconds."""

    name: str
    trees: list[Tree]
    links: dict[str, str]
    checks: list[Check]
    check_timeout: float


@contextmanager
def naming(doing: str) -> Iterator[None]:
    """Turn an OSError into a TreeError that says what was being done: by itself it may name no path."""
    try:
        yield
    except OSError as err:
        raise TreeError(f"cannot {doing}: {err.strerror}") from err


def join(dest: str, rel: str) -> str:
    """The path of `rel` in `dest`, where "" is `dest` itself."""
    return f"{dest}/{rel}" if rel else dest


def check_relative(rel: str, tree: str) -> None:
    """Raise TreeError unless `rel` names something inside the tree's dest."""
    odd = any(ord(char) < 32 or ord(char) == 127 or "\ud800" <= char <= "\udfff" for char in rel)
    if odd or any(part in ("", ".", "..") for part in rel.split("/")):
        raise TreeError(
            f"trees.{tree}: {rel!r} is no file name: make it relative to dest, without '..' or odd characters"
        )


def check_absolute(path: str, option: str) -> None:
    """Raise TreeError unless `path` is absolute and plain, and no stranger's symlink leads to it."""
    # normpath keeps two leading slashes.
    if not re.fullmatch(r"/[^/\0][^\0]*", path) or path != os.path.normpath(path):
        raise TreeError(f"{option}: {path!r} is no absolute path: write it in full, without '..', '//' or a final '/'")
    parent = os.path.dirname(path)
    while parent != "/":
        if os.path.islink(parent) and os.lstat(parent).st_uid not in (0, os.geteuid()):
            raise TreeError(f"{option}: {parent} is a symlink that root did not make: remove it, or name its target")
        parent = os.path.dirname(parent)


def account(kind: str, name: str, check: bool) -> int | None:
    """The id of the "owner" or "group" `name`; None if there is none, which only check mode allows."""
    try:
        return pwd.getpwnam(name).pw_uid if kind == "owner" else grp.getgrnam(name).gr_gid
    except KeyError:
        if name.isdigit():
            return int(name)
        if check:
            return None
        raise TreeError(f"{kind}: {name!r} does not exist on the node: create it first") from None


def parse(payload: Mapping[str, Any], check: bool) -> Task:
    """The payload with ids resolved; raises TreeError for unsafe names and paths."""
    trees: list[Tree] = []
    taken: dict[str, str] = {}
    for name, spec in payload["trees"].items():
        check_absolute(spec["dest"], f"trees.{name}.dest")
        uid, gid = account("owner", spec["owner"], check), account("group", spec["group"], check)
        files = {
            rel: File(content.encode("utf-8", "surrogateescape"), mode, uid, gid, secret, shown)
            for rel, (content, mode, secret, shown) in spec["files"].items()
        }
        tree = Tree(name, spec["dest"], spec["dir_mode"], uid, gid, spec["shared"], files, spec["kept"])
        for rel in files:
            check_relative(rel, name)
            other = taken.setdefault(join(tree.dest, rel), name)
            if other != name:
                raise TreeError(f"trees.{name}: {join(tree.dest, rel)} comes from trees.{other} too: drop one of them")
        for rel in set(tree.folders()) & set(files):
            raise TreeError(f"trees.{name}: {rel!r} is both a file and a folder: rename one of them")
        trees.append(tree)
    for path in payload["links"]:
        check_absolute(path, "links")
        if path in taken:
            raise TreeError(f"links: {path} is a file of trees.{taken[path]} too: drop one of them")
    checks = [Check(**each) for each in payload["checks"]]
    return Task(payload["name"], trees, payload["links"], checks, payload["check_timeout"])


def unpack(payload: str) -> dict[str, Any]:
    """The payload that the action plugin packed."""
    unpacked: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(payload)))
    return unpacked
