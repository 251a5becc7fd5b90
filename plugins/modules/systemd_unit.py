#!/usr/bin/python
"""Bring a systemd unit to the state that its files describe, and wait until the service works."""

from __future__ import annotations

import base64
import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from typing import Any, Callable, NamedTuple

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: systemd_unit
short_description: Bring a systemd unit to the state that its files describe, and see it work
description:
  - Enables and starts a unit, restarts it if it runs since before O(restart_after), reloads it if it loaded
    its configuration before O(reload_after), and does nothing otherwise.
  - What there is to do follows from the node's own state, not from what earlier tasks changed. A run that was
    cut off between writing files and restarting the service is made up for by the next one.
  - Ends when the service itself says that it works, with or without a change. If it does not, the failure
    holds the unit's last journal lines.
options:
  name:
    description: The unit, with its suffix.
    type: str
    required: true
  restart_after:
    description: When the unit's file, program or flags last changed, in seconds since the epoch. A main
      process that started before is restarted.
    type: float
    default: 0
  reload_after:
    description: When the configuration last changed, in seconds since the epoch. A service that loaded it
      before is reloaded. Needs O(loaded).
    type: float
    default: 0
  ready_url:
    description: A URL that answers HTTP 200 (a redirect does not count) once the service works.
    type: str
  loaded:
    description: How the service tells when it last loaded its configuration. If there is a gauge that ends in
      C(_successful) where the named one ends in C(_success_timestamp_seconds), a 0 there means refused.
    type: dict
    suboptions:
      url:
        description: A page of metrics in Prometheus' text format.
        type: str
        required: true
      metric:
        description: The gauge with the time of the last successful load, in seconds since the epoch.
        type: str
        required: true
  url_username:
    description: The user name for both URLs, sent as basic authentication.
    type: str
  url_password:
    description: The password for both URLs.
    type: str
  ca_path:
    description: A PEM file with the certificate authority that signed the service's certificate, in place
      of the node's own list.
    type: path
  timeout:
    description: For how long to wait for the service, in seconds. The stop and the start of a restart
      count, too.
    type: float
    default: 60
attributes:
  check_mode:
    description: Tells the actions it would take. The unit does not have to exist yet.
    support: full
notes:
  - The URLs are asked without a proxy.
  - A service has to run for one second before it counts as working. One that dies at once would otherwise
    pass if an older process still answered at its URL.
author: [emr-monitoring contributors]
"""

EXAMPLES = r"""
- name: Run Prometheus
  systemd_unit:
    name: prometheus.service
    restart_after: "{{ unit_changed_at }}"
    reload_after: "{{ configuration_changed_at }}"
    ready_url: http://localhost:9090/-/ready
    loaded:
      url: http://localhost:9090/metrics
      metric: prometheus_config_last_reload_success_timestamp_seconds

- name: Run a service that speaks TLS and asks for a password
  systemd_unit:
    name: grafana.service
    ready_url: https://localhost:3000/api/health
    ca_path: /etc/pki/tls/certs/grafana-ca.pem
    url_username: admin
    url_password: "{{ vault_grafana_password }}"
"""

RETURN = r"""
actions:
  description: What was done (in check mode, what would be), in this order. Of the last three there is one
    at most.
  returned: always
  type: list
  elements: str
  sample: [daemon-reload, reset-failed, enable, start, restart, reload]
pid:
  description: The main process, 0 if there is none.
  returned: success
  type: int
started_at:
  description: When the main process started, in seconds since the epoch; 0 if it never did.
  returned: success
  type: float
loaded_at:
  description: When the service last loaded its configuration, in seconds since the epoch; none if unknown.
  returned: success
  type: float
"""

ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "restart_after": {"type": "float", "default": 0},
    "reload_after": {"type": "float", "default": 0},
    "ready_url": {"type": "str"},
    "loaded": {
        "type": "dict",
        "options": {"url": {"type": "str", "required": True}, "metric": {"type": "str", "required": True}},
    },
    "url_username": {"type": "str"},
    "url_password": {"type": "str", "no_log": True},
    "ca_path": {"type": "path"},
    "timeout": {"type": "float", "default": 60},
}
PROPERTIES = (
    "LoadState,ActiveState,SubState,Result,UnitFileState,NeedDaemonReload,MainPID,NRestarts,Job,"
    "ExecMainStartTimestampMonotonic"
)
# Units without an [Install] section, generated ones and aliases cannot be enabled: asking would never end.
ENABLED = ("enabled", "static", "indirect", "generated", "alias")
MIN_AGE = 1.0
CRASH_LOOP = 3
INTERVAL = 0.15
REQUEST_TIMEOUT = 5.0

Run = Callable[..., Any]
Fetch = Callable[[str], "tuple[int, str]"]


class UnitError(Exception):
    """The unit cannot be brought to the wanted state; the text goes on from the unit's name."""


class State(NamedTuple):
    """What `systemctl show` says about a unit; `started` and `now` are seconds since the epoch."""

    load: str
    active: str
    sub: str
    result: str
    file: str
    stale: bool
    pid: int
    restarts: int
    job: bool
    started: float
    now: float


def parse_state(text: str, now: float, monotonic: float) -> State:
    """Return the state in `text`, the output of `systemctl show`.

    `now` and `monotonic` are the wall clock and the monotonic clock at the time of the output, in seconds.
    """
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    start = int(fields.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
    return State(
        load=fields.get("LoadState", ""),
        active=fields.get("ActiveState", ""),
        sub=fields.get("SubState", ""),
        result=fields.get("Result", ""),
        file=fields.get("UnitFileState", ""),
        stale=fields.get("NeedDaemonReload") == "yes",
        pid=int(fields.get("MainPID") or 0),
        restarts=int(fields.get("NRestarts") or 0),
        job=fields.get("Job", "") not in ("", "0"),
        started=now - (monotonic - start) if start else 0.0,
        now=now,
    )


def plan(state: State, restart_after: float) -> list[str]:
    """Return the actions that `state` calls for, but for a reload; `restart_after` is in epoch seconds."""
    actions = []
    if state.stale or state.load == "not-found":
        actions.append("daemon-reload")
    if state.active == "failed":
        actions.append("reset-failed")
    if state.file not in ENABLED:
        actions.append("enable")
    if state.active not in ("active", "activating", "reloading"):
        actions.append("start")
    elif state.started < restart_after:
        actions.append("restart")
    return actions


def gauge(page: str, metric: str) -> float | None:
    """Return the value of `metric` on a page of metrics in Prometheus' text format, None if absent."""
    match = re.search(rf"^{re.escape(metric)}(?:\{{.*\}})?[ \t]+(\S+)", page, re.MULTILINE)
    return float(match.group(1)) if match else None


def printable(line: str) -> str:
    """Return a line of a service so that it cannot write to the user's terminal at will."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def poll(probe: Callable[[], str], timeout: float) -> str:
    """Call `probe` until it returns an empty string or `timeout` seconds are over; return its last word."""
    deadline = time.monotonic() + timeout
    while True:
        reason = probe()
        if not reason or time.monotonic() >= deadline:
            return reason
        time.sleep(INTERVAL)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Follow nothing: a redirect to a login page is no sign of readiness, and may lead elsewhere."""


def fetcher(username: str | None, password: str | None, ca_path: str | None) -> Fetch:
    """Return a function that gets a URL and returns the HTTP status and the body.

    The status is 0 where there is no HTTP answer, and the body says why. The credentials are sent as basic
    authentication; `ca_path` is a PEM file to trust in place of the system's list.
    """

    def fetch(url: str) -> tuple[int, str]:
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _NoRedirect()]
        try:
            if url.startswith("https:"):
                # Read at each attempt: the service may be what creates the file.
                context = ssl.create_default_context(cafile=ca_path)
                handlers.append(urllib.request.HTTPSHandler(context=context))
            opener = urllib.request.build_opener(*handlers)
            if username is not None:
                token = base64.b64encode(f"{username}:{password}".encode()).decode()
                opener.addheaders = [("Authorization", f"Basic {token}")]
            with opener.open(url, timeout=REQUEST_TIMEOUT) as answer:
                return int(answer.status), answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, ""
        except FileNotFoundError:
            return 0, f"ca_path {ca_path} does not exist"
        except (OSError, http.client.HTTPException) as error:
            return 0, str(getattr(error, "reason", None) or error or type(error).__name__)

    return fetch


def no_answer(url: str, status: int, body: str) -> str:
    """Return what is wrong with an answer of `fetch` that is not HTTP 200."""
    hint = ": check url_username and url_password" if status == 401 else ""
    return f"{url} answers HTTP {status}{hint}" if status else f"{url} cannot be read: {body}"


class Service:
    """A unit and the URLs at which its service speaks.

    `params` are the module's options; `run` takes an argument list and returns the exit code, stdout and
    stderr; `fetch` takes a URL and returns the HTTP status (0 for none) and the body.
    """

    def __init__(self, params: dict[str, Any], run: Run, fetch: Fetch) -> None:
        self.name: str = params["name"]
        self.restart_after: float = params["restart_after"]
        self.reload_after: float = params["reload_after"]
        self.ready_url: str | None = params["ready_url"]
        self.loaded: dict[str, str] | None = params["loaded"]
        self.timeout: float = params["timeout"]
        self.run = run
        self.fetch = fetch
        self.actions: list[str] = []
        self.since = 0.0

    def state(self) -> State:
        """Return the unit's state; raise UnitError if systemd does not answer."""
        code, out, err = self.run(["systemctl", "show", self.name, "--property", PROPERTIES])
        if code != 0:
            raise UnitError(f"is unknown: systemctl show failed with {err.strip()}")
        return parse_state(out, time.time(), time.monotonic())

    def act(self, action: str) -> None:
        """Do one of the actions; raise UnitError if systemd refuses."""
        self.actions.append(action)
        target = [] if action == "daemon-reload" else [self.name]
        # The waiting is done here, within the timeout and with an eye on crash loops. A reload is short, and
        # only the blocking call tells whether ExecReload= failed.
        flags = ["--no-block"] if action in ("start", "restart") else []
        code, out, err = self.run(["systemctl", *flags, action, *target])
        if code != 0:
            reason = (err or out).strip().rstrip(".")
            raise UnitError(f"could not be changed: systemctl {action} said: {reason}")

    def load_status(self) -> tuple[float | None, bool, str]:
        """Return when the configuration was last loaded, if a later load was refused, and what is amiss."""
        if not self.loaded:
            return None, False, ""
        url, metric = self.loaded["url"], self.loaded["metric"]
        status, body = self.fetch(url)
        if status != 200:
            return None, False, no_answer(url, status, body)
        value = gauge(body, metric)
        refused = gauge(body, metric.replace("_success_timestamp_seconds", "_successful")) == 0
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
            if not state.job and state.active in ("failed", "inactive"):
                raise UnitError("does not stay up")
            if state.job or state.active != "active":
                return "it is not active yet"
            if state.now - state.started < MIN_AGE:
                return f"its main process is not older than {MIN_AGE:g} s"
            if self.ready_url:
                status, body = self.fetch(self.ready_url)
                if status != 200:
                    return no_answer(self.ready_url, status, body)
            value, refused, reason = self.load_status()
            if refused and not was_refused:
                raise UnitError("refused to load its configuration and goes on with the previous one")
            if value is not None and value < since:
                reason = "refused to load its configuration" if refused else "has not loaded its configuration"
            seen[:] = [(state, value, refused)]
            return reason

        reason = poll(probe, self.timeout)
        if reason:
            raise UnitError(f"is not ready after {self.timeout:g} s: {reason}")
        return seen[0]

    def preview(self) -> dict[str, Any]:
        """Return what `converge` would, without doing anything; `actions` are set to what it would do."""
        state = self.state()
        self.actions = plan(state, self.restart_after)
        loaded_at = None
        if not {"start", "restart"} & set(self.actions):
            loaded_at = self.load_status()[0]
            # Without an answer: what a process loaded, it loaded after its start.
            if (state.started if loaded_at is None else loaded_at) < self.reload_after:
                self.actions.append("reload")
        return {"pid": state.pid, "started_at": state.started, "loaded_at": loaded_at}

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
        if not began and loaded_at is not None and loaded_at < self.reload_after:
            self.since = time.time()
            self.act("reload")
            state, loaded_at, _ = self.wait(self.since, was_refused=refused)
        return {"pid": state.pid, "started_at": state.started, "loaded_at": loaded_at}

    def report(self, error: UnitError) -> str:
        """Return the failure's message: what was tried, the unit's state and its last journal lines."""
        try:
            state = self.state()
            found = f"ActiveState={state.active}, SubState={state.sub}, Result={state.result}"
        except UnitError:
            found = "unknown"
        # What the service wrote last may not have arrived yet.
        self.run(["journalctl", "--sync"])
        since = f"@{int(self.since)}"
        # Backwards: with --since, older versions of journalctl take -n as the first lines, not the last.
        command = ["journalctl", "-u", self.name, "-n", "20", "-r", "-o", "cat", "--no-pager", "--quiet"]
        lines = [f"  {printable(line)}" for line in self.run([*command, "--since", since])[1].splitlines()[::-1]]
        return "\n".join(
            [
                f"{self.name} {error}.",
                f"Tried: {', '.join(self.actions) or 'nothing, no change was due'}. State: {found}.",
                "Its last journal lines:",
                *(lines or ["  (none, the journal has no lines of this unit for that time)"]),
                f"For more: journalctl -u {self.name}",
            ]
        )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_together=[("url_username", "url_password")],
    )
    params = module.params
    if params["reload_after"] and not params["loaded"]:
        module.fail_json("reload_after needs loaded: without it nobody can tell what the service has loaded.")
    module.run_command_environ_update = {"LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    if max(params["restart_after"], params["reload_after"]) > time.time() + 1 and not module.check_mode:
        module.warn(
            f"restart_after or reload_after of {params['name']} lies in the future, so every run will "
            "act until then: check the clock of the node."
        )
    fetch = fetcher(params["url_username"], params["url_password"], params["ca_path"])
    service = Service(params, module.run_command, fetch)
    try:
        results = service.preview() if module.check_mode else service.converge()
    except UnitError as error:
        module.fail_json(service.report(error), changed=bool(service.actions), actions=service.actions)
    module.exit_json(changed=bool(service.actions), actions=service.actions, **results)


if __name__ == "__main__":
    main()
