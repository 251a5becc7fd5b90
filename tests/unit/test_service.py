"""The module service as a whole, but for the transaction: what it takes, and what it says of long work."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.action.service import amount, telling
from ansible_collections.emr.monitoring.plugins.module_utils import grafana_admin, release_background, release_install
from ansible_collections.emr.monitoring.plugins.module_utils import trial as trials
from ansible_collections.emr.monitoring.plugins.module_utils.grafana_admin import Administrator
from ansible_collections.emr.monitoring.plugins.module_utils.grafana_login import Login
from ansible_collections.emr.monitoring.plugins.module_utils.http_client import Answer
from ansible_collections.emr.monitoring.plugins.module_utils.release import Release, ReleaseError, parse
from ansible_collections.emr.monitoring.plugins.module_utils.release_background import installed_within
from ansible_collections.emr.monitoring.plugins.module_utils.service import refuse_unreadable
from ansible_collections.emr.monitoring.plugins.module_utils.tree import File, Task, Tree
from ansible_collections.emr.monitoring.plugins.module_utils.trial import Trial, sandbox, systemd_run, without_section
from ansible_collections.emr.monitoring.plugins.module_utils.unit_state import UnitError
from ansible_collections.emr.monitoring.plugins.modules import service
from ansible_collections.emr.monitoring.plugins.plugin_utils.rendered_trees import TREE_OPTIONS

from tests.unit.documentation import documents_its_arguments
from tests.unit.test_release import PROGRAM, Node, pack

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def release(node: Node, data: bytes, **options: Any) -> Release:
    return parse(node.options(data, **options))


def test_the_documentation_lists_the_arguments() -> None:
    # The trees are checked on the controller, not by the argument spec.
    trees = dict.fromkeys(TREE_OPTIONS)
    assert documents_its_arguments(service, beside={"trees": set(trees)})


def test_an_installation_that_is_quick_enough_takes_one_call(node: Node) -> None:
    wanted = release(node, pack(PROGRAM))
    assert installed_within(wanted, folder(node), 60) is None
    assert node.tree()["1.0/etc/a.yml"] == "a"
    # Nothing of how it went is left.
    assert [path.name for path in node.root.iterdir() if path.name.startswith(".install")] == []
    assert os.listdir(folder(node)) == []
    assert installed_within(wanted, folder(node), 60) is None


def slow(monkeypatch: pytest.MonkeyPatch, gate: Path, end: Callable[[], None] = lambda: None) -> None:
    """Have an installation tell how far it is until a file is there, and then end as told, or install."""
    real = release_install.install

    def install(wanted: Release, progress: Callable[[str, int, int], None]) -> None:
        os.makedirs(wanted.root, exist_ok=True)
        with open(os.path.join(wanted.root, release_install.LOCK), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            while not gate.exists():
                progress("unpacking", 20_000_000, 90_000_000)
                time.sleep(0.01)
            end()
        real(wanted, progress)

    monkeypatch.setattr(release_background, "install", install)
    monkeypatch.setattr(release_background, "WRITTEN_EVERY", 0.01)


def folder(node: Node) -> str:
    return str(node.folder / "state")


def pending(node: Node, wanted: Release, job: str = "") -> dict[str, Any]:
    """Return how far an installation is, as soon as it says so."""
    found: dict[str, Any] = {}
    deadline = time.monotonic() + 60
    while not found.get("done") and time.monotonic() < deadline:
        found = installed_within(wanted, folder(node), 0.2, found.get("job", job)) or {}
    return found


def test_one_that_takes_longer_goes_on_and_says_how_far_it_is(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, gate = release(node, pack(PROGRAM)), node.folder / "gate"
    slow(monkeypatch, gate)
    found = pending(node, wanted)
    assert {**found, "job": ""} == {"job": "", "doing": "unpacking", "done": 20_000_000, "total": 90_000_000}
    gate.touch()
    assert installed_within(wanted, folder(node), 60, found["job"]) is None
    assert "1.0/etc/a.yml" in node.tree()


def test_why_one_failed_that_took_longer_is_said(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, gate = release(node, pack(PROGRAM)), node.folder / "gate"

    def fail() -> None:
        raise ReleaseError("The disk of /mnt is full.")

    slow(monkeypatch, gate, fail)
    found = pending(node, wanted)
    gate.touch()
    with pytest.raises(ReleaseError, match="The disk of /mnt is full"):
        installed_within(wanted, folder(node), 60, found["job"])
    assert os.listdir(folder(node)) == []


def test_why_one_failed_is_said_however_long_it_takes_to_say_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of the releases is free long before: what counts is whether the process lives."""
    wanted, gate = release(node, pack(PROGRAM)), node.folder / "gate"

    def install(_: Release, progress: Callable[[str, int, int], None]) -> None:
        while not gate.exists():
            progress("unpacking", 1, 2)
            time.sleep(0.01)
        raise ReleaseError("late words")

    monkeypatch.setattr(release_background, "install", install)
    monkeypatch.setattr(release_background, "WRITTEN_EVERY", 0.01)
    found = pending(node, wanted)
    assert installed_within(wanted, folder(node), 0.3, found["job"]) == found
    gate.touch()
    with pytest.raises(ReleaseError, match="late words"):
        installed_within(wanted, folder(node), 60, found["job"])


def test_what_a_killed_run_left_to_be_said_goes_with_the_next_one(node: Node) -> None:
    os.makedirs(folder(node))
    left = Path(folder(node), f"install-{'0' * 32}.json")
    left.write_text('{"error": "of yesterday"}')
    os.utime(left, (0, 0))
    assert installed_within(release(node, pack(PROGRAM)), folder(node), 60) is None
    assert os.listdir(folder(node)) == []


def test_why_one_failed_is_said_though_another_run_begins_before_anybody_has_looked(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, gate = release(node, pack(PROGRAM)), node.folder / "gate"

    def fail() -> None:
        raise ReleaseError("The checksum is wrong.")

    with monkeypatch.context() as patched:
        slow(patched, gate, fail)
        found = pending(node, wanted)
        gate.touch()
        path = os.path.join(folder(node), release_background.JOB.format(found["job"]))
        deadline = time.monotonic() + 60
        while "checksum" not in Path(path).read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert installed_within(wanted, folder(node), 60) is None
    monkeypatch.setattr(release_background, "is_installed", lambda _: False)
    with pytest.raises(ReleaseError, match="The checksum is wrong"):
        installed_within(wanted, folder(node), 60, found["job"])


def test_one_that_was_killed_is_said_and_the_next_run_begins_anew(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, gate = release(node, pack(PROGRAM)), node.folder / "gate"
    with monkeypatch.context() as patched:
        slow(patched, gate, lambda: os.kill(os.getpid(), signal.SIGKILL))
        found = pending(node, wanted)
        gate.touch()
        with pytest.raises(ReleaseError, match="ended without a word"):
            installed_within(wanted, folder(node), 60, found["job"])
    assert installed_within(wanted, folder(node), 60) is None
    assert "1.0/etc/a.yml" in node.tree()


def test_a_failure_in_the_first_call_is_said_at_once(node: Node) -> None:
    wanted = release(node, b"no archive")
    with pytest.raises(ReleaseError, match="cannot be read"):
        installed_within(wanted, folder(node), 60)


@pytest.mark.parametrize(
    ("used", "version", "refused"),
    [("3.5.0", "2.54.1", True), ("3.5.0", "2.55.0", False), ("2.54.0", "2.50.0", False), ("", "2.50.0", False)],
)
def test_a_release_that_cannot_read_the_data_is_refused(node: Node, used: str, version: str, refused: bool) -> None:
    if used:
        (node.root / used).mkdir(parents=True)
        (node.root / "current").symlink_to(used)
    readers = {"written_by": "3", "read_by": "2.55", "data": "/mnt/data"}
    wanted = release(node, b"", version=version, readers=readers)
    if refused:
        with pytest.raises(ReleaseError, match=f"tool_version is {version}, but /mnt/data was written by {used}"):
            refuse_unreadable(wanted)
    else:
        refuse_unreadable(wanted)


UNIT = """[Unit]
Description=x
[Service]
Type=exec
User=prometheus
# A comment=1
ExecStartPre=+/usr/bin/install -d /x
ExecStart=/opt/x \\
    "--a" \\
    "--b=c"
Restart=always
MemoryMax=2G
ReadWritePaths=-/mnt/data
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
[Install]
WantedBy=multi-user.target
"""


def test_a_trial_has_the_sandbox_and_the_limits_of_the_unit_and_a_network_of_its_own() -> None:
    lines = ["User=prometheus", "MemoryMax=2G", "ReadWritePaths=-/mnt/data", "SystemCallFilter=@system-service"]
    assert sandbox(UNIT) == [*lines, "SystemCallFilter=~@privileged"]
    trial = Trial(["/opt/x", "--a"], "/mnt/data", "ready", "x.service")
    command = systemd_run(trial, sandbox(UNIT), {"/mnt/.trial": "/mnt/data"}, "trial.service", 9.5)
    assert command[-3:] == ["--", "/opt/x", "--a"]
    for line in ("MemoryMax=2G", "PrivateNetwork=yes", "RuntimeMaxSec=9", "BindPaths=/mnt/.trial:/mnt/data"):
        assert f"--property={line}" in command


@pytest.mark.parametrize("rest", ["", "storage:\n  tsdb: {}\n"])
def test_a_trial_does_not_see_what_needs_a_network(tmp_path: Path, rest: str) -> None:
    kept = "global:\n  remote_write: x\nscrape_configs:\n- job_name: a\n"
    whole = f"{kept}remote_write:\n- name: amp\n  sigv4:\n    region: x\n{rest}"
    (tmp_path / "prometheus.yml").write_text(whole)
    tree = Tree("config", "/etc/x", 0o700, os.geteuid(), os.getegid(), False, {
        "prometheus.yml": File(whole.encode(), 0o640, os.geteuid(), os.getegid())})  # fmt: skip
    omit = {"file": "/etc/x/prometheus.yml", "section": "remote_write"}
    ((copy, seen),) = without_section(omit, tree, str(tmp_path), str(tmp_path / "data")).items()
    assert seen == "/etc/x/prometheus.yml"
    assert Path(copy).read_text() == kept + rest
    # What goes live is as it was.
    assert (tmp_path / "prometheus.yml").read_text() == whole
    assert without_section({}, tree, str(tmp_path), str(tmp_path / "data")) == {}
    assert without_section({**omit, "file": "/etc/y/prometheus.yml"}, tree, str(tmp_path), "") == {}


def test_a_trial_has_the_environment_that_is_not_live_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(trials, "_run", lambda command, *_: commands.append(command))
    user = pwd.getpwuid(os.getuid()).pw_name
    dropin = "EnvironmentFile=/etc/systemd/system/x.service.d/a.environment"
    texts = {"x.service": f"[Service]\nUser={user}\n", "x.service.d/a.conf": f"[Service]\n{dropin}\n"}
    (tmp_path / "x.service.d").mkdir()
    for rel, text in texts.items():
        (tmp_path / rel).write_text(text)
    files = {rel: File(text.encode(), 0o644, 0, 0) for rel, text in texts.items()}
    tree = Tree("unit", "/etc/systemd/system", 0o755, 0, 0, shared=True, files=files)
    tried = Trial(["/x"], str(tmp_path / "data"), "ready", "x.service")
    trials.rehearse(tried, Task("x", [tree], {}, [], 60), {"unit": str(tmp_path)}, 9)
    assert f"--property=EnvironmentFile={tmp_path}/x.service.d/a.environment" in commands[0]


class Grafana:
    """A Grafana that lets its administrator in with one password."""

    def __init__(self, state: str = "right", answers: tuple[int, ...] = (200,), locks: tuple[int, ...] = (0,)) -> None:
        self.state, self.answers, self.locks = state, list(answers), list(locks)
        self.commands: list[tuple[list[str], str]] = []
        self.asked_with: list[str] = []
        self.code = 0

    def ask(self, _: str) -> Answer:
        self.asked_with.append(self.state)
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Answer(status, error="" if status else "timed out")

    def look(self) -> Login:
        locked = self.locks.pop(0) if len(self.locks) > 1 else self.locks[0]
        return Login("admin", self.state, locked, ("10.0.0.9",) if locked else ())

    def run(self, words: list[str], data: str, **_: Any) -> tuple[int, str, str]:
        self.commands.append((words, data))
        self.state = "right" if self.state == "wrong" else self.state
        return self.code, "", "it says TOP-SECRET"

    def admin(self, renewed: bool = False) -> Administrator:
        return Administrator(
            "admin", "TOP-SECRET", "http://x/api/user", self.ask, self.look, self.run, ["reset"], "credentials", renewed
        )


def test_an_administrator_who_gets_in_is_left_alone() -> None:
    grafana = Grafana()
    assert grafana.admin().admit() is False
    assert grafana.commands == []


@pytest.mark.parametrize(
    ("state", "renewed", "answers"), [("wrong", False, (200,)), ("wrong", True, (200,)), ("unknown", True, (401, 200))]
)
def test_the_password_is_set_where_the_database_has_another_and_a_wrong_one_is_not_tried(
    state: str, renewed: bool, answers: tuple[int, ...]
) -> None:
    grafana = Grafana(state, answers)
    assert grafana.admin(renewed).admit() is True
    assert grafana.commands == [(["reset"], "TOP-SECRET")]
    assert grafana.asked_with == ["right"] if state == "wrong" else ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("grafana", "said"),
    [
        (Grafana("absent", (401,)), "grafana_admin_user is not the name with which it was created"),
        (Grafana("right", (500,)), "answers HTTP 500, neither 200 nor 401"),
        (Grafana("right", (0,)), "answers timed out, neither 200 nor 401"),
        (Grafana("right", (401,)), "Is the user disabled there"),
        (Grafana("unknown", (401,)), "refuses admin with grafana_admin_password"),
    ],
)
def test_one_who_does_not_get_in_is_refused_with_the_reason(grafana: Grafana, said: str) -> None:
    with pytest.raises(UnitError, match=said):
        grafana.admin().admit()
    assert grafana.commands == []


def test_a_password_that_is_not_taken_is_said_without_it() -> None:
    grafana = Grafana("wrong", (401,))
    grafana.code = 1
    with pytest.raises(UnitError, match=r"did not take the password of admin: `reset` ended with 1") as caught:
        grafana.admin().admit()
    assert "TOP-SECRET" not in str(caught.value)


def test_a_lock_is_waited_for_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grafana_admin, "INTERVAL", 0.001)
    grafana = Grafana("right", (401, 200), (30, 30, 20, 0))
    admin = grafana.admin()
    assert admin.admit() is False
    assert "Somebody tried wrong passwords for admin, from 10.0.0.9" in admin.waited
    assert "for 30 s, which this run waited" in admin.waited


def test_somebody_who_goes_on_guessing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grafana_admin, "INTERVAL", 0.001)
    monkeypatch.setattr(time, "monotonic", iter([0.0, 1.0, 999.0]).__next__)
    with pytest.raises(UnitError, match=r"somebody goes on trying passwords, from 10\.0\.0\.9"):
        Grafana("right", (401,), (30,)).admin().admit()


def test_long_work_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with telling(lambda: "half way", every=0.01):
        deadline = time.monotonic() + 60
        said = ""
        while "half way" not in said and time.monotonic() < deadline:
            said += capsys.readouterr().out
    assert "half way" in said
    assert (amount(20_400_000, 1_810_000_000), amount(5_000_000, 0)) == ("20 of 1,810 MB", "5 MB")


def test_the_documentation_can_be_read_with_ansible_doc(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ansible", "doc", "--json", "emr.monitoring.service"]
    environment = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    options = json.loads(done.stdout)["emr.monitoring.service"]["doc"]["options"]
    assert {"release", "trees", "questions", "watch"} <= set(options)
