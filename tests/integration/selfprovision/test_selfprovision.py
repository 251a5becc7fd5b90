"""A node that provisions itself: from its bootstrap action alone, again without a change, and never to EMR's harm."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import UNITS, Api, Playbook, poll, refused, unit_properties

UNIT = "emr-monitoring-provision.service"
BUCKET = "/home/hadoop/bucket"
HOME = "/mnt/emr-monitoring"
LOGS = "/mnt/var/log/bootstrap-actions/emr-monitoring"
SECRETS = "/etc/emr-monitoring/secrets"
INSTANCE = "/mnt/var/lib/info/instance.json"
EMR_STATE = "/emr/instance-controller/lib/info/job-flow-state.txt"
PROJECT = f"--extra-vars-file {BUCKET}/variables.yml --wheels {BUCKET}/wheels.tar.gz {BUCKET}/project.tar.gz"


def provision(host: Host, arguments: str) -> tuple[int, str]:
    """Run the script as EMR does, as hadoop; return its status and its output."""
    done = host.run(f"{BUCKET}/provision.sh {arguments} 2>&1")
    return done.rc, done.stdout


def log(host: Host) -> str:
    """Return the log of all runs."""
    return str(host.check_output(f"cat {LOGS}/provision.log"))


def said_at(text: str, words: str) -> datetime:
    """Return when the log first said something that starts with ``words``."""
    found = re.search(rf"^(\S+) {re.escape(words)}", text, re.MULTILINE)
    assert found, f"{words!r} is not in: {text}"
    return datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S%z")


@pytest.fixture(scope="module", autouse=True)
def _provisioned(host: Host) -> None:
    """Wait until the node has provisioned itself."""
    ended = poll(lambda: unit_properties(host, UNIT, "ActiveState")["ActiveState"] in {"active", "failed"}, 120)
    assert ended, log(host)


@pytest.fixture
def _quick_tries(host: Host) -> Iterator[None]:
    """Shorten the pause between the tries."""
    folder = f"/etc/systemd/system/{UNIT}.d"
    host.check_output(f"sudo mkdir {folder} && printf '[Service]\\nRestartSec=1\\n' | sudo tee {folder}/quick.conf")
    yield
    host.check_output(f"sudo rm -r {folder}")


@pytest.fixture(scope="module")
def prometheus(host: Host, tunnel: Callable[[int], str], variables: dict[str, Any]) -> Api:
    """Return Prometheus' API, with the login that the node made for itself."""
    password = host.check_output(f"sudo cat {SECRETS}/prometheus_password")
    return Api(tunnel(variables["prometheus_port"]), (variables["prometheus_username"], password))


@pytest.fixture(scope="module")
def grafana(host: Host, tunnel: Callable[[int], str], variables: dict[str, Any]) -> Api:
    """Return Grafana's API, with the password that the node made."""
    password = host.check_output(f"sudo cat {SECRETS}/grafana_admin_password")
    return Api(tunnel(variables["grafana_port"]), (variables["grafana_admin_user"], password))


def test_the_unit_ended_well_at_its_first_try(host: Host) -> None:
    assert unit_properties(host, UNIT, "ActiveState", "Result", "NRestarts") == {
        "ActiveState": "active",
        "Result": "success",
        "NRestarts": "0",
    }
    assert not host.file(f"{LOGS}/FAILED").exists


def test_it_waited_until_emr_had_installed_the_applications(host: Host) -> None:
    text = log(host)
    installed = float(host.check_output(f"stat --format=%Y {EMR_STATE}"))
    waited = said_at(text, "waiting for EMR to install the applications").timestamp()
    assert waited < installed <= said_at(text, "installing Ansible").timestamp()


@pytest.mark.parametrize("unit", UNITS)
def test_the_service_runs_and_starts_at_boot(host: Host, unit: str) -> None:
    assert unit_properties(host, unit, "ActiveState", "UnitFileState") == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
    }


def test_every_target_is_up(prometheus: Api, variables: dict[str, Any]) -> None:
    jobs = {job["job_name"] for job in variables["prometheus_scrape_configs"]}

    def up() -> set[str]:
        targets = prometheus.data("/api/v1/targets")["data"]["activeTargets"]
        return {target["labels"]["job"] for target in targets if target["health"] == "up"}

    assert poll(lambda: up() == jobs, 40), (up(), jobs)


def test_the_data_source_works_with_the_password_on_the_node(grafana: Api, variables: dict[str, Any]) -> None:
    for source in variables["grafana_datasources"]:
        assert grafana.data(f"/api/datasources/uid/{source['uid']}/health")["status"] == "OK"


def test_only_root_can_read_the_secrets(host: Host) -> None:
    found = host.check_output(f"sudo find {SECRETS} -printf '%m %u %y %f\\n'").splitlines()
    assert sorted(found) == [
        "600 root f grafana_admin_password",
        "600 root f grafana_secret_key",
        "600 root f prometheus_password",
        "600 root f prometheus_password_salt",
        "700 root d secrets",
    ]
    # Variables and sources can hold secrets too.
    assert host.check_output(f"stat --format='%a %U' {HOME}") == "700 root"


def test_no_secret_is_in_the_log(host: Host) -> None:
    secrets = host.check_output(f"sudo sh -c 'cat {SECRETS}/*'").split()
    assert secrets
    assert not [secret for secret in secrets if secret in log(host)]


def test_a_second_run_changes_nothing(host: Host) -> None:
    services = [unit_properties(host, unit, "MainPID") for unit in UNITS]
    # What a user keeps there is no project of an earlier run.
    host.check_output(f"sudo mkdir {HOME}/projects/my-changes")
    status, output = provision(host, f"--wait --strict {PROJECT}")
    assert status == 0, output
    projects = set(host.check_output(f"sudo ls {HOME}/projects").split())
    assert projects == {"my-changes", host.check_output(f"sudo readlink {HOME}/project").split("/")[4]}
    (recap,) = re.findall(r"^this-node .*", output, re.MULTILINE)
    assert "changed=0 " in recap
    assert "failed=0 " in recap
    assert "installing Ansible" not in output
    assert [unit_properties(host, unit, "MainPID") for unit in UNITS] == services


def test_a_node_that_is_not_primary_is_left_alone(host: Host) -> None:
    before = host.check_output(f"cat {INSTANCE}")
    node = f"sudo find {HOME} {LOGS} /etc/systemd/system -printf '%p %i %s %T@\\n' | sort"
    fingerprint = host.check_output(node)
    core = json.dumps(json.loads(before) | {"isMaster": False})
    host.check_output(f"echo '{core}' | sudo tee {INSTANCE}")
    try:
        status, output = provision(host, PROJECT)
    finally:
        host.check_output(f"echo '{before}' | sudo tee {INSTANCE}")
    assert (status, "not a primary node" in output) == (0, True), output
    assert host.check_output(node) == fingerprint


@pytest.mark.usefixtures("_quick_tries")
def test_a_source_that_cannot_be_had_is_tried_again_and_then_said(host: Host) -> None:
    started = time.monotonic()
    status, output = provision(host, f"file://{BUCKET}/nothing.tar.gz")
    assert status == 0, output
    assert time.monotonic() - started < 5
    assert poll(lambda: unit_properties(host, UNIT, "ActiveState")["ActiveState"] == "failed", 30)
    marker = host.check_output(f"cat {LOGS}/FAILED")
    assert f"FAILED (1) when fetching the project from file://{BUCKET}/nothing.tar.gz" in marker
    assert log(host).count(marker.split(maxsplit=1)[1]) == 3
    assert "nothing.tar.gz': No such file or directory" in log(host)


def test_an_output_that_nobody_can_read_is_no_reason_to_end_the_instance(host: Host) -> None:
    assert host.run(f"{BUCKET}/provision.sh --nonsense >/dev/full 2>&1").rc == 0
    gone = f"{BUCKET}/provision.sh --nonsense 2>&1 | true; exit ${{PIPESTATUS[0]}}"
    assert host.run(f"bash -c '{gone}'").rc == 0


@pytest.mark.usefixtures("_quick_tries")
def test_what_ansible_refuses_is_said_and_harms_nothing(host: Host) -> None:
    services = [unit_properties(host, unit, "MainPID") for unit in UNITS]
    host.check_output(f"sed '$ a prometheus_prot: 9' {BUCKET}/variables.yml >{BUCKET}/misspelt.yml")
    arguments = f"--wait {PROJECT.replace('variables.yml', 'misspelt.yml')}"
    status, output = provision(host, arguments)
    assert (status, "did you mean prometheus_port?" in output) == (0, True), output
    assert "FAILED (2) when running Ansible" in host.check_output(f"cat {LOGS}/FAILED")
    assert [unit_properties(host, unit, "MainPID") for unit in UNITS] == services


@pytest.mark.usefixtures("_quick_tries")
def test_a_strict_run_ends_with_the_status_of_what_failed(host: Host) -> None:
    status, output = provision(host, f"--wait --strict --nonsense {BUCKET}/project.tar.gz")
    assert (status, "--nonsense is not an option" in output) == (1, True), output


def test_without_emrs_sign_it_goes_on_in_the_end_and_a_good_run_clears_the_failure(host: Host) -> None:
    host.check_output(f"sudo mv {EMR_STATE} {EMR_STATE}.away")
    status, output = provision(host, f"--wait --strict --wait-applications 1 {PROJECT}")
    host.check_output(f"sudo mv {EMR_STATE}.away {EMR_STATE}")
    assert status == 0, output
    assert f"WARNING: {EMR_STATE} does not say so after 1 s." in output
    assert unit_properties(host, UNIT, "ActiveState")["ActiveState"] == "active"
    assert not host.file(f"{LOGS}/FAILED").exists


# The last ones: from here on the node belongs to a controller, too.


@pytest.mark.parametrize("older", [False, True], ids=["as it is", "of an older version"])
def test_a_run_from_outside_is_refused_before_it_replaces_the_secrets(
    host: Host, playbook: Playbook, tmp_path: Path, older: bool
) -> None:
    credentials = "/etc/prometheus/credentials"
    services = [unit_properties(host, unit, "MainPID") for unit in UNITS]
    if older:
        host.check_output(f"sudo mv {credentials} {credentials}.away")
    try:
        done = playbook("site.yml", monitoring_secrets_dir=str(tmp_path / "clone"))
    finally:
        if older:
            host.check_output(f"sudo mv {credentials}.away {credentials}")
    refused(done, "holds no prometheus_password", "-e monitoring_secrets_from_node=true")
    assert not (tmp_path / "clone").exists()
    assert [unit_properties(host, unit, "MainPID") for unit in UNITS] == services


def test_one_flag_takes_its_secrets_over_and_nobody_gets_another_password(
    host: Host, playbook: Playbook, prometheus: Api, grafana: Api, variables: dict[str, Any]
) -> None:
    done = playbook("site.yml", "-vvvv", "--diff", monitoring_secrets_from_node=True)
    assert done.returncode == 0, done.stdout
    folder = Path(str(variables["testbed_cache"])) / "secrets" / str(variables["inventory_hostname"])
    on_node = {
        name: host.check_output(f"sudo cat {SECRETS}/{name}")
        for name in host.check_output(f"sudo ls {SECRETS}").split()
    }
    assert {path.name: path.read_text().rstrip() for path in folder.iterdir()} == on_node
    assert not [secret for secret in on_node.values() if secret in done.stdout]
    assert prometheus("/api/v1/targets")[0] == grafana("/api/user")[0] == 200
    assert "changed=0 " in playbook("site.yml").stdout


def test_an_uninstall_takes_away_what_the_node_provisioned_itself_with(host: Host, playbook: Playbook) -> None:
    mine = f"{HOME}/mine"
    host.check_output(f"sudo touch {mine}")
    done = playbook("playbooks/uninstall.yml", "--check", "--diff")
    assert done.returncode == 0, done.stdout
    assert unit_properties(host, UNIT, "ActiveState")["ActiveState"] == "active"

    done = playbook("playbooks/uninstall.yml", uninstall_purge_data=True)
    assert done.returncode == 0, done.stdout
    assert unit_properties(host, UNIT, "LoadState")["LoadState"] == "not-found"
    assert host.check_output(f"sudo ls {HOME}") == "mine"
    assert not host.file("/etc/emr-monitoring").exists
    host.check_output(f"sudo rm {mine}")
    # Where it lay is no more of it.
    assert "changed=0 " in playbook("playbooks/uninstall.yml", uninstall_purge_data=True).stdout
