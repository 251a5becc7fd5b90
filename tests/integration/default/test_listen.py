"""Where the services listen: whatever asks them follows, and a port below 1024 costs them one capability."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.integration.node import UNITS, Playbook, unit_properties, words


@pytest.fixture
def back(playbook: Playbook) -> Iterator[None]:
    """Have the services listen where the inventory says afterwards."""
    yield
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout


def listening(host: Host, port: int) -> str:
    """Return the address that something listens on at a port."""
    fields: list[str] = host.check_output(f"ss --no-header --listening --tcp --numeric 'sport = :{port}'").split()
    return fields[3].rpartition(":")[0]


@pytest.mark.usefixtures("back")
@pytest.mark.parametrize("kind", ["its own", "loopback of IPv6", "all"])
def test_what_asks_the_services_follows_their_address(host: Host, playbook: Playbook, kind: str) -> None:
    address = {
        "its own": host.check_output("hostname --all-ip-addresses").split()[0],
        "loopback of IPv6": "::1",
        "all": "::",
    }[kind]
    written = f"[{address}]" if ":" in address else address
    target = "localhost" if kind == "all" else written
    done = playbook("site.yml", monitoring_listen_address=address)
    # Every target is up, and Grafana's data source works: else it would fail.
    assert done.returncode == 0, done.stdout
    assert f"http://{target}:9090/metrics" in words(done)
    assert ("listens on" in words(done)) is (kind != "all")
    assert {listening(host, port) for port in (9090, 3000)} == {"*" if kind == "all" else written}
    again = playbook("site.yml", monitoring_listen_address=address)
    assert "changed=0 " in again.stdout, again.stdout


@pytest.mark.usefixtures("back")
def test_a_port_below_1024_costs_its_unit_one_capability(host: Host, playbook: Playbook) -> None:
    assert host.check_output("cat /proc/sys/net/ipv4/ip_unprivileged_port_start") == "1024"
    done = playbook("site.yml", grafana_port=443)
    assert done.returncode == 0, done.stdout
    capabilities = {unit: unit_properties(host, unit, "AmbientCapabilities", "PrivateUsers") for unit in UNITS}
    assert capabilities == {
        "prometheus.service": {"AmbientCapabilities": "", "PrivateUsers": "yes"},
        "grafana-server.service": {"AmbientCapabilities": "cap_net_bind_service", "PrivateUsers": "no"},
    }
    summary = host.check_output("sudo systemd-analyze security --no-pager grafana-server.service").splitlines()[-1]
    assert float(summary.split(":")[1].split()[0]) <= 1.5, summary
    # The trial of a new flag listens there, too.
    done = playbook("site.yml", grafana_port=443, prometheus_port=80, prometheus_flags=["--query.max-concurrency=7"])
    assert done.returncode == 0, done.stdout
    # Go writes the first where the node has IPv6, the stand-in for Grafana the second.
    assert {listening(host, 80), listening(host, 443)} <= {"*", "0.0.0.0"}  # noqa: S104  # to compare with
