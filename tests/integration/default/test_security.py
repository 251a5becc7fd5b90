"""No one gets in who does not belong, and no secret gets out."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import UNITS, Api, Playbook, exposures, poll, unit_properties
from tests.integration.open_routes import ELSE, OPEN

Route = tuple[str, str]
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


# Each route of Grafana, asked without a login.
ASK = """
import http.client, json, sys
found = []
for method, path in json.load(sys.stdin):
    connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=30)
    body = "{}" if method == "POST" else None
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    found.append([answer.status, answer.getheader("Location") or "", answer.read().decode(errors="replace")])
    connection.close()
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Answer:
    """What Grafana answers to a stranger."""

    status: int
    location: str
    body: str = field(repr=False)

    @property
    def refused(self) -> bool:
        """Tell whether it asks for the login."""
        return self.status == 401 or (self.status in {302, 303} and self.location.split("?")[0] == "/login")


Ask = Callable[[Iterable[Route]], dict[Route, Answer]]


@pytest.fixture(scope="module")
def from_outside(host: Host, variables: dict[str, Any]) -> Ask:
    """Return a function that asks Grafana's routes from another host, without a login."""

    def ask(routes: Iterable[Route]) -> dict[Route, Answer]:
        ordered = sorted(routes)
        address = (host.backend.get_hostname(), str(variables["grafana_port"]))
        command = ["docker", "exec", "-i", variables["testbed_archive_server"], "python3", "-c", ASK, *address]
        done = subprocess.run(command, text=True, capture_output=True, check=True, input=json.dumps(ordered))
        return dict(zip(ordered, (Answer(*found) for found in json.loads(done.stdout)), strict=True))

    return ask


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


def test_grafana_answers_a_stranger_nothing_but_what_is_known_to_be_open(
    host: Host, variables: dict[str, Any], from_outside: Ask
) -> None:
    release = f"{variables['grafana_root']}/releases/{variables['grafana_version']}"
    described = host.run(f"cat {release}/public/openapi3.json")
    paths = json.loads(described.stdout)["paths"] if described.succeeded else {}
    # Without what would change something: without a login nothing does, but who knows.
    of_the_api = [f"/api{path}" for path, methods in paths.items() if "get" in methods]
    asked = {("GET", re.sub(r"\{[^}]+\}", "1", path)) for path in of_the_api}
    for line in ELSE.split("\n")[1:-1]:
        method, path = line.split()
        asked.add((method, path))
    answers = from_outside({*asked, *OPEN})
    refused = {route for route, answer in answers.items() if answer.refused}
    known = {route for route, answer in answers.items() if answer.status in OPEN.get(route, ({0},))[0]}
    assert {f"{route}: {answers[route]}" for route in answers.keys() - refused - known} == set()


def test_what_is_open_tells_nothing_of_the_node(variables: dict[str, Any], from_outside: Ask) -> None:
    answers = from_outside(OPEN.keys())
    health = json.loads(answers["GET", "/api/health"].body)
    assert health == {"database": "ok"}
    own = ["/mnt/", "/etc/", "ingest-service", "docproc", variables["grafana_admin_user"] + '"', "ip-172"]
    own += [variables[name] for name in SECRETS]
    own += [str(variables["prometheus_port"]), *(f'"{source["name"]}"' for source in variables["grafana_datasources"])]
    told = {
        f"{route}: {text}"
        for route, answer in answers.items()
        for text in own
        # Files of the release name the type of the data source.
        if text in answer.body and (text != '"Prometheus"' or not route[1].startswith("/public/"))
    }
    assert told == set()


def test_grafana_gives_its_metrics_to_prometheus_alone_where_they_are_wanted(
    host: Host, playbook: Playbook, prometheus: Api, grafana: Api, from_outside: Ask
) -> None:
    password = token_hex(16)
    try:
        done = playbook("site.yml", "-vvvv", "--diff", grafana_metrics=True, grafana_metrics_password=password)
        # Every target has to be up, so that the run says whether the job works.
        assert done.returncode == 0, done.stdout
        assert password not in done.stdout
        (scraped,) = (t for t in active_targets(prometheus) if t["labels"]["job"] == "grafana")
        assert scraped["scrapeUrl"] == "http://localhost:3000/metrics"
        series = "/api/v1/query?query=grafana_build_info%7Bjob%3D%22grafana%22%7D"
        assert poll(lambda: len(prometheus.data(series)["data"]["result"]) == 1, 40)
        assert from_outside([("GET", "/metrics")])["GET", "/metrics"].status == 401
        for login in (("metrics", "wrong"), ("admin", password), ("admin", "")):
            assert grafana.as_user(login)("/metrics")[0] == 401
        assert grafana.as_user(("metrics", password))("/metrics")[0] == 200
        assert grafana.as_user(("metrics", password))("/api/user")[0] == 401
        assert exposures(host, password) == {"files": "", "journal": ""}
        process = unit_properties(host, UNITS[1], "MainPID")["MainPID"]
        shown = host.check_output(f"sudo cat /proc/{process}/cmdline /proc/{process}/environ /etc/grafana/grafana.ini")
        assert password not in shown
        # Grafana reads it when it starts, so another one counts only after a restart.
        done = playbook("site.yml", grafana_metrics=True, grafana_metrics_password=f"another-{password}")
        assert done.returncode == 0, done.stdout
        assert grafana.as_user(("metrics", password))("/metrics")[0] == 401
        assert {t["health"] for t in active_targets(prometheus)} == {"up"}
    finally:
        done = playbook("site.yml")
    assert done.returncode == 0, done.stdout
    assert "grafana" not in {t["labels"]["job"] for t in active_targets(prometheus)}
    assert from_outside([("GET", "/metrics")])["GET", "/metrics"].refused
    assert host.check_output("sudo ls /etc/grafana").split().count("metrics_password") == 0


def active_targets(prometheus: Api) -> list[dict[str, Any]]:
    """Return the targets that Prometheus scrapes."""
    return list(prometheus.data("/api/v1/targets")["data"]["activeTargets"])


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
    with_new = prometheus.as_user(("admin", new["prometheus_password"]))
    assert poll(lambda: {target["health"] for target in active_targets(with_new)} == {"up"}, 40)
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
