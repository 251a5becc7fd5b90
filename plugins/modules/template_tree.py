#!/usr/bin/python
"""The node's half of template_tree: compare whole trees of files, check them together, make them live."""

from __future__ import annotations

import base64
import errno
import fcntl
import grp
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: template_tree
short_description: Render, check and install all files of a service's configuration as one thing
description:
  - Renders every file of one or more trees on the controller, sends them in one trip, compares them on the
    node, has commands check them together, and makes them live together.
  - Files that an earlier run made and that are no longer rendered are removed. Nothing that a check refuses
    touches the node.
  - A manifest on the node remembers what was made and when each tree's content went live, so that a later
    task can tell whether a service has loaded it.
  - A file or link that no earlier run made is never replaced, unless it holds the same; the task fails before it
    changes anything.
  - Runs as root. Paths are never followed through a symlink inside O(trees.dest).
options:
  name:
    description: Names the manifest. Two tasks never share one.
    type: str
    required: true
  trees:
    description:
      - The trees, by a name of their own (C([a-z][a-z0-9_-]*)). A tree that is no longer listed is removed.
      - With C({}) and no O(links), all that earlier runs made goes, and at last the manifest.
    type: dict
    required: true
    suboptions:
      src:
        description:
          - A folder in the role's C(templates/). Every C(*.j2) file below it is rendered as
            M(ansible.builtin.template) does and loses that suffix; every other file is copied as it is.
        type: str
      contents:
        description:
          - Further files, relative path to text, which is written as it is, never templated again.
          - In place of a text, a dictionary with C(content), the text, and C(shown), the same lines as a diff may show
            them. The content is a secret where they differ; that a line of it changed is shown, with its C(shown).
        type: dict
        default: {}
      dest:
        description:
          - The folder on the node. It is created when it is missing. It must not be a symlink itself.
          - Links among the folders above it are followed when root made them.
        type: path
        required: true
      owner:
        description: The owner of files and folders, a name or a number.
        type: str
        default: root
      group:
        description: The group of files and folders, a name or a number.
        type: str
        default: root
      mode:
        description: The mode of files, a quoted octal number.
        type: str
        default: "0644"
      dir_mode:
        description: The mode of O(trees.dest) and of the folders in it, a quoted octal number.
        type: str
        default: "0755"
      modes:
        description:
          - Exceptions from O(trees.mode), pattern of relative paths to mode. C(*) matches C(/) too. The first
            match counts.
        type: dict
        default: {}
      secret:
        description: Patterns of relative paths whose content no diff and no check's output shows.
        type: list
        elements: str
        default: []
      shared:
        description:
          - V(true) when O(trees.dest) belongs to others too (C(/etc/systemd/system)). Folders that exist keep
            their mode and owner, and RV(trees.left) stays empty.
        type: bool
        default: false
  links:
    description:
      - Symlinks that go live right after the files, path to target. Each is replaced atomically. Folders
        above it are created. A link that is no longer listed is removed.
    type: dict
    default: {}
  checks:
    description:
      - Commands, each a list of words, that must succeed before anything goes live. C({tree}) stands for the
        staged folder of the tree of that name. They run as root, in order, in the first tree's staged folder,
        with C(LC_ALL=C).
      - They are run whenever something differs, in check mode too. In check mode alone, a check whose
        executable is not on the node yet, or that says so with status 127, as timeout(1) does, is skipped with a
        warning.
      - Let the files refer to each other by relative paths, else a check reads what is live.
    type: list
    elements: list
    default: []
  check_timeout:
    description: How long each check may take, in seconds.
    type: int
    default: 60
  state_dir:
    description: The folder of the manifests on the node.
    type: path
    default: /var/lib/ansible-template-tree
  payload:
    description: Filled by the action plugin of the same name; not for use in a task.
    type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Configure Prometheus
  emr.monitoring.template_tree:
    name: prometheus
    trees:
      config:
        src: config
        contents: "{{ prometheus_rules }}"
        dest: /etc/prometheus
        group: prometheus
        mode: "0640"
        dir_mode: "0750"
        secret: [web.yml]
      unit:
        src: systemd
        dest: /etc/systemd/system
        shared: true
    links:
      /mnt/prometheus/current: releases/3.13.2
    checks:
      - [/mnt/prometheus/releases/3.13.2/promtool, check, config, "{config}/prometheus.yml"]
  register: __prometheus_files

- name: Remove all of it again
  emr.monitoring.template_tree:
    name: prometheus
    trees: {}
"""

RETURN = r"""
trees:
  description: What happened to each tree, by its name. A tree that went away is listed once, by that run.
  returned: success
  type: dict
  contains:
    changed:
      description: Relative paths that were written. A folder whose mode or owner was set ends in C(/).
      type: list
      elements: str
    removed:
      description: Files that are no longer rendered, relative to C(dest), or absolute when C(dest) has moved.
      type: list
      elements: str
    left:
      description: Files in C(dest) that this task did not make, at most 50. Absolute for a tree that went away,
        whose folders they keep.
      type: list
      elements: str
    live_at:
      description: When the tree's present content went live, in seconds since the epoch by the node's clock.
      type: float
links:
  description: The links that were C(changed) and C(removed), and C(live_at), 0 if there never were any.
  returned: success
  type: dict
"""

Relabel = Callable[[str], Any]

LINKS = ""  # the links' key among the trees' live_at: no tree can have this name
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
LEFT_LIMIT = 50
OUTPUT_LIMIT = 10_000
DIFF_LIMIT = 256 * 1024
NOT_FOUND = 127  # what timeout(1), env(1) and the shell return for a program that is not there
STAGED_SUFFIX = "[a-z0-9_]{8}"  # what tempfile appends


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
    """A tree as it is wanted; `files` by relative path."""

    name: str
    dest: str
    dir_mode: int
    uid: int | None
    gid: int | None
    shared: bool
    files: dict[str, File]

    def folders(self) -> list[str]:
        """Relative paths of the folders that the files need, outer before inner; "" is dest itself."""
        found = {""}
        for rel in self.files:
            while rel:
                rel = os.path.dirname(rel)  # noqa: PLW2901
                found.add(rel)
        return sorted(found)


class Task(NamedTuple):
    """What the task wants: `links` path to target, `checks` lists of words, `check_timeout` in seconds."""

    name: str
    trees: list[Tree]
    links: dict[str, str]
    checks: list[list[str]]
    check_timeout: float


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
    """What earlier runs made: files by path, folders as (dest, relative path), links; and since when."""

    files: dict[str, Entry]
    folders: set[tuple[str, str]]
    links: dict[str, str]
    live_at: dict[str, float]


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
        tree = Tree(name, spec["dest"], spec["dir_mode"], uid, gid, spec["shared"], files)
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
    return Task(payload["name"], trees, payload["links"], payload["checks"], payload["check_timeout"])


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


def read_live(dest: str, rel: str, entry: Entry | None) -> File | None:
    """The live file, with what may be shown of it where it is still as the `entry` of the manifest says."""
    file = read_file(dest, rel)
    return file._replace(shown=entry.shown) if file and entry and entry.digest == file.digest() else file


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


def load(path: str) -> Manifest:
    """Read the manifest; an empty one if there is none. Raises TreeError if it is damaged."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        files = {join(entry.dest, entry.rel): entry for entry in (Entry(*fields) for fields in data["files"])}
        return Manifest(files, {(dest, rel) for dest, rel in data["folders"]}, data["links"], data["live_at"])
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
    }
    new = f"{path}.new"
    with naming(f"write the manifest {path}"):
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
    shown_as = (file.shown or "").encode("utf-8", "surrogateescape").split(b"\n")
    lines = file.content.split(b"\n")
    if file.shown is None or len(file.content) > DIFF_LIMIT or len(lines) != len(shown_as):
        return ""
    known = set(other.content.split(b"\n")) if other else set(lines)
    marked = (
        line + f"  ({version})".encode() if line != whole and whole not in known else line
        for line, whole in zip(shown_as, lines)
    )
    return b"\n".join(marked).decode("utf-8", "replace")


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
            plan.foreign.extend([path] if live and path not in old else [])
            plan.diff.append(diff_entry(path, f"-> {live}\n" if live else "", f"-> {target}\n"))
    for path in sorted(set(old) - set(wanted)):
        if path not in files:
            check_absolute(path, "the manifest")
            plan.stale_links.append(path)
            if os.path.islink(path):
                plan.diff.append(diff_entry(path, f"-> {os.readlink(path)}\n", ""))
    plan.touched.update([LINKS] if plan.links or plan.stale_links else [])


def compare(task: Task, old: Manifest) -> Plan:
    """Compare what is wanted with what is live and in the manifest; raises TreeError if that fails."""
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
    if plan.foreign:
        raise TreeError(
            f"{', '.join(plan.foreign)}: this was there before, and another one is to take its place: move it away if "
            "nobody needs it"
        )
    plan.touched.update(set(old.live_at) - set(plan.changed) - {LINKS})
    return plan


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


def hidden_parts(file: File) -> Iterator[str]:
    """What of a secret file no output may show: its lines, and what follows the first ":", "=" or "- " in them."""
    content = file.content.decode("utf-8", "replace")
    lines = content.split("\n")
    shown_as = file.shown.split("\n") if file.shown is not None else []
    harmless = {line for line, whole in zip(shown_as, lines) if line == whole} if len(shown_as) == len(lines) else ()
    for line in lines:
        if line not in harmless:
            for part in [line, *re.split("[:=]|- ", line, maxsplit=1)[1:]]:
                yield unquoted(part.strip(" \t\r"))


def unquoted(scalar: str) -> str:
    """The value that a scalar of a YAML file stands for."""
    if scalar.startswith('"'):
        with suppress(ValueError):
            return str(json.loads(scalar))
    return scalar[1:-1].replace("''", "'") if scalar.startswith("'") else scalar


def mask(output: str, trees: Sequence[Tree]) -> str:
    """Take what secret files hold out of a check's output.

    YAML parsers quote a value's first 7 characters and "...", so these go too. What is short goes as a whole word,
    and what is shorter than 4 characters only where it is quoted: it would take half of the output with it.
    """
    parts = {
        part
        for tree in trees
        for file in tree.files.values()
        if file.secret
        for text in hidden_parts(file)
        for part in text.split("\n")
    }
    for part in sorted(filter(None, parts), key=len, reverse=True):
        word = re.escape(part)
        if len(part) > 7:
            pattern = f"{word}|{re.escape(part[:7])}\\.\\.\\."
        else:
            pattern = rf"(?<![\w-]){word}(?![\w-])" if len(part) > 3 else rf"(?<=[`\"']){word}(?=[`\"'])"
        output = re.sub(pattern, "[secret]", output)
    return output


def run_check(words: Sequence[str], cwd: str, timeout: float) -> tuple[int | None, str]:
    """Run a command; returns its status, None if it took more than `timeout` seconds, and its output.

    Raises OSError if it cannot be started.
    """
    with subprocess.Popen(  # noqa: S603  # the playbook's author chose the command
        words,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            output, status = process.communicate(timeout=timeout)[0], process.returncode
        except subprocess.TimeoutExpired:
            # Its children too: one that keeps the pipe open would make us wait for ever.
            os.killpg(process.pid, signal.SIGKILL)
            output, status = process.communicate()[0], None
    return status, output.decode("utf-8", "replace")


def run_checks(task: Task, stages: Mapping[str, str], check: bool) -> list[str]:
    """Run the task's checks on the staged trees; returns warnings. Raises TreeError if one fails."""
    warnings = []
    for command in task.checks:
        words, meant = list(command), " ".join(command)
        for tree in task.trees:
            words = [word.replace(f"{{{tree.name}}}", stages[tree.name]) for word in words]
            meant = meant.replace(f"{{{tree.name}}}", tree.dest)
        try:
            status, output = run_check(words, stages[task.trees[0].name], task.check_timeout)
        except OSError as err:
            if not (check and isinstance(err, FileNotFoundError)):
                raise TreeError(f"cannot run `{meant}`: {err.strerror}") from err
            status = NOT_FOUND
        if check and status == NOT_FOUND:
            warnings.append(f"{task.name}: `{meant}` was skipped: its program is not on the node yet")
        elif status != 0:
            for tree in task.trees:
                output = output.replace(stages[tree.name], tree.dest)
            why = "" if status is not None else f" (it took more than {task.check_timeout} seconds)"
            raise TreeError(f"refused by `{meant}`{why}", mask(output, task.trees)[-OUTPUT_LIMIT:].strip())
    return warnings


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


def apply(payload: Mapping[str, Any], state_dir: str, check: bool = False, relabel: Relabel = bool) -> dict[str, Any]:
    """Bring the node to what the payload says, or in check mode only say what would change.

    `relabel` is called with each path that went live. Raises TreeError with a message for the user; unless it
    says otherwise, nothing was changed on the node.
    """
    name = payload["name"]
    path = f"{state_dir}/{name}.json"
    with ExitStack() as stack:
        try:
            task = parse(payload, check)
            stack.enter_context(lock(state_dir, name, check))
            old = load(path)
            if not check:
                dests = {tree.dest for tree in task.trees} | {entry.dest for entry in old.files.values()}
                sweep(dests.union(task.links, old.links), name)
            plan = compare(task, old)
            result = report(task, plan, old.live_at, time.time())
            obsolete = not (task.trees or task.links)
            if not plan.touched:
                if obsolete and not check:
                    forget(state_dir, name)
                return result
            stages = stack.enter_context(staged(task, plan.changed))
            result["warnings"] = run_checks(task, stages, check)
            if check:
                return result
            before = journal(task, old, plan)
            save(path, before)
        except TreeError as err:
            raise TreeError(f"{name}: {err}; nothing was changed on the node.", err.detail) from err
        try:
            folders = make_live(task, stages, before.folders, plan, relabel)
            now = time.time()
            if obsolete:
                forget(state_dir, name)
            else:
                save(path, outcome(task, old, plan, folders, now))
        except TreeError as err:
            raise TreeError(f"{name}: {err}; stopped half way, the next run does the rest.") from err
        return report(task, plan, old.live_at, now)


def unpack(payload: str) -> dict[str, Any]:
    """The payload that the action plugin packed."""
    unpacked: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(payload)))
    return unpacked


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "trees": {"type": "dict"},
            "links": {"type": "dict"},
            "checks": {"type": "list", "elements": "list"},
            "check_timeout": {"type": "int"},
            "state_dir": {"type": "path", "default": "/var/lib/ansible-template-tree"},
            "payload": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    if not module.params["payload"]:
        module.fail_json(msg="template_tree works by its action plugin: put plugins/action on action_plugins' path")
    os.umask(0o022)
    try:
        result = apply(
            unpack(module.params["payload"]),
            module.params["state_dir"],
            module.check_mode,
            lambda path: module.set_default_selinux_context(path, False),
        )
    except TreeError as err:
        module.fail_json(msg="\n".join(filter(None, [str(err), err.detail])))
    for warning in result.pop("warnings"):
        module.warn(warning)
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
