"""Uninstalled, the node is as it was before; what the user owns stays. The tests tell one story, in this order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from tests.integration import node
from tests.integration.node import Api, Playbook, poll, unit_properties

ROLES = ("prometheus", "grafana", "alertmanager")
UNITS = (*node.UNITS, "alertmanager.service")
MINE = "/etc/prometheus/mine.yml"
SOURCE = {"uid": "mine", "name": "Mine", "type": "prometheus", "url": "http://localhost:9090", "access": "proxy"}


def changes(playbook: Playbook, *options: str, **extra_vars: Any) -> tuple[int, str]:
    """Run uninstall.yml; return how many tasks changed something, and the output."""
    done = playbook("playbooks/uninstall.yml", *options, **extra_vars)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout
    return int(re.findall(r"changed=(\d+)", done.stdout)[-1]), done.stdout


def install(playbook: Playbook) -> None:
    """Run site.yml, which ends with the verification."""
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout


def listing(host: Host) -> set[str]:
    """Return what is on the node: a line for each path and for each account."""
    return set(host.check_output("sudo /root/node.sh").splitlines())


def others(host: Host) -> dict[str, str]:
    """Return the process of each running service that is not the project's."""
    running = host.check_output("systemctl list-units --type=service --state=running --plain --no-legend")
    names = {line.split()[0] for line in running.splitlines()} - set(UNITS)
    return {name: unit_properties(host, name, "MainPID")["MainPID"] for name in names}


def oldest_sample(prometheus: Api) -> float:
    """Return the time of the oldest sample that Prometheus holds of itself, once there is one."""

    def samples() -> Any:
        return prometheus.data("/api/v1/query?query=up%7Bjob%3D%22prometheus%22%7D%5B1h%5D")["data"]["result"]

    found = poll(samples, 30)
    assert found, "no samples"
    return float(found[0]["values"][0][0])


@pytest.fixture(scope="module")
def since(prometheus: Api) -> float:
    """Return since when there are metrics."""
    return oldest_sample(prometheus)


def test_check_mode_changes_nothing(playbook: Playbook, host: Host) -> None:
    before = [unit_properties(host, unit, "MainPID", "UnitFileState") for unit in UNITS]
    changed, _ = changes(playbook, "--check", "--diff", uninstall_purge_data=True)
    assert changed > 0
    assert [unit_properties(host, unit, "MainPID", "UnitFileState") for unit in UNITS] == before


@pytest.mark.usefixtures("since")
def test_everything_goes_but_the_data_and_what_the_user_made(
    playbook: Playbook, host: Host, grafana: Api, bare: set[str], variables: dict[str, Any]
) -> None:
    assert grafana.data("/api/datasources", SOURCE)["message"] == "Datasource added"
    host.check_output(f"sudo touch {MINE}")
    before = others(host)

    changed, output = changes(playbook)

    assert changed > 0
    assert MINE in output
    data = tuple(variables[f"{role}_root"] for role in ROLES)
    accounts = tuple(f"{role}:" for role in ROLES)
    now = listing(host)
    assert bare <= now
    # By these the next run knows that the users, whom the data belongs to, are its own.
    records = tuple(f"/var/lib/emr-monitoring-{role} " for role in ROLES)
    left = {line for line in now - bare if not line.startswith((*data, *accounts, *records))}
    assert {line.split()[0] for line in left} == {MINE, str(Path(MINE).parent)}
    assert not [line for line in now - bare if "/releases" in line or "/current" in line]
    for unit in UNITS:
        assert unit_properties(host, unit, "LoadState", "ActiveState") == {
            "LoadState": "not-found",
            "ActiveState": "inactive",
        }
    assert others(host) == before


def test_a_second_time_nothing_changes(playbook: Playbook, host: Host) -> None:
    assert changes(playbook)[0] == 0
    host.check_output(f"sudo rm -r {Path(MINE).parent}")


def test_installed_again_it_has_its_metrics_and_its_database(
    playbook: Playbook, prometheus: Api, grafana: Api, since: float
) -> None:
    install(playbook)
    assert oldest_sample(prometheus) == since
    # With the password of before.
    assert grafana.data("/api/datasources/uid/mine")["name"] == "Mine"


def test_with_the_data_the_node_is_as_it_was_before_wherever_a_service_has_put_links_to(
    playbook: Playbook, host: Host, bare: set[str]
) -> None:
    for user in ("prometheus", "grafana"):
        plant = (
            f"cd /mnt/{user}/data && ln -s / root && mkdir -p etc/link && ln -s /etc etc/link/etc && ln -s .. etc/up"
        )
        host.check_output(f"sudo -u {user} sh -c '{plant}'")
    before = others(host)
    changed, _ = changes(playbook, uninstall_purge_data=True)
    assert changed > 0
    assert listing(host) ^ bare == set()
    assert others(host) == before


@pytest.mark.parametrize("options", [[], ["--check"]], ids=["a run", "check mode"])
def test_on_a_bare_node_nothing_changes(playbook: Playbook, options: list[str]) -> None:
    assert changes(playbook, *options, uninstall_purge_data=True)[0] == 0


def test_installed_again_it_is_like_new(
    playbook: Playbook, host: Host, prometheus: Api, grafana: Api, since: float
) -> None:
    begin = float(host.check_output("date +%s"))
    install(playbook)
    # The old passwords: new ones were generated.
    assert prometheus("/api/v1/targets")[0] == grafana("/api/datasources/uid/mine")[0] == 401
    jobs = yaml.safe_load(host.check_output("sudo cat /etc/prometheus/prometheus.yml"))["scrape_configs"]
    password = host.check_output(f"sudo cat /etc/prometheus/{jobs[0]['basic_auth']['password_file']}")
    assert since < begin <= oldest_sample(prometheus.as_user(("admin", password)))
