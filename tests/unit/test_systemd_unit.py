"""The unit is changed exactly as its files call for, and the service has the last word."""

import base64
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plugins.modules import systemd_unit
from plugins.modules.systemd_unit import Service, UnitError
from tests.unit.documentation import documents_its_arguments

METRIC = "x_config_last_reload_success_timestamp_seconds"
READY, METRICS = "http://localhost:1/ready", "http://localhost:1/metrics"
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
        self.started = time.time() - HOUR
        self.loaded = self.started + 1
        self.successful = 1
        self.ready = 200
        self.commands: list[list[str]] = []
        self.journal = ""
        self.show_error = ""
        self.shows = 0
        self.hooks: dict[str, Callable[[], str | None]] = {
            "daemon-reload": lambda: self.fields.update(LoadState="loaded", NeedDaemonReload="no"),
            "reset-failed": lambda: self.fields.update(ActiveState="inactive"),
            "enable": lambda: self.fields.update(UnitFileState="enabled"),
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
        if command[0] == "journalctl":
            return 0, self.journal, ""
        action = next(word for word in command if word in self.hooks)
        error = self.hooks[action]()
        if action != "show":
            return (1 if error else 0), "", error or ""
        start = time.monotonic() - (time.time() - self.started) if self.started else 0
        fields = {**self.fields, "ExecMainStartTimestampMonotonic": str(int(start * 1e6))}
        lines = "".join(f"{name}={value}\n" for name, value in fields.items())
        return (1 if self.show_error else 0), lines, self.show_error

    def fetch(self, url: str) -> tuple[int, str]:
        if self.ready == 0:
            return 0, "Connection refused"
        if url == READY:
            return self.ready, ""
        gauges = {
            METRIC: self.loaded,
            METRIC.replace("_success_timestamp_seconds", "_successful"): self.successful,
        }
        return 200, "# HELP a b\n" + "".join(f"{name} {value!r}\n" for name, value in gauges.items())

    def service(self, **params: Any) -> Service:
        defaults = {
            "name": "x.service",
            "restart_after": 0.0,
            "reload_after": 0.0,
            "ready_url": READY,
            "loaded": {"url": METRICS, "metric": METRIC},
            "timeout": 0.2,
        }
        return Service(defaults | params, self.run, self.fetch)

    def acted(self) -> list[str]:
        """Return what systemd was asked to do, rather than what the module says that it did."""
        words = (next(word for word in line if word in self.hooks) for line in self.commands if "systemctl" in line)
        return [word for word in words if word != "show"]


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture(autouse=True)
def _haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_unit, "INTERVAL", 0.001)
    monkeypatch.setattr(systemd_unit, "MIN_AGE", 0.0)


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


def test_the_documentation_lists_the_arguments() -> None:
    assert documents_its_arguments(systemd_unit)


def test_a_unit_as_it_should_be_is_left_alone(node: Node) -> None:
    results = converge(node, restart_after=node.started - 1, reload_after=node.loaded)
    assert node.acted() == []
    assert results == {"pid": 7, "started_at": pytest.approx(node.started, abs=0.1), "loaded_at": node.loaded}


def test_a_new_unit_is_enabled_and_started(node: Node) -> None:
    node.fields.update(LoadState="not-found", ActiveState="inactive", UnitFileState="")
    node.started = 0
    results = converge(node, restart_after=time.time(), reload_after=time.time())
    assert node.acted() == ["daemon-reload", "enable", "start"]
    assert results["pid"] == 8


def test_a_failed_unit_is_reset_and_started(node: Node) -> None:
    node.fields["ActiveState"] = "failed"
    converge(node)
    assert node.acted() == ["reset-failed", "start"]


def test_a_changed_unit_file_is_read_again(node: Node) -> None:
    node.fields["NeedDaemonReload"] = "yes"
    converge(node, restart_after=time.time())
    assert node.acted() == ["daemon-reload", "restart"]


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

    def fetch(url: str) -> tuple[int, str]:
        answers.append(1)
        if len(answers) == 8:
            node.load()
        return Node.fetch(node, url)

    node.hooks["reload"] = lambda: None
    service = node.service(reload_after=time.time(), timeout=5)
    service.fetch = fetch
    service.converge()
    assert len(answers) == 8


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
        node.shows += 1
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
    monkeypatch.setattr(systemd_unit, "MIN_AGE", 0.1)
    node.service(restart_after=time.time(), timeout=5).converge()
    assert time.time() - node.started >= 0.1


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
    assert systemd_unit.gauge(f"# HELP up x\n{line}\nother 5\n", "up") == value


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(b"me:p:w \xc3\xa9").decode()
        status = 302 if self.path == "/moved" else 200 if self.headers["Authorization"] == expected else 401
        self.send_response(status)
        self.send_header("Location", "/ready")
        self.end_headers()
        self.wfile.write(b"body")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_urls_are_fetched_with_credentials_and_without_a_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert systemd_unit.fetcher("me", "p:w é", None)(f"{url}/ready") == (200, "body")
    assert systemd_unit.fetcher(None, None, None)(f"{url}/ready")[0] == 401


def test_a_redirect_is_not_followed(url: str) -> None:
    assert systemd_unit.fetcher("me", "p:w é", None)(f"{url}/moved")[0] == 302


def test_no_answer_says_why() -> None:
    status, reason = systemd_unit.fetcher(None, None, None)("http://127.0.0.1:1/")
    assert status == 0
    assert "refused" in reason
    assert systemd_unit.fetcher(None, None, "/none.pem")("https://127.0.0.1:1/") == (
        0,
        "ca_path /none.pem does not exist",
    )
