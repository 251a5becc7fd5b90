"""The fixtures: the converged node, tunnels that outlive no fault, and the server of faults on the node."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.faults.tools import FAULT_SERVER, State, all_up, changes
from tests.integration.node import Api, Playbook, poll

Connect = Callable[[], "tuple[Api, Api]"]


@pytest.fixture
def connect(tunnel: Callable[[int], str], variables: dict[str, Any]) -> Connect:
    """Return a function that opens new tunnels: those of the session end with the node or with its sshd."""

    def apis() -> tuple[Api, Api]:
        login = (variables["grafana_admin_user"], variables["grafana_admin_password"])
        return new_prometheus(tunnel, variables), Api(tunnel(variables["grafana_port"]), login)

    return apis


@pytest.fixture
def prometheus(tunnel: Callable[[int], str], variables: dict[str, Any]) -> Api:
    """Return Prometheus' API through a tunnel of this test's own."""
    return new_prometheus(tunnel, variables)


def new_prometheus(tunnel: Callable[[int], str], variables: dict[str, Any]) -> Api:
    """Return Prometheus' API through a new tunnel."""
    return Api(
        tunnel(variables["prometheus_port"]), (variables["prometheus_username"], variables["prometheus_password"])
    )


@pytest.fixture(scope="session")
def jobs(variables: dict[str, Any]) -> set[str]:
    """Return the names of the inventory's jobs."""
    return {job["job_name"] for job in variables["prometheus_scrape_configs"]}


@pytest.fixture
def healed(playbook: Playbook) -> Iterator[None]:
    """Bring Prometheus back to the inventory after a test, in one run that must succeed."""
    yield
    changes(playbook("site.yml", "--tags=prometheus"))


@pytest.fixture
def untouched(host: Host, prometheus: Api, jobs: set[str]) -> Iterator[None]:
    """Fail when what ran does not run on: the same files, processes, configuration and targets."""
    all_up(prometheus, jobs)
    before = State.of(host, prometheus)
    yield
    assert State.of(host, prometheus) == before


@pytest.fixture(scope="module")
def fault_server(host: Host, variables: dict[str, Any]) -> Iterator[str]:
    """Run the server of faults on the node; return its address there."""
    source = base64.b64encode(Path(__file__).with_name("fault_server.py").read_bytes()).decode()
    archive = f"http://archives/{variables['testbed_archives']['prometheus']}"
    host.check_output(f"echo {source} | base64 --decode | sudo tee /run/fault_server.py")
    host.check_output(
        "sudo systemd-run --collect --unit=fault-server --property=TimeoutStopSec=1 "
        f"python3 /run/fault_server.py {archive}"
    )
    probe = f"python3 -c 'import urllib.request as u; u.urlopen(\"{FAULT_SERVER}/html\")'"
    assert poll(lambda: host.run(probe).succeeded, 20), host.run("sudo journalctl -u fault-server").stdout
    yield FAULT_SERVER
    host.check_output("sudo systemctl stop fault-server")
