"""What the tests of faults share: the node's state, and what a run of site.yml says."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.integration.faults import fault_server
from tests.integration.node import UNITS, Api, Playbook, poll, words

FAULT_SERVER = f"http://127.0.0.1:{fault_server.PORT}"
# Content, mode and owner of every file that a run makes, and what the links say.
FILES = """
sudo find /etc/prometheus /etc/grafana /etc/systemd/system /mnt/prometheus/current /mnt/grafana/current \
    -printf '%p %y %m %u %g %l\n' | sort
sudo find /etc/prometheus /etc/grafana /etc/systemd/system -type f -exec sha256sum {} + | sort
"""


def job(name: str, port: int = 8003, **settings: Any) -> dict[str, Any]:
    """Return a scrape job; the port of Prometheus itself makes it a target that is up."""
    return {"job_name": name, "static_configs": [{"targets": [f"localhost:{port}"]}], **settings}


def changes(done: subprocess.CompletedProcess[str]) -> int:
    """Return how much a run that succeeded changed."""
    assert done.returncode == 0, words(done)[-4000:]
    return sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))


def nothing_is_due(playbook: Playbook, **extra_vars: Any) -> bool:
    """Tell whether a further run would change nothing; print what it would change."""
    done = playbook("site.yml", "--check", "--diff", **extra_vars)
    print(done.stdout if (due := changes(done)) else "nothing is due")
    return due == 0


def pids(host: Host) -> list[str]:
    """Return the main process of each unit."""
    return str(host.check_output(f"systemctl show --value --property=MainPID {' '.join(UNITS)}")).split()


def loaded(prometheus: Api) -> str:
    """Return the configuration that Prometheus runs, as it tells it."""
    return str(prometheus.data("/api/v1/status/config")["data"]["yaml"])


def up(prometheus: Api) -> set[str]:
    """Return the jobs whose targets are all up."""
    targets = prometheus.data("/api/v1/targets?state=active")["data"]["activeTargets"]
    return {t["labels"]["job"] for t in targets} - {t["labels"]["job"] for t in targets if t["health"] != "up"}


def all_up(prometheus: Api, expected: set[str], seconds: float = 20) -> None:
    """Check that exactly the expected jobs come up."""
    assert poll(lambda: answers(prometheus) and up(prometheus) == expected, seconds), up(prometheus) ^ expected


def reachable(host: Host) -> bool:
    """Tell whether the node can be reached with ssh."""
    try:
        return bool(host.run("true").succeeded)
    except RuntimeError:
        return False


def answers(api: Api) -> bool:
    """Tell whether a service can be reached and is ready."""
    try:
        return api("/api/health")[0] == 200 or "Prometheus Server is Ready" in str(api("/-/ready")[1])
    except OSError:
        return False


@dataclass(frozen=True)
class State:
    """What must not change when a run is refused."""

    files: list[str]
    pids: list[str]
    loaded: str
    up: set[str]

    @staticmethod
    def of(host: Host, prometheus: Api) -> State:
        """Look at the node."""
        return State(host.check_output(FILES).splitlines(), pids(host), loaded(prometheus), up(prometheus))


def dashboard(folder: Path, uid: str) -> Path:
    """Write a dashboard to a folder of its own and return the folder."""
    folder.mkdir(exist_ok=True)
    (folder / f"{uid}.json").write_text(json.dumps({"uid": uid, "title": uid, "panels": []}))
    return folder
