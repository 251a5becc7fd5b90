"""What the tests use to look at the node."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testinfra.host import Host

PROJECT = Path(__file__).resolve().parents[2]
UNITS = ("prometheus.service", "grafana-server.service")
Playbook = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


def poll(condition: Callable[[], Any], seconds: float) -> Any:
    """Call ``condition`` until it returns something true or the time is up; return its last value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return value


@dataclass
class Api:
    """A service of the node, reached through the tunnel."""

    base: str
    login: tuple[str, str] | None = None

    def __call__(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request; return its status and its answer, parsed where it is JSON."""
        request = urllib.request.Request(self.base + path, None if body is None else json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        if self.login:
            token = base64.b64encode(":".join(self.login).encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                text = response.read()
                status = response.status
        except urllib.error.HTTPError as error:
            text, status = error.read(), error.code
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
        return Api(self.base, login)


def unit_properties(host: Host, unit: str, *names: str) -> dict[str, str]:
    """Return some properties of a unit as systemd sees it now."""
    shown = host.check_output(f"systemctl show {unit} --property={','.join(names)}")
    return dict(line.split("=", 1) for line in shown.splitlines())


def words(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a run said with its white space made even: Ansible breaks long lines."""
    return " ".join(done.stdout.split())


def refused(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    """Check that a run failed, and that it said all that is expected."""
    said = words(done)
    assert done.returncode != 0, said[-4000:]
    missing = [text for text in expected if text not in said]
    assert not missing, f"{missing} not in: {said[-4000:]}"
