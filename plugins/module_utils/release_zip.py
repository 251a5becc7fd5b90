"""Unpack a plugin of Grafana: a .zip that nobody has to trust."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from ansible_collections.emr.monitoring.plugins.module_utils.release import (
    BLOCK,
    Progress,
    ReleaseError,
    no_progress,
    write_all,
)
from ansible_collections.emr.monitoring.plugins.module_utils.release_archive import Tree, inside
from ansible_collections.emr.monitoring.plugins.module_utils.text import printable

MAGIC = b"PK\x03\x04"
# What Grafana's own installer makes executable: the server's half of a plugin, whatever its archive says of it.
PROGRAM = re.compile(r".*_linux_(amd64|arm64)")
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, RuntimeError)


def is_zip(archive: str) -> bool:
    """Tell whether the file at a path begins as a .zip does."""
    with open(archive, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def unpack_zip(archive: str, into: str, progress: Progress = no_progress) -> str:
    """Unpack a .zip into an empty directory and return the SHA-256 of what was read.

    Nothing is ever written outside. The top folder stays: beside a file of somebody else no signature would be valid.

    :param archive: path of the .zip
    :param into: path of the directory; the caller sets a umask of 022
    :param progress: is told how far it is
    :raises ReleaseError: it is damaged or hostile
    :raises OSError: it cannot be read, or the directory not be written
    """
    tree = Tree(into)
    at = ""
    with open(archive, "rb") as given, tempfile.TemporaryFile(dir=os.path.dirname(into)) as kept:
        # Read once: whoever may write the file could change it between its checksum and its directory, which is last.
        sha256 = _copy(given, kept, progress)
        try:
            with zipfile.ZipFile(kept) as packed:
                for member in packed.infolist():
                    at = f" at {member.filename!r}"
                    _place(tree, packed, member)
            tree.check_links()
        except DAMAGE as error:
            raise ReleaseError(f"The archive {archive} cannot be read: {error}. Point url at a sound .zip.") from error
        except ReleaseError as error:
            raise ReleaseError(f"The archive {archive} is refused{at}: {error}. Use upstream's archive.") from error
    return sha256


def _copy(source: IO[bytes], target: IO[bytes], progress: Progress) -> str:
    sha256, done, size = hashlib.sha256(), 0, os.fstat(source.fileno()).st_size
    while data := source.read(BLOCK):
        sha256.update(data)
        write_all(target.fileno(), memoryview(data))
        done += len(data)
        progress("unpacking", done, size)
    return sha256.hexdigest()


def _place(tree: Tree, packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    path, mode = inside(member.filename, depth=0), member.external_attr >> 16
    if member.is_dir():
        tree.directory(path)
    elif stat.S_ISLNK(mode):
        tree.symlink(path, packed.read(member).decode())
    elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
        with packed.open(member) as content:
            tree.file(path, bool(mode & 0o111 or PROGRAM.fullmatch(path)), _blocks(content))
    else:
        raise ReleaseError("it is of a kind that no plugin needs")


def refuse_another_plugin(folder: str, name: str, version: str) -> None:
    """Raise ReleaseError where a folder does not hold the plugin that it is meant for.

    :param folder: path of what was unpacked
    :param name: the id that is wanted, as Grafana knows it
    :param version: its version
    """
    found = sorted(glob.glob(f"{folder}/plugin.json") + glob.glob(f"{folder}/*/plugin.json"))
    try:
        with open(found[0], encoding="utf-8-sig") as file:
            about = json.load(file)
        holds = f"{about['id']} {about['info']['version']}"
    except (IndexError, OSError, ValueError, KeyError, TypeError):
        raise ReleaseError("It holds no plugin of Grafana: a plugin.json with id and version is in none.") from None
    if holds != f"{name} {version}":
        raise ReleaseError(
            f"It holds the plugin {printable(holds)}, and {name} {version} is wanted: write those, or another url."
        )


def _blocks(content: IO[bytes]) -> Iterator[memoryview]:
    while data := content.read(BLOCK):
        yield memoryview(data)
