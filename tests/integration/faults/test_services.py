"""Services that die, and one that cannot even start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.integration.faults.tools import all_up, answers
from tests.integration.node import UNITS, Api, Playbook, poll, refused, unit_properties

KILLS = 50
# Kills the main process as soon as systemd has a new one, whatever that is doing at that moment.
KILL_AGAIN_AND_AGAIN = f"""
for unit in {" ".join(UNITS)}; do (
    old=0
    for kill in $(seq {KILLS}); do
        for attempt in $(seq 600); do
            state=$(systemctl show --property=ActiveState,MainPID $unit)
            new=${{state#*MainPID=}}; new=${{new%%[!0-9]*}}
            case $state in *ActiveState=active*) [ $new = 0 ] || [ $new = $old ] || break ;; esac
            sleep 0.05
        done
        [ $new != 0 ] || exit 1
        kill -9 $new
        old=$new
    done
) & done
wait
"""


@pytest.fixture
def impatient(host: Host) -> Iterator[None]:
    """Have systemd wait 0.1 s instead of 1 s before a restart: quicker, and harder on its limit of starts."""
    folders = [f"/run/systemd/system/{unit}.d" for unit in UNITS]
    setting = "printf '[Service]\\nRestartSec=100ms\\n'"
    host.check_output(
        f"sudo mkdir {' '.join(folders)} && "
        f"{setting} | sudo tee {' '.join(f'{folder}/soon.conf' for folder in folders)} && "
        "sudo systemctl daemon-reload"
    )
    yield
    host.check_output(f"sudo rm -r {' '.join(folders)} && sudo systemctl daemon-reload")


@pytest.mark.usefixtures("impatient")
def test_killed_fifty_times_in_a_row_both_services_come_back(
    host: Host, playbook: Playbook, prometheus: Api, grafana: Api, jobs: set[str]
) -> None:
    def restarts() -> list[int]:
        return [int(unit_properties(host, unit, "NRestarts")["NRestarts"]) for unit in UNITS]

    before = restarts()
    host.check_output(f"sudo sh -c '{KILL_AGAIN_AND_AGAIN}'")
    all_up(prometheus, jobs, 30)
    assert poll(lambda: answers(grafana), 120)
    assert [after - earlier for earlier, after in zip(before, restarts(), strict=True)] == [KILLS, KILLS]
    done = playbook("playbooks/verify.yml")
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("healed")
def test_the_verification_of_a_stopped_service_fails_and_leaves_it_stopped(host: Host, playbook: Playbook) -> None:
    host.check_output("sudo systemctl stop prometheus.service")
    done = playbook("playbooks/verify.yml")
    refused(done, "prometheus.service is not as site.yml leaves it; due: start.")
    assert unit_properties(host, "prometheus.service", "ActiveState")["ActiveState"] == "inactive"
    # Grafana runs, and says what it cannot reach.
    done = playbook("playbooks/verify.yml", "--tags=grafana")
    refused(done, "The data source prometheus does not work: ")
