"""node_exporter on the core nodes: guarded off the host, and one that fails stops nothing but itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from testinfra.host import Host

from tests.integration.cluster.nodes import Node
from tests.integration.node import Api, Playbook, poll, words

CORE, OTHER = "ip-172-31-0-11", "ip-172-31-0-12"
METRICS = f"https://{CORE}:9100/metrics"
ASK = "curl --silent --output /dev/null --write-out '%{http_code}'"


@pytest.fixture(scope="session")
def up(prometheus: Api) -> Callable[[], dict[str, str]]:
    """Return a function that returns by host how the scrape of it is."""

    def health() -> dict[str, str]:
        targets = prometheus.data("/api/v1/targets")["data"]["activeTargets"]
        return {each["labels"]["instance"]: each["health"] for each in targets if each["scrapePool"] == "node"}

    return health


@pytest.fixture
def _port_taken(core: Node) -> Iterator[None]:
    """Have something else listen where node_exporter is to."""
    core.run("systemctl stop node_exporter; systemd-run --quiet --unit=squatter python3 -m http.server 9100")
    assert poll(lambda: core.run("ss -Hltn sport = :9100"), 10)
    yield
    core.run("systemctl stop squatter; systemctl start node_exporter")


@pytest.fixture
def _away(core: Node) -> Iterator[None]:
    """Have a core node that does not answer."""
    subprocess.run(["docker", "pause", core.name], check=True, capture_output=True)
    yield
    subprocess.run(["docker", "unpause", core.name], check=True, capture_output=True)


def recap(done: subprocess.CompletedProcess[str], host: str) -> dict[str, int]:
    """Return what Ansible counts of a host at the end of a run."""
    line = next(line for line in reversed(done.stdout.splitlines()) if line.startswith(f"{host} "))
    return {name: int(count) for name, count in (word.split("=") for word in line.split() if "=" in word)}


def test_what_leaves_a_host_is_encrypted_and_for_prometheus_alone(primary: Node, core: Node) -> None:
    assert core.run("ss -Hltn sport = :9100")
    assert primary.run(f"{ASK} --insecure {METRICS}") == "401"
    assert primary.run(f"{ASK} --insecure --user prometheus:guessed {METRICS}") == "401"
    assert primary.run(f"{ASK} {METRICS.replace('https', 'http')} || true") == "400"
    login = primary.run("cat /etc/prometheus/credentials/node_exporter_password")
    trusted = primary.run("grep --only-matching 'BEGIN CERTIFICATE' /etc/prometheus/prometheus.yml")
    assert trusted.count("BEGIN") == 1
    assert primary.run(f"{ASK} --insecure --user prometheus:{login} {METRICS}") == "200"
    # Others than root and the service read neither.
    for path in ("web.yml", "tls/key.pem"):
        assert core.run(f"stat --format='%a %U %G' /etc/node_exporter/{path}") == "640 root node_exporter"
    assert core.run(f"grep --recursive --files-with-matches '{login}' /etc/node_exporter /etc/systemd || true") == ""


def test_a_second_run_changes_nothing_anywhere(playbook: Playbook, primary: Node) -> None:
    done = playbook("site.yml", "--diff")
    assert done.returncode == 0, done.stdout
    assert {recap(done, name)["changed"] for name in (primary.name, CORE, OTHER)} == {0}, done.stdout


@pytest.mark.usefixtures("_away")
def test_a_node_that_does_not_answer_is_named_and_stops_nothing(
    playbook: Playbook, up: Callable[[], dict[str, str]]
) -> None:
    done = playbook("site.yml", "--timeout=3", verify_targets_must_be_up=False)
    said = words(done)
    assert done.returncode != 0
    assert f"{CORE} is not watched: it cannot be reached" in said, said[-4000:]
    assert recap(done, CORE)["unreachable"] == 1
    assert recap(done, OTHER)["failed"] == recap(done, OTHER)["unreachable"] == 0
    # The primary node is whole: it was asked to the end.
    assert "UP node https://localhost:9100/metrics" in said
    assert up()[OTHER] == "up"


@pytest.mark.usefixtures("_port_taken")
def test_a_port_that_is_taken_on_one_node_is_named_and_stops_nothing(playbook: Playbook) -> None:
    done = playbook("site.yml", verify_targets_must_be_up=False)
    said = words(done)
    assert done.returncode != 0
    assert f"{CORE} is not watched: This node cannot be provisioned" in said, said[-4000:]
    assert "Port 9100 is taken by python3" in said
    assert "set node_exporter_port to a free port" in said
    assert recap(done, OTHER)["failed"] == 0
    assert "UP node https://localhost:9100/metrics" in said


def test_without_the_others_the_primary_is_brought_to_its_end_and_not_the_other_way_round(playbook: Playbook) -> None:
    done = playbook("site.yml", "--limit=emr_master", verify_targets_must_be_up=False)
    assert done.returncode == 0, done.stdout
    done = playbook("site.yml", f"--limit={CORE}")
    assert done.returncode != 0
    assert "The primary node has not taken part in this run" in words(done)


def test_its_host_is_seen_whole(prometheus: Api, core: Node) -> None:
    query = quote(f'scrape_samples_scraped{{instance="{CORE}",job="node"}}')
    samples: dict[str, Any] = prometheus.data(f"/api/v1/query?query={query}")
    assert int(samples["data"]["result"][0]["value"][1]) > 400
    assert "node_exporter" in core.run("ps -o user= -C node_exporter || ps -eo user:20,comm | grep node_exp")


def test_an_uninstall_leaves_nothing_on_any_node(playbook: Playbook, core: Node, host: Host) -> None:
    done = playbook("playbooks/uninstall.yml", "--tags=node_exporter")
    assert done.returncode == 0, done.stdout
    assert "node_exporter.service" not in core.run("ls /etc/systemd/system")
    assert not host.file("/etc/systemd/system/node_exporter.service").exists
    assert core.run("ls -d /etc/node_exporter || true") == ""
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout
