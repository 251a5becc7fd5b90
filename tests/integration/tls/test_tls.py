"""HTTPS: nothing but TLS 1.2 and newer, renewed without a gap in the metrics, and no key where it does not belong."""

from __future__ import annotations

import base64
import socket
import ssl
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from testinfra.host import Host

from tests.certificates import Pair, chain, intermediate, root, sign
from tests.integration.node import Api, Playbook, exposures, poll, runbook_is_answered, unit_properties
from tests.integration.tls.pairs import NAME, given, put, secret_part

SERVICES = ("prometheus", "alertmanager", "grafana")
PROXY = "https://proxy.example.com/prometheus/"


@pytest.fixture(params=SERVICES)
def api(request: pytest.FixtureRequest) -> Api:
    """Return each of the services."""
    service: Api = request.getfixturevalue(request.param)
    return service


@pytest.fixture
def apis(prometheus: Api, alertmanager: Api, grafana: Api) -> dict[str, Api]:
    """Return all of them, by name."""
    return {"prometheus": prometheus, "alertmanager": alertmanager, "grafana": grafana}


def handshake(api: Api, context: ssl.SSLContext, name: str = NAME) -> str | None:
    """Return the version of TLS that a service and a client agree on; raises SSLError where they do not."""
    address = urlsplit(api.base)
    with (
        socket.create_connection((address.hostname, address.port), timeout=30) as connection,
        context.wrap_socket(connection, server_hostname=name) as secured,
    ):
        return secured.version()


def speaking(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a client that speaks one version of TLS alone, however weak, with anyone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


def works(variables: dict[str, Any], prometheus: Api, grafana: Api) -> None:
    """Check that every target is up, those of the monitoring too, that alerts are sent, and that Grafana gets data."""
    scheme = urlsplit(prometheus.base).scheme
    expected = {
        ("alertmanager", "up"),
        ("grafana", "up"),
        *((job["job_name"], "up") for job in variables["prometheus_scrape_configs"]),
    }

    def targets() -> list[dict[str, Any]]:
        return list(prometheus.data("/api/v1/targets")["data"]["activeTargets"])

    assert poll(lambda: {(t["labels"]["job"], t["health"]) for t in targets()} == expected, 40), targets()
    addresses = {target["labels"]["job"]: target["scrapeUrl"] for target in targets()}
    for service in ("prometheus", "alertmanager", "grafana"):
        assert addresses[service] == f"{scheme}://localhost:{variables[f'{service}_port']}/metrics"

    def alerted() -> list[str]:
        return [each["url"] for each in prometheus.data("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]]

    # Prometheus looks up where it sends to seconds after it has loaded its configuration.
    sent_to = f"{scheme}://localhost:{variables['alertmanager_port']}/api/v2/alerts"
    assert poll(lambda: alerted() == [sent_to], 40), alerted()
    for source in variables["grafana_datasources"]:
        assert grafana.data(f"/api/datasources/uid/{source['uid']}")["url"].startswith(f"{scheme}://")
        assert grafana.data(f"/api/datasources/uid/{source['uid']}/health")["status"] == "OK"


def serving(pair: Pair, *apis: Api) -> list[Api]:
    """Return services that serve another certificate now."""
    return [replace(api, certificate=pair.certificate) for api in apis]


def processes(host: Host) -> dict[str, str]:
    """Return the main processes of the services that serve a new certificate without a restart."""
    return {unit: unit_properties(host, unit, "MainPID")["MainPID"] for unit in ("prometheus", "alertmanager")}


def test_every_target_is_up_and_grafana_gets_its_data(prometheus: Api, grafana: Api, variables: dict[str, Any]) -> None:
    works(variables, prometheus, grafana)


def test_an_alert_reaches_alertmanager_with_a_link_that_begins_with_https(
    alertmanager: Api, variables: dict[str, Any]
) -> None:
    alerts = poll(lambda: alertmanager.data("/api/v2/alerts"), 90)
    assert alerts[0]["generatorURL"].startswith(f"https://{variables['ansible_host']}:{variables['prometheus_port']}/")


def test_the_questions_of_the_runbook_work(host: Host) -> None:
    assert runbook_is_answered(host)


def test_plain_http_gives_no_data(api: Api) -> None:
    plain = replace(api, base=api.base.replace("https", "http"))
    status, answer = plain("/api/health")
    assert (status, answer) == (400, "Client sent an HTTP request to an HTTPS server.\n")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_tls_1_1_is_refused(api: Api) -> None:
    with pytest.raises(ssl.SSLError) as refused:
        handshake(api, speaking(ssl.TLSVersion.TLSv1_1))
    assert refused.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_tls_1_2_and_1_3_are_accepted(api: Api, version: str) -> None:
    assert handshake(api, speaking(ssl.TLSVersion[version.replace(".", "_")])) == version


def test_browsers_still_open_the_other_pages_of_the_node_over_http(api: Api) -> None:
    assert "Strict-Transport-Security" not in api.send("/login")[1]


def test_the_cookie_of_a_login_goes_over_https_alone(grafana: Api) -> None:
    assert grafana.login
    form = dict(zip(("user", "password"), grafana.login, strict=True))
    status, headers, _ = grafana.as_user(None).send("/login", form)
    assert status == 200
    assert "Secure" in headers["Set-Cookie"].split("; ")


def test_links_begin_with_https(prometheus: Api, grafana: Api, variables: dict[str, Any]) -> None:
    address = f"https://{variables['ansible_host']}"
    flags = prometheus.data("/api/v1/status/flags")["data"]
    assert flags["web.external-url"] == f"{address}:{variables['prometheus_port']}/"
    assert grafana.data("/api/frontend/settings")["appUrl"] == f"{address}:{variables['grafana_port']}/"


def test_a_second_run_changes_nothing_and_says_where_to_look(playbook: Playbook, variables: dict[str, Any]) -> None:
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout
    assert "changed=0 " in done.stdout
    assert f"https://{variables['ansible_host']}:{variables['grafana_port']}" in done.stdout


def test_a_renewed_certificate_is_served_without_a_restart_of_prometheus_and_alertmanager(
    host: Host, playbook: Playbook, apis: dict[str, Api], variables: dict[str, Any]
) -> None:
    before = processes(host)
    renewed = sign(NAME, issuer=intermediate())
    done = playbook("site.yml", "-vvvv", "--diff", **given(chain(renewed), renewed.key))
    assert done.returncode == 0, done.stdout
    assert processes(host) == before
    works(variables, *serving(renewed, apis["prometheus"], apis["grafana"]))
    browser = ssl.create_default_context(cadata=root().certificate)
    for service in apis.values():
        assert handshake(service, browser) == "TLSv1.3"
    for key in (renewed.key, variables["prometheus_tls_key"]):
        assert secret_part(key) not in done.stdout
    assert exposures(host, secret_part(renewed.key)) == {"files": "", "journal": ""}


def test_a_certificate_and_a_key_on_the_node_work_and_so_does_a_path_in_the_address(
    host: Host, playbook: Playbook, prometheus: Api, grafana: Api, variables: dict[str, Any]
) -> None:
    pair = sign(NAME, issuer=intermediate())
    paths = put(host, chain(pair), pair.key, mode="0640")
    done = playbook("site.yml", "-vvvv", "--diff", **given(*paths), prometheus_external_url=PROXY)
    assert done.returncode == 0, done.stdout
    # As text, and as it travels from the node.
    for key in (secret_part(pair.key), base64.b64encode(pair.key.encode()).decode()):
        assert key not in done.stdout
    works(variables, *serving(pair, prometheus, grafana))


def test_the_way_back_to_http_and_forth_again_works(
    host: Host, playbook: Playbook, prometheus: Api, grafana: Api, variables: dict[str, Any]
) -> None:
    back = playbook("site.yml", tls_self_signed=False, prometheus_external_url=PROXY)
    assert back.returncode == 0, back.stdout
    plain = [replace(api, base=api.base.replace("https", "http"), certificate="") for api in (prometheus, grafana)]
    works(variables, *plain)
    assert plain[0].data("/api/v1/status/flags")["data"]["web.external-url"] == PROXY
    assert host.check_output("sudo find /etc/prometheus /etc/alertmanager /etc/grafana -name '*.pem'") == ""

    forth = playbook("site.yml")
    assert forth.returncode == 0, forth.stdout
    works(variables, prometheus, grafana)
