"""Make staged trees live, and remove what is no longer wanted."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.tree import Task, Tree, join, naming
from ansible_collections.emr.monitoring.plugins.module_utils.tree_diff import Plan
from ansible_collections.emr.monitoring.plugins.module_utils.tree_files import FOLDER, holder, read_status
from ansible_collections.emr.monitoring.plugins.module_utils.tree_manifest import (
    LINKS,
    Entry,
    Manifest,
)
from ansible_collections.emr.monitoring.plugins.module_utils.tree_stage import own, staging_prefix

Relabel = Callable[[str], Any]


def journal(task: Task, old: Manifest, plan: Plan) -> Manifest:
    """The manifest that stands while changes go live, for the run after one that is killed meanwhile.

    It holds whatever may be made, so that it can be removed again. What changes has a digest or a target that
    matches nothing, and its tree no live_at, so that it is taken for changed.
    """
    files = dict(old.files)
    folders = set(old.folders)
    for tree in task.trees:
        for rel in set(plan.changed[tree.name]) & set(tree.files):
            files[join(tree.dest, rel)] = Entry(tree.name, tree.dest, rel, "", tree.files[rel].secret, tree.shared)
        folders.update((tree.dest, rel) for rel in tree.folders() if read_status(tree.dest, rel) is None)
    live_at = {name: at for name, at in old.live_at.items() if name not in plan.touched}
    return Manifest(files, folders, {**old.links, **dict.fromkeys(plan.links, "")}, live_at)


def outcome(task: Task, old: Manifest, plan: Plan, folders: set[tuple[str, str]], now: float) -> Manifest:
    """The manifest once everything is live, since `now`."""
    files = {
        join(tree.dest, rel): Entry(tree.name, tree.dest, rel, file.digest(), file.secret, tree.shared, file.shown)
        for tree in task.trees
        for rel, file in tree.files.items()
    }
    live_at = {**old.live_at, **dict.fromkeys(plan.touched, now)}
    names = {LINKS, *(tree.name for tree in task.trees)}
    return Manifest(files, folders, task.links, {name: at for name, at in live_at.items() if name in names})


def put_tree(tree: Tree, stage: str, changed: Iterable[str], relabel: Relabel) -> None:
    """Make the folders and the changed files of a staged tree live."""
    for rel in tree.folders():
        path = join(tree.dest, rel)
        with naming(f"make {path}"), holder(tree.dest, rel) as (parent, name):
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                if tree.shared:
                    continue
            fd = os.open(name, FOLDER, dir_fd=parent)
            try:
                own(fd, tree.dir_mode, tree.uid, tree.gid)
            finally:
                os.close(fd)
            relabel(path)
    for rel in changed:
        if rel in tree.files:
            path = join(tree.dest, rel)
            with naming(f"replace {path}"), holder(tree.dest, rel) as (parent, name):
                os.rename(join(stage, rel), name, dst_dir_fd=parent)
                relabel(path)


def put_link(path: str, target: str, name: str) -> None:
    """Replace the symlink `path`; at every moment it is the old or the new one."""
    # mktemp's race does no harm: symlink() follows nothing and replaces nothing.
    new = tempfile.mktemp(prefix=staging_prefix(path, name), dir=os.path.dirname(path))  # noqa: S306
    os.symlink(target, new)
    os.rename(new, path)


def remove_stale(dest: str, rel: str, folder: bool = False) -> bool:
    """Remove a file, a link or an empty folder; returns whether it is gone. Something else in place stays."""
    with naming(f"remove {join(dest, rel)}"), holder(dest, rel) as (parent, name):
        try:
            if parent is not None:
                (os.rmdir if folder else os.unlink)(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except OSError as err:
            if err.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EBUSY):
                raise
            return False
    return True


def make_live(
    task: Task, stages: Mapping[str, str], folders: set[tuple[str, str]], plan: Plan, relabel: Relabel
) -> set[tuple[str, str]]:
    """Make everything live and remove what is stale; returns which of our `folders` are still there."""
    for path in [*(tree.dest for tree in task.trees if tree.name in plan.touched), *plan.links]:
        with naming(f"make the folders above {path}"):
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    for tree in task.trees:
        if tree.name in plan.touched:
            put_tree(tree, stages[tree.name], plan.changed[tree.name], relabel)
    for entry in plan.stale:
        if entry not in kept_entries(task, plan):
            remove_stale(entry.dest, entry.rel)
    needed = {join(tree.dest, rel) for tree in task.trees for rel in tree.folders()}
    kept = {
        (dest, rel)
        for dest, rel in sorted(folders, reverse=True)  # inner before outer
        if join(dest, rel) in needed or not remove_stale(dest, rel, folder=True)
    }
    for path in plan.links:
        with naming(f"replace {path}"):
            put_link(path, task.links[path], task.name)
    for path in filter(os.path.islink, plan.stale_links):
        remove_stale(path, "")
    return kept


def kept_entries(task: Task, plan: Plan) -> list[Entry]:
    """What is no longer wanted, and goes when the service no longer reads it."""
    trees = {tree.name for tree in task.trees if tree.kept}
    return [entry for entry in plan.stale if entry.tree in trees]


def remove_kept(task: Task, plan: Plan) -> None:
    """Remove that, and the folders that it leaves empty; the manifest forgets these with the next change."""
    for entry in kept_entries(task, plan):
        remove_stale(entry.dest, entry.rel)
        folder = os.path.dirname(entry.rel)
        while folder and remove_stale(entry.dest, folder, folder=True):
            folder = os.path.dirname(folder)


def report(task: Task, plan: Plan, before: Mapping[str, float], now: float) -> dict[str, Any]:
    """The task's result: what is touched is live since `now`, the rest since `before`."""
    dests = {tree.name: tree.dest for tree in task.trees}
    removed: dict[str, list[str]] = {}
    for entry in plan.stale:
        path = entry.rel if dests.get(entry.tree) == entry.dest else join(entry.dest, entry.rel)
        removed.setdefault(entry.tree, []).append(path)
    live_at = {**before, **dict.fromkeys(plan.touched, now)}
    return {
        "changed": bool(plan.touched),
        "trees": {
            name: {
                "changed": plan.changed.get(name, []),
                "removed": removed.get(name, []),
                "left": plan.left.get(name, []),
                "live_at": live_at[name],
            }
            for name in sorted((plan.touched | set(dests)) - {LINKS})
        },
        "links": {"changed": plan.links, "removed": plan.stale_links, "live_at": live_at.get(LINKS, 0.0)},
        "diff": plan.diff,
        "warnings": [],
    }
