"""What a user adds to a unit: its process has it, everyone else does not see it, and what is wrong changes nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import UNITS, Api, Playbook, Run, process, refused, unit_properties

NEEDLE, ANOTHER = "needle-4711", "another-password"
# Everything that means something to a shell, to systemd or to a file of variables.
VALUES = {
    "PLAIN": "http://proxy.example.com:3128",
    "SECRET": f"{NEEDLE} \"double\" 'single' `id` $HOME ${{HOME}} %n %% \\ \\n # ; = é",
    "LINES": f"-----BEGIN-----\n\n  {NEEDLE}\t$\\\n-----END-----\n",
    "EMPTY": "",
}
FOREIGN = "/etc/systemd/system/prometheus.service.d/zz-somebody.conf"


def environment(host: Host, unit: str) -> dict[str, str]:
    """Return the environment of a unit's process."""
    pid = process(host, unit)["MainPID"]
    pairs = host.check_output(f"sudo cat /proc/{pid}/environ | base64 --wrap=0")
    return dict(pair.split("=", 1) for pair in base64.b64decode(pairs).decode().split("\0") if pair)


@pytest.fixture
def foreign(host: Host) -> Iterator[None]:
    """Have somebody else's drop-in on the node."""
    host.check_output(f"sudo mkdir --parents {FOREIGN.rpartition('/')[0]}")
    host.check_output(f"printf '[Service]\\nLimitCORE=4711\\n' | sudo tee {FOREIGN}")
    yield
    host.check_output(f"sudo rm {FOREIGN}")


def test_the_environment_arrives_as_it_is_and_nobody_else_sees_it(host: Host, run: Run) -> None:
    given = {"prometheus_environment": VALUES, "grafana_environment": VALUES}
    shown = run("--diff", **given)
    assert NEEDLE not in shown
    assert "+SECRET=(not shown)" in shown
    for unit in UNITS:
        assert VALUES.items() <= environment(host, unit).items()
        file = host.file(f"/etc/systemd/system/{unit}.d/emr-monitoring.environment")
        with host.sudo():
            assert (file.user, file.group, file.mode) == ("root", "root", 0o600)
    assert NEEDLE not in host.check_output("systemctl show prometheus grafana-server; systemctl cat prometheus; ps -ef")
    assert "changed=0" in run(**given)
    run()
    for unit in UNITS:
        assert not VALUES.keys() & environment(host, unit).keys()
        assert not host.file(f"/etc/systemd/system/{unit}.d").exists


def test_a_password_changes_where_grafana_has_an_environment(run: Run, grafana: Api, variables: dict[str, Any]) -> None:
    run(grafana_environment={"LEVEL": "debug"}, grafana_admin_password=ANOTHER)
    another = replace(grafana, login=(variables["grafana_admin_user"], ANOTHER))
    assert another("/api/user")[0] == 200
    run()
    assert grafana("/api/user")[0] == 200


@pytest.mark.usefixtures("foreign")
def test_a_drop_in_counts_beside_somebody_elses_and_goes_alone(host: Host, run: Run) -> None:
    run(prometheus_unit_dropin={"Service": {"LimitNOFILE": 4711, "CPUWeight": 7}, "Unit": {"After": "basic.target"}})
    limits = unit_properties(host, "prometheus.service", "LimitNOFILE", "CPUWeight", "LimitCORE")
    assert limits == {"LimitNOFILE": "4711", "CPUWeight": "7", "LimitCORE": "4711"}
    run()
    limits = unit_properties(host, "prometheus.service", "LimitNOFILE", "CPUWeight", "LimitCORE")
    assert limits == {"LimitNOFILE": "65536", "CPUWeight": "3", "LimitCORE": "4711"}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("dropin", "said"),
    [
        ({"Service": {"LimitNOFIL": 1}}, "Unknown key"),
        ({"Service": {"CPUWeight": "much"}}, "emr-monitoring.conf:3: "),
        # The trial has the drop-in, too.
        ({"Service": {"MemoryHigh": "2G", "InaccessiblePaths": "/etc/prometheus"}}, "a trial of it"),
    ],
)
def test_what_cannot_work_is_refused_before_the_stop(playbook: Playbook, dropin: dict[str, Any], said: str) -> None:
    done = playbook("site.yml", prometheus_unit_dropin=dropin)
    refused(done, said)


def test_what_does_not_start_is_put_back(host: Host, playbook: Playbook) -> None:
    done = playbook("site.yml", grafana_unit_dropin={"Service": {"ExecStartPost": "/bin/false"}}, monitoring_watch=1)
    refused(done, "What was live before was put back and runs again")
    assert not host.file("/etc/systemd/system/grafana-server.service.d").exists
    assert unit_properties(host, "grafana-server.service", "ActiveState") == {"ActiveState": "active"}
