"""Compare trees as they are wanted with what is live."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from ansible_collections.emr.monitoring.plugins.module_utils.tree import (
    File,
    Task,
    Tree,
    TreeError,
    check_absolute,
    join,
)
from ansible_collections.emr.monitoring.plugins.module_utils.tree_files import read_link, read_status
from ansible_collections.emr.monitoring.plugins.module_utils.tree_manifest import LINKS, Entry, Manifest, read_live

LEFT_LIMIT = 50
# The key at the beginning of a line of YAML or of an ini file.
KEY = re.compile(rb"(\s*(?:- )*)([A-Za-z_][\w.-]*)(:(?: |$)| = )")
HIDDEN = b"(not shown)"
DIFF_LIMIT = 256 * 1024


class Plan(NamedTuple):
    """What differs; every list is by tree name. `stale` are the entries to remove, `foreign` the paths in the way."""

    changed: dict[str, list[str]]
    stale: list[Entry]
    left: dict[str, list[str]]
    links: list[str]
    stale_links: list[str]
    touched: set[str]
    diff: list[dict[str, str]]
    foreign: list[str]


def shown(file: File | None, other: File | None, secret: bool, version: str) -> str:
    """The content of one of two versions ("old", "new") as a diff shows it."""
    if file is None:
        return ""
    if secret:
        return shown_lines(file, other, version) or f"({version} secret content, not shown)\n"
    with suppress(UnicodeDecodeError):
        if len(file.content) <= DIFF_LIMIT and b"\0" not in file.content:
            return file.content.decode()
    digest = hashlib.sha256(file.content).hexdigest()[:12]
    return f"({len(file.content)} bytes with sha256 {digest}…, too long or no text)\n"


def shown_lines(file: File, other: File | None, version: str) -> str:
    """What may be shown of a secret file, with a word at each line whose secret part the other version lacks."""
    if len(file.content) > DIFF_LIMIT:
        return ""
    lines = pair_lines(file)
    others = pair_lines(other) if other else []
    if not lines and others:
        # Edited by hand, or by an older version: it may show what is the same in the other one, and the keys of that.
        lines = borrow_lines(file, others)
    known = set(other.content.split(b"\n")) if other else {whole for whole, _ in lines}
    marked = (
        line + f"  ({version})".encode() if line != whole and whole not in known else line for whole, line in lines
    )
    return b"\n".join(marked).decode("utf-8", "replace")


def pair_lines(file: File) -> list[tuple[bytes, bytes]]:
    """The lines of a file, each with what may be shown of it; none where nobody said what may."""
    lines = file.content.split(b"\n")
    shown_as = [] if file.shown is None else file.shown.encode("utf-8", "surrogateescape").split(b"\n")
    return [(line, shown_as[number]) for number, line in enumerate(lines)] if len(lines) == len(shown_as) else []


def borrow_lines(file: File, others: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The lines of a file of which nobody said what may be shown, by the `pair_lines` of another version of it."""
    same = dict(others)
    keys = {found[2] for _, line in others for found in [KEY.match(line)] if found}

    def borrow(line: bytes) -> bytes:
        found = KEY.match(line)
        return found[1] + found[2] + found[3] + HIDDEN if found and found[2] in keys else HIDDEN

    return [(line, same[line] if line in same else borrow(line)) for line in file.content.split(b"\n")]


def diff_entry(path: str, before: str, after: str) -> dict[str, str]:
    """One entry of Ansible's diff."""
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def attributes(mode: int, uid: int | None, gid: int | None) -> str:
    """Mode and owner as a diff shows them."""
    return f"mode={mode:04o} owner={uid} group={gid}\n"


def compare_file(path: str, old: File | None, new: File | None, secret: bool) -> list[dict[str, str]]:
    """The diff between two versions of a file: of its content, and of its attributes if both exist."""
    entries = []
    if old is None or new is None or old.content != new.content:
        before, after = shown(old, new, secret, "old"), shown(new, old, secret, "new")
        moved = "(the order of what is not shown changed)\n" if before == after else ""
        entries.append(diff_entry(path, before, after + moved))
    if old and new and old[1:4] != new[1:4]:
        entries.append(diff_entry(path, attributes(*old[1:4]), attributes(*new[1:4])))
    return entries


def compare_folder(tree: Tree, rel: str) -> list[dict[str, str]]:
    """The diff of a folder that exists; a missing one shows by its files."""
    path, info = join(tree.dest, rel), read_status(tree.dest, rel)
    if info is None:
        return [] if tree.files else [diff_entry(f"{path}/", "", attributes(tree.dir_mode, tree.uid, tree.gid))]
    if not stat.S_ISDIR(info.st_mode):
        raise TreeError(f"{path} is a symlink or a file where a folder must be: remove it")
    old, new = (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid), (tree.dir_mode, tree.uid, tree.gid)
    return [] if tree.shared or old == new else [diff_entry(f"{path}/", attributes(*old), attributes(*new))]


def list_foreign(dest: str, known: Iterable[str]) -> list[str]:
    """Relative paths, sorted, of the first files below `dest` that are not in `known` (absolute paths)."""
    ours, found = set(known), []
    for folder, folders, files in os.walk(dest):
        folders.sort()
        links = [name for name in folders if os.path.islink(f"{folder}/{name}")]
        for name in sorted(files + links):
            if f"{folder}/{name}" not in ours:
                found.append(f"{folder}/{name}"[len(dest) + 1 :])
        if len(found) >= LEFT_LIMIT:
            break
    return sorted(found)[:LEFT_LIMIT]


def compare_tree(tree: Tree, old: Manifest, plan: Plan) -> None:
    """Add a tree's differences to the plan.

    A file that is right but that the manifest does not know so counts as changed: an earlier run was cut off,
    and nobody knows since when the file is live.
    """
    changed = plan.changed[tree.name] = []
    for rel in tree.folders():
        diff = compare_folder(tree, rel)
        plan.diff.extend(diff)
        changed.extend([f"{rel or '.'}/"] if diff else [])
    for rel, file in sorted(tree.files.items()):
        path = join(tree.dest, rel)
        entry = old.files.get(path)
        live = read_live(tree.dest, rel, entry)
        if live is None or live[:4] != file[:4] or entry is None or entry.digest != file.digest():
            changed.append(rel)
            # What holds the same is as good as ours: the manifest may have been lost.
            plan.foreign.extend([path] if live and entry is None and live.content != file.content else [])
            secret = file.secret or bool(entry and entry.secret)
            plan.diff.extend(compare_file(path, live, file, secret))
    if changed or tree.name not in old.live_at:
        plan.touched.add(tree.name)


def compare_links(wanted: Mapping[str, str], old: Mapping[str, str], files: Container[str], plan: Plan) -> None:
    """Add the links' differences to the plan; an old one that is now one of the `files` is not stale."""
    for path, target in sorted(wanted.items()):
        live = read_link(path)
        if live != target or old.get(path) != target:
            plan.links.append(path)
        if live != target:
            # One that leads to the same place is as good as ours: the manifest may have been lost.
            ours = path in old or not live or os.path.dirname(live) == os.path.dirname(target)
            plan.foreign.extend([] if ours else [path])
            plan.diff.append(diff_entry(path, f"-> {live}\n" if live else "", f"-> {target}\n"))
    for path in sorted(set(old) - set(wanted)):
        if path not in files:
            check_absolute(path, "the manifest")
            plan.stale_links.append(path)
            if os.path.islink(path):
                plan.diff.append(diff_entry(path, f"-> {os.readlink(path)}\n", ""))
    plan.touched.update([LINKS] if plan.links or plan.stale_links else [])


def compare(task: Task, old: Manifest, adopt: bool) -> Plan:
    """Compare what is wanted with what is live and in the manifest.

    Raises TreeError if that fails, or where something of somebody else is in the way that is not to be taken over.
    """
    wanted = {join(tree.dest, rel) for tree in task.trees for rel in tree.files}
    known = wanted.union(old.files, old.links, task.links)
    plan = Plan({}, [], {}, [], [], set(), [], [])
    for tree in task.trees:
        compare_tree(tree, old, plan)
        plan.left[tree.name] = [] if tree.shared else list_foreign(tree.dest, known)
    for path, entry in sorted(old.files.items()):
        if path not in wanted:
            check_absolute(entry.dest, "the manifest")
            plan.stale.append(entry)
            plan.touched.add(entry.tree)
            info = read_status(entry.dest, entry.rel)
            if info and not stat.S_ISDIR(info.st_mode):
                live = read_live(entry.dest, entry.rel, entry)
                plan.diff.extend(compare_file(path, live, None, entry.secret))
            if not entry.shared and entry.tree not in plan.left:
                plan.left[entry.tree] = [join(entry.dest, rel) for rel in list_foreign(entry.dest, known)]
    compare_links(task.links, old.links, wanted, plan)
    if plan.foreign and not adopt:
        raise TreeError(
            f"{', '.join(plan.foreign)}: this was there before, and another one is to take its place: move it away if "
            "nobody needs it, or have it replaced with monitoring_adopt_existing: true, by which a copy stays"
        )
    plan.touched.update(set(old.live_at) - set(plan.changed) - {LINKS})
    return plan
