"""What went live stays only if the service works with it: else all is as it was, whenever that is cut off."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils import transaction, tree_apply, tree_undo
from ansible_collections.emr.monitoring.plugins.module_utils.http_client import Answer
from ansible_collections.emr.monitoring.plugins.module_utils.transaction import Transaction
from ansible_collections.emr.monitoring.plugins.module_utils.tree import TreeError
from ansible_collections.emr.monitoring.plugins.module_utils.tree_apply import NotProvedError
from ansible_collections.emr.monitoring.plugins.module_utils.tree_diff import Plan
from ansible_collections.emr.monitoring.plugins.module_utils.tree_manifest import LINKS
from ansible_collections.emr.monitoring.plugins.module_utils.tree_undo import Undo
from ansible_collections.emr.monitoring.plugins.module_utils.unit import Service
from ansible_collections.emr.monitoring.plugins.module_utils.unit_state import UnitError
from ansible_collections.emr.monitoring.plugins.plugin_utils import rendered_trees

PROCESS = "ExecMainStartTimestampMonotonic"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners")


class KilledError(BaseException):
    """The process ends here: nothing catches this."""


class Proof:
    """A service that works, or not."""

    def __init__(self, works: bool = True) -> None:
        self.works = works
        self.unsent = False
        self.notes: dict[str, Any] = {"ready_url": "http://x"}
        self.said: list[str] = []

    def examine(self, *_: Any) -> None:
        """Judge nothing."""

    def may_recover(self, undo: Undo, notes: Mapping[str, Any]) -> None:
        if self.unsent:
            raise TreeError(f"not sent yet, {undo.service['notes']} and {dict(notes)}")

    def rehearse(self, *_: Any) -> None:
        self.said.append("rehearse")

    def remember(self, plan: Plan, notes: Mapping[str, Any]) -> dict[str, Any]:
        return {"notes": dict(notes)}

    def begin(self, remembered: Mapping[str, Any]) -> None:
        self.said.append(f"begin {remembered['notes']}")

    def prove(self, report: Mapping[str, Any]) -> dict[str, Any]:
        self.said.append("prove")
        if not self.works:
            raise RuntimeError("it does not work")
        return {"proved": True}

    def put_back(self, remembered: Mapping[str, Any], restore: Callable[[], None]) -> str:
        restore()
        return "put back"

    def tidy(self) -> None:
        self.said.append("tidy")


class Node:
    """A folder that stands for the node."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"

    def payload(self, files: dict[str, str], links: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
        spec = rendered_trees.parse_tree(
            "t", {"dest": str(self.root / "etc/app"), "owner": os.geteuid(), "group": os.getegid(), **options}
        )
        tree = rendered_trees.pack_tree(spec, {rel: text.encode() for rel, text in files.items()}, {})
        targets = {str(self.root / path): target for path, target in (links or {}).items()}
        return {"name": "app", "trees": {"t": tree}, "links": targets, "checks": [], "check_timeout": 60}

    def apply(self, payload: dict[str, Any], proof: Proof, check: bool = False, adopt: bool = False) -> dict[str, Any]:
        return tree_apply.apply(payload, str(self.state), check, proof=proof, adopt=adopt)

    def snapshot(self) -> dict[str, tuple[int, str]]:
        """Everything but locks: path -> mode, and content or target."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            if path.suffix != ".lock":
                content = f"-> {path.readlink()}" if path.is_symlink() else path.read_text() if path.is_file() else "/"
                found[str(path.relative_to(self.root))] = (path.lstat().st_mode, content)
        return found


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


OLD = {"a.yml": "old a", "sub/b.yml": "old b", "gone/c.yml": "old c"}
NEW = {"a.yml": "new a", "sub/b.yml": "old b", "more/d.yml": "new d"}
OLD_LINKS, NEW_LINKS = {"opt/current": "1", "opt/gone": "1"}, {"opt/current": "2", "opt/more": "2"}


def old(node: Node) -> dict[str, tuple[int, str]]:
    node.apply(node.payload(OLD, OLD_LINKS, mode="0640", dir_mode="0750"), Proof())
    return node.snapshot()


def new(node: Node) -> dict[str, Any]:
    return node.payload(NEW, NEW_LINKS, mode="0600", dir_mode="0700")


def test_what_works_stays_and_nothing_of_the_way_back_is_left(node: Node) -> None:
    old(node)
    proof = Proof()
    result = node.apply(new(node), proof)
    assert (result["proved"], result["changed"]) == (True, True)
    assert proof.said == ["tidy", "rehearse", "begin {'ready_url': 'http://x'}", "prove", "tidy"]
    names = set(node.snapshot())
    assert {name for name in names if "undo" in name} == set()
    assert {"etc/app/more/d.yml", "opt/more"} <= names
    assert not {"etc/app/gone", "etc/app/gone/c.yml", "opt/gone"} & names


def theirs(node: Node) -> None:
    (node.root / "etc/app").mkdir(parents=True)
    (node.root / "etc/app/a.yml").write_text("theirs")
    (node.root / "etc/app/other.yml").write_text("theirs")
    (node.root / "opt").mkdir()
    (node.root / "opt/current").symlink_to("/usr/lib/theirs")


def test_what_somebody_else_put_there_is_taken_over_where_that_is_wanted(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tmp_path / "before"
    monkeypatch.setattr(tree_apply, "copies_folder", lambda _: str(before))
    theirs(node)
    taken = ["etc/app/a.yml", "opt/current"]
    there = node.snapshot()
    with pytest.raises(TreeError, match=r"a\.yml, .*current: this was there before.*monitoring_adopt_existing: true"):
        node.apply(new(node), Proof())
    said = node.apply(new(node), Proof(), check=True, adopt=True)["warnings"][0]
    assert "would be taken over" in said
    assert [path for path in taken if str(node.root / path) not in said] == []
    # What does not work leaves what was there.
    with pytest.raises(NotProvedError):
        node.apply(new(node), Proof(works=False), adopt=True)
    assert {path: there[path] for path in taken} == {path: node.snapshot()[path] for path in taken}
    assert " taken over, with copies in" in node.apply(new(node), Proof(), adopt=True)["warnings"][0]
    assert (node.root / "etc/app/a.yml").read_text() == "new a"
    assert (node.root / "etc/app/other.yml").read_text() == "theirs"
    copies = [f"{place}{node.root}" for place in before.iterdir()]
    assert {Path(f"{copy}/etc/app/a.yml").read_text() for copy in copies} == {"theirs"}
    assert {os.readlink(f"{copy}/opt/current") for copy in copies} == {"/usr/lib/theirs"}
    assert before.stat().st_mode & 0o777 == 0o700
    # Ours since.
    assert node.apply(new(node), Proof())["changed"] is False


@pytest.mark.parametrize(("kept", "there"), [(True, True), (False, False)])
def test_what_a_service_may_still_read_goes_once_it_works(node: Node, kept: bool, there: bool) -> None:
    old(node)
    stale, seen = node.root / "etc/app/gone/c.yml", []

    class Reader(Proof):
        def prove(self, report: Mapping[str, Any]) -> dict[str, Any]:
            seen.append(stale.exists())
            return super().prove(report)

    before = node.snapshot()
    payload = node.payload(NEW, NEW_LINKS, mode="0640", dir_mode="0750", kept=kept)
    with pytest.raises(NotProvedError):
        node.apply(payload, Reader(works=False))
    assert node.snapshot() == before
    node.apply(payload, Reader())
    assert seen == [there, there]
    assert not stale.parent.exists()
    assert node.apply(payload, Proof())["changed"] is False


def test_what_does_not_work_is_put_back_with_modes_folders_links_and_manifest(node: Node) -> None:
    before = old(node)
    with pytest.raises(NotProvedError, match="it does not work\nput back"):
        node.apply(new(node), Proof(works=False))
    assert node.snapshot() == before


def test_of_a_first_install_that_does_not_work_nothing_is_left(node: Node) -> None:
    with pytest.raises(NotProvedError):
        node.apply(new(node), Proof(works=False))
    assert set(node.snapshot()) == {"etc", "opt", "state"}
    assert node.apply(new(node), Proof())["changed"] is True


def test_where_nothing_changed_nothing_is_put_back(node: Node) -> None:
    old(node)
    before = node.snapshot()
    with pytest.raises(RuntimeError, match="it does not work"):
        node.apply(node.payload(OLD, OLD_LINKS, mode="0640", dir_mode="0750"), Proof(works=False))
    assert node.snapshot() == before


def test_check_mode_neither_tries_nor_keeps_nor_recovers(node: Node) -> None:
    before = old(node)
    proof = Proof(works=False)
    assert node.apply(new(node), proof, check=True)["changed"] is True
    assert proof.said == []
    assert node.snapshot() == before


STEPS = ("link", "rename", "unlink", "rmdir", "mkdir", "symlink", "open", "chown", "chmod")


def killed_at(number: int, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> bool:
    """Run something that is killed before its system call of that number; tell whether it got that far."""
    calls = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls >= number:
                raise KilledError
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patched:
        for name in STEPS:
            patched.setattr(os, name, counted(getattr(os, name)))
        try:
            act()
        except KilledError:
            return True
        except NotProvedError:
            return False
        return False


@pytest.mark.parametrize("works", [True, False])
def test_killed_at_any_moment_the_next_run_completes_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        node = Node(tmp_path / str(number))
        node.root.mkdir()
        before = old(node)
        killed = killed_at(number, monkeypatch, lambda node=node: node.apply(new(node), Proof(works)))  # type: ignore[misc]
        # The next run wants what does not work, so that only what was put back is left.
        with pytest.raises(NotProvedError):
            node.apply(node.payload({"x": "x"}), Proof(works=False))
        contents = {name: content for name, (_, content) in node.snapshot().items() if not name.startswith("state")}
        is_old = contents == {name: content for name, (_, content) in before.items() if not name.startswith("state")}
        is_new = contents.get("etc/app/a.yml") == "new a" and contents.get("etc/app/more/d.yml") == "new d"
        assert is_old or (is_new and works), f"killed before call {number}: {contents}"
        assert not [name for name in contents if "undo" in name or "staging" in name], number
    assert number > 30


@needs_root
def test_putting_back_needs_no_free_byte(node: Node) -> None:
    disk = node.root / "etc"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount")
    try:
        before = old(node)
        proof = Proof()

        def fill(_: Mapping[str, Any]) -> dict[str, Any]:
            filler = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT)
            with suppress(OSError):
                while os.write(filler, b"x" * 4096):
                    pass
            os.close(filler)
            raise RuntimeError("the disk is full")

        proof.prove = fill  # type: ignore[method-assign, assignment]
        with pytest.raises(NotProvedError, match="the disk is full\nput back"):
            node.apply(new(node), proof)
        (disk / "filler").unlink()
        assert node.snapshot() == before
    finally:
        subprocess.run(["umount", disk], check=True)


def test_what_cannot_be_put_back_is_said_and_done_by_the_next_run(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    before = old(node)

    def fail(*_: Any) -> None:
        raise TreeError("cannot put back /etc/app: Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(tree_undo, "restore", fail)
        with pytest.raises(
            NotProvedError, match=r"could not be put back: cannot put back /etc/app: .* next run tries again"
        ):
            node.apply(new(node), Proof(works=False))
    result = node.apply(node.payload(OLD, OLD_LINKS, mode="0640", dir_mode="0750"), Proof())
    assert "an earlier run was cut off" in result["warnings"][0]
    assert {k: v for k, v in node.snapshot().items() if "state" not in k} == {
        k: v for k, v in before.items() if "state" not in k
    }


def test_what_was_cut_off_is_not_put_back_over_what_would_be_lost(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    old(node)

    def die(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(Proof, "prove", die)
        with pytest.raises(KilledError):
            node.apply(new(node), Proof())
    before = node.snapshot()
    proof = Proof()
    proof.unsent = True
    with pytest.raises(TreeError, match=r"not sent yet, .*; nothing was changed on the node"):
        node.apply(new(node), proof)
    assert node.snapshot() == before
    proof.unsent = False
    assert "an earlier run was cut off" in node.apply(new(node), proof)["warnings"][0]


def test_a_damaged_journal_is_refused_before_anything_changes(node: Node) -> None:
    before = old(node)
    for journal in ("app.undo.json", "app.undo.json.done"):
        (node.state / journal).write_text("{")
        with pytest.raises(TreeError, match=rf"{journal} cannot be read.*nothing was changed"):
            node.apply(new(node), Proof())
        (node.state / journal).unlink()
    assert node.snapshot() == before


class Unit(Service):
    """A unit of which nothing is asked, and what it was told."""

    def __init__(self, **fields: str) -> None:
        params = {"name": "x.service", "restart_after": 0, "reload_after": 0, "reload_url": None, "loaded": None}
        super().__init__({**params, "ready_url": None, "timeout": 1, "watch": 0}, self.command, lambda *_: Answer(200))
        self.fields = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", **fields}
        self.commands: list[list[str]] = []

    def command(self, words: list[str], **_: Any) -> tuple[int, str, str]:
        self.commands.append(words)
        if "show" in words:
            return 0, "".join(f"{name}={value}\n" for name, value in self.fields.items()), ""
        if words[0] == "runuser":
            done = subprocess.run(words[words.index("--") + 1 :], capture_output=True, text=True, check=False)
            return done.returncode, done.stdout, done.stderr
        return 0, "", ""


def undo(service: dict[str, Any], *files: tuple[str, str, str | None]) -> Undo:
    return Undo([*files], [], None, [], service)


class Unsent:
    """What Prometheus sends, and what it was asked."""

    config = "/etc/app/a.yml"

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool, str | None]] = []

    def may_recover(self, url: str, stops: bool, kept: str | None) -> None:
        self.asked.append((url, stops, kept))


def plan(*touched: str) -> Plan:
    return Plan({}, [], {}, [], [], set(touched), [], [])


@pytest.mark.parametrize(
    ("trees", "links", "installed", "due"),
    [
        ({"config": 5.0, "unit": 3.0, "pages": 9.0}, 2.0, 1.0, (3.0, 5.0)),
        ({"config": 5.0, "unit": 3.0, "pages": 9.0}, 7.0, 1.0, (7.0, 5.0)),
        ({"config": 5.0, "unit": 3.0, "pages": 9.0}, 2.0, 8.0, (8.0, 5.0)),
    ],
)
def test_what_is_due_follows_from_since_when_each_tree_is_live(
    trees: dict[str, float], links: float, installed: float, due: tuple[float, float]
) -> None:
    made = Transaction(Unit(), {"config": "reload", "unit": "restart", "pages": "nothing"}, installed)
    made.due({"trees": {name: {"live_at": at} for name, at in trees.items()}, "links": {"live_at": links}})
    assert (made.unit.restart_after, made.unit.reload_after) == due


def test_what_the_journal_means_is_said_with_it() -> None:
    class Failing(Unit):
        def converge(self) -> dict[str, Any]:
            raise UnitError("dies again and again")

        def report(self, error: UnitError) -> str:
            return f"x.service {error}.\nError: pq: password authentication failed for user grafana"

    hints = {"password authentication failed": "Correct the password.", "no such host": "Correct the name."}
    with pytest.raises(NotProvedError) as caught:
        Transaction(Failing(), {}, 0, hints=hints).prove({"trees": {}, "links": {"live_at": 0.0}})
    assert str(caught.value).endswith("for user grafana\nCorrect the password.")


def test_a_service_that_did_not_take_all_is_not_proved() -> None:
    class Restarted(Unit):
        def converge(self) -> dict[str, Any]:
            self.act("restart")
            return {}

    with pytest.raises(NotProvedError, match="works, but not with all that it was given: no plugin"):
        Transaction(Restarted(), {}, 0, not_taken=lambda: "no plugin.").prove({"trees": {}, "links": {"live_at": 0.0}})


@pytest.mark.parametrize(
    ("touched", "active", "tried"),
    [
        ({"unit"}, "active", True),
        ({LINKS}, "active", True),
        ({"config"}, "active", False),
        ({"unit"}, "inactive", False),
        (set(), "active", False),
    ],
)
def test_a_start_is_tried_only_where_a_running_service_would_have_to_stop(
    monkeypatch: pytest.MonkeyPatch, touched: set[str], active: str, tried: bool
) -> None:
    tries: list[Any] = []
    monkeypatch.setattr(transaction, "rehearse", lambda *args: tries.append(args))
    made = Transaction(Unit(ActiveState=active), {"config": "reload", "unit": "restart"}, 0, trial=object())  # type: ignore[arg-type]
    made.rehearse(None, {}, plan(*touched))  # type: ignore[arg-type]
    assert bool(tries) is tried


@pytest.mark.parametrize(
    ("touched", "more", "expected"),
    [
        ({"config"}, {}, (False, "http://x/metrics")),
        ({"unit"}, {}, (True, "http://x/metrics")),
        ({LINKS}, {}, (True, "http://x/metrics")),
        # The release was unpacked anew.
        ({"config"}, {"installed": 2e9}, (True, "http://x/metrics")),
        # It is asked where it is, not where it will be.
        ({"config"}, {"notes": {"metrics_url": "http://old/metrics"}}, (False, "http://old/metrics")),
        ({"config"}, {"active": "inactive"}, (False, "")),
    ],
)
def test_what_is_sent_is_looked_at_before_anything_is_live(
    monkeypatch: pytest.MonkeyPatch, touched: set[str], more: dict[str, Any], expected: tuple[bool, str]
) -> None:
    given = {"installed": 0, "active": "active", "notes": {}, **more}
    monkeypatch.setattr(transaction, "check_dropins", lambda *_: None)
    asked: list[Any] = []

    class Asked:
        def examine(self, *found: Any) -> None:
            asked.append(found[3:])

    unit = Unit(ActiveState=given["active"], ExecMainStartTimestampMonotonic="1000000")
    unit.loaded = {"url": "http://x/metrics", "metric": "m"}
    made = Transaction(unit, {"config": "reload", "unit": "restart"}, given["installed"], remote=Asked())  # type: ignore[arg-type]
    made.examine(None, {}, plan(*touched), given["notes"])  # type: ignore[arg-type]
    assert asked == [expected]
    assert made.notes["metrics_url"] == "http://x/metrics"


def database(folder: Path, text: str) -> str:
    path = folder / "grafana.db"
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("CREATE TABLE IF NOT EXISTS page (text)")
        store.execute("DELETE FROM page")
        store.execute("INSERT INTO page VALUES (?)", (text,))
    return str(path)


def page(path: str) -> str:
    with closing(sqlite3.connect(path)) as store:
        return str(store.execute("SELECT text FROM page").fetchone()[0])


@pytest.mark.parametrize("kept_first", [True, False], ids=["migrated", "killed before the copy was whole"])
def test_a_database_goes_back_with_the_release_that_wrote_it(tmp_path: Path, kept_first: bool) -> None:
    path = database(tmp_path, "of the old release")
    os.chmod(path, 0o640)
    made = Transaction(Unit(), {}, 0, database=path)
    remembered = made.remember(plan(LINKS), {})
    # As JSON keeps it.
    remembered = json.loads(json.dumps(remembered))
    if kept_first:
        made.begin(remembered)
        database(tmp_path, "migrated")
        Path(f"{path}-wal").write_text("of the new release")
    else:
        Path(f"{path}.before-upgrade.part").write_text("half")
    said = made.put_back(remembered, lambda: None)
    assert said.startswith("What was live before was put back and runs again")
    assert page(path) == "of the old release"
    assert os.stat(path).st_mode & 0o777 == 0o640
    made.tidy()
    assert {each.name for each in tmp_path.iterdir()} == {"grafana.db"}
    owner = pwd.getpwuid(tmp_path.stat().st_uid).pw_name
    copies = [words for words in made.unit.commands if words[0] == "runuser"]  # type: ignore[attr-defined]
    assert {words[1] for words in copies} == {f"--user={owner}"}


@pytest.mark.parametrize(
    ("touched", "load"), [({"config"}, "loaded"), ({LINKS}, "not-found")], ids=["the same release", "a first install"]
)
def test_a_database_that_is_not_migrated_is_not_copied(tmp_path: Path, touched: set[str], load: str) -> None:
    made = Transaction(Unit(LoadState=load), {}, 0, database=database(tmp_path, "x"))
    remembered = made.remember(plan(*touched), {})
    made.begin(remembered)
    assert remembered["database"] is None
    assert [words for words in made.unit.commands if "show" not in words] == []  # type: ignore[attr-defined]


def test_a_copy_that_does_not_fit_is_refused_before_anything_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Transaction(Unit(), {}, 0, database=database(tmp_path, "x"))
    full = os.statvfs_result((4096, 4096, 100, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(TreeError, match="another release migrates it, so a copy is kept"):
        made.remember(plan(LINKS), {})


@pytest.mark.parametrize(
    ("fields", "did", "said"),
    [
        ({}, ["daemon-reload", "enable", "stop", "reset-failed", "start"], "runs again; it was ready"),
        ({"UnitFileState": "disabled"}, ["daemon-reload", "disable", "stop", "reset-failed", "start"], "runs again"),
        ({"ActiveState": "inactive"}, ["daemon-reload", "stop", "enable"], "did not run then, and does not now"),
        ({"LoadState": "not-found"}, ["daemon-reload"], "nothing of it is left enabled or running"),
    ],
)
def test_the_old_service_runs_as_it_did(fields: dict[str, str], did: list[str], said: str) -> None:
    made = Transaction(Unit(**{PROCESS: "7", **fields}), {}, 0)
    remembered = made.remember(plan("unit"), {})
    made.unit.fields[PROCESS] = "8"  # type: ignore[attr-defined]
    restored: list[bool] = []
    assert said in made.put_back(remembered, lambda: restored.append(True))
    assert restored == [True]
    assert made.unit.actions == did


@pytest.mark.parametrize(
    ("now", "again"),
    [
        ({}, True),
        ({PROCESS: "8"}, False),
    ],
)
def test_a_process_that_runs_since_before_is_not_restarted(tmp_path: Path, now: dict[str, str], again: bool) -> None:
    """Whether this run or one that was cut off put something live."""
    (kept := tmp_path / "0").touch()
    unit, unsent = Unit(**{PROCESS: "7"}), Unsent()
    made = Transaction(unit, {}, 0, remote=unsent)  # type: ignore[arg-type]
    made.notes["metrics_url"] = "http://new"
    remembered = json.loads(json.dumps(made.remember(plan("config"), {})))
    unit.fields.update(now)
    made.may_recover(undo(remembered), {"metrics_url": "http://old"})
    made.may_recover(undo(remembered, ("/etc/app", "a.yml", str(kept))), {})
    made.may_recover(undo(remembered, ("/etc/app", "a.yml", None)), {})
    # What an interrupted putting back has moved to its place.
    made.may_recover(undo(remembered, ("/etc/app", "a.yml", f"{tmp_path}/1")), {})
    stops = not again
    assert unsent.asked == [
        ("http://old", stops, unsent.config), ("http://new", stops, str(kept)), ("http://new", stops, None),
        ("http://new", stops, unsent.config),
    ]  # fmt: skip
    made.put_back(remembered, lambda: None)
    assert unit.actions[-1] == ("reload" if again else "start")


@pytest.mark.parametrize(
    ("now", "asked"),
    [({"Job": "4711"}, 1), ({"ActiveState": "failed"}, 0), ({"ActiveState": "inactive"}, 0)],
    ids=["it is being restarted", "it has died", "it was stopped"],
)
def test_only_what_runs_may_have_something_to_send(now: dict[str, str], asked: int) -> None:
    unit, unsent = Unit(**{PROCESS: "7"}), Unsent()
    made = Transaction(unit, {}, 0, remote=unsent)  # type: ignore[arg-type]
    made.notes["metrics_url"] = "http://new"
    remembered = made.remember(plan("config"), {})
    unit.fields.update(now)
    made.may_recover(undo(remembered), {})
    assert [stops for _, stops, _ in unsent.asked] == [True] * asked


def test_what_an_older_version_remembered_is_started() -> None:
    made = Transaction(Unit(**{PROCESS: "7"}), {}, 0)
    remembered = made.remember(plan("config"), {})
    del remembered["process"]
    made.put_back(remembered, lambda: None)
    assert made.unit.actions[-1] == "start"


def test_a_first_install_is_stopped_and_disabled_before_its_unit_goes() -> None:
    unit = Unit(LoadState="not-found")
    made = Transaction(unit, {}, 0)
    remembered = made.remember(plan("unit"), {})
    unit.fields["LoadState"] = "loaded"

    def restore() -> None:
        assert unit.actions == ["stop", "disable"]
        unit.fields["ActiveState"] = "failed"

    made.put_back(remembered, restore)
    assert unit.actions == ["stop", "disable", "daemon-reload", "reset-failed"]
