"""Remember what was made, and since when it is live."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import MappingProxyType
from typing import Any, NamedTuple

from ansible_collections.emr.monitoring.plugins.module_utils.tree import File, TreeError, join, naming
from ansible_collections.emr.monitoring.plugins.module_utils.tree_files import read_file

LINKS = ""  # the links' key among the trees' live_at: no tree can have this name


class Entry(NamedTuple):
    """A file in the manifest. An empty digest matches nothing: the file is about to change."""

    tree: str
    dest: str
    rel: str
    digest: str
    secret: bool
    # As if it were so, where a manifest of an older version does not say.
    shared: bool = True
    shown: str | None = None


class Manifest(NamedTuple):
    """What earlier runs made: files by path, folders as (dest, relative path), links; and since when.

    `notes` are what a service wants to know of itself when these files are put back; an older version made none.
    """

    files: dict[str, Entry]
    folders: set[tuple[str, str]]
    links: dict[str, str]
    live_at: dict[str, float]
    notes: Mapping[str, Any] = MappingProxyType({})


def read_live(dest: str, rel: str, entry: Entry | None) -> File | None:
    """The live file, with what may be shown of it where it is still as the `entry` of the manifest says."""
    file = read_file(dest, rel)
    return file._replace(shown=entry.shown) if file and entry and entry.digest == file.digest() else file


def known_entry(*fields: Any) -> Entry:
    """An entry of a manifest; of what an older version made nobody knows what may be shown."""
    entry = Entry(*fields)
    return entry if len(fields) == len(Entry._fields) else entry._replace(secret=True)


def load(path: str) -> Manifest:
    """Read the manifest; an empty one if there is none. Raises TreeError if it is damaged."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        files = {join(entry.dest, entry.rel): entry for entry in (known_entry(*fields) for fields in data["files"])}
        folders = {(dest, rel) for dest, rel in data["folders"]}
        return Manifest(files, folders, data["links"], data["live_at"], data.get("notes", {}))
    except FileNotFoundError:
        return Manifest({}, set(), {}, {})
    except (OSError, ValueError, TypeError, KeyError) as err:
        raise TreeError(
            f"the manifest {path} cannot be read: remove it, and by hand what is no longer rendered"
        ) from err


def save(path: str, manifest: Manifest) -> None:
    """Write the manifest so that a reader, or a power cut, finds either the old or the new one."""
    data = {
        "files": list(manifest.files.values()),
        "folders": sorted(manifest.folders),
        "links": manifest.links,
        "live_at": manifest.live_at,
        "notes": dict(manifest.notes),
    }
    write_json(path, data, "the manifest ")


def write_json(path: str, data: Any, what: str = "") -> None:
    """Write a file that root alone reads so that a reader, or a power cut, finds either the old or the new one."""
    new = f"{path}.new"
    with naming(f"write {what}{path}"):
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
                json.dump(data, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(new, path)
        except OSError:
            with suppress(OSError):
                os.unlink(new)
            raise


def forget(state_dir: str, name: str) -> None:
    """Remove the manifest and its lock, and the folder unless it holds others. Call it under the lock."""
    for file in (f"{name}.json.new", f"{name}.json", f"{name}.lock"):
        with naming(f"remove {state_dir}/{file}"), suppress(FileNotFoundError):
            os.unlink(f"{state_dir}/{file}")
    with suppress(OSError):
        os.rmdir(state_dir)


@contextmanager
def lock(state_dir: str, name: str, check: bool) -> Iterator[None]:
    """Wait for other runs of the same name. Check mode leaves no trace: it locks only what is there."""
    path = f"{state_dir}/{name}.lock"
    with ExitStack() as stack:
        with naming(f"lock {path}"), suppress(*([FileNotFoundError] if check else [])):
            held = False
            while not held:
                if not check:
                    os.makedirs(state_dir, 0o700, exist_ok=True)
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (0 if check else os.O_CREAT), 0o600)
                stack.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX)
                # The run that was waited for may have removed the file: nobody else would wait for this lock.
                held = os.fstat(fd).st_nlink > 0
        yield
