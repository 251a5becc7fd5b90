"""Write trees to a folder beside their place, before they go live."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from ansible_collections.emr.monitoring.plugins.module_utils.tree import Task, join, naming

STAGED_SUFFIX = "[a-z0-9_]{8}"  # what tempfile appends


def staging_prefix(path: str, name: str) -> str:
    """How the names of folders and links begin that stand in for `path` until they go live."""
    return f".{os.path.basename(path)}.{name}.staging-"


def ancestors(path: str) -> list[str]:
    """The existing folders above `path`, the nearest first."""
    found = []
    while path != "/":
        path = os.path.dirname(path)
        if os.path.isdir(path):
            found.append(path)
    return found


def remove(path: str) -> None:
    """Remove a staged folder or link; what cannot be removed is left to the next run's sweep."""
    if os.path.islink(path):
        os.unlink(path)
    else:
        shutil.rmtree(path, ignore_errors=True)


def sweep(paths: Iterable[str], name: str) -> None:
    """Remove what killed runs of the same name staged for `paths`. Call it under the lock."""
    for path in paths:
        pattern = re.compile(re.escape(staging_prefix(path, name)) + STAGED_SUFFIX)
        for folder in [*ancestors(path), *([path] if os.path.ismount(path) else [])]:
            for leftover in filter(pattern.fullmatch, os.listdir(folder)):
                remove(f"{folder}/{leftover}")


def own(file: int | str, mode: int, uid: int | None, gid: int | None) -> None:
    """Set owner and mode of an open file or a path, in this order: a change of owner clears set-id bits."""
    os.chown(file, -1 if uid is None else uid, -1 if gid is None else gid)
    os.chmod(file, mode)


@contextmanager
def staged(task: Task, changed: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """Write every tree to a private folder on its dest's file system; yields the folders by tree name.

    The folders are removed in the end. Raises TreeError if something cannot be written.
    """
    stages: dict[str, str] = {}
    with ExitStack() as stack:
        for tree in task.trees:
            # Rename needs the same file system; to make dest's parents before the checks would be a trace.
            place = tree.dest if os.path.ismount(tree.dest) else ancestors(tree.dest)[0]
            with naming(f"stage {tree.dest} in {place}"):
                stage = tempfile.mkdtemp(prefix=staging_prefix(tree.dest, task.name), dir=place)
            stages[tree.name] = stage
            stack.callback(remove, stage)
            for rel in tree.folders()[1:]:
                with naming(f"stage {join(tree.dest, rel)} in {place}"):
                    os.mkdir(join(stage, rel))
                    own(join(stage, rel), tree.dir_mode, tree.uid, tree.gid)
            for rel, file in tree.files.items():
                with (
                    naming(f"stage {join(tree.dest, rel)} in {place}"),
                    open(join(stage, rel), "xb") as stream,
                ):
                    stream.write(file.content)
                    stream.flush()
                    own(stream.fileno(), file.mode, file.uid, file.gid)
                    if rel in changed[tree.name]:  # the others never leave the stage
                        os.fsync(stream.fileno())
        yield stages
