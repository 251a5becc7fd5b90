"""Three primary nodes: what all of them see is told once, by whichever is there; what one sees, by its name."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.alerts import receivers
from tests.integration.alerts.tools import Inbox
from tests.integration.node import Api, Playbook, poll, words

NODES = ["emr-primaries-1", "emr-primaries-2", "emr-primaries-3"]
LOOKS = "alertmanager_nflog_queries_total "
# What all of them scrape. An alert that comes again before all have told its end is told of twice: each is lost once.
ONCE, WITH_TWO, WITHOUT_PROMETHEUS = "9701", "9702", "9703"
LOGIN = "cat /etc/alertmanager/credentials/password"


def on(node: str, command: str) -> str:
    """Run a command on a node as root."""
    return subprocess.run(
        ["docker", "exec", node, "sh", "-c", command], check=True, capture_output=True, text=True
    ).stdout


def asked(node: str, path: str) -> str:
    """Ask the Alertmanager of a node."""
    return on(node, f'curl --silent --insecure --fail --user "admin:$({LOGIN})" "https://localhost:9093{path}"')


def looks(node: str) -> float:
    """Return how often an Alertmanager has looked whether something was told already."""
    return sum(float(line.split()[-1]) for line in asked(node, "/metrics").splitlines() if line.startswith(LOOKS))


def decide(*nodes: str) -> None:
    """Wait until each Alertmanager has decided at least once more what to send."""
    before = {node: looks(node) for node in nodes}
    # The third waits twice 15 seconds for what the others have told.
    assert poll(lambda: all(looks(node) >= before[node] + 2 for node in nodes), 90)


def members(node: str) -> int:
    """Return how many Alertmanagers the one of a node knows, itself included; none while it does not answer."""
    try:
        return len(json.loads(asked(node, "/api/v2/status"))["cluster"]["peers"])
    except subprocess.CalledProcessError:
        return 0


def alerts(node: str, service: str) -> list[dict[str, str]]:
    """Return the labels of the alerts of a service that an Alertmanager knows of."""
    found = json.loads(asked(node, f"/api/v2/alerts?filter=service%3D%22{service}%22"))
    return [alert["labels"] for alert in found]


@pytest.fixture(scope="module")
def inbox(host: Host, tunnel: Callable[[int], str]) -> Iterator[Inbox]:
    """Return the receiver that all three send to."""
    started = Inbox(host, Api(tunnel(receivers.WEBHOOK_PORT).replace("https:", "http:")))
    started.install()
    started.start()
    yield started
    started.stop()


def about(inbox: Inbox, service: str, status: str) -> list[dict[str, Any]]:
    """Return the messages about a service that have a status."""
    return [m["body"] for m in inbox.messages() if (m["service"], m["status"]) == (service, status)]


def test_the_run_says_that_they_are_one(playbook: Playbook) -> None:
    done = playbook("site.yml", "--tags=alertmanager")
    assert done.returncode == 0, words(done)[-4000:]
    assert words(done).count("Alertmanager tells people, once for all 3 Alertmanagers") == 3


def lose(service: str) -> None:
    """Take away what all of them scrape."""
    on(NODES[0], f"systemctl stop shared-{service}")


def test_what_all_of_them_see_is_told_once(inbox: Inbox) -> None:
    lose(ONCE)
    assert poll(lambda: all(alerts(node, ONCE) for node in NODES), 60)
    assert poll(lambda: about(inbox, ONCE, "firing"), 60)
    decide(*NODES)
    messages = about(inbox, ONCE, "firing")
    assert len(messages) == 1, json.dumps(inbox.messages())
    (message,) = messages
    assert {alert["labels"]["job"] for alert in message["alerts"]} == {f"shared-{ONCE}"}
    assert not any("node" in alert["labels"] for alert in message["alerts"])


def test_it_is_told_when_one_of_them_is_away(inbox: Inbox) -> None:
    """Even the one that would have told it: the first in the order of their names."""
    first = min(json.loads(asked(node, "/api/v2/status"))["cluster"]["name"] for node in NODES)
    away = next(n for n in NODES if json.loads(asked(n, "/api/v2/status"))["cluster"]["name"] == first)
    on(away, "systemctl stop alertmanager")
    left = [node for node in NODES if node != away]
    try:
        lose(WITH_TWO)
        assert poll(lambda: about(inbox, WITH_TWO, "firing"), 60)
        decide(*left)
        assert len(about(inbox, WITH_TWO, "firing")) == 1
    finally:
        on(away, "systemctl start alertmanager")
    assert poll(lambda: members(away) == len(NODES), 60)


def test_what_one_of_them_sees_names_its_node(inbox: Inbox) -> None:
    inbox.forget()
    two = NODES[1:]

    def named() -> set[str]:
        return {alert["labels"]["node"] for message in about(inbox, "docproc", "firing") for alert in message["alerts"]}

    try:
        for node in two:
            on(node, "systemctl stop docproc-service")
        assert poll(lambda: named() == set(two), 60), inbox.messages()
        decide(*NODES)
        # The second may have come after the first was told.
        assert len(about(inbox, "docproc", "firing")) <= len(two)
    finally:
        for node in two:
            on(node, "systemctl start docproc-service")
    assert poll(lambda: about(inbox, "docproc", "resolved"), 60), inbox.messages()


def test_an_alert_of_all_lasts_when_one_prometheus_dies(inbox: Inbox) -> None:
    lose(WITHOUT_PROMETHEUS)
    assert poll(lambda: about(inbox, WITHOUT_PROMETHEUS, "firing"), 60)
    on(NODES[0], "systemctl stop prometheus")
    try:
        # What is not repeated ends by itself after four times the resend delay, which is the evaluation's interval.
        ends = time.time() + 20
        assert poll(lambda: time.time() > ends and all(alerts(node, WITHOUT_PROMETHEUS) for node in NODES), 60)
        decide(*NODES)
        assert about(inbox, WITHOUT_PROMETHEUS, "resolved") == []
        assert len(about(inbox, WITHOUT_PROMETHEUS, "firing")) == 1
    finally:
        on(NODES[0], "systemctl start prometheus")


def test_a_silence_on_one_of_them_is_one_on_all() -> None:
    matcher = '{"matchers":[{"name":"service","value":"ingest","isRegex":false}],"createdBy":"t","comment":"c",'
    times = '"startsAt":"\'$(date -u +%FT%TZ)\'","endsAt":"\'$(date -u -d +1hour +%FT%TZ)\'"}'
    post = f"curl --silent --insecure --fail --json '{matcher}{times}' --user admin:$({LOGIN})"
    on(NODES[2], f"{post} https://localhost:9093/api/v2/silences")
    assert poll(lambda: all("ingest" in asked(node, "/api/v2/silences") for node in NODES), 60)


def test_nobody_joins_without_their_key(host: Host) -> None:
    """Not even with TLS: each shows its certificate, and the key stays with root and the service."""
    connect = "openssl s_client -connect emr-primaries-2:9094 -servername alertmanager"
    assert "Acceptable client certificate CA names" in on(NODES[0], f"{connect} </dev/null 2>&1 || true")
    pair = "-cert /etc/alertmanager/peers/certificate.pem -key /etc/alertmanager/peers/key.pem"
    # Whoever is let in is waited for.
    said = [on(NODES[0], f"timeout 5 {connect} -quiet {who} </dev/null 2>&1 || true") for who in ("", pair)]
    assert ["alert" in each for each in said] == [True, False]
    key = host.check_output("sudo stat --format='%a %U %G' /etc/alertmanager/peers/key.pem")
    assert key == "640 root alertmanager"
