"""What the tests use to look at the node."""

from __future__ import annotations

import base64
import json
import re
import shlex
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path
from typing import Any

from testinfra.host import Host

PROJECT = Path(__file__).resolve().parents[2]
# Times what a quiet machine takes: others run beside the tests, too.
PATIENCE = 4
UNITS = ("prometheus.service", "grafana-server.service")
Playbook = Callable[..., "subprocess.CompletedProcess[str]"]
# What the fixture `run` returns.
Run = Callable[..., str]
Start = Callable[..., "subprocess.Popen[str]"]
# Kills the module some seconds after the way back is kept: its change is live, and not proved.
KILL_THE_MODULE = """
import glob, os, time
deadline = time.monotonic() + 600
open("/run/beside.ready", "w").close()
while not os.path.exists("/var/lib/ansible-template-tree/{name}.undo.json"):
    assert time.monotonic() < deadline
    time.sleep(0.005)
time.sleep({seconds})
held = "/var/lib/ansible-template-tree/{name}.lock"
for fd in glob.glob("/proc/[0-9]*/fd/*"):
    if os.path.realpath(fd) == held:
        os.kill(int(fd.split("/")[2]), 9)
        print("killed")
"""
CUT_OFF = "an earlier run was cut off before the service had worked with what it changed"


def poll(condition: Callable[[], Any], seconds: float) -> Any:
    """Call ``condition`` until it returns something true or the time is up; return its last value.

    :param seconds: what a quiet machine may take; others get more
    """
    deadline = time.monotonic() + PATIENCE * seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return value


@dataclass
class Api:
    """A service of the node, reached through the tunnel."""

    base: str
    login: tuple[str, str] | None = None
    certificate: str = ""

    def send(self, path: str, body: Any = None, method: str | None = None) -> tuple[int, Message, bytes]:
        """Send a request; return the status, the headers and the body of the answer."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, content, method=method)
        request.add_header("Content-Type", "application/json")
        if self.login:
            token = base64.b64encode(":".join(self.login).encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        context = trusting(self.certificate) if self.certificate else None
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def __call__(self, path: str, body: Any = None, method: str | None = None) -> tuple[int, Any]:
        """Send a request; return its status and its answer, parsed where it is JSON."""
        status, _, text = self.send(path, body, method)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def data(self, path: str, body: Any = None) -> Any:
        """Send a request that has to succeed; return its answer."""
        status, answer = self(path, body)
        assert status == 200, f"{path}: {status} {answer}"
        return answer

    def as_user(self, login: tuple[str, str] | None) -> Api:
        """Return the same service with another login, or with none."""
        return replace(self, login=login)


def trusting(certificate: str) -> ssl.SSLContext:
    """Return a context that trusts one certificate alone, whoever signed it; through a tunnel its names do not fit.

    :param certificate: PEM text
    """
    context = ssl.create_default_context(cadata=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def exposures(host: Host, secret: str) -> dict[str, str]:
    """Return where others than root and the services find a secret on the node: files, and lines of the journal."""
    # Through a pipe, since sudo writes the command line into the journal.
    grep = f"printf %s {shlex.quote(secret)} | sudo grep --fixed-strings --file=-"
    folders = "/etc /mnt /var /opt /home /root /run"
    files = host.run(f"{grep} --recursive --files-with-matches --no-messages {folders}").stdout.split()
    assert files, "the search itself has to find something"
    return {
        "files": host.check_output(f"sudo find {' '.join(files)} -maxdepth 0 -perm /o+r"),
        "journal": host.run(f"sudo journalctl --no-pager >/tmp/journal; {grep} /tmp/journal").stdout,
    }


def contents(*folders: Path) -> dict[str, tuple[int, bytes]]:
    """Return what lies in some folders of this machine and the folders themselves: times of change and contents."""
    found = [path for folder in folders if folder.exists() for path in (folder, *folder.rglob("*"))]
    return {str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in found}


def unit_properties(host: Host, unit: str, *names: str) -> dict[str, str]:
    """Return some properties of a unit as systemd sees it now."""
    shown = host.check_output(f"systemctl show {unit} --property={','.join(names)}")
    return dict(line.split("=", 1) for line in shown.splitlines())


def process(host: Host, unit: str) -> dict[str, str]:
    """Return what changes when a service is restarted, by whomever."""
    return unit_properties(host, unit, "MainPID", "ExecMainStartTimestampMonotonic", "NRestarts")


def words(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a run said with its white space made even: Ansible breaks long lines."""
    return " ".join(done.stdout.split())


def refused(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    """Check that a run failed, and that it said all that is expected."""
    said = words(done)
    assert done.returncode != 0, said[-4000:]
    missing = [text for text in expected if text not in said]
    assert not missing, f"{missing} not in: {said[-4000:]}"


def runbook_is_answered(host: Host) -> bool:
    """Run the first commands of the runbook on the node, as a reader does; tell whether they show what always fires."""
    runbook = (PROJECT / "docs/runbook.md").read_text("utf-8")
    (shell,) = re.findall(r"```sh\n(.+?)```", runbook, re.DOTALL)
    try:
        # Soon after a start no rule has been evaluated yet.
        return bool(poll(lambda: 'alertname="Watchdog"' in host.check_output(f"bash -c {shlex.quote(shell)}"), 60))
    finally:
        assert "password:" not in host.check_output("cat prometheus-login.yml && rm prometheus-login.yml")
