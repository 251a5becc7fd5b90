"""Alertmanager lets no one in without its login, and is locked in as the other services are."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.alerts.tools import UNIT
from tests.integration.default import test_units
from tests.integration.node import Api, unit_properties


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/ready", "/api/v2/status", "/api/v2/silences", "/debug/pprof/"])
@pytest.mark.parametrize("login", [None, ("admin", "admin"), ("admin", "")])
def test_it_answers_no_one_without_the_login(alertmanager: Api, path: str, login: tuple[str, str] | None) -> None:
    assert alertmanager.as_user(login)(path)[0] == 401


def test_it_listens_at_its_port_alone(host: Host, variables: dict[str, Any]) -> None:
    process = unit_properties(host, UNIT, "MainPID")["MainPID"]
    sockets = host.check_output(
        f"sudo ss --no-header --listening --tcp --udp --numeric --processes | grep pid={process},"
    )
    assert [line.split()[4].split(":")[-1] for line in sockets.splitlines()] == [str(variables["alertmanager_port"])]


def test_the_secrets_are_for_root_and_alertmanager_alone(host: Host, variables: dict[str, Any]) -> None:
    found = host.check_output("sudo find /etc/alertmanager/secrets -printf '%m %u %g %y %f\\n' | sort").splitlines()
    assert found == [
        *(f"640 root alertmanager f {name}" for name in sorted(variables["alertmanager_secrets"])),
        "750 root alertmanager d secrets",
    ]
    for secret in [*variables["alertmanager_secrets"].values(), variables["alertmanager_password"]]:
        # Through a pipe, since sudo writes the command line into the journal.
        grep = f"printf %s {shlex.quote(secret)} | sudo grep --fixed-strings --file=-"
        assert host.run(f"sudo journalctl --no-pager >/tmp/journal; {grep} --count /tmp/journal").stdout.strip() == "0"


def test_its_api_does_not_tell_the_secrets(alertmanager: Api, variables: dict[str, Any]) -> None:
    shown = alertmanager.data("/api/v2/status")["config"]["original"]
    assert not [secret for secret in variables["alertmanager_secrets"].values() if secret in shown]


@pytest.mark.parametrize(
    "behaviour",
    [
        test_units.test_the_unit_runs_and_starts_at_boot,
        test_units.test_the_sandbox_is_on,
        test_units.test_a_service_can_write_its_data_and_nothing_else,
        test_units.test_memory_is_limited,
    ],
)
def test_its_unit_is_like_the_others(host: Host, behaviour: Any) -> None:
    behaviour(host, UNIT)
