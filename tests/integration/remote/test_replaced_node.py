"""A node that EMR replaces, with all its disks: the one after it provisions itself, and goes on where it ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from testinfra.host import Host

from tests.integration.node import PROJECT, Api, Playbook, poll, unit_properties
from tests.integration.remote.far import COUNTED, Far, Window, now, times

TESTBED = PROJECT / "molecule/testbed/testbed.py"
UNIT = "emr-monitoring-provision.service"
LOG = "/mnt/var/log/bootstrap-actions/emr-monitoring/provision.log"
# Longer than all that this test takes.
LONG = 1800


def replace(name: str, ssh_port: int) -> None:
    """Take a node away, with its disks and what the controller keeps of it, and have a bare one in its place."""
    for command in (["destroy", name], ["create", name, f"--ssh-port={ssh_port}"]):
        subprocess.run([sys.executable, TESTBED, *command], check=True, capture_output=True, text=True)


def test_the_node_after_it_goes_on(
    host: Host, far: Far, playbook: Playbook, tunnel: Callable[[int], str], variables: dict[str, Any]
) -> None:
    def window(password: str) -> Window:
        login = (variables["prometheus_username"], password)
        return Window(Api(tunnel(variables["prometheus_port"]), login), far, now())

    first = window(variables["prometheus_password"])
    until = now() + 10
    assert poll(lambda: now() > until and not first.missing(until), 60), first.missing(until)
    sent = times(far.ask(f"{COUNTED}[{LONG}s]", until))

    replace(variables["inventory_hostname"], variables["ansible_port"])
    done = playbook("molecule/selfprovision/converge.yml")
    assert done.returncode == 0, done.stdout
    ended = poll(lambda: unit_properties(host, UNIT, "ActiveState")["ActiveState"] in {"active", "failed"}, 120)
    assert ended, host.check_output(f"tail -20 {LOG}")
    assert unit_properties(host, UNIT, "Result")["Result"] == "success", host.check_output(f"tail -40 {LOG}")
    assert "cortex: accepted" in host.check_output(f"cat {LOG}")

    second = window(host.check_output("sudo cat /etc/emr-monitoring/secrets/prometheus_password"))
    until = now() + 10
    assert poll(lambda: now() > until and not second.missing(until), 60), second.missing(until)
    # The samples of the one and of the other are those of the same series.
    whole = far.ask(f"{COUNTED}[{LONG}s]", until)
    assert len(whole) == len(sent)
    for target, at in times(whole).items():
        assert sent[target] <= at
        assert max(at) > second.since
