"""The unit is changed exactly as its files call for, and the service has the last word."""

import base64
import hashlib
import http.server
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils import grafana_login, http_client, unit, unit_state
from ansible_collections.emr.monitoring.plugins.module_utils.http_client import Answer
from ansible_collections.emr.monitoring.plugins.module_utils.unit import Service
from ansible_collections.emr.monitoring.plugins.module_utils.unit_state import UnitError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

METRIC = "x_config_last_reload_success_timestamp_seconds"
READY, METRICS, RELOAD = (f"http://localhost:1/{path}" for path in ("ready", "metrics", "reload"))
HOUR = 3600.0


class Node:
    """A stand-in for systemd and for the service: up since an hour, with nothing left to do."""

    def __init__(self) -> None:
        self.fields = {
            "LoadState": "loaded",
            "ActiveState": "active",
            "SubState": "running",
            "Result": "success",
            "UnitFileState": "enabled",
            "NeedDaemonReload": "no",
            "NRestarts": "0",
            "MainPID": "7",
            "Job": "",
        }
        self.booted = time.time() - time.monotonic()
        self.started = time.time() - HOUR
        self.loaded = self.started + 1
        self.successful = 1
        self.ready = self.reload = 200
        self.commands: list[list[str]] = []
        self.journal = ""
        self.show_error = ""
        self.shows = 0
        self.hooks: dict[str, Callable[[], str | None]] = {
            "daemon-reload": lambda: self.fields.update(LoadState="loaded", NeedDaemonReload="no"),
            "reset-failed": lambda: self.fields.update(ActiveState="inactive"),
            "enable": lambda: self.fields.update(UnitFileState="enabled"),
            "disable": lambda: self.fields.update(UnitFileState="disabled"),
            "stop": lambda: self.fields.update(ActiveState="inactive", MainPID="0"),
            "start": self.begin,
            "restart": self.begin,
            "reload": self.load,
            "show": lambda: None,
        }

    def begin(self) -> None:
        self.fields.update(ActiveState="active", MainPID="8")
        self.started = self.loaded = time.time()

    def load(self) -> None:
        self.loaded, self.successful = time.time(), 1

    def run(self, command: list[str]) -> tuple[int, str, str]:
        self.commands.append(command)
        self.shows += "show" in command
        if command[0] == "journalctl":
            return 0, self.journal, ""
        action = next(word for word in command if word in self.hooks)
        error = self.hooks[action]()
        if action != "show":
            return (1 if error else 0), "", error or ""
        start = self.started - self.booted if self.started else 0
        fields = {**self.fields, "ExecMainStartTimestampMonotonic": str(int(start * 1e6))}
        lines = "".join(f"{name}={value}\n" for name, value in fields.items())
        return (1 if self.show_error else 0), lines, self.show_error

    def fetch(self, url: str, method: str = "GET", timeout: float = 0) -> Answer:
        if method == "POST":
            self.commands.append(["POST", url])
            return Answer(self.reload)
        if self.ready == 0:
            return Answer(0, error="Connection refused")
        if url == READY:
            return Answer(self.ready)
        gauges = {
            METRIC: self.loaded,
            METRIC.replace("_success_timestamp_seconds", "_successful"): self.successful,
        }
        return Answer(200, "# HELP a b\n" + "".join(f"{name} {value!r}\n" for name, value in gauges.items()))

    def service(self, **params: Any) -> Service:
        defaults = {
            "name": "x.service",
            "restart_after": 0.0,
            "reload_after": 0.0,
            "ready_url": READY,
            "reload_url": None,
            "loaded": {"url": METRICS, "metric": METRIC},
            "timeout": 0.2,
            "watch": 0.0,
        }
        return Service(defaults | params, self.run, self.fetch)

    def acted(self) -> list[str]:
        """Return what systemd and the service were asked to do, rather than what the module says that it did."""
        asked = [["reload"] if line == ["POST", RELOAD] else line for line in self.commands if line[0] != "journalctl"]
        words = (next(word for word in line if word in self.hooks) for line in asked)
        return [word for word in words if word != "show"]


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture(autouse=True)
def _haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "INTERVAL", 0.001)
    monkeypatch.setattr(unit_state, "MIN_AGE", 0.0)


@pytest.fixture(autouse=True)
def notes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(unit_state, "NOTES", tmp_path / "notes")
    return tmp_path / "notes"


def converge(node: Node, **params: Any) -> dict[str, Any]:
    """Run the module in check mode and for real, and see that the first foretells the second."""
    forecast = node.service(**params)
    forecast.preview()
    assert node.acted() == []
    service = node.service(**params)
    results = service.converge()
    assert node.acted() == service.actions == forecast.actions
    return results


def failure(node: Node, **params: Any) -> str:
    service = node.service(**params)
    with pytest.raises(UnitError) as caught:
        service.converge()
    return service.report(caught.value)


def test_a_unit_as_it_should_be_is_left_alone(node: Node) -> None:
    results = converge(node, restart_after=node.started - 1, reload_after=node.loaded)
    assert node.acted() == []
    started_at = pytest.approx(node.started, abs=0.1)
    times = {"started_at": started_at, "ready_at": 0, "loaded_at": node.loaded}
    assert results == {"pid": 7, **times, "refused": False}


def test_a_new_unit_is_enabled_and_started(node: Node) -> None:
    node.fields.update(LoadState="not-found", ActiveState="inactive", UnitFileState="")
    node.started = 0
    results = converge(node, restart_after=time.time(), reload_after=time.time())
    assert node.acted() == ["daemon-reload", "enable", "start"]
    assert results["pid"] == 8


def test_what_was_started_says_since_when_it_is_ready(node: Node) -> None:
    began = time.time()
    assert began <= converge(node, restart_after=began)["ready_at"] <= time.time()
    node.commands.clear()
    assert converge(node)["ready_at"] == 0


def test_a_failed_unit_is_reset_and_started(node: Node) -> None:
    node.fields["ActiveState"] = "failed"
    converge(node)
    assert node.acted() == ["reset-failed", "start"]


def test_a_changed_unit_file_is_read_again(node: Node) -> None:
    node.fields["NeedDaemonReload"] = "yes"
    converge(node, restart_after=time.time())
    assert node.acted() == ["daemon-reload", "restart"]


@pytest.mark.parametrize(("there", "known"), [(True, False), (False, True), (True, True), (False, False)])
def test_systemd_is_told_of_the_first_drop_in_of_a_folder_and_of_the_end_of_the_last(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, known: bool
) -> None:
    # It looks into no folder that it has not seen: NeedDaemonReload stays no.
    dropin = tmp_path / "emr-monitoring.conf"
    monkeypatch.setattr(unit_state, "DROPIN", str(dropin))
    node.fields["DropInPaths"] = f"/run/{dropin.name} {dropin if known else ''}"
    if there:
        dropin.touch()
    converge(node)
    assert node.acted() == ([] if there == known else ["daemon-reload"])


@pytest.mark.parametrize("state", ["static", "generated"])
def test_what_cannot_be_enabled_is_not(node: Node, state: str) -> None:
    node.fields["UnitFileState"] = state
    converge(node)
    assert node.acted() == []


def test_a_process_older_than_its_files_is_restarted_once(node: Node) -> None:
    changed = node.started + 1
    converge(node, restart_after=changed)
    node.commands.clear()
    converge(node, restart_after=changed)
    assert node.acted() == []


def test_a_restart_makes_the_reload_needless(node: Node) -> None:
    # Even where the clock that dated the files was ahead.
    converge(node, restart_after=time.time(), reload_after=time.time() + HOUR)
    assert node.acted() == ["restart"]


def test_a_configuration_newer_than_the_loaded_one_is_loaded_once(node: Node) -> None:
    changed = node.loaded + 1
    results = converge(node, reload_after=changed)
    assert node.acted() == ["reload"]
    assert results["loaded_at"] > changed
    node.commands.clear()
    converge(node, reload_after=changed)
    assert node.acted() == []


def test_a_restart_does_not_block_and_a_reload_does(node: Node) -> None:
    node.service(restart_after=time.time()).converge()
    node.service(reload_after=time.time()).converge()
    assert ["systemctl", "--no-block", "restart", "x.service"] in node.commands
    assert ["systemctl", "reload", "x.service"] in node.commands


def test_check_mode_foretells_a_reload_of_a_service_that_does_not_answer(node: Node) -> None:
    node.ready = 0
    service = node.service(reload_after=node.started + 2)
    service.preview()
    assert service.actions == ["reload"]
    service = node.service(reload_after=node.started - 2)
    service.preview()
    assert service.actions == []


def test_the_end_waits_for_the_load_after_the_reload(node: Node) -> None:
    answers: list[int] = []

    def fetch(url: str) -> Answer:
        answers.append(1)
        if len(answers) == 8:
            node.load()
        return Node.fetch(node, url)

    node.hooks["reload"] = lambda: None
    service = node.service(reload_after=time.time(), timeout=5)
    service.fetch = fetch
    service.converge()
    assert len(answers) == 8


def test_a_process_is_taken_to_load_its_configuration_when_it_starts(node: Node) -> None:
    results = converge(node, loaded=None, restart_after=node.started - 1)
    assert results["loaded_at"] == pytest.approx(node.started, abs=0.1)
    began = time.time()
    assert node.service(restart_after=began).preview()["loaded_at"] >= began


def test_a_service_that_does_not_tell_what_it_loaded_is_asked_once(node: Node) -> None:
    changed = node.started + 1
    results = converge(node, loaded=None, reload_url=RELOAD, reload_after=changed)
    assert node.commands.count(["POST", RELOAD]) == 1
    assert results["loaded_at"] > changed
    node.commands.clear()
    again = converge(node, loaded=None, reload_url=RELOAD, reload_after=changed)
    assert node.acted() == []
    assert again["loaded_at"] == converge(node, loaded=None)["loaded_at"] == results["loaded_at"]


def test_a_service_that_tells_has_the_last_word_about_the_load(node: Node) -> None:
    assert "has not loaded its configuration" in failure(node, reload_url=RELOAD, reload_after=time.time())


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, "x.service did not load its configuration again: http://localhost:1/reload answers HTTP 500."),
        (401, "/reload answers HTTP 401: check url_username and url_password."),
    ],
)
def test_a_refused_post_fails_and_is_made_up_for_by_the_next_run(node: Node, status: int, reason: str) -> None:
    params: dict[str, Any] = {"loaded": None, "reload_url": RELOAD, "reload_after": time.time()}
    node.reload = status
    assert reason in failure(node, **params)
    node.reload = 200
    node.commands.clear()
    converge(node, **params)
    assert node.acted() == ["reload"]


def test_a_start_makes_the_post_needless(node: Node) -> None:
    converge(node, loaded=None, reload_url=RELOAD, reload_after=time.time(), restart_after=time.time())
    assert node.acted() == ["restart"]


def test_the_load_of_an_earlier_process_is_not_that_of_a_later_one(node: Node) -> None:
    params: dict[str, Any] = {"loaded": None, "reload_url": RELOAD}
    converge(node, **params, reload_after=time.time())
    node.commands.clear()
    # The clock was set back in between.
    node.started -= HOUR
    converge(node, **params, reload_after=node.started + 1)
    assert node.acted() == ["reload"]


def test_what_is_noted_is_root_s_alone(node: Node, notes: Path) -> None:
    converge(node, loaded=None, reload_url=RELOAD, reload_after=time.time())
    assert [path.name for path in notes.iterdir()] == ["x.service"]
    assert notes.stat().st_mode & 0o777 == 0o700


def test_a_refused_configuration_fails_at_once_with_the_journal(node: Node) -> None:
    def refuse() -> None:
        node.successful = 0

    node.hooks["reload"] = refuse
    node.journal = "second\nfirst\n"
    message = failure(node, reload_after=time.time(), timeout=60)
    assert message == (
        "x.service refused to load its configuration and goes on with the previous one.\n"
        "Tried: reload. State: ActiveState=active, SubState=running, Result=success.\n"
        "Its last journal lines:\n  first\n  second\nFor more: journalctl -u x.service"
    )


def test_an_earlier_refusal_does_not_count_against_the_reload(node: Node) -> None:
    node.successful = 0
    node.hooks["reload"] = lambda: None
    assert "not ready after 0.2 s: refused to load" in failure(node, reload_after=time.time())
    node.hooks["reload"] = node.load
    node.service(reload_after=time.time()).converge()


@pytest.mark.parametrize("refused", [True, False])
def test_a_refusal_that_lasts_is_told(node: Node, refused: bool) -> None:
    node.successful = 0 if refused else 1
    assert node.service().preview()["refused"] == refused
    assert node.service().converge()["refused"] == refused


def test_a_reload_without_effect_fails(node: Node) -> None:
    node.hooks["reload"] = lambda: None
    assert "has not loaded its configuration" in failure(node, reload_after=time.time())


def test_an_action_that_systemd_refuses_is_quoted(node: Node) -> None:
    node.hooks["reload"] = lambda: "Job type reload is not applicable for unit x.service.\n"
    message = failure(node, reload_after=time.time())
    assert "systemctl reload said: Job type reload is not applicable for unit x.service.\nTried: reload" in message


@pytest.mark.parametrize(
    ("ready", "reason"),
    [
        (503, "/ready answers HTTP 503.\n"),
        (401, "/ready answers HTTP 401: check url_username and url_password"),
        (0, "/ready cannot be read: Connection refused"),
    ],
)
def test_an_active_unit_that_is_not_ready_fails_on_every_run(node: Node, ready: int, reason: str) -> None:
    node.ready = ready
    message = failure(node)
    assert reason in message
    assert "Tried: nothing, no change was due." in message
    assert "the journal has no lines" in message


def test_a_page_without_the_metric_fails(node: Node) -> None:
    assert "holds no metric other" in failure(node, loaded={"url": METRICS, "metric": "other"})


def test_a_unit_without_urls_is_judged_by_systemd_alone(node: Node) -> None:
    node.ready = 0
    converge(node, ready_url=None, loaded=None)


def test_a_crash_loop_fails_long_before_the_timeout(node: Node) -> None:
    # As in reality, the counter of the loop before this run is set back by the restart.
    counts = iter([9, 9, 0, 1, 2, 3])

    def crash() -> None:
        node.fields.update(ActiveState="activating", SubState="auto-restart", NRestarts=str(next(counts, 3)))

    node.hooks |= {"show": crash, "restart": lambda: None}
    message = failure(node, restart_after=time.time(), timeout=60)
    assert "dies again and again" in message
    assert next(counts, None) is None


@pytest.mark.parametrize("state", ["failed", "inactive"])
def test_a_service_that_ends_fails_long_before_the_timeout(node: Node, state: str) -> None:
    node.hooks["restart"] = lambda: node.fields.update(ActiveState=state)
    assert "does not stay up" in failure(node, restart_after=time.time(), timeout=60)


def test_a_queued_start_is_waited_for(node: Node) -> None:
    def show() -> None:
        if node.shows == 5:
            node.begin()
            node.fields["Job"] = ""

    node.fields["ActiveState"] = "inactive"
    node.hooks |= {"show": show, "start": lambda: node.fields.update(Job="99")}
    assert node.service(timeout=5).converge()["pid"] == 8


def test_an_old_process_is_not_taken_for_the_restarted_one(node: Node) -> None:
    node.hooks["restart"] = lambda: node.fields.update(Job="99")
    assert "it is not active yet" in failure(node, restart_after=time.time())


def test_a_process_that_just_started_has_to_live_for_a_moment(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_state, "MIN_AGE", 0.1)
    node.service(restart_after=time.time(), timeout=5).converge()
    assert time.time() - node.started >= 0.1


def test_a_clock_that_is_set_back_does_not_hide_the_start(node: Node) -> None:
    def begin() -> None:
        node.begin()
        node.started -= HOUR

    node.hooks["restart"] = begin
    assert node.service(loaded=None, restart_after=time.time()).converge()["pid"] == 8


def test_a_unit_without_a_file_fails_after_a_daemon_reload(node: Node) -> None:
    node.fields["LoadState"] = "not-found"
    node.hooks["daemon-reload"] = lambda: None
    assert "x.service has no unit file" in failure(node)
    assert node.acted() == ["daemon-reload"]


def test_a_masked_unit_is_not_touched(node: Node) -> None:
    node.fields.update(LoadState="masked", UnitFileState="masked", ActiveState="inactive")
    assert "systemctl unmask x.service" in failure(node)
    assert node.acted() == []


def test_a_node_without_systemd_fails(node: Node) -> None:
    node.show_error = "System has not been booted with systemd"
    message = failure(node)
    assert "not been booted" in message
    assert "State: unknown" in message


def test_what_a_service_wrote_cannot_write_to_the_terminal(node: Node) -> None:
    node.hooks["restart"] = lambda: node.fields.update(ActiveState="failed")
    node.journal = "\x1b]0;title\x07\x1b[2J\u202e{{ 7*7 }} שלום\n"
    with pytest.raises(UnitError) as caught:
        node.service(restart_after=time.time()).converge()
    message = node.service().report(caught.value)
    assert "\n  \\x1b]0;title\\x07\\x1b[2J\\u202e{{ 7*7 }} שלום\n" in message


def test_no_login_and_no_token_of_an_address_in_the_journal_is_shown(node: Node) -> None:
    node.hooks["restart"] = lambda: node.fields.update(ActiveState="failed")
    node.journal = 'err="Post \\"https://me:secret@host/write?token=secret\\": dial tcp" url=http://a:secret@b\n'
    with pytest.raises(UnitError) as caught:
        node.service(restart_after=time.time()).converge()
    message = node.service().report(caught.value)
    assert "secret" not in message
    assert "https://host/write?…" in message


def test_the_journal_begins_with_the_action(node: Node) -> None:
    node.hooks["restart"] = lambda: node.fields.update(ActiveState="failed")
    before = int(time.time())
    failure(node, restart_after=time.time())
    since = node.commands[-1][node.commands[-1].index("--since") + 1]
    assert before <= int(since.removeprefix("@")) <= time.time()


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("up 1", 1.0),
        ("up 1.7e+09", 1.7e9),
        ('up{a="b c} d"} 2 1700000000', 2.0),
        ("up_total 3", None),
        ("# up 4", None),
    ],
)
def test_metrics_are_read(line: str, value: float | None) -> None:
    assert http_client.gauge(f"# HELP up x\n{line}\nother 5\n", "up") == value


def test_any_answer_will_do(node: Node) -> None:
    said = {
        "http://localhost:1/good": Answer(200, '{"a": [1]}'),
        "http://localhost:1/bad": Answer(400, '{"message": "no"}'),
        "http://localhost:1/text": Answer(200, "text"),
        "http://localhost:1/slow": Answer(0, error="timed out"),
    }

    service = node.service()
    service.fetch = lambda url, **_: said[url]
    assert service.ask({url[-4:].strip("/"): url for url in said}) == {
        "good": {"status": 200, "json": {"a": [1]}, "text": '{"a": [1]}', "error": ""},
        "bad": {"status": 400, "json": {"message": "no"}, "text": '{"message": "no"}', "error": ""},
        "text": {"status": 200, "json": None, "text": "text", "error": ""},
        "slow": {"status": 0, "json": None, "text": "", "error": "timed out"},
    }


def test_after_a_refused_login_nothing_more_is_asked(node: Node) -> None:
    urls = [f"http://localhost:1/{name}" for name in ("good", "login", "later", "last")]
    asked = []

    def fetch(url: str, *args: Any, **kwargs: Any) -> Answer:
        if url in urls:
            asked.append(url)
            return Answer(401 if url.endswith("login") else 200, "{}")
        return node.fetch(url, *args, **kwargs)

    service = node.service()
    service.fetch = fetch
    answers = service.ask({url.rpartition("/")[2]: url for url in urls})
    assert asked == urls[:2]
    assert [answer["status"] for answer in answers.values()] == [200, 401, 0, 0]
    assert (
        answers["last"]["error"] == f"not asked, since {urls[1]} answers HTTP 401: check url_username and url_password"
    )


class Store:
    """Grafana's database, with one user."""

    def __init__(self, path: Path) -> None:
        self.path = path
        salt = "abcdefghij"
        hashed = hashlib.pbkdf2_hmac("sha256", b"right password", salt.encode(), 10_000, 50).hex()
        with closing(sqlite3.connect(path)) as store, store:
            store.execute("CREATE TABLE user (login TEXT, email TEXT, password TEXT, salt TEXT)")
            store.execute("CREATE TABLE login_attempt (username TEXT, ip_address TEXT, created INTEGER)")
            store.execute("INSERT INTO user VALUES ('admin', 'admin@localhost', ?, ?)", (hashed, salt))

    def attempts(self, name: str, *ages: float) -> None:
        with closing(sqlite3.connect(self.path)) as store, store:
            rows = [(name, "203.0.113.7", int(time.time() - age)) for age in ages]
            store.executemany("INSERT INTO login_attempt VALUES (?, ?, ?)", rows)

    def login(self, given: str = "right password", name: str = "admin") -> grafana_login.Login:
        return grafana_login.stored_login(str(self.path), 5, name, given)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "grafana ü?#.db")


@pytest.mark.parametrize("name", ["admin", "Admin", "admin@localhost"])
def test_the_database_tells_a_right_password_from_a_wrong_one(store: Store, name: str) -> None:
    assert store.login(name=name) == grafana_login.Login(name, "right")
    assert store.login("wrong password", name) == grafana_login.Login(name, "wrong")


def test_a_lock_of_the_name_is_told_from_a_wrong_password_and_the_e_mail_address_takes_its_place(store: Store) -> None:
    store.attempts("admin", 200, 150, 100, 50, 301)
    assert store.login() == grafana_login.Login("admin", "right", 0, ("203.0.113.7",))
    store.attempts("admin", 0)
    assert store.login().name == "admin@localhost"
    assert store.login().locked_for == 0
    assert store.login("wrong password").state == "wrong"
    # Of others' names nobody is locked out.
    store.attempts("somebody", *range(9))
    assert store.login().name == "admin@localhost"


def test_the_number_of_passwords_that_lock_a_user_out_is_that_of_grafana(store: Store) -> None:
    store.attempts("admin", 0, 10, 20)
    assert login_with(store, 3).name == "admin@localhost"
    assert login_with(store, 4).name == "admin"


def login_with(store: Store, limit: int) -> grafana_login.Login:
    return grafana_login.stored_login(str(store.path), limit, "admin", "right password")


def test_a_lock_of_both_names_says_how_long_it_lasts(store: Store) -> None:
    store.attempts("admin", 250, 240, 100, 50, 0)
    store.attempts("admin@localhost", 40, 30, 20, 10, 0)
    login = store.login()
    assert (login.name, login.state) == ("admin", "right")
    assert 49 <= login.locked_for <= 52


def test_a_database_that_says_nothing_is_no_verdict(store: Store, tmp_path: Path) -> None:
    unknown = grafana_login.Login("admin")
    assert grafana_login.stored_login(str(tmp_path / "none.db"), 5, "admin", "x") == unknown
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("no database at all, but a text that is long enough" * 20)
    assert grafana_login.stored_login(str(tmp_path / "text.db"), 5, "admin", "x") == unknown
    assert store.login(name="nobody") == grafana_login.Login("nobody", "absent")
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute("UPDATE user SET password = 'another kind of hash'")
    assert store.login() == unknown


def test_a_wrong_password_is_not_tried(node: Node, store: Store) -> None:
    def answers(password: str) -> tuple[list[str], dict[str, Any]]:
        asked: list[str] = []

        def fetch(url: str, method: str = "GET", timeout: float = 0) -> Answer:
            asked.append(url)
            return node.fetch(url, method, timeout)

        service = node.service()
        service.fetch = fetch
        service.look = lambda: store.login(password)
        return asked, service.ask({"login": "http://x/login"})["login"]

    asked, _ = answers("right password")
    assert asked == ["http://x/login"]
    asked, answer = answers("wrong password")
    assert asked == []
    assert answer["status"] == 0
    assert "the database holds another password" in answer["error"]


def test_a_service_that_runs_is_asked_and_no_other(node: Node) -> None:
    assert node.service().ask({"ready": READY})["ready"]["status"] == 200
    node.fields.update(ActiveState="inactive", MainPID="0")
    assert node.service().ask({"ready": READY}) == {
        "ready": {"status": 0, "json": None, "text": "", "error": "the unit is not running"}
    }


@pytest.mark.parametrize("fault", [{"ActiveState": "failed"}, {"ActiveState": "activating"}, {}], ids=str)
def test_a_service_that_dies_soon_after_it_was_ready_is_refused(
    node: Node, fault: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "WATCH_INTERVAL", 0.01)
    service = node.service(restart_after=time.time(), watch=5.0)

    def die() -> None:
        # Once it is looked at.
        if "restart" in node.acted() and node.shows > 3:
            node.fields.update(fault)
            node.started += 0 if fault else 0.1

    node.hooks["show"] = die
    with pytest.raises(UnitError, match="was ready and died soon after"):
        service.converge()


def test_a_service_with_nothing_to_do_is_not_looked_at_for_long(node: Node) -> None:
    began = time.monotonic()
    node.service(watch=60.0).converge()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("status", [200, 401])
def test_what_was_put_back_is_started_and_waited_for(node: Node, status: int) -> None:
    """A 401 is an answer, too: the old service may have another password."""
    node.ready = 503
    answers = iter([503, 503, status])
    service = node.service(timeout=5.0)
    service.fetch = lambda url: Answer(next(answers) if url == READY else 0)
    service.run_again(READY, enabled=False, reload=False)
    assert service.actions == ["daemon-reload", "disable", "stop", "reset-failed", "start"]
    assert next(answers, None) is None


def test_what_was_put_back_and_does_not_run_either_is_said(node: Node) -> None:
    node.ready = 0
    with pytest.raises(UnitError, match=r"is not ready after 0\.2 s: .*Connection refused"):
        node.service().run_again(READY, enabled=True, reload=False)


def test_a_service_that_has_long_been_running_is_not_waited_for_as_if_it_started(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "SETTLED_TIMEOUT", 0.3)
    node.ready = 503
    with pytest.raises(UnitError, match=r"is not ready after 0\.3 s: .*HTTP 503"):
        node.service(timeout=1000.0).converge()
    node.started = time.time() - 1.5
    with pytest.raises(UnitError, match=r"is not ready after (0\.[3-5]|0\.4\d+) s"):
        node.service(timeout=2.0).converge()


def test_nothing_more_is_asked_of_what_does_not_answer(node: Node) -> None:
    node.ready = 0
    asked: list[tuple[str, float]] = []
    service = node.service()

    def fetch(url: str, method: str = "GET", timeout: float = 0) -> Answer:
        asked.append((url, timeout))
        return Answer(0, error="timed out")

    service.fetch = fetch
    answers = service.ask({"health": "http://g/health", "login": "http://g/user", "search": "http://g/search"})
    assert [url for url, _ in asked] == ["http://g/health"]
    assert asked[0][1] < unit.ANSWER_TIMEOUT
    assert answers["search"]["error"] == "not asked, since http://g/health cannot be read: timed out"


def test_what_hangs_and_is_killed_late_leaves_the_old_service_its_whole_time(node: Node) -> None:
    """systemd gives it a minute; the start may have less."""
    stop = node.hooks["stop"]

    def slow() -> None:
        time.sleep(0.5)
        stop()

    node.hooks["stop"] = slow
    assert node.service().timeout < 0.5
    node.service().run_again(READY, enabled=True, reload=False)


def test_a_process_that_runs_since_before_only_loads_again_what_was_put_back(node: Node) -> None:
    service = node.service()
    service.run_again(READY, enabled=True, reload=True)
    assert service.actions[-1] == "reload"


def test_a_process_that_does_not_load_what_was_put_back_starts_with_it(node: Node) -> None:
    """Such as where the login that it has is not the one of the run that failed."""

    def refuse() -> None:
        raise UnitError("did not load its configuration again: HTTP 401")

    node.hooks["reload"] = refuse
    service = node.service()
    service.run_again(READY, enabled=True, reload=True)
    assert service.actions[-3:] == ["stop", "reset-failed", "start"]


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self) -> None:
        expected = "Basic " + base64.b64encode(b"me:p:w \xc3\xa9").decode()
        status = 302 if self.path == "/moved" else 200 if self.headers["Authorization"] == expected else 401
        self.send_response(status)
        self.send_header("Location", "/ready")
        self.end_headers()
        self.wfile.write(f"{status} to {self.command}".encode())

    do_GET = do_POST = answer  # noqa: N815 - so are they looked up

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def served(context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve requests on a free port, with TLS if there is a context; give its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def url() -> Iterator[str]:
    with served() as address:
        yield address


def test_urls_are_fetched_with_credentials_and_without_a_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert http_client.fetcher("me", "p:w é", None)(f"{url}/ready") == (200, "200 to GET", "")
    assert http_client.fetcher("me", "p:w é", None)(f"{url}/ready", "POST") == (200, "200 to POST", "")


def test_the_body_of_an_error_is_read(url: str) -> None:
    assert http_client.fetcher(None, None, None)(f"{url}/ready") == (401, "401 to GET", "")


def test_a_redirect_is_not_followed(url: str) -> None:
    assert http_client.fetcher("me", "p:w é", None)(f"{url}/moved").status == 302


def test_no_answer_says_why() -> None:
    status, body, error = http_client.fetcher(None, None, None)("http://127.0.0.1:1/")
    assert (status, body) == (0, "")
    assert "refused" in error


@dataclass
class Certificate:
    """A certificate and its key; the name in it is never that of the test's server."""

    x509: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.x509.public_bytes(serialization.Encoding.PEM).decode()


def certificate(issuer: Certificate | None = None, *, ca: bool = False, days: int = 1) -> Certificate:
    """Make a certificate, signed by its own key if it has no issuer, that ends in some days or ended before."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Numbered, since OpenSSL looks for an issuer by its name.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{x509.random_serial_number()}.example.com")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.x509.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return Certificate(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


ROOT = certificate(ca=True)
INTERMEDIATE = certificate(ROOT, ca=True)
LEAF = certificate(INTERMEDIATE)
SELF_SIGNED = certificate()
EXPIRED = certificate(days=-1)


@contextmanager
def served_with(tmp_path: Path, chain: list[Certificate]) -> Iterator[str]:
    """Serve requests with the first certificate of a chain, and present the whole of it."""
    key = chain[0].key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "server.pem"
    file.write_text("".join(each.pem for each in chain) + key.decode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with served(context) as address:
        yield address


def answer_to(tmp_path: Path, pinned: list[Certificate], presented: list[Certificate]) -> Answer:
    """Return what a service that presents one chain answers to who has another as certificate_path."""
    file = tmp_path / "pinned.pem"
    file.write_text("A comment\n" + "".join(each.pem for each in pinned))
    with served_with(tmp_path, presented) as url:
        return http_client.fetcher("me", "p:w é", str(file))(f"{url}/ready")


@pytest.mark.parametrize(
    ("pinned", "presented"),
    [
        ([SELF_SIGNED], [SELF_SIGNED]),
        ([LEAF], [LEAF]),
        ([LEAF, INTERMEDIATE], [LEAF, INTERMEDIATE]),
    ],
    ids=["self-signed", "without its chain", "full chain without a root"],
)
def test_the_certificate_of_the_service_is_trusted_whatever_name_is_in_it(
    tmp_path: Path, pinned: list[Certificate], presented: list[Certificate]
) -> None:
    assert answer_to(tmp_path, pinned, presented) == (200, "200 to GET", "")


@pytest.mark.parametrize(
    ("pinned", "presented", "reason"),
    [
        ([SELF_SIGNED], [certificate()], "self-signed certificate"),
        ([LEAF, INTERMEDIATE], [certificate(INTERMEDIATE), INTERMEDIATE], "unable to get"),
        ([LEAF, INTERMEDIATE], [INTERMEDIATE], "unable to get"),
        ([LEAF, INTERMEDIATE], [certificate(LEAF), LEAF, INTERMEDIATE], "invalid CA certificate"),
        ([EXPIRED], [EXPIRED], "certificate has expired"),
    ],
    ids=["another", "of the same issuer", "the issuer", "signed by the leaf", "expired"],
)
def test_any_other_certificate_is_refused(
    tmp_path: Path, pinned: list[Certificate], presented: list[Certificate], reason: str
) -> None:
    status, _, error = answer_to(tmp_path, pinned, presented)
    assert status == 0
    assert f"its certificate is refused ({reason}" in error
    assert error.endswith(f"check certificate_path {tmp_path}/pinned.pem")


def test_without_a_certificate_of_its_own_the_system_s_list_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served_with(tmp_path, [SELF_SIGNED]) as url:
        fetch = http_client.fetcher("me", "p:w é", None)
        assert "CERTIFICATE_VERIFY_FAILED" in fetch(url).error
        (tmp_path / "list.pem").write_text(SELF_SIGNED.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "list.pem"))
        assert "Hostname mismatch" in fetch(url).error or "IP address mismatch" in fetch(url).error


def test_the_certificate_is_read_at_each_attempt(tmp_path: Path) -> None:
    file = tmp_path / "pinned.pem"
    fetch = http_client.fetcher(None, None, str(file))
    with served_with(tmp_path, [SELF_SIGNED]) as url:
        assert fetch(url) == (0, "", f"certificate_path {file} does not exist")
        for text in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            file.write_text(text)
            assert fetch(url) == (0, "", f"certificate_path {file} holds no certificate")
        file.write_text(SELF_SIGNED.pem)
        assert fetch(url) == (401, "401 to GET", "")
