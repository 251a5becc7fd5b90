"""The fixtures: the node's variables, its services through a tunnel, and a way to run a playbook."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from testinfra.host import Host

from tests.integration.node import PROJECT, UNITS, Api, Playbook, Run, Start, poll, unit_properties

VARIABLES = [
    "prometheus_version",
    "prometheus_checksums",
    "prometheus_root",
    "prometheus_port",
    "prometheus_global",
    "prometheus_scrape_configs",
    "prometheus_username",
    "prometheus_password",
    "prometheus_retention_time",
    "alertmanager_root",
    "alertmanager_port",
    "alertmanager_username",
    "alertmanager_password",
    "alertmanager_receivers",
    "alertmanager_secrets",
    "alertmanager_route",
    "grafana_version",
    "grafana_checksums",
    "grafana_root",
    "grafana_port",
    "grafana_admin_user",
    "grafana_admin_password",
    "grafana_secret_key",
    "grafana_database",
    "grafana_datasources",
    "grafana_dashboards_range",
    "grafana_dashboards_refresh",
    "prometheus_tls_certificate",
    "prometheus_tls_key",
    "monitoring_scheme",
    "inventory_hostname",
    "testbed_cache",
    "testbed_archive_server",
    "testbed_archives",
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_ssh_private_key_file",
]

# `make test` shows it last: the output of a scenario that failed is far above, between those of others.
FAILED = PROJECT / ".cache/failed-tests.txt"
SHOWN = 1500

FINGERPRINT = (
    "sudo find /etc/prometheus /etc/grafana /etc/systemd/system /mnt/prometheus /mnt/grafana "
    "-path '*/data/*' -prune -o -maxdepth 3 -printf '%p %i %m %u %l\\n' | grep -v '/\\.lock ' | sort"
)


@pytest.fixture(scope="session")
def start(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Return a function that starts a playbook with the scenario's inventory; its output can be read while it runs."""
    inventory = request.config.getoption("--ansible-inventory")

    def run(path: str, *options: str, **extra_vars: Any) -> subprocess.Popen[str]:
        # A file, since Ansible repeats what its command line says.
        variables = tmp_path_factory.mktemp("extra-vars") / "variables.json"
        variables.write_text(json.dumps(extra_vars))
        command = ["ansible-playbook", str(PROJECT / path), "-i", inventory, "-e", f"@{variables}", *options]
        plain = os.environ | {"ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            command, cwd=PROJECT, env=plain, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    return run


@pytest.fixture(scope="session")
def playbook(start: Start) -> Playbook:
    """Return a function that runs a playbook with the scenario's inventory."""

    def run(path: str, *options: str, **extra_vars: Any) -> subprocess.CompletedProcess[str]:
        started = start(path, *options, **extra_vars)
        output = started.communicate()[0]
        return subprocess.CompletedProcess(started.args, started.returncode, output)

    return run


@pytest.fixture(scope="module")
def run(playbook: Playbook) -> Iterator[Run]:
    """Return a function that runs site.yml with some variables: those of the run before it hold no more.

    In the end the inventory's own hold again.
    """

    def site(*options: str, **extra_vars: Any) -> str:
        done = playbook("site.yml", *options, **extra_vars)
        assert done.returncode == 0, done.stdout
        return done.stdout

    yield site
    site()


@pytest.fixture(scope="session")
def variables(
    request: pytest.FixtureRequest, playbook: Playbook, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Return the variables that steer the roles, as a run of site.yml sees them for the host of the tests."""
    output = tmp_path_factory.mktemp("variables") / "variables.json"
    # Where no option says for which, there is one.
    hosts = urlsplit(request.config.getoption("--hosts") or "ansible://all").netloc
    done = playbook("tests/integration/variables.yml", f"--limit={hosts}", names=VARIABLES, output=str(output))
    assert done.returncode == 0, done.stdout
    return dict(json.loads(output.read_text()))


@pytest.fixture(scope="session")
def tunnel(variables: dict[str, Any]) -> Iterator[Callable[[int], str]]:
    """Return a function that makes a port of the node reachable and returns its address here."""
    tunnels = []

    def forward(port: int) -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            local = free.getsockname()[1]
        command = [
            "ssh", "-N", "-i", variables["ansible_ssh_private_key_file"], "-p", str(variables["ansible_port"]),
            "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{local}:127.0.0.1:{port}",
            f"{variables['ansible_user']}@{variables['ansible_host']}",
        ]  # fmt: skip
        tunnels.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))

        def listening() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", local)) == 0

        assert poll(listening, 20), f"no tunnel to port {port}"
        return f"{variables['monitoring_scheme']}://127.0.0.1:{local}"

    yield forward
    for process in tunnels:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def prometheus(tunnel: Callable[[int], str], variables: dict[str, Any]) -> Api:
    """Return Prometheus' API, with its login."""
    return Api(
        tunnel(variables["prometheus_port"]),
        (variables["prometheus_username"], variables["prometheus_password"]),
        variables["prometheus_tls_certificate"],
    )


@pytest.fixture(scope="session")
def alertmanager(tunnel: Callable[[int], str], variables: dict[str, Any]) -> Api:
    """Return Alertmanager's API, with its login."""
    return Api(
        tunnel(variables["alertmanager_port"]),
        (variables["alertmanager_username"], variables["alertmanager_password"]),
        variables["prometheus_tls_certificate"],
    )


@pytest.fixture(scope="session")
def grafana(tunnel: Callable[[int], str], variables: dict[str, Any]) -> Api:
    """Return Grafana's API, with the administrator's login."""
    return Api(
        tunnel(variables["grafana_port"]),
        (variables["grafana_admin_user"], variables["grafana_admin_password"]),
        variables["prometheus_tls_certificate"],
    )


@pytest.fixture
def beside(host: Host) -> Iterator[Callable[[str], None]]:
    """Return a function that runs a program in Python on the node, as root, until the test ends.

    It returns once the program says that it looks.
    """
    started: list[str] = []

    def run(program: str) -> None:
        name = f"beside-{len(started)}"
        started.append(name)
        source = base64.b64encode(program.encode()).decode()
        host.check_output(f"echo {source} | base64 --decode | sudo tee /run/{name}.py; sudo rm -f /run/beside.ready")
        host.check_output(f"sudo systemd-run --quiet --collect --unit={name} python3 /run/{name}.py")
        assert poll(lambda: host.file("/run/beside.ready").exists, 60)

    yield run
    for name in started:
        host.run(f"sudo systemctl stop {name}")
        # Shown where the test has failed.
        print(host.run(f"sudo journalctl --no-pager --output=cat --lines=20 --unit={name}").stdout)


@pytest.fixture
def unchanged(host: Host) -> Iterator[None]:
    """Fail when the node is not afterwards as it was before."""

    def state() -> tuple[str, list[dict[str, str]]]:
        return host.check_output(FINGERPRINT), [unit_properties(host, u, "MainPID", "ActiveState") for u in UNITS]

    before = state()
    yield
    assert state() == before


@pytest.fixture(autouse=True)
def _journal_on_failure(request: pytest.FixtureRequest, host: Host) -> Iterator[None]:
    """Print the units' journals when a test fails."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        for unit in (*UNITS, "alertmanager.service"):
            print(host.run(f"sudo journalctl --no-pager --lines=20 --unit={unit}").stdout)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which releases ran and which archives the user chose, so that nobody takes the stand-in for Grafana."""
    generated = yaml.safe_load((PROJECT / "molecule/testbed/group_vars/testbed/generated.yml").read_text())
    versions = [f"{role} {generated[f'{role}_version']}" for role in generated["testbed_archives"]]
    terminalreporter.write_line(f"Tested with {', '.join(versions)}")
    for variable, path in generated["testbed_chosen_archives"].items():
        terminalreporter.write_line(f"{variable} is {path}")
    with FAILED.open("a") as stream:
        for report in terminalreporter.getreports("failed") + terminalreporter.getreports("error"):
            crash = getattr(report.longrepr, "reprcrash", None)
            # The output of a run says in its end why it failed.
            stream.write(f"{report.nodeid}: {str(crash.message if crash else report.longrepr)[-SHOWN:]}\n\n")
