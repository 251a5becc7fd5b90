"""Keep what was live before a change, so that it can be put back without a free byte on the disk."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.tree import Task, TreeError, join, naming
from ansible_collections.emr.monitoring.plugins.module_utils.tree_diff import Plan
from ansible_collections.emr.monitoring.plugins.module_utils.tree_files import FOLDER, holder, read_status
from ansible_collections.emr.monitoring.plugins.module_utils.tree_manifest import write_json
from ansible_collections.emr.monitoring.plugins.module_utils.tree_stage import ancestors, own


@dataclass(frozen=True)
class Undo:
    """What was live before a change went live.

    :ivar files: [folder of the tree, relative path, hard link that keeps the old file or None where there was none];
        a symlink is a file, too, whose relative path is empty
    :ivar folders: [folder of the tree, relative path, [mode, uid, gid] or None where there was none], outer first
    :ivar manifest: hard link that keeps the old manifest, None where there was none
    :ivar kept_in: the folders that hold the hard links
    :ivar service: what whoever changes a service needs to start the old one again
    """

    files: list[tuple[str, str, str | None]]
    folders: list[tuple[str, str, tuple[int, int, int] | None]]
    manifest: str | None
    kept_in: list[str]
    service: dict[str, Any]


def undo_path(state_dir: str, name: str) -> str:
    """The file that tells, as long as it exists, that a change is not confirmed."""
    return f"{state_dir}/{name}.undo.json"


def undo_folder(dest: str, name: str) -> str:
    """Where the old files of a tree are kept: on its file system, beside it."""
    place = dest if os.path.ismount(dest) else ancestors(dest)[0]
    return f"{place}/.{os.path.basename(dest)}.{name}.undo"


def load(state_dir: str, name: str) -> Undo | None:
    """What an earlier run kept and did not confirm; None if there is nothing. Raises TreeError if it is damaged."""
    return _read(undo_path(state_dir, name))


def kept_file(undo: Undo, path: str) -> str | None:
    """Where what was live at a path is kept: at the path itself where it still is; None where there was nothing."""
    backup = next((backup for dest, rel, backup in undo.files if join(dest, rel) == path), path)
    # An earlier call of `restore` has put it back.
    return path if backup and not os.path.lexists(backup) else backup


def _read(path: str) -> Undo | None:
    try:
        with open(path, encoding="utf-8") as stream:
            return Undo(**json.load(stream))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as err:
        raise TreeError(
            f"{path} cannot be read, which says what an interrupted run replaced: remove it to keep what is live now"
        ) from err


def keep(task: Task, plan: Plan, state_dir: str, service: Mapping[str, Any]) -> Undo:
    """Keep all that the plan replaces or removes; from now on `restore` can put it back.

    Raises TreeError if it cannot be kept, after which nothing is left of it.
    """
    replaced = [*_replaced(task, plan)]
    kept_in = sorted({undo_folder(dest, task.name) for dest, _ in replaced})
    manifest, journal = f"{state_dir}/{task.name}.json", undo_path(state_dir, task.name)
    old_manifest = f"{manifest}.undo" if os.path.exists(manifest) else None
    # So that a run that is killed before the journal is there leaves nothing that nobody knows of.
    write_json(f"{journal}.done", asdict(Undo([], [], old_manifest, kept_in, {})))
    try:
        for folder in kept_in:
            with naming(f"make {folder}"):
                os.mkdir(folder, 0o700)
        files = [(dest, rel, _link(dest, rel, undo_folder(dest, task.name))) for dest, rel in replaced]
        if old_manifest:
            with naming(f"keep {manifest}"):
                os.link(manifest, old_manifest)
        undo = Undo(files, _folders(task, plan), old_manifest, kept_in, dict(service))
        write_json(journal, asdict(undo))
    except Exception:
        sweep(state_dir, task.name)
        raise
    with naming(f"remove {journal}.done"):
        os.unlink(f"{journal}.done")
    return undo


def _replaced(task: Task, plan: Plan) -> Iterable[tuple[str, str]]:
    """The files and links that the plan writes or removes, as (folder of the tree, relative path)."""
    for tree in task.trees:
        yield from ((tree.dest, rel) for rel in plan.changed[tree.name] if rel in tree.files)
    yield from ((entry.dest, entry.rel) for entry in plan.stale)
    yield from ((path, "") for path in [*plan.links, *plan.stale_links])


def _folders(task: Task, plan: Plan) -> list[tuple[str, str, tuple[int, int, int] | None]]:
    """The folders that the plan makes, changes, or removes once they are empty; outer before inner."""
    places = {(tree.dest, rel) for tree in task.trees if tree.name in plan.touched for rel in tree.folders()}
    for entry in plan.stale:
        rel = entry.rel
        while rel:
            rel = os.path.dirname(rel)
            places.add((entry.dest, rel))
    found: list[tuple[str, str, tuple[int, int, int] | None]] = []
    for dest, rel in sorted(places):
        info = read_status(dest, rel)
        found.append((dest, rel, (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) if info else None))
    return found


def _link(dest: str, rel: str, folder: str) -> str | None:
    """Keep a live file by a hard link; its path, None where there is no file."""
    with naming(f"keep {join(dest, rel)} in {folder}"), holder(dest, rel) as (parent, name):
        if parent is None:
            return None
        backup = f"{folder}/{len(os.listdir(folder))}"
        try:
            os.link(name, backup, src_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None
    return backup


def restore(undo: Undo, state_dir: str, name: str) -> None:
    """Put back what was live. It only renames and removes; a second call does what a first one did not get to.

    Raises TreeError if something cannot be put back; the journal stays, for a later call.
    """
    for dest, rel, owned in undo.folders:
        if owned:
            with naming(f"put back {join(dest, rel)}"):
                _restore_folder(dest, rel, owned)
    for dest, rel, backup in undo.files:
        with naming(f"put back {join(dest, rel)}"), holder(dest, rel) as (parent, file):
            if parent is None:
                continue
            if backup is None:
                with suppress(FileNotFoundError):
                    os.unlink(file, dir_fd=parent)
            # An earlier call has put it back.
            elif os.path.lexists(backup):
                os.rename(backup, file, dst_dir_fd=parent)
                # Where both are one file, rename leaves both names.
                with suppress(FileNotFoundError):
                    os.unlink(backup)
    for dest, rel, owned in reversed(undo.folders):
        if owned is None:
            # It holds what others have put there meanwhile.
            with suppress(OSError), holder(dest, rel) as (parent, folder):
                if parent is not None:
                    os.rmdir(folder, dir_fd=parent)
    manifest = f"{state_dir}/{name}.json"
    with naming(f"put back {manifest}"):
        if undo.manifest is None:
            with suppress(FileNotFoundError):
                os.unlink(manifest)
        elif os.path.lexists(undo.manifest):
            os.rename(undo.manifest, manifest)
            with suppress(FileNotFoundError):
                os.unlink(undo.manifest)


def _restore_folder(dest: str, rel: str, owned: tuple[int, int, int]) -> None:
    with holder(dest, rel) as (parent, name):
        if parent is None:
            return
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, FOLDER, dir_fd=parent)
        try:
            own(fd, *owned)
        finally:
            os.close(fd)


def forget(undo: Undo, state_dir: str, name: str) -> None:
    """Confirm a change, or what was put back: nothing can be undone any more."""
    path = undo_path(state_dir, name)
    with naming(f"rename {path}"):
        # From here on nothing is put back, and what is left of it goes even if this is cut off.
        os.rename(path, f"{path}.done")
    sweep(state_dir, name)


def sweep(state_dir: str, name: str) -> None:
    """Remove what is left of the last change that can no longer be undone, or not yet."""
    path = f"{undo_path(state_dir, name)}.done"
    undo = None if os.path.exists(undo_path(state_dir, name)) else _read(path)
    if undo is None:
        return
    with naming(f"remove {path}"):
        if undo.manifest:
            with suppress(FileNotFoundError):
                os.unlink(undo.manifest)
        for folder in undo.kept_in:
            shutil.rmtree(folder, ignore_errors=True)
        os.unlink(path)
