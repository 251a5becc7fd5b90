"""What somebody else put on the node is not touched and not taken for the project's. They follow test_uninstall."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import Playbook, poll, refused, unit_properties
from tests.integration.uninstall.test_uninstall import changes, install, listing

UNIT = """
[Service]
User={name}
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


def state(host: Host, unit: str) -> dict[str, str]:
    return unit_properties(host, unit, "MainPID", "ActiveState", "UnitFileState")


def put(host: Host, name: str, unit: str, file: str) -> None:
    """Install a service as the samples for EMR do it: a user, a unit that runs, and a file."""
    steps = [
        f"useradd --no-create-home --shell /bin/false {name}",
        f"mkdir -p $(dirname {file})",
        f"echo theirs >{file}",
        f"printf %s '{UNIT.format(name=name)}' >/etc/systemd/system/{unit}",
        "systemctl daemon-reload",
        f"systemctl enable --quiet --now {unit}",
    ]
    for step in steps:
        host.check_output(f"sudo sh -c {quoted(step)}")
    assert poll(lambda: state(host, unit)["ActiveState"] == "active", 20)


def take_away(host: Host, name: str, unit: str, file: str) -> None:
    for step in (
        f"systemctl disable --quiet --now {unit}",
        f"rm -r /etc/systemd/system/{unit} $(dirname {file})",
        "systemctl daemon-reload",
        f"userdel {name}",
    ):
        host.check_output(f"sudo sh -c {quoted(step)}")


def quoted(step: str) -> str:
    return "'" + step.replace("'", "'\\''") + "'"


@pytest.fixture(scope="module", autouse=True)
def _bare(playbook: Playbook) -> None:
    """Begin with a node on which nothing of the project is."""
    changes(playbook, uninstall_purge_data=True)


@pytest.fixture
def theirs(request: pytest.FixtureRequest, host: Host) -> Iterator[tuple[str, str, str]]:
    name, unit, file = request.param
    put(host, name, unit, file)
    yield name, unit, file
    take_away(host, name, unit, file)


SERVICES = [
    ("prometheus", "prometheus.service", "/etc/prometheus/prometheus.yml"),
    ("grafana", "grafana-server.service", "/etc/grafana/grafana.ini"),
    ("alertmanager", "alertmanager.service", "/etc/alertmanager/alertmanager.yml"),
]


@pytest.mark.parametrize("theirs", SERVICES, ids=[name for name, _, _ in SERVICES], indirect=True)
def test_somebody_elses_service_is_named_and_left_alone(
    host: Host, playbook: Playbook, theirs: tuple[str, str, str]
) -> None:
    name, unit, file = theirs
    before, running = listing(host), state(host, unit)
    refused(
        playbook("site.yml"),
        f"Somebody else's {name} is on the node",
        f"/etc/systemd/system/{unit}",
        file,
        f"the user {name}",
        "shell /bin/false",
        "neither overwritten nor stopped",
    )
    assert listing(host) == before
    for purge in (False, True):
        assert changes(playbook, uninstall_purge_data=purge)[0] == 0
    assert listing(host) == before
    assert state(host, unit) == running


@pytest.mark.parametrize("theirs", SERVICES[2:], ids=["alertmanager"], indirect=True)
def test_where_nobody_is_told_somebody_elses_alertmanager_runs_on(
    host: Host, playbook: Playbook, theirs: tuple[str, str, str]
) -> None:
    _, unit, file = theirs
    running = state(host, unit)
    for _ in range(2):
        done = playbook("site.yml", alertmanager_receivers=[])
        assert done.returncode == 0, done.stdout
        assert state(host, unit) == running
    assert "changed=0" in done.stdout
    changes(playbook, uninstall_purge_data=True)
    assert state(host, unit) == running
    assert host.check_output(f"sudo cat {file}") == "theirs"


def test_somebody_elses_services_are_taken_over_where_that_is_wanted(
    host: Host, playbook: Playbook, bare: set[str]
) -> None:
    for service in SERVICES:
        put(host, *service)
    old = {unit: state(host, unit)["MainPID"] for _, unit, _ in SERVICES}
    # What does not work leaves the old one, which runs again.
    fault = {"Service": {"ExecStartPost": "/bin/false"}}
    done = playbook("site.yml", monitoring_adopt_existing=True, prometheus_unit_dropin=fault)
    refused(done, "What was live before was put back and runs again")
    _, unit, file = SERVICES[0]
    assert host.check_output(f"sudo cat {file}") == "theirs"
    assert "sleep infinity" in host.check_output(f"systemctl show --property=ExecStart {unit}")
    assert state(host, unit)["ActiveState"] == "active"

    done = playbook("site.yml", monitoring_adopt_existing=True)
    assert done.returncode == 0, done.stdout
    said = " ".join(done.stdout.split())
    for name, unit, file in SERVICES:
        assert f"{file}, /etc/systemd/system/{unit}" in said or name == "alertmanager"
        assert state(host, unit)["MainPID"] not in ("0", old[unit])
        copies = host.check_output(f"sudo sh -c 'cat /var/lib/emr-monitoring-{name}-before/*{file}'")
        assert set(copies.split()) == {"theirs"}
        assert host.user(name).shell == "/bin/false"
    # It is the project's from now on, and stays as it is.
    done = playbook("site.yml")
    assert re.findall(r"changed=(\d+)", done.stdout)[-1] == "0", done.stdout

    changes(playbook, uninstall_purge_data=True)
    for name, _, file in SERVICES:
        assert host.user(name).exists
        theirs = f"/var/lib/emr-monitoring-{name}-before {Path(file).parent}"
        host.check_output(f"sudo sh -c 'rm -r {theirs} && userdel {name}'")
    assert listing(host) ^ bare == set()


SHARED = "/mnt/shared"


@pytest.fixture
def shared(request: pytest.FixtureRequest, host: Host, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Put a folder with somebody's file on the node, and a secret of a service into a folder; return both names."""
    (tmp_path / "secrets").mkdir()
    secret = {"grafana": "grafana_secret_key"}.get(request.param, f"{request.param}_password")
    (tmp_path / "secrets" / secret).write_text("a secret")
    host.check_output(f"sudo mkdir {SHARED} && sudo touch {SHARED}/theirs")
    yield request.param, tmp_path / "secrets" / secret
    host.check_output(f"sudo rm -rf {SHARED}")


@pytest.mark.parametrize("shared", [name for name, _, _ in SERVICES], indirect=True)
def test_a_folder_that_is_not_the_services_own_stays_and_so_do_user_and_secrets(
    host: Host, playbook: Playbook, bare: set[str], shared: tuple[str, Path]
) -> None:
    name, secret = shared
    host.check_output(f"sudo mkdir -m 0700 /var/lib/emr-monitoring-{name}")
    host.check_output(f"sudo useradd --system --home /nonexistent --shell /usr/sbin/nologin {name}")
    before = listing(host)
    named = {f"{name}_data_dir": SHARED, "monitoring_secrets_dir": str(secret.parent)}
    changed, output = changes(playbook, uninstall_purge_data=True, **named)
    assert f"{SHARED} belongs to root and not to {name}" in " ".join(output.split())
    assert (changed, listing(host)) == (0, before)
    assert secret.exists()

    host.check_output(f"sudo chown {name} {SHARED}")
    assert changes(playbook, "--check", uninstall_purge_data=True, **named)[0] > 0
    assert secret.exists()
    changes(playbook, uninstall_purge_data=True, **named)
    assert listing(host) ^ bare == set()
    assert not secret.exists()


@pytest.mark.parametrize("shared", ["grafana"], indirect=True)
def test_the_secrets_of_data_that_nobody_recorded_stay_with_it(
    host: Host, playbook: Playbook, shared: tuple[str, Path]
) -> None:
    name, secret = shared
    named = {f"{name}_data_dir": SHARED, "monitoring_secrets_dir": str(secret.parent)}
    assert changes(playbook, uninstall_purge_data=True, **named)[0] == 0
    assert host.file(f"{SHARED}/theirs").exists
    assert secret.exists()
    host.check_output(f"sudo rm -r {SHARED}")
    changes(playbook, uninstall_purge_data=True, **named)
    assert not secret.exists()


def test_a_first_run_that_was_cut_off_is_completed_by_the_next(playbook: Playbook, variables: dict[str, Any]) -> None:
    version = variables["prometheus_version"]
    wrong = {version: {"amd64": "0" * 64, "arm64": "0" * 64}}
    refused(playbook("site.yml", prometheus_checksums=wrong), "checksum")
    install(playbook)


def test_a_node_that_an_older_version_provisioned_is_the_projects(
    host: Host, playbook: Playbook, bare: set[str]
) -> None:
    # It recorded nothing but its manifests.
    host.check_output("sudo sh -c 'rmdir /var/lib/emr-monitoring-*'")
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout
    assert re.findall(r"changed=(\d+)", done.stdout)[-1] == "0"
    changes(playbook, uninstall_purge_data=True)
    assert listing(host) ^ bare == set()


def test_a_first_run_of_an_older_version_that_was_cut_off_is_completed(
    host: Host, playbook: Playbook, bare: set[str]
) -> None:
    """It unpacked the release before it made the user."""
    done = playbook("site.yml", "--tags=prometheus", alertmanager_receivers=[])
    assert done.returncode == 0, done.stdout
    for step in (
        "systemctl disable --quiet --now prometheus.service",
        "rm -r /etc/prometheus /etc/systemd/system/prometheus.service /var/lib/ansible-template-tree/prometheus.*",
        "rm -r /mnt/prometheus/current /mnt/prometheus/data /var/lib/emr-monitoring-prometheus",
        "systemctl daemon-reload",
        "usermod --shell /usr/sbin/nologin --home /nonexistent prometheus",
    ):
        host.check_output(f"sudo sh -c {quoted(step)}")
    install(playbook)
    changes(playbook, uninstall_purge_data=True)
    assert listing(host) ^ bare == set()
