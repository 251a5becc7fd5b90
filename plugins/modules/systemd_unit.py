#!/usr/bin/python
"""Bring a systemd unit to the state that its files describe, and wait until the service works."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
import sqlite3
import ssl
import time
import urllib.request
from contextlib import closing
from functools import partial
from pathlib import Path
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
      before is reloaded. Needs O(loaded) or O(reload_url).
    type: float
    default: 0
  reload_url:
    description:
      - Where a POST makes the service load its configuration again, in place of C(systemctl reload). HTTP 200
        is success.
      - Without O(loaded) the module goes by the time of the last such POST to the main process that runs now,
        which it notes in C(/run).
    type: str
  ready_url:
    description: A URL that answers HTTP 200 (a redirect does not count) once the service works.
    type: str
  loaded:
    description: How the service tells when it last loaded its configuration. If there is a gauge that ends in
      C(_successful) where the named one ends in C(_success_timestamp_seconds), a 0 there means refused.
      A service that does not tell loads it at its start and at a POST to O(reload_url).
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
  answers:
    description: Further URLs to ask once the service works, each once and in this order, by name. Any HTTP status
      is an answer and none is a failure. After a 401 no further one is asked, since services count wrong passwords.
    type: dict
    default: {}
  url_username:
    description: The user name for all URLs, sent as basic authentication.
    type: str
  url_password:
    description: The password for all URLs.
    type: str
  login_store:
    description:
      - Grafana's SQLite database, which is looked at before the first question. It tells whether O(url_password) is
        the user's, without asking Grafana, which counts wrong ones; where it is another one, O(answers) are not asked.
      - Five wrong passwords within five minutes lock the user out, the right password too. Then the questions are
        asked under the user's e-mail address, whose wrong passwords Grafana counts apart.
      - A file that is not there, or that is no such database, tells nothing.
    type: path
  certificate_path:
    description: A PEM file. The service has to present the first certificate in it; no other is trusted and
      the name in it does not matter, since the service is asked at an address of the node.
    type: path
  timeout:
    description: For how long to wait for the service, in seconds. The stop and the start of a restart
      count, too.
    type: float
    default: 60
attributes:
  check_mode:
    description: Tells the actions it would take, and asks O(answers) if the unit is running. The unit does not
      have to exist yet.
    support: full
notes:
  - The URLs are asked without a proxy.
  - A service has to run for one second before it counts as working. One that dies at once would otherwise
    pass if an older process still answered at its URL.
author: [emr-monitoring contributors]
"""

EXAMPLES = r"""
- name: Run Prometheus
  emr.monitoring.systemd_unit:
    name: prometheus.service
    restart_after: "{{ unit_changed_at }}"
    reload_after: "{{ configuration_changed_at }}"
    ready_url: http://localhost:9090/-/ready
    loaded:
      url: http://localhost:9090/metrics
      metric: prometheus_config_last_reload_success_timestamp_seconds

- name: Run a service that speaks TLS, and ask whether the password is right
  emr.monitoring.systemd_unit:
    name: grafana.service
    ready_url: https://127.0.0.1:3000/api/health
    certificate_path: /etc/grafana/tls/certificate.pem
    url_username: admin
    url_password: "{{ vault_grafana_password }}"
    answers:
      login: https://127.0.0.1:3000/api/user
  register: grafana

- name: Have Grafana read its data sources again
  emr.monitoring.systemd_unit:
    name: grafana.service
    reload_url: https://127.0.0.1:3000/api/admin/provisioning/datasources/reload
    reload_after: "{{ data_sources_changed_at }}"
    certificate_path: /etc/grafana/tls/certificate.pem
    url_username: admin
    url_password: "{{ vault_grafana_password }}"
  when: data_sources_changed_at > grafana.loaded_at
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
ready_at:
  description: When the service that this run started or restarted was ready, in seconds since the epoch; 0 if this
    run did neither.
  returned: success
  type: float
loaded_at:
  description: When the service last loaded its configuration, in seconds since the epoch; none if it does not
    answer. In check mode, if it would be started or restarted, the time of now.
  returned: success
  type: float
refused:
  description: Whether the service says that it refused its configuration when it last tried to load it, and goes
    on with an older one.
  returned: success
  type: bool
answers:
  description: The answers to O(answers), by name.
  returned: success
  type: dict
  contains:
    status:
      description: The HTTP status, 0 if there is no answer.
      type: int
    json:
      description: The body, parsed; none if it is not JSON. That of an error is there, too.
      type: raw
    error:
      description: Why there is no answer, or that it was not asked for; empty if there is one.
      type: str
  sample:
    login:
      status: 401
      json: {message: Invalid username or password}
      error: ""
login:
  description: What O(login_store) says of the user.
  returned: success
  type: dict
  contains:
    state:
      description: Whether O(url_password) is C(right), C(wrong), or C(unknown).
      type: str
    locked_for:
      description: For how many seconds Grafana refuses the user under each name, 0 if it does not.
      type: int
    tried_from:
      description: Where the wrong passwords of the last five minutes came from, as Grafana was told.
      type: list
      elements: str
  sample: {state: right, locked_for: 0, tried_from: []}
"""

ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "restart_after": {"type": "float", "default": 0},
    "reload_after": {"type": "float", "default": 0},
    "reload_url": {"type": "str"},
    "ready_url": {"type": "str"},
    "loaded": {
        "type": "dict",
        "options": {"url": {"type": "str", "required": True}, "metric": {"type": "str", "required": True}},
    },
    "answers": {"type": "dict", "default": {}},
    "url_username": {"type": "str"},
    "url_password": {"type": "str", "no_log": True},
    "login_store": {"type": "path"},
    "certificate_path": {"type": "path"},
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
POLL_TIMEOUT = 5.0
# Grafana answers for a data source only when that has answered, or its own 30 s are over.
ANSWER_TIMEOUT = 35.0
# An address up to its login, without it up to its query, and that.
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/?#\"']*@)?([^\s?\"']*)(\?[^\s\"']*)?")
# Of Grafana's brute force protection, and of its passwords.
LOCK_SECONDS, LOCK_ATTEMPTS = 300, 5
HASH_ROUNDS, HASH_BYTES = 10_000, 50
# Empty after a boot, as the processes are that it speaks of.
NOTES = Path("/run/ansible-systemd-unit")
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----")
# OpenSSL's X509_V_FLAG_PARTIAL_CHAIN, for which the ssl module has a name from Python 3.10 on.
PARTIAL_CHAIN = 0x80000

Run = Callable[..., Any]
Fetch = Callable[..., "Answer"]


class UnitError(Exception):
    """The unit cannot be brought to the wanted state; the text goes on from the unit's name."""


class State(NamedTuple):
    """What `systemctl show` says about a unit; `started` and `now` are seconds since the epoch.

    `process` is when the main process started, in microseconds since the boot: no other process of the unit shares it.
    """

    load: str
    active: str
    sub: str
    result: str
    file: str
    stale: bool
    pid: int
    process: int
    restarts: int
    job: bool
    started: float
    now: float


def parse_state(text: str, now: float, monotonic: float) -> State:
    """Return the state in `text`, the output of `systemctl show`.

    `now` and `monotonic` are the wall clock and the monotonic clock at the time of the output, in seconds.
    """
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    process = int(fields.get("ExecMainStartTimestampMonotonic") or 0)
    return State(
        load=fields.get("LoadState", ""),
        active=fields.get("ActiveState", ""),
        sub=fields.get("SubState", ""),
        result=fields.get("Result", ""),
        file=fields.get("UnitFileState", ""),
        stale=fields.get("NeedDaemonReload") == "yes",
        pid=int(fields.get("MainPID") or 0),
        process=process,
        restarts=int(fields.get("NRestarts") or 0),
        job=fields.get("Job", "") not in ("", "0"),
        started=now - (monotonic - process / 1e6) if process else 0.0,
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
    """Return a line of a service that cannot write to the user's terminal at will and shows no login and no token."""
    harmless = ADDRESS.sub(lambda found: found[1] + found[2] + ("?…" if found[3] else ""), line)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in harmless)


def poll(probe: Callable[[], str], timeout: float) -> str:
    """Call `probe` until it returns an empty string or `timeout` seconds are over; return its last word."""
    deadline = time.monotonic() + timeout
    while True:
        reason = probe()
        if not reason or time.monotonic() >= deadline:
            return reason
        time.sleep(INTERVAL)


class Login(NamedTuple):
    """What Grafana's database says of a user and a password; the fields are those of the module's `login`.

    `name` is the one to ask under.
    """

    name: str
    state: str = "unknown"
    locked_for: int = 0
    tried_from: tuple[str, ...] = ()


def stored_login(database: str, username: str, password: str) -> Login:
    """Return what Grafana's SQLite file `database` says of a user now, without changing it.

    As Grafana 12.4 was seen to keep them: a password is 50 bytes of PBKDF2 with SHA-256 and 10,000 rounds; a name
    that was sent, in lower case, is refused while five attempts at it are not older than 300 s.
    """
    now = int(time.time())
    try:
        with closing(sqlite3.connect(f"file:{urllib.request.pathname2url(database)}?mode=ro", uri=True)) as store:
            user = store.execute(
                "SELECT email, password, salt FROM user WHERE lower(?) IN (lower(login), lower(email))", (username,)
            ).fetchone()
            attempts = store.execute(
                "SELECT username, ip_address, created FROM login_attempt WHERE created >= ? ORDER BY created DESC",
                (now - LOCK_SECONDS,),
            ).fetchall()
    except sqlite3.Error:
        return Login(username)
    if user is None or len(user[1] or "") != 2 * HASH_BYTES:
        return Login(username)
    email, stored, salt = user
    hashed = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), HASH_ROUNDS, HASH_BYTES).hex()
    names = list(filter(None, (username, email)))
    waits = []
    for name in names:
        times = [created for who, _, created in attempts if who == name.lower()]
        waits.append(times[LOCK_ATTEMPTS - 1] + LOCK_SECONDS + 1 - now if len(times) >= LOCK_ATTEMPTS else 0)
    shortest = min(waits)
    tried_from = {address for who, address, _ in attempts if who in map(str.lower, names)}
    return Login(
        # A right password that is refused is not counted, so asking does no harm.
        names[waits.index(0)] if shortest == 0 else username,
        "right" if hmac.compare_digest(hashed, stored) else "wrong",
        shortest,
        tuple(sorted(tried_from)),
    )


class Answer(NamedTuple):
    """An HTTP answer. Where there is none, `status` is 0 and `error` says why."""

    status: int
    body: str = ""
    error: str = ""


class _AnyStatus(urllib.request.HTTPErrorProcessor):
    """Take every status as an answer: a redirect is no sign of readiness, and the body of an error says more."""

    def http_response(self, request: urllib.request.Request, response: http.client.HTTPResponse) -> Any:
        """Return the response as it came."""
        return response

    https_response = http_response


def pinned_context(certificate_path: str) -> ssl.SSLContext:
    """Return a context that trusts the first certificate in a PEM file, if it is valid now, and no other.

    Raise OSError if the file cannot be read or holds no certificate.
    """
    # It trusts nothing yet, not even the system's list.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        found = CERTIFICATE.search(Path(certificate_path).read_text(errors="replace"))
        context.load_verify_locations(cadata=found.group() if found else "")
    except FileNotFoundError:
        raise OSError(f"certificate_path {certificate_path} does not exist") from None
    except (ssl.SSLError, ValueError):
        raise OSError(f"certificate_path {certificate_path} holds no certificate") from None
    # Trust need not end in a root: the certificate of the service is itself what is trusted.
    context.verify_flags |= PARTIAL_CHAIN
    # Safe, since it is not the name that tells the service from others: nobody else has the key to this very
    # certificate. (If it is a certificate authority's, its holder could sign another one, but also use this one.)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def fetcher(username: str | None, password: str | None, certificate_path: str | None) -> Fetch:
    """Return a function that sends a request and returns the Answer.

    It takes a URL, the method and a limit in seconds. The credentials are sent as basic authentication;
    `certificate_path` is a PEM file whose first certificate to trust in place of the system's list.
    """
    headers = {}
    if username is not None:
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"

    def fetch(url: str, method: str = "GET", timeout: float = POLL_TIMEOUT) -> Answer:
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _AnyStatus()]
        try:
            if url.startswith("https:"):
                # Read at each attempt: the service may be what creates the file.
                context = pinned_context(certificate_path) if certificate_path else ssl.create_default_context()
                handlers.append(urllib.request.HTTPSHandler(context=context))
            # The playbook's author chose the URL.
            request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310
            with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as response:
                return Answer(int(response.status), response.read().decode(errors="replace"))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, ssl.SSLCertVerificationError) and certificate_path:
                reason = (
                    f"its certificate is refused ({reason.verify_message}): check certificate_path {certificate_path}"
                )
            return Answer(0, error=str(reason) or type(error).__name__)

    return fetch


def no_answer(url: str, answer: Answer) -> str:
    """Return what is wrong with an answer that is not HTTP 200."""
    hint = ": check url_username and url_password" if answer.status == 401 else ""
    return f"{url} answers HTTP {answer.status}{hint}" if answer.status else f"{url} cannot be read: {answer.error}"


def parsed(body: str) -> Any:
    """Return what the JSON text `body` holds, None if it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def note_load(unit: str, process: int, at: float) -> None:
    """Note that the main process of `unit`, as in State, loaded its configuration at the epoch second `at`."""
    NOTES.mkdir(mode=0o700, exist_ok=True)
    new = NOTES / f"{unit}.new"
    new.write_text(json.dumps({"process": process, "loaded_at": at}))
    new.replace(NOTES / unit)


def noted_load(unit: str, process: int) -> float:
    """Return the epoch second that `note_load` noted last for `unit`, 0 if there is none for `process`."""
    try:
        note = json.loads((NOTES / unit).read_text())
    except FileNotFoundError:
        return 0.0
    return float(note["loaded_at"]) if note["process"] == process else 0.0


class Service:
    """A unit and the URLs at which its service speaks.

    `params` are the module's options; `run` takes an argument list and returns the exit code, stdout and
    stderr; `fetch` is what `fetcher` returns; `look` returns what the service's database says of the user.
    """

    def __init__(self, params: dict[str, Any], run: Run, fetch: Fetch, look: Callable[[], Login] | None = None) -> None:
        self.name: str = params["name"]
        self.restart_after: float = params["restart_after"]
        self.reload_after: float = params["reload_after"]
        self.reload_url: str | None = params["reload_url"]
        self.ready_url: str | None = params["ready_url"]
        self.loaded: dict[str, str] | None = params["loaded"]
        self.answers: dict[str, str] = params["answers"]
        self.timeout: float = params["timeout"]
        self.run = run
        self.fetch = fetch
        self.look = look
        self.actions: list[str] = []
        self.since = 0.0
        self.ready_at = 0.0

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
            if not state.job and state.active in ("failed", "inactive"):
                raise UnitError("does not stay up")
            if state.job or state.active != "active":
                return "it is not active yet"
            if state.now - state.started < MIN_AGE:
                return f"its main process is not older than {MIN_AGE:g} s"
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

        reason = poll(probe, self.timeout)
        if reason:
            raise UnitError(f"is not ready after {self.timeout:g} s: {reason}")
        return seen[0]

    def results(self, state: State, loaded_at: float | None, refused: bool = False) -> dict[str, Any]:
        """Ask for `answers`, and return the module's results."""
        # Whoever answers where the unit has no process is somebody else.
        in_vain = "" if state.pid else "the unit is not running"
        login = self.look() if self.look else Login("")
        if login.state == "wrong":
            in_vain = in_vain or "not asked, since the database holds another password"
        answers = {}
        for name, url in self.answers.items():
            answer = Answer(0, error=in_vain) if in_vain else self.fetch(url, timeout=ANSWER_TIMEOUT)
            answers[name] = {"status": answer.status, "json": parsed(answer.body), "error": answer.error}
            if answer.status == 401:
                in_vain = f"not asked, since {no_answer(url, answer)}"
        return {
            "pid": state.pid,
            "started_at": state.started,
            "ready_at": self.ready_at,
            "loaded_at": loaded_at,
            "refused": refused,
            "answers": answers,
            # Once more, since somebody may try passwords all the while.
            "login": self.report_login(self.look() if self.look else login),
        }

    @staticmethod
    def report_login(login: Login) -> dict[str, Any]:
        """Return what the module says of a login."""
        return {"state": login.state, "locked_for": login.locked_for, "tried_from": list(login.tried_from)}

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
        if not began and loaded_at is not None and loaded_at < self.reload_after:
            self.since = time.time()
            self.reload(state)
            state, loaded_at, refused = self.wait(self.since, was_refused=refused)
        return self.results(state, loaded_at, refused)

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
        required_by={"login_store": "url_username"},
    )
    params = module.params
    if params["reload_after"] and not params["loaded"] and not params["reload_url"]:
        module.fail_json(
            "reload_after needs loaded or reload_url: without them nobody can tell what the service has loaded."
        )
    module.run_command_environ_update = {"LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    if max(params["restart_after"], params["reload_after"]) > time.time() + 1 and not module.check_mode:
        module.warn(
            f"restart_after or reload_after of {params['name']} lies in the future, so every run will "
            "act until then: check the clock of the node."
        )
    username, password, store = params["url_username"], params["url_password"], params["login_store"]
    look = partial(stored_login, store, username, password) if store else None
    fetch = fetcher(look().name if look else username, password, params["certificate_path"])
    service = Service(params, module.run_command, fetch, look)
    try:
        results = service.preview() if module.check_mode else service.converge()
    except UnitError as error:
        module.fail_json(service.report(error), changed=bool(service.actions), actions=service.actions)
    module.exit_json(changed=bool(service.actions), actions=service.actions, **results)


if __name__ == "__main__":
    main()
