"""Bring a systemd unit to the state that its files describe, and see it work."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.grafana_login import Login
from ansible_collections.emr.monitoring.plugins.module_utils.http_client import Answer, Fetch, gauge, no_answer, parsed
from ansible_collections.emr.monitoring.plugins.module_utils.text import harmless
from ansible_collections.emr.monitoring.plugins.module_utils.unit_journal import last_lines
from ansible_collections.emr.monitoring.plugins.module_utils.unit_state import (
    PROPERTIES,
    State,
    UnitError,
    not_up,
    note_load,
    noted_load,
    parse_state,
    plan,
)

CRASH_LOOP = 3
INTERVAL = 0.15
WATCH_INTERVAL = 0.5
# Grafana answers for a data source only when that has answered, or its own 30 s are over.
ANSWER_TIMEOUT = 35.0
# At least, for one that has run for longer than its start may take: it hangs, or lacks something.
SETTLED_TIMEOUT = 20.0
# What a login that the database does not know would come to: Grafana counts it as a wrong password.
NOT_ASKED = {
    "wrong": "not asked, since the database holds another password",
    "absent": "not asked, since the database holds no user of that name",
}
Run = Callable[..., Any]


def poll(probe: Callable[[], str], timeout: float) -> str:
    """Call `probe` until it returns an empty string or `timeout` seconds are over; return its last word."""
    deadline = time.monotonic() + timeout
    while True:
        reason = probe()
        if not reason or time.monotonic() >= deadline:
            return reason
        time.sleep(INTERVAL)


class Service:
    """A unit and the URLs at which its service speaks.

    `params` are the module's options; `run` takes an argument list and returns the exit code, stdout and
    stderr; `fetch` is what `fetcher` returns; `look` returns what the service's database says of the user; `admit` sees
    to it that the service lets the user in, and returns whether it changed the password for that.
    """

    def __init__(
        self,
        params: dict[str, Any],
        run: Run,
        fetch: Fetch,
        look: Callable[[], Login] | None = None,
        admit: Callable[[], bool] | None = None,
    ) -> None:
        self.name: str = params["name"]
        self.restart_after: float = params["restart_after"]
        self.reload_after: float = params["reload_after"]
        self.reload_url: str | None = params["reload_url"]
        self.ready_url: str | None = params["ready_url"]
        self.loaded: dict[str, str] | None = params["loaded"]
        self.timeout: float = params["timeout"]
        self.watched: float = params["watch"]
        self.run = run
        self.fetch = fetch
        self.look = look
        self.admit = admit
        self.actions: list[str] = []
        self.since = self.ready_at = 0.0

    def state(self) -> State:
        """Return the unit's state; raise UnitError if systemd does not answer."""
        code, out, err = self.run(["systemctl", "show", self.name, "--property", PROPERTIES])
        if code != 0:
            raise UnitError(f"is unknown: systemctl show failed with {err.strip()}")
        return parse_state(out, time.time(), time.monotonic(), self.name)

    def act(self, action: str) -> None:
        """Do one of the actions; raise UnitError if systemd refuses."""
        self.actions.append(action)
        target = [] if action == "daemon-reload" else [self.name]
        # The waiting is done here, within the timeout and with an eye on crash loops. A reload is short, and
        # only the blocking call tells whether ExecReload= failed.
        flags = ["--no-block"] if action in ("start", "restart") else []
        code, out, err = self.run(["systemctl", *flags, action, *target])
        if code != 0:
            raise UnitError(f"could not be changed: systemctl {action} said: {(err or out).strip().rstrip('.')}")

    def reload(self, state: State) -> None:
        """Have the service load its configuration again; raise UnitError if it or systemd refuses."""
        if not self.reload_url:
            self.act("reload")
            return
        self.actions.append("reload")
        answer = self.fetch(self.reload_url, "POST", ANSWER_TIMEOUT)
        if answer.status != 200:
            raise UnitError(f"did not load its configuration again: {no_answer(self.reload_url, answer)}")
        # Only now: a run that is killed before this is made up for by the next one.
        note_load(self.name, state.process, self.since)

    def _loads_again(self, state: State) -> bool:
        """Have the service load its configuration again, if it does; its login may be another one than this run has."""
        try:
            self.reload(state)
        except UnitError:
            return False
        return True

    def load_status(self, state: State) -> tuple[float | None, bool, str]:
        """Return when the configuration was last loaded, if a later load was refused, and what is amiss."""
        if not self.loaded:
            return max(state.started, noted_load(self.name, state.process)), False, ""
        url, metric = self.loaded["url"], self.loaded["metric"]
        answer = self.fetch(url)
        if answer.status != 200:
            return None, False, no_answer(url, answer)
        value = gauge(answer.body, metric)
        refused = gauge(answer.body, metric.replace("_success_timestamp_seconds", "_successful")) == 0
        return value, refused, f"{url} holds no metric {metric}" if value is None else ""

    def wait(self, since: float, was_refused: bool = True) -> tuple[State, float | None, bool]:
        """Wait until the service works, with a configuration loaded at the epoch second `since` or later.

        Return the unit's state and the first two values of `load_status`. Raise UnitError after the timeout,
        as soon as it is certain that waiting is in vain, and at a refusal, unless `was_refused` tells that
        an earlier one may still show.
        """
        fewest: list[int] = []
        seen: list[tuple[State, float | None, bool]] = []

        def probe() -> str:
            state = self.state()
            # An explicit restart sets the counter back to 0.
            fewest[:] = [min([*fewest, state.restarts])]
            if state.restarts - fewest[0] >= CRASH_LOOP:
                raise UnitError(f"dies again and again: {CRASH_LOOP} restarts while it was waited for")
            if reason := not_up(state):
                return reason
            if self.ready_url:
                answer = self.fetch(self.ready_url)
                if answer.status != 200:
                    return no_answer(self.ready_url, answer)
            value, refused, reason = self.load_status(state)
            if refused and not was_refused:
                raise UnitError("refused to load its configuration and goes on with the previous one")
            if self.loaded and value is not None and value < since:
                reason = "refused to load its configuration" if refused else "has not loaded its configuration"
            seen[:] = [(state, value, refused)]
            return reason

        state = self.state()
        age = 0.0 if since or not_up(state) else state.now - state.started
        self._poll(probe, min(self.timeout, max(self.timeout - age, SETTLED_TIMEOUT)))
        return seen[0]

    def _poll(self, probe: Callable[[], str], timeout: float) -> None:
        if reason := poll(probe, timeout):
            raise UnitError(f"is not ready after {timeout:.3g} s: {reason}")

    def ask(self, urls: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Return the answers by name: their status, their text and what its JSON holds, and why there is none."""
        # Whoever answers where the unit has no process is somebody else.
        looked = self.look().state if self.look else ""
        in_vain = NOT_ASKED.get(looked, "") if self.state().pid else "the unit is not running"
        answers: dict[str, dict[str, Any]] = {}
        for name, url in urls.items():
            limit = ANSWER_TIMEOUT if answers else SETTLED_TIMEOUT
            answer = Answer(0, error=in_vain) if in_vain else self.fetch(url, timeout=limit)
            silent = not (answer.status or answers or in_vain)
            said = {"json": harmless(parsed(answer.body)), "text": answer.body}
            answers[name] = {"status": answer.status, "error": answer.error, **said}
            if answer.status == 401 or silent:
                in_vain = f"not asked, since {no_answer(url, answer)}"
        return answers

    def results(self, state: State, loaded_at: float | None, refused: bool = False) -> dict[str, Any]:
        """Return the module's results."""
        return {
            "pid": state.pid,
            "started_at": state.started,
            "ready_at": self.ready_at,
            "loaded_at": loaded_at,
            "refused": refused,
        }

    def preview(self) -> dict[str, Any]:
        """Return what `converge` would, without doing anything; `actions` are set to what it would do."""
        state = self.state()
        self.actions = plan(state, self.restart_after)
        if {"start", "restart"} & set(self.actions):
            # A process loads its configuration when it starts.
            return self.results(state, state.now)
        loaded_at, refused, _ = self.load_status(state)
        # Without an answer: what a process loaded, it loaded after its start.
        if (state.started if loaded_at is None else loaded_at) < self.reload_after:
            self.actions.append("reload")
        return self.results(state, loaded_at, refused)

    def converge(self) -> dict[str, Any]:
        """Bring the unit to the wanted state and wait for it; return the module's results.

        Raise UnitError where that does not succeed. `actions` tells what was done until then.
        """
        state = self.state()
        self.since = state.started
        if "daemon-reload" in plan(state, 0):
            self.act("daemon-reload")
            state = self.state()
        if state.load == "not-found":
            raise UnitError("has no unit file, in /etc/systemd/system or elsewhere: install it first")
        if state.load == "masked":
            raise UnitError(f"is masked: lift that with systemctl unmask {self.name}")
        began = False
        # A daemon-reload that is still due after one would not help a second time.
        for action in (action for action in plan(state, self.restart_after) if action != "daemon-reload"):
            if action in ("start", "restart"):
                began, self.since = True, time.time()
            self.act(action)
        state, loaded_at, refused = self.wait(self.since if began else 0)
        self.ready_at = time.time() if began else 0.0
        if self.admit and self.admit():
            self.actions.append("password")
        if not began and loaded_at is not None and loaded_at < self.reload_after:
            self.since = time.time()
            self.reload(state)
            state, loaded_at, refused = self.wait(self.since, was_refused=refused)
        if {"start", "restart", "reload"} & set(self.actions):
            self.watch(state)
        return self.results(state, loaded_at, refused)

    def watch(self, ready: State) -> None:
        """Look at a service that became ready for a while; raise UnitError if it dies."""
        until = time.monotonic() + self.watched
        while time.monotonic() < until:
            time.sleep(min(WATCH_INTERVAL, self.watched))
            state = self.state()
            if state.active != "active" or state.process != ready.process:
                raise UnitError("was ready and died soon after")

    def run_again(self, ready_url: str | None, enabled: bool, reload: bool) -> float:
        """Have the unit run with files that were put back, and wait for it; return the seconds that this took.

        With `reload` the process runs that ran before: it is made to load them. The service is ready when it answers at
        `ready_url` at all, even if that is for a login: it may be another one than this run has. Raise UnitError where
        it does not.
        """
        began = time.monotonic()
        state = self.state()
        for action in ("daemon-reload", "enable" if enabled else "disable"):
            self.act(action)
        if not (reload and self._loads_again(state)):
            # What hangs is killed only after a while, which is no part of the time that the old service has to start.
            for action in ("stop", "reset-failed", "start"):
                self.act(action)

        def probe() -> str:
            if reason := not_up(self.state()):
                return reason
            answer = self.fetch(ready_url) if ready_url else Answer(200)
            return "" if answer.status in (200, 401) else no_answer(str(ready_url), answer)

        self._poll(probe, self.timeout)
        return time.monotonic() - began

    def leave(self) -> None:
        """Stop the unit and keep it from starting."""
        for action in ("stop", "disable"):
            self.act(action)

    def report(self, error: UnitError) -> str:
        """Return the failure's message: what was tried, the unit's state and its last journal lines."""
        try:
            state = self.state()
            found = f"ActiveState={state.active}, SubState={state.sub}, Result={state.result}"
        except UnitError:
            found = "unknown"
        return "\n".join(
            [
                f"{self.name} {error}.",
                f"Tried: {', '.join(self.actions) or 'nothing, no change was due'}. State: {found}.",
                "Its last journal lines:",
                *last_lines(self.run, self.name, self.since),
                f"For more: journalctl -u {self.name}",
            ]
        )
