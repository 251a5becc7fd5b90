"""No one gets in who does not belong, and no secret gets out."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import UNITS, Api, Playbook, exposures, unit_properties

SECRETS = ("prometheus_password", "grafana_admin_password", "grafana_secret_key")
# Every port of the node, asked from another host of its network.
SCAN = """
import concurrent.futures, socket, sys
def is_open(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((sys.argv[1], port)) == 0
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    ports = range(1, 65536)
    print(*[port for port, found in zip(ports, pool.map(is_open, ports)) if found])
"""


def test_nothing_but_ssh_and_the_two_pages_listens_on_the_network(host: Host, variables: dict[str, Any]) -> None:
    node = host.backend.get_hostname()
    command = ["docker", "exec", variables["testbed_archive_server"], "python3", "-c", SCAN, node]
    found = subprocess.run(command, text=True, capture_output=True, check=True).stdout.split()
    assert set(map(int, found)) == {22, variables["prometheus_port"], variables["grafana_port"]}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/targets",
        "/metrics",
        "/federate",
        "/-/ready",
        "/api/v1/targets",
        "/api/v1/status/config",
        "/../api/v1/query",
    ],
)
@pytest.mark.parametrize("login", [None, ("admin", "admin"), ("admin", ""), ("prometheus", "prometheus")])
def test_prometheus_answers_no_one_without_the_login(prometheus: Api, path: str, login: tuple[str, str] | None) -> None:
    assert prometheus.as_user(login)(path)[0] == 401


@pytest.mark.parametrize("path", ["/-/reload", "/-/quit", "/api/v1/admin/tsdb/snapshot"])
def test_the_login_does_not_stop_or_empty_prometheus(host: Host, prometheus: Api, path: str) -> None:
    before = unit_properties(host, "prometheus.service", "MainPID")
    assert prometheus.as_user(None)(path, {})[0] == 401
    status, answer = prometheus(path, {})
    assert status >= 400
    assert "not enabled" in str(answer) or "disabled" in str(answer)
    assert unit_properties(host, "prometheus.service", "MainPID") == before


@pytest.mark.parametrize("header", ["X-Forwarded-User", "X-WEBAUTH-USER", "X-Grafana-User", "Remote-User"])
@pytest.mark.parametrize("service", ["prometheus", "grafana"])
def test_a_forged_header_is_no_login(request: pytest.FixtureRequest, service: str, header: str) -> None:
    api: Api = request.getfixturevalue(service)
    path = {"prometheus": "/api/v1/targets", "grafana": "/api/datasources"}[service]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(api.base + path, headers={header: "admin"}), timeout=30)
    assert refused.value.code == 401


def test_grafana_lets_no_one_sign_up_or_look_around(grafana: Api) -> None:
    anonymous = grafana.as_user(None)
    assert anonymous("/api/admin/settings")[0] == 401
    assert anonymous("/api/user/signup", {"email": "a@example.com"})[0] in {401, 403, 404}
    assert "root:" not in str(anonymous("/public/../../../../etc/passwd")[1])


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_readable_for_root_and_its_service_alone(host: Host, secrets: dict[str, str], secret: str) -> None:
    assert exposures(host, secrets[secret]) == {"files": "", "journal": ""}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("unit", UNITS)
def test_no_process_shows_a_secret(host: Host, secrets: dict[str, str], secret: str, unit: str) -> None:
    process = unit_properties(host, unit, "MainPID")["MainPID"]
    shown = host.check_output(f"sudo cat /proc/{process}/cmdline /proc/{process}/environ | tr '\\0' '\\n'")
    assert "PATH=" in shown
    assert secrets[secret] not in shown


def test_new_passwords_need_no_restart_and_the_most_talkative_run_shows_none(
    host: Host, playbook: Playbook, prometheus: Api, grafana: Api, secrets: dict[str, str]
) -> None:
    before = [unit_properties(host, unit, "MainPID", "ExecMainStartTimestampMonotonic") for unit in UNITS]
    new = {
        "prometheus_password": "another-phrase-for-prometheus",
        "grafana_admin_password": "another-phrase-for-grafana",
    }
    done = playbook("site.yml", "-vvvv", "--diff", **new)
    assert done.returncode == 0, done.stdout
    assert prometheus("/api/v1/targets")[0] == grafana("/api/user")[0] == 401
    targets = prometheus.as_user(("admin", new["prometheus_password"])).data("/api/v1/targets")["data"]["activeTargets"]
    assert {target["health"] for target in targets} == {"up"}
    as_admin = grafana.as_user(("admin", new["grafana_admin_password"]))
    assert as_admin.data("/api/datasources/uid/prometheus/health")["status"] == "OK"

    back = playbook("site.yml", "-vvvv", "--diff")
    assert back.returncode == 0, back.stdout
    assert prometheus("/api/v1/targets")[0] == grafana("/api/user")[0] == 200
    assert [unit_properties(host, unit, "MainPID", "ExecMainStartTimestampMonotonic") for unit in UNITS] == before
    output = done.stdout + back.stdout
    assert [name for name, secret in (secrets | new).items() if secret in output] == []


@pytest.fixture(scope="session")
def secrets(variables: dict[str, Any]) -> dict[str, str]:
    """Return the secrets of the node by name."""
    return {name: variables[name] for name in SECRETS}
