"""Trees of files: what is rendered together is checked together and goes live together."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils import tree, tree_apply, tree_manifest
from ansible_collections.emr.monitoring.plugins.plugin_utils import rendered_trees as action
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import systemd_standin

REPOSITORY = Path(__file__).parents[2]
STRANGER = 12345
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners")

Payload = dict[str, Any]
Snapshot = dict[str, tuple[int, int, int, str]]


class Node:
    """A folder that stands for the node, and the task that is applied to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"

    def tree(
        self,
        dest: str = "etc/app",
        files: dict[str, str] | None = None,
        shown: dict[str, str] | None = None,
        **options: Any,
    ) -> Payload:
        spec = action.parse_tree(
            "t", {"dest": str(self.root / dest), "owner": os.geteuid(), "group": os.getegid(), **options}
        )
        return action.pack_tree(spec, {rel: text.encode() for rel, text in (files or {}).items()}, shown or {})

    def payload(self, **parts: Any) -> Payload:
        """What the action plugin would send; `parts` are trees, but for links, checks and timeout."""
        links = {str(self.root / path): target for path, target in parts.pop("links", {}).items()}
        given, timeout = parts.pop("checks", []), parts.pop("timeout", 60)
        checks = [each if isinstance(each, dict) else {"command": each} for each in given]
        return {"name": "app", "trees": parts, "links": links, "checks": checks, "check_timeout": timeout}

    def apply(self, payload: Payload, check: bool = False) -> dict[str, Any]:
        return tree_apply.apply(action_roundtrip(payload), str(self.state), check)

    def snapshot(self, *, without_state: bool = False) -> Snapshot:
        """Everything below the root: mode, inode, mtime (a folder's is no matter), content."""
        found: Snapshot = {}
        for path in sorted(self.root.rglob("*")):
            if without_state and self.state in [path, *path.parents]:
                continue
            info = path.lstat()
            text = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else ""
            mtime = 0 if path.is_dir() else info.st_mtime_ns
            found[str(path.relative_to(self.root))] = (info.st_mode, info.st_ino, mtime, text)
        return found

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def staging(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if ".staging-" in path.name]


def action_roundtrip(payload: Payload) -> Payload:
    return tree.unpack(action.pack(payload))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def calls(node: Node) -> Iterator[tuple[list[str], Callable[[], int]]]:
    """A check that counts its runs."""
    log = Path(tempfile.mkdtemp()) / "log"
    yield ["/bin/sh", "-c", f"echo run >> {log}"], lambda: len(log.read_text().split()) if log.exists() else 0
    shutil.rmtree(log.parent)


def refused(node: Node, payload: Payload, *, check: bool = False) -> str:
    """Apply a task that must fail and change nothing; returns the message."""
    before = node.snapshot(without_state=True)
    with pytest.raises(tree.TreeError) as caught:
        node.apply(payload, check)
    assert node.snapshot(without_state=True) == before
    return "\n".join([str(caught.value), caught.value.detail])


# What a run does


def test_files_arrive_with_their_content_and_mode(node: Node) -> None:
    tree = node.tree(
        files={"a.yml": "a\n", "rules/x.yml": "x"}, mode="0640", dir_mode="0750", modes={"rules/*": "0600"}
    )
    result = node.apply(node.payload(config=tree))
    assert result["trees"]["config"]["changed"] == ["a.yml", "rules/x.yml"]
    assert (node.read("etc/app/a.yml"), node.read("etc/app/rules/x.yml")) == ("a\n", "x")
    modes = {path: stat.S_IMODE((node.root / "etc/app" / path).stat().st_mode) for path in ("", "a.yml", "rules/x.yml")}
    assert modes == {"": 0o750, "a.yml": 0o640, "rules/x.yml": 0o600}
    assert stat.S_IMODE((node.root / "etc").stat().st_mode) == 0o755
    assert not node.staging()


@needs_root
def test_files_get_their_owner(node: Node) -> None:
    node.apply(node.payload(config=node.tree(files={"r/a": "a"}, owner=str(STRANGER), group="0")))
    for path in ("etc/app", "etc/app/r", "etc/app/r/a"):
        info = (node.root / path).stat()
        assert (info.st_uid, info.st_gid) == (STRANGER, 0)


def test_an_unchanged_run_stages_nothing_and_checks_nothing(
    node: Node, calls: tuple[list[str], Callable[[], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = node.payload(config=node.tree(files={"a": "a", "r/b": "b"}), links={"cur": "r/1"}, checks=[calls[0]])
    first = node.apply(payload)
    before = node.snapshot()
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: pytest.fail("staged"))
    second = node.apply(payload)
    assert (first["changed"], second["changed"], calls[1]()) == (True, False, 1)
    assert node.snapshot() == before
    assert second["trees"]["config"] == {**first["trees"]["config"], "changed": []}
    assert second["links"]["live_at"] == first["links"]["live_at"] > 0
    assert second["diff"] == []


def test_a_check_sees_all_staged_trees_and_not_the_live_ones(node: Node) -> None:
    trees = {"config": node.tree(files={"a": "new"}), "unit": node.tree("units", {"u": "unit"}, shared=True)}
    script = 'test "$(cat "$0/a" "$1/u")" = newunit && test "$PWD" = "$0" && test ! -e "$2" && test "$LC_ALL" = C'
    check = ["/bin/sh", "-c", script, "{config}", "{unit}", str(node.root / "etc/app/a")]
    assert node.apply(node.payload(**trees, checks=[check]))["changed"]


def test_a_refused_check_changes_nothing(node: Node) -> None:
    node.apply(node.payload(config=node.tree(files={"a": "1", "old": "o"}), links={"cur": "1"}))
    check = ["/bin/sh", "-c", "echo {config}/a is bad >&2; exit 3"]
    payload = node.payload(
        config=node.tree(files={"a": "2", "new": "n"}),
        unit=node.tree("deep/down", {"u": "u"}),
        links={"cur": "2"},
        checks=[["true"], check],
    )
    for in_check_mode in (True, False):
        message = refused(node, payload, check=in_check_mode)
        live = f"{node.root}/etc/app/a is bad"
        assert message == (
            f"app: refused by `/bin/sh -c echo {live} >&2; exit 3`; nothing was changed on the node.\n{live}"
        )


def test_a_check_can_say_what_it_is_about_and_what_is_no_refusal(node: Node) -> None:
    check = {"command": ["/bin/sh", "-c", "echo error calling slice; exit 1"], "about": "the message cannot be made"}
    payload = node.payload(config=node.tree(files={"a": "1"}), checks=[check])
    assert (
        refused(node, payload)
        == "app: the message cannot be made; nothing was changed on the node.\nerror calling slice"
    )
    payload["checks"] = [{**check, "tolerated": "error calling "}]
    assert node.apply(payload)["changed"]


def test_the_name_of_a_file_that_comes_along_is_no_secret(node: Node) -> None:
    files = {"p.yml": "- files/targets.yml\n", "files/targets.yml": "needle-4711"}
    tree = node.tree(files=files, secret=["*"])
    script = "echo checking files/targets.yml: needle-4711; exit 1"
    message = refused(node, node.payload(config=tree, checks=[["/bin/sh", "-c", script]])).split("node.\n")[1]
    assert message == "checking files/targets.yml: [secret]"


def test_a_check_that_hangs_is_killed_with_its_children(node: Node) -> None:
    check = ["/bin/sh", "-c", "sleep 60 & sleep 60"]
    begin = time.monotonic()
    message = refused(node, node.payload(config=node.tree(files={"a": "1"}), checks=[check], timeout=0.2))
    assert "it took more than 0.2 seconds" in message
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("command", "refusal"),
    [("/nowhere/promtool", "cannot run `/nowhere/promtool"), ("timeout 9 /nowhere/promtool", "refused by `timeout 9")],
)
def test_a_missing_checker_is_forgiven_in_check_mode_only(node: Node, command: str, refusal: str) -> None:
    payload = node.payload(config=node.tree(files={"a": "1"}), checks=[[*command.split(), "{config}"]])
    assert node.apply(payload, check=True)["warnings"] == [
        f"app: `{command} {node.root}/etc/app` was skipped: its program is not on the node yet"
    ]
    assert refusal in refused(node, payload)


def test_what_is_no_longer_rendered_goes_away_with_its_folder(node: Node) -> None:
    node.apply(node.payload(config=node.tree(files={"a": "1", "r/s/x": "x", "kept/y": "y"})))
    (node.root / "etc/app/kept/foreign").write_text("f")
    result = node.apply(node.payload(config=node.tree(files={"a": "1"})))
    assert result["trees"]["config"]["removed"] == ["kept/y", "r/s/x"]
    assert [entry["after"] for entry in result["diff"]] == ["", ""]
    assert sorted(os.listdir(node.root / "etc/app")) == ["a", "kept"]
    assert not node.apply(node.payload(config=node.tree(files={"a": "1"})))["changed"]


def test_a_folder_that_was_there_before_stays_when_it_empties(node: Node) -> None:
    (node.root / "etc/app/theirs").mkdir(parents=True)
    node.apply(node.payload(config=node.tree(files={"theirs/x": "x"})))
    node.apply(node.payload(config=node.tree()))
    assert os.listdir(node.root / "etc/app/theirs") == []


def test_foreign_files_stay_and_are_listed(node: Node) -> None:
    for path in ("etc/app/z/mine", "units/other.service"):
        (node.root / path).parent.mkdir(parents=True)
        (node.root / path).write_text("foreign")
    (node.root / "etc/app/link").symlink_to("z")
    trees = {"config": node.tree(files={"a": "1"}), "unit": node.tree("units", {"u": "u"}, shared=True)}
    for _ in range(2):
        result = node.apply(node.payload(**trees))
        assert result["trees"]["config"]["left"] == ["link", "z/mine"]
        assert result["trees"]["unit"]["left"] == []
    assert node.read("etc/app/z/mine") == node.read("units/other.service") == "foreign"


def test_left_lists_fifty_files_at_most(node: Node) -> None:
    (node.root / "etc/app").mkdir(parents=True)
    for number in range(60):
        (node.root / f"etc/app/{number:02}").touch()
    left = node.apply(node.payload(config=node.tree(files={"a": "1"})))["trees"]["config"]["left"]
    assert left == [f"{number:02}" for number in range(50)]


def test_a_shared_dest_keeps_its_mode_and_an_own_one_is_corrected(node: Node) -> None:
    for dest in ("own", "shared"):
        (node.root / dest / "d").mkdir(parents=True)
        for folder in (dest, f"{dest}/d"):
            (node.root / folder).chmod(0o711)
    trees = {"own": node.tree("own", {"d/a": "a"}), "shared": node.tree("shared", {"d/a": "a"}, shared=True)}
    assert node.apply(node.payload(**trees))["trees"]["own"]["changed"] == ["./", "d/", "d/a"]
    modes = {path: stat.S_IMODE((node.root / path).stat().st_mode) for path in ("own", "own/d", "shared", "shared/d")}
    assert modes == {"own": 0o755, "own/d": 0o755, "shared": 0o711, "shared/d": 0o711}
    assert not node.apply(node.payload(**trees))["changed"]


def test_hand_edits_are_undone_and_shown(node: Node) -> None:
    payload = node.payload(config=node.tree(files={"a": "mine\n"}))
    node.apply(payload)
    (node.root / "etc/app/a").write_text("theirs\n")
    result = node.apply(payload)
    path = str(node.root / "etc/app/a")
    assert result["diff"] == [{"before_header": path, "after_header": path, "before": "theirs\n", "after": "mine\n"}]
    assert node.read("etc/app/a") == "mine\n"


def test_a_change_of_mode_alone_is_a_change(node: Node) -> None:
    first = node.apply(node.payload(config=node.tree(files={"a": "1"})))
    second = node.apply(node.payload(config=node.tree(files={"a": "1"}, mode="0600")))
    assert second["trees"]["config"]["changed"] == ["a"]
    assert second["trees"]["config"]["live_at"] > first["trees"]["config"]["live_at"]
    ids = f"owner={os.geteuid()} group={os.getegid()}\n"
    assert [(entry["before"], entry["after"]) for entry in second["diff"]] == [(f"mode=0644 {ids}", f"mode=0600 {ids}")]
    assert stat.S_IMODE((node.root / "etc/app/a").stat().st_mode) == 0o600


def test_live_at_is_renewed_only_for_what_changed(node: Node) -> None:
    def run(a: str, b: str, target: str) -> list[float]:
        trees = {"a": node.tree("a", {"f": a}), "b": node.tree("b", {"f": b}), "none": node.tree("c")}
        result = node.apply(node.payload(**trees, links={"cur": target}))
        return [*(result["trees"][name]["live_at"] for name in trees), result["links"]["live_at"]]

    begin = time.time()
    first = run("1", "1", "1")
    assert all(begin <= at <= time.time() for at in first)
    assert run("1", "1", "1") == first
    second = run("1", "2", "1")
    assert [new > old for old, new in zip(first, second, strict=True)] == [False, True, False, False]
    third = run("1", "2", "2")
    assert [new > old for old, new in zip(second, third, strict=True)] == [False, False, False, True]
    assert third[:3] == second[:3]


def test_a_moved_dest_leaves_nothing_behind(node: Node) -> None:
    node.apply(node.payload(config=node.tree("old/place", {"a": "1", "r/b": "2"})))
    (node.root / "old/place/foreign").write_text("f")
    result = node.apply(node.payload(config=node.tree("new", {"a": "1", "r/b": "2"})))
    assert result["trees"]["config"]["removed"] == [f"{node.root}/old/place/{rel}" for rel in ("a", "r/b")]
    assert os.listdir(node.root / "old/place") == ["foreign"]
    assert node.read("new/r/b") == "2"
    assert not node.apply(node.payload(config=node.tree("new", {"a": "1", "r/b": "2"})))["changed"]


def test_a_tree_that_is_no_longer_listed_is_removed(node: Node) -> None:
    kept = node.tree("kept", {"a": "1"})
    first = node.apply(node.payload(config=kept, gone=node.tree("gone", {"b": "2"})))
    second = node.apply(node.payload(config=kept))
    assert second["trees"]["gone"]["removed"] == [f"{node.root}/gone/b"]
    assert not (node.root / "gone").exists()
    assert second["trees"]["config"] == {**first["trees"]["config"], "changed": []}
    assert node.apply(node.payload(config=kept))["trees"].keys() == {"config"}


@pytest.mark.parametrize("theirs", [[], ["etc/app/theirs", "etc/app/r/theirs"]])
def test_without_trees_and_links_everything_goes_but_what_others_made(node: Node, theirs: list[str]) -> None:
    (node.root / "units").mkdir()
    (node.root / "units/other").touch()
    before = node.snapshot()
    trees = {"config": node.tree(files={"a": "1", "r/b": "2"}), "unit": node.tree("units", {"u": "u"}, shared=True)}
    node.apply(node.payload(**trees, links={"opt/current": "v1"}))
    for path in theirs:
        (node.root / path).touch()
    installed = node.snapshot()
    predicted = node.apply(node.payload(), check=True)
    assert node.snapshot() == installed
    result = node.apply(node.payload())
    assert result["changed"]
    assert (predicted["changed"], predicted["diff"]) == (result["changed"], result["diff"])
    for told in (predicted, result):
        assert told["trees"]["config"]["removed"] == [f"{node.root}/etc/app/{rel}" for rel in ("a", "r/b")]
        assert told["trees"]["unit"]["removed"] == [f"{node.root}/units/u"]
        assert told["links"]["removed"] == [f"{node.root}/opt/current"]
        assert told["trees"]["config"]["left"] == sorted(f"{node.root}/{path}" for path in theirs)
        assert told["trees"]["unit"]["left"] == []
    # What lies above dest and the links is not the manifest's.
    stays = {"etc", "opt", *theirs, *({"etc/app", "etc/app/r"} if theirs else ())}
    assert set(node.snapshot()) == {*before, *stays}


def test_nothing_to_remove_is_no_change_and_leaves_no_trace(node: Node) -> None:
    for check in (True, False):
        assert not node.apply(node.payload(), check)["changed"]
        assert node.snapshot() == {}


def test_the_manifest_of_another_name_stays(node: Node) -> None:
    config = node.payload(config=node.tree(files={"a": "1"}))
    node.apply({**config, "name": "other"})
    node.apply(config)
    node.apply(node.payload())
    assert sorted(os.listdir(node.state)) == ["other.json", "other.lock"]


def test_a_file_that_moves_to_another_tree_stays(node: Node) -> None:
    node.apply(node.payload(a=node.tree("x", {"d/f": "1"})))
    node.apply(node.payload(b=node.tree("x/d", {"f": "1"})))
    assert node.read("x/d/f") == "1"


def test_links_are_replaced_atomically_and_removed(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = node.tree(files={"a": "1"})
    link = node.root / "opt/current"
    node.apply(node.payload(config=tree, links={"opt/current": "v1"}))
    rename, seen = os.rename, []

    def watch(source: Any, target: Any, **options: Any) -> None:
        seen.append(os.readlink(link))
        rename(source, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", watch)
        result = node.apply(node.payload(config=tree, links={"opt/current": "v2"}))
    assert (result["links"]["changed"], os.readlink(link), set(seen)) == ([str(link)], "v2", {"v1", "v2"})
    assert result["trees"]["config"]["changed"] == []
    assert node.apply(node.payload(config=tree))["links"]["removed"] == [str(link)]
    assert not link.is_symlink()
    assert os.listdir(link.parent) == []


def test_a_link_never_replaces_a_file(node: Node) -> None:
    (node.root / "current").write_text("precious")
    assert "move it away" in refused(node, node.payload(config=node.tree(files={"a": "1"}), links={"current": "x"}))


# Check mode


def test_check_mode_leaves_no_trace_and_predicts_the_run(node: Node) -> None:
    payload = node.payload(
        config=node.tree("deep/er/etc", {"a": "1", "r/b": "2"}), links={"opt/cur": "1"}, checks=[["true"]]
    )
    for _ in range(2):
        before = node.snapshot()
        predicted = node.apply(payload, check=True)
        assert node.snapshot() == before
        real = node.apply(payload)
        assert (predicted["changed"], predicted["diff"]) == (real["changed"], real["diff"])
        assert predicted["trees"]["config"]["changed"] == real["trees"]["config"]["changed"]
        assert predicted["trees"]["config"]["live_at"] <= real["trees"]["config"]["live_at"]


def test_an_unknown_owner_is_forgiven_in_check_mode_only(node: Node) -> None:
    payload = node.payload(config=node.tree(files={"a": "1"}, owner="no-such-user"))
    assert node.apply(payload, check=True)["trees"]["config"]["changed"] == ["a"]
    assert "owner: 'no-such-user' does not exist on the node: create it first" in refused(node, payload)


# Secrets


def test_a_diff_never_shows_a_secret(node: Node) -> None:
    def run(text: str, secret: list[str], rel: str = "web.yml") -> list[dict[str, str]]:
        diff: list[dict[str, str]] = node.apply(node.payload(config=node.tree(files={rel: text}, secret=secret)))[
            "diff"
        ]
        return diff

    diffs = [run("SECRET-1", ["web.*"]), run("SECRET-2", ["web.*"]), run("public", []), run("x", [], "other")]
    assert all(diffs)
    assert "SECRET" not in json.dumps(diffs)
    run("SECRET-3", ["other"], "other")
    assert "SECRET" not in json.dumps(run("y", []))


def test_a_diff_shows_what_may_be_shown_and_which_lines_of_the_rest_changed(node: Node) -> None:
    def run(*passwords: str, interval: str = "15s") -> tuple[str, str]:
        secrets = "".join(f"password{i}: {password}\n" for i, password in enumerate(passwords))
        shown = "".join(f"password{i}: (not shown)\n" for i in range(len(passwords)))
        tree = node.tree(files={"a": f"every: {interval}\n{secrets}"}, shown={"a": f"every: {interval}\n{shown}"})
        (entry,) = node.apply(node.payload(config=tree))["diff"]
        return entry["before"], entry["after"]

    assert run("one", "two") == ("", "every: 15s\npassword0: (not shown)\npassword1: (not shown)\n")
    assert run("one", "three", interval="30s") == (
        "every: 15s\npassword0: (not shown)\npassword1: (not shown)  (old)\n",
        "every: 30s\npassword0: (not shown)\npassword1: (not shown)  (new)\n",
    )
    (node.root / "etc/app/a").write_text("password: by hand\n")
    before, after = run("one", "three")
    assert before == "(not shown)  (old)\n"
    assert after.count("(new)") == 2
    # What is the same in both, and the keys that both have.
    (node.root / "etc/app/a").write_text("every: 15s\npassword0: one\npassword1: by hand\nanother: secret\n")
    before, after = run("one", "three", interval="30s")
    assert before == (
        "every: (not shown)  (old)\npassword0: (not shown)\npassword1: (not shown)  (old)\n(not shown)  (old)\n"
    )
    assert after == "every: 30s\npassword0: (not shown)\npassword1: (not shown)  (new)\n"
    # What an older version of this module made, and whose manifest does not say what may be shown.
    node.apply(node.payload(config=node.tree(files={"a": "password: older\n"}, secret=["a"])))
    before, after = run("one", "three")
    assert "older" not in before
    assert "three" not in after


def test_secrets_that_change_places_are_a_change_that_is_shown(node: Node) -> None:
    def run(*lines: str) -> list[dict[str, str]]:
        tree = node.tree(files={"a": "\n".join(lines)}, shown={"a": "\n".join(["-"] * len(lines))})
        diff: list[dict[str, str]] = node.apply(node.payload(config=tree))["diff"]
        return diff

    run("one", "two")
    (entry,) = run("two", "one")
    assert entry["before"] != entry["after"]


def test_a_file_or_link_that_nobody_here_made_is_refused(node: Node) -> None:
    (node.root / "etc/app").mkdir(parents=True)
    (node.root / "etc/app/a").write_text("theirs\n")
    (node.root / "etc/app/same").write_text("same\n")
    (node.root / "current").symlink_to("theirs/1")
    files = {"a": "mine\n", "same": "same\n", "b": "b\n"}
    said = refused(node, node.payload(config=node.tree(files=files), links={"current": "releases/1"}))
    assert f"{node.root}/current" in said
    assert f"{node.root}/etc/app/a" in said
    assert "same" not in said
    (node.root / "etc/app/a").unlink()
    (node.root / "current").unlink()
    # Of a manifest that was lost: the link is ours, and only its release is another one.
    (node.root / "current").symlink_to("releases/0")
    assert node.apply(node.payload(config=node.tree(files=files), links={"current": "releases/1"}))["changed"]


def test_what_an_older_version_made_is_shown_by_nobody(node: Node) -> None:
    node.apply(node.payload(config=node.tree(files={"a": "password: older\n"})))
    manifest = node.state / "app.json"
    data = json.loads(manifest.read_text())
    data["files"] = [entry[:6] for entry in data["files"]]
    manifest.write_text(json.dumps(data))
    (entry,) = node.apply(node.payload())["diff"]
    assert "older" not in entry["before"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("password: '1234567890'", "`1234567890`"),
        ("password: hunter2", "cannot unmarshal `hunter2`"),
        ("- hunter2", 'bad "hunter2"'),
        ('password: "two\\nlines of it"', "found lines of it there"),
        ("password: 'it''s a quote'", "it's a quote"),
        ("password: ab", "not `ab`"),
        ("- url: topsecret-value", "cannot unmarshal `topsecret-value`"),
        ("  - - url: topsecret-value", "cannot unmarshal `topsecret-value`"),
        ("- url: http://me:S3cretLong/abc@host:9/api", 'invalid port ":S3cretLong" after host'),
    ],
)
def test_no_check_says_what_may_not_be_shown(node: Node, line: str, said: str) -> None:
    key = line.split(":", maxsplit=1)[0] if ":" in line else "-"
    tree = node.tree(files={"a": f"job: ingest\n{line}\n"}, shown={"a": f"job: ingest\n{key}: (not shown)\n"})
    script = f"echo {shlex.quote(f'job ingest: {said}')}; exit 1"
    message = refused(node, node.payload(config=tree, checks=[["/bin/sh", "-c", script]])).split("node.\n")[1]
    assert "[secret]" in message
    assert "job ingest" in message
    assert message.replace("[secret]", "").count(said) == 0


def test_a_check_that_quotes_a_secret_is_masked(node: Node) -> None:
    tree = node.tree(files={"web.yml": "user: admin\npassword: 'hunter2-hunter2'\n"}, secret=["web.yml"])
    script = "cat {config}/web.yml; echo cannot parse hunter2-hunter2 or hunter2... as int; exit 1"
    message = refused(node, node.payload(config=tree, checks=[["/bin/sh", "-c", script]]))
    shown = message.split("node.\n")[1]
    assert "hunter2" not in shown
    assert "cannot parse [secret] or [secret] as int" in shown


def test_the_manifest_is_for_root_alone(node: Node) -> None:
    node.apply(node.payload(config=node.tree(files={"a": "SECRET"}, secret=["a"])))
    assert stat.S_IMODE(node.state.stat().st_mode) == 0o700
    for path in node.state.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "SECRET" not in path.read_text()


# Hostile names, links and contents


@pytest.mark.parametrize("rel", ["../x", "a/../../x", "/etc/x", "", ".", "a//b", "a/", "./a", "a\nb", "a\0b", "\ud800"])
def test_a_name_that_leads_outside_is_refused(node: Node, rel: str) -> None:
    payload = node.payload(config=node.tree(files={rel: "x"}))
    assert "is no file name" in refused(node, payload)


@pytest.mark.parametrize("dest", ["/", "/a/../b", "//a", "/a//b", "/a/."])
def test_a_dest_that_is_not_plain_is_refused(node: Node, dest: str) -> None:
    tree = {**node.tree(files={"a": "x"}), "dest": dest}
    assert "trees.config.dest" in refused(node, node.payload(config=tree))


@given(st.dictionaries(st.text(alphabet="ab./\\~\0\n é\u202e", max_size=8), st.text(max_size=20), max_size=4))
@settings(max_examples=150, deadline=None)
def test_no_name_ever_leads_outside_dest(files: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder))
        files = {rel: text.encode("utf-8", "replace").decode() for rel, text in files.items()}
        try:
            node.apply(node.payload(config=node.tree("d/e", files)))
        except tree.TreeError:
            assert node.snapshot(without_state=True) == {}
        else:
            live = {str(p.relative_to(node.root / "d/e")) for p in (node.root / "d/e").rglob("*") if p.is_file()}
            assert live == set(files)
            assert set(os.listdir(node.root)) == {"d", "state"}
            assert os.listdir(node.root / "d") == ["e"]
            assert all((node.root / "d/e" / rel).read_bytes() == text.encode() for rel, text in files.items())


@pytest.mark.parametrize(
    "text", ["{{ x }} {% if %}", "\n\n\r\n", "\u202eright to left", "x" * 10_000, "", "no end", "\0\x1b[31m"]
)
def test_contents_arrive_as_they_are(node: Node, text: str) -> None:
    node.apply(node.payload(config=node.tree(files={"a": text})))
    assert (node.root / "etc/app/a").read_bytes() == text.encode()


def test_bytes_that_are_no_text_arrive_as_they_are(node: Node) -> None:
    data = bytes(range(256))
    spec = action.parse_tree("t", {"dest": str(node.root / "d"), "owner": os.geteuid(), "group": os.getegid()})
    result = node.apply(node.payload(config=action.pack_tree(spec, {"a": data}, {})))
    assert (node.root / "d/a").read_bytes() == data
    assert "256 bytes" in result["diff"][0]["after"]


def test_a_symlink_planted_for_a_file_is_replaced_not_followed(node: Node) -> None:
    victim = node.root / "victim"
    victim.write_text("1")
    node.apply(node.payload(config=node.tree(files={"a": "1"}, mode="0600")))
    (node.root / "etc/app/a").unlink()
    (node.root / "etc/app/a").symlink_to(victim)
    node.apply(node.payload(config=node.tree(files={"a": "1"}, mode="0600")))
    assert not (node.root / "etc/app/a").is_symlink()
    assert (node.read("etc/app/a"), stat.S_IMODE(victim.stat().st_mode)) == ("1", 0o644)


def test_a_fifo_planted_for_a_file_is_replaced(node: Node) -> None:
    node.apply(node.payload(config=node.tree(files={"a": "1"})))
    (node.root / "etc/app/a").unlink()
    os.mkfifo(node.root / "etc/app/a")
    node.apply(node.payload(config=node.tree(files={"a": "1"})))
    assert node.read("etc/app/a") == "1"


@pytest.mark.parametrize("planted", ["etc/app/r", "etc/app"])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("rendered", [False, True])
def test_a_symlink_planted_for_a_folder_is_refused(node: Node, planted: str, known: bool, rendered: bool) -> None:
    if known:
        node.apply(node.payload(config=node.tree(files={"r/a": "1", "b": "b"})))
        shutil.rmtree(node.root / planted)
    elif not rendered:
        pytest.skip("nothing to do")
    victim = node.root / "victim"
    victim.mkdir()
    (victim / "a").write_text("precious")
    (node.root / planted).parent.mkdir(parents=True, exist_ok=True)
    (node.root / planted).symlink_to(victim)
    payload = node.payload(config=node.tree(files={"r/a": "2"} if rendered else {"b": "b"}))
    assert f"{node.root / planted} is a symlink or a file where a folder must be" in refused(node, payload)


@needs_root
def test_a_strangers_symlink_above_dest_is_refused_and_roots_is_followed(node: Node) -> None:
    (node.root / "real").mkdir()
    link = node.root / "srv"
    link.symlink_to("real")
    os.lchown(link, STRANGER, STRANGER)
    payload = node.payload(config=node.tree("srv/app", {"a": "1"}))
    assert f"{link} is a symlink that root did not make" in refused(node, payload)
    os.lchown(link, 0, 0)
    node.apply(payload)
    assert node.read("real/app/a") == "1"


@needs_root
def test_a_link_is_not_removed_through_a_strangers_symlink(node: Node) -> None:
    node.apply(node.payload(config=node.tree(files={"a": "1"}), links={"opt/app/current": "1"}))
    shutil.move(node.root / "opt/app", node.root / "theirs")
    (node.root / "opt/app").symlink_to(node.root / "theirs")
    os.lchown(node.root / "opt/app", STRANGER, STRANGER)
    assert f"{node.root}/opt/app is a symlink that root did not make" in refused(node, node.payload())


PLANTED = st.sampled_from(["etc/app", "etc/app/a", "etc/app/r", "etc/app/r/b", "etc/app/new", "etc/app/new/c", "cur"])
KIND = st.sampled_from(["link to a file", "link to a folder", "dangling link", "hardlink", "fifo", "folder", "file"])


@given(st.dictionaries(PLANTED, KIND, max_size=4), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_whatever_is_planted_in_dest_nothing_outside_changes(
    planted: dict[str, str], known: bool, removed: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as outside:
        node, victim = Node(Path(folder)), Node(Path(outside))
        (victim.root / "folder/r").mkdir(parents=True)
        for path in ("file", "folder/a", "folder/c", "folder/r/b"):
            (victim.root / path).write_text("precious")
        if known:
            node.apply(node.payload(config=node.tree(files={"a": "1", "r/b": "1"}), links={"cur": "1"}))
        for path, kind in sorted(planted.items(), reverse=True):
            plant(node.root / path, kind, victim.root)
        before = victim.snapshot()
        trees = {} if removed else {"config": node.tree(files={"a": "2", "r/b": "2", "new/c": "2"}, dir_mode="0700")}
        with suppress(tree.TreeError):
            node.apply(node.payload(**trees, links={} if removed else {"cur": "2"}))
        assert victim.snapshot() == before
        assert not node.staging()


def plant(path: Path, kind: str, victim: Path) -> None:
    """Put something in the place of what is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
    if kind.endswith("link"):
        path.symlink_to(victim / "nowhere") if kind == "dangling link" else os.link(victim / "file", path)
    elif kind.startswith("link"):
        path.symlink_to(victim / kind.rpartition(" ")[2])
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir() if kind == "folder" else path.touch()


def test_a_folder_in_place_of_a_file_is_refused(node: Node) -> None:
    (node.root / "etc/app/a").mkdir(parents=True)
    assert "etc/app/a is a folder" in refused(node, node.payload(config=node.tree(files={"a": "1", "b": "2"})))


def test_two_trees_cannot_make_the_same_file(node: Node) -> None:
    trees = {"one": node.tree("x", {"d/f": "1"}), "two": node.tree("x/d", {"f": "2"})}
    assert "comes from trees.one too" in refused(node, node.payload(**trees))
    assert "both a file and a folder" in refused(node, node.payload(config=node.tree(files={"a": "1", "a/b": "2"})))


# Runs that are cut off


def crash_after(calls: int, node: Node, payload: Payload, function: str = "rename") -> bool:
    """Apply in a process that is killed, with no chance to clean up, at a call in os; returns whether it was."""
    child = os.fork()
    if child == 0:
        original, done = getattr(os, function), 0

        def counting(*args: Any, **options: Any) -> None:
            nonlocal done
            if done == calls:
                os._exit(9)
            done += 1
            original(*args, **options)

        setattr(os, function, counting)
        node.apply(payload)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_run_killed_at_any_rename_is_completed_by_the_next(tmp_path: Path) -> None:
    killed = 0
    for renames in range(20):
        node = Node(tmp_path / str(renames))
        node.root.mkdir()
        old = node.payload(
            config=node.tree(files={"a": "1", "b": "1", "gone": "x"}, dir_mode="0711"), links={"cur": "1"}
        )
        new = node.payload(config=node.tree(files={"a": "2", "b": "2", "n/c": "2"}), links={"cur": "2"})
        old_at = node.apply(old)["trees"]["config"]["live_at"]
        if not crash_after(renames, node, new):
            break
        killed += 1
        killed_at = time.time()
        result = node.apply(new)
        config, links = result["trees"]["config"], result["links"]
        assert (config["changed"], config["removed"]) == (sorted(["a", "b", "n/c"]), ["gone"]) or renames == 0
        assert config["live_at"] >= killed_at > old_at
        assert links["live_at"] >= killed_at
        assert links["changed"] == [str(node.root / "cur")]
        assert {rel: node.read(f"etc/app/{rel}") for rel in ("a", "b", "n/c")} == {
            "a": "2",
            "b": "2",
            "n/c": "2",
        }
        assert (os.readlink(node.root / "cur"), node.staging()) == ("2", [])
        assert sorted(os.listdir(node.root / "etc/app")) == ["a", "b", "n"]
        assert not node.apply(new)["changed"]
    assert killed == 6  # the journal, three files, the link, the manifest


def test_what_a_killed_run_made_is_removed_when_it_is_no_longer_wanted(tmp_path: Path) -> None:
    for renames in range(1, 6):
        node = Node(tmp_path / str(renames))
        node.root.mkdir()
        old = node.payload(config=node.tree(files={"a": "1"}))
        node.apply(old)
        trees = {"config": node.tree(files={"a": "2", "n/b": "2"}), "more": node.tree("more", {"c": "2"})}
        assert crash_after(renames, node, node.payload(**trees, links={"cur": "2"}))
        assert node.apply(old)["changed"]
        assert sorted(str(path.relative_to(node.root)) for path in node.root.rglob("*")) == [
            "etc",
            "etc/app",
            "etc/app/a",
            "state",
            "state/app.json",
            "state/app.lock",
        ]


def test_a_removal_killed_at_any_unlink_is_completed_by_the_next(tmp_path: Path) -> None:
    for unlinks in range(20):
        node = Node(tmp_path / str(unlinks))
        node.root.mkdir()
        node.apply(node.payload(config=node.tree(files={"a": "1", "r/b": "1"}), links={"cur": "1"}))
        if not crash_after(unlinks, node, node.payload(), "unlink"):
            break
        node.apply(node.payload())
        assert set(node.snapshot()) == {"etc"}
        assert not node.apply(node.payload())["changed"]
    assert unlinks == 6  # two files, the link, the manifest, its unfinished version, the lock


def test_a_run_killed_after_it_set_a_folders_mode_alone_is_noticed(node: Node) -> None:
    old_at = node.apply(node.payload(config=node.tree(files={"a": "1"})))["trees"]["config"]["live_at"]
    payload = node.payload(config=node.tree(files={"a": "1"}, dir_mode="0700"))
    assert crash_after(1, node, payload)
    result = node.apply(payload)
    assert result["changed"]
    assert result["trees"]["config"]["live_at"] > old_at


def test_leftovers_of_another_manifest_are_not_swept(node: Node) -> None:
    other = node.root / ".app.app-2.staging-abcdefgh"
    mine = node.root / ".app.app.staging-abcdefgh"
    for folder in (other, mine):
        (folder / "x").mkdir(parents=True)
    node.apply(node.payload(config=node.tree("app", {"a": "1"})))
    assert (other.exists(), mine.exists()) == (True, False)


def test_a_damaged_manifest_is_told(node: Node) -> None:
    node.state.mkdir()
    (node.state / "app.json").write_text("{")
    assert f"the manifest {node.state}/app.json cannot be read" in refused(
        node, node.payload(config=node.tree(files={"a": "1"}))
    )


def test_two_runs_at_once_wait_for_each_other(node: Node) -> None:
    payload = node.payload(config=node.tree(files={"a": "1"}))
    node.apply(payload)
    thread = threading.Thread(target=node.apply, args=[payload])
    with tree_manifest.lock(str(node.state), "app", check=False):
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
    thread.join(10)
    assert not thread.is_alive()


def test_a_run_that_waited_for_a_removal_holds_a_lock_that_others_see(node: Node) -> None:
    thread = threading.Thread(target=node.apply, args=[node.payload(config=node.tree(files={"a": "1"}))])
    with tree_manifest.lock(str(node.state), "app", check=False):
        thread.start()
        thread.join(0.2)
        tree_manifest.forget(str(node.state), "app")
    thread.join(10)
    assert sorted(os.listdir(node.state)) == ["app.json", "app.lock"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=False).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@needs_root
@pytest.mark.parametrize("in_mount", [False, True])
def test_a_full_disk_while_staging_changes_nothing(node: Node, small_disk: Path, in_mount: bool) -> None:
    dest = "disk" if in_mount else "disk/app"
    node.apply(node.payload(config=node.tree(dest, {"a": "1", "old": "o"})))
    message = refused(node, node.payload(config=node.tree(dest, {"a": "2", "big": "x" * 300_000})))
    assert f"cannot stage {node.root}/{dest}/big in {small_disk}: No space left on device" in message
    assert "nothing was changed" in message


@needs_root
def test_a_full_disk_for_the_manifest_changes_nothing(node: Node, small_disk: Path) -> None:
    node.state = small_disk / "state"
    node.apply(node.payload(config=node.tree(files={"a": "1"})))
    (small_disk / "filler").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize))
    message = refused(node, node.payload(config=node.tree(files={"a": "2"})))
    assert f"cannot write the manifest {node.state}/app.json: No space left on device; nothing was changed" in message
    assert not (node.state / "app.json.new").exists()


def test_a_failure_half_way_says_so_and_the_next_run_does_the_rest(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = node.payload(config=node.tree(files={"a": "1", "b": "1"}))
    rename, done = os.rename, []

    def full(*args: Any, **options: Any) -> None:
        done.append(args)
        if len(done) == 3:
            raise OSError(errno.EIO, "Input/output error")
        rename(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        with pytest.raises(tree.TreeError, match=r"cannot replace .*/b: Input/output error; stopped half way"):
            node.apply(payload)
    assert node.apply(payload)["trees"]["config"]["changed"] == ["a", "b"]


# The controller


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dets": "/x"}, "trees.config: 'dets': unknown; did you mean 'dest'?"),
        ({}, "trees.config.dest: None: write the folder on the node"),
        ({"dest": "etc"}, "trees.config.dest: 'etc': write an absolute path"),
        ({"dest": "/x", "mode": 0o644}, "trees.config.mode: 420: write an octal number in quotes"),
        ({"dest": "/x", "modes": {"a": "rw"}}, "trees.config.modes.a: 'rw': write an octal number in quotes"),
        ({"dest": "/x", "secret": "web.yml"}, "trees.config.secret: 'web.yml': write a list of patterns"),
        ({"dest": "/x", "shared": "maybe"}, "trees.config.shared: 'maybe': write true or false"),
        (
            {"dest": "/x", "on_change": "stop"},
            "trees.config.on_change: 'stop': it must be one of restart, reload, nothing",
        ),
        ({"dest": "/x", "onchange": "reload"}, "trees.config: 'onchange': unknown; did you mean 'on_change'?"),
    ],
)
def test_a_wrong_tree_option_names_itself_and_the_remedy(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        action.parse_tree("config", options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../x"}, "name: '../x': name the service with"),
        ({"trees": ["config"]}, "trees: ['config']: list the trees, each by a name of its own"),
        ({"trees": {}, "checks": [["true"]]}, "checks: [['true']]: list at least one tree for them to check"),
        ({"trees": {"A b": {}}}, "trees: 'A b': name a tree with"),
        ({"checks": "promtool"}, "checks: 'promtool': write a list of commands"),
        ({"checks": ["promtool"]}, "checks: 'promtool': write a list of commands"),
        ({"checks": [{"about": "x"}]}, "checks: None: write a list of commands"),
        (
            {"checks": [{"command": ["x"], "abuot": "x"}]},
            "write a list of commands, each a list of words, or a mapping",
        ),
        ({"checks": [["promtool", "{confg}/x"]]}, "checks: 'confg': unknown; did you mean 'config'?"),
        ({"check_timeout": 0}, "check_timeout: 0: write a number of seconds"),
        ({"links": ["x"]}, "links: ['x']: write a dictionary"),
    ],
)
def test_a_wrong_option_names_itself_and_the_remedy(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        action.parse_options({"name": "x", "trees": {"config": {}}, **options})
    assert message in str(caught.value)


PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    output: {output}
    ansible_python_interpreter: {python}
    words: [one, "{{{{ untrusted | default('two') }}}}"]
    password: TOP-SECRET-PASSWORD
    hostile: !unsafe "{{{{ never }}}} {{% raw %}}"
  tasks:
    - name: Configure
      emr.monitoring.service:
        name: app
        unit: app.service
        watch: 0
        state_dir: "{{{{ output }}}}/state"
        trees:
          config:
            src: config
            contents: {{hostile.txt: "{{{{ hostile }}}}"}}
            dest: "{{{{ output }}}}/etc"
            owner: "{owner}"
            group: "{group}"
            secret: [web.yml]
      register: result
    - name: Render the same with the builtin
      ansible.builtin.template: {{src: config/main.yml.j2, dest: "{{{{ output }}}}/builtin", mode: "0644"}}
    - name: Misuse
      emr.monitoring.service: {{name: a, unit: x.service, trees: {{config: {{src: "{{{{ item }}}}", dest: /nowhere}}}}}}
      loop: [missing, broken, twice]
      ignore_errors: true
"""


def test_a_play_renders_like_the_builtin_and_never_shows_a_secret(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    for path, text in {
        "config/main.yml.j2": "# {{ ansible_managed }}\n{% for x in words %}\n- {{ x }}\n{% endfor %}\n"
        "{% include 'part.j2' %}\n back\\slash {{ template_path }}\n\n",
        "config/sub/plain.txt": "{{ not a template }}",
        "config/web.yml.j2": "password: {{ password }}\n",
        "part.j2": "part of {{ words[0] }}",
        "broken/wrong.yml.j2": "{{ no_such_variable }}",
        "twice/a": "",
        "twice/a.j2": "",
    }.items():
        (templates / path).parent.mkdir(parents=True, exist_ok=True)
        (templates / path).write_text(text)
    output = tmp_path / "output"
    (tmp_path / "ansible.cfg").touch()
    (tmp_path / "play.yml").write_text(
        PLAYBOOK.format(output=output, python=sys.executable, owner=os.geteuid(), group=os.getegid())
    )

    def play(*options: str) -> str:
        environment = {
            **os.environ,
            "PATH": f"{systemd_standin.install(tmp_path / 'bin')}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / "collections"),
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        }
        command = [sys.executable, "-m", "ansible", "playbook", "play.yml", "--diff", "-vvv", *options]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)  # noqa: PLW1510
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout + run.stderr

    log = play("--check")
    assert not output.exists() or not (output / "etc").exists()
    output.mkdir(exist_ok=True)
    log += play()
    assert (output / "etc/main.yml").read_text() == (output / "builtin").read_text()
    assert (output / "etc/main.yml").read_text().startswith("# Ansible managed\n- one\n- two\npart of one")
    assert (output / "etc/sub/plain.txt").read_text() == "{{ not a template }}"
    assert (output / "etc/hostile.txt").read_text() == "{{ never }} {% raw %}"
    assert (output / "etc/web.yml").read_text() == "password: TOP-SECRET-PASSWORD\n"
    assert "TOP-SECRET" not in log
    assert "+- one" in log
    assert "trees.config.src: 'missing': there is no such folder" in log
    assert f"template {templates}/broken/wrong.yml.j2 cannot be rendered" in log
    assert "'no_such_variable' is undefined" in log
    assert "a and a.j2 make the same file" in log
