"""From the fault to the person: what is sent, how soon, and what a crash of Alertmanager costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import yaml
from testinfra.host import Host

from tests.integration.alerts.tools import Inbox, Service, decide, kill, metric, silence_ingest
from tests.integration.node import PROJECT, Api, poll

RULES = Path(PROJECT / "molecule/alerts/rules/targets.yml")
STATE = "/mnt/alertmanager/data"
# What a busy machine may add to the time that the configuration gives.
SLACK = 10


def seconds(duration: str) -> int:
    """Return a duration of the configuration, such as 2s."""
    return int(duration.removesuffix("s"))


@pytest.fixture(scope="module")
def told(docproc: Service, inbox: Inbox) -> dict[str, Any]:
    """Stop the service and start it again; return when that was, and the messages of both."""
    stopped = time.time()
    docproc.fail()
    firing = {via: inbox.wait_for("firing", docproc, via) for via in ("webhook", "mail")}
    inbox.forget()
    started = time.time()
    docproc.recover()
    resolved = {via: inbox.wait_for("resolved", docproc, via) for via in ("webhook", "mail")}
    return {"stopped": stopped, "firing": firing, "started": started, "resolved": resolved}


def test_people_are_told_as_soon_as_the_configuration_says(
    told: dict[str, Any], variables: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rules = {rule["alert"]: rule for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]}
    intervals = variables["prometheus_global"]
    allowed = sum(
        map(
            seconds,
            (
                intervals["scrape_interval"],
                rules["JobDown"]["for"],
                intervals["evaluation_interval"],
                variables["alertmanager_route"]["group_wait"],
            ),
        )
    )
    took = {via: message["at"] - told["stopped"] for via, message in told["firing"].items()}
    with capsys.disabled():
        print(f"\nfrom the fault to the message: {', '.join(f'{via} {s:.1f} s' for via, s in took.items())}")
    assert max(took.values()) < allowed + SLACK


def test_the_message_says_what_is_wrong_and_nothing_else(told: dict[str, Any]) -> None:
    body = told["firing"]["webhook"]["body"]
    assert (body["receiver"], body["groupLabels"]) == ("people", {"service": "docproc"})
    # TargetDown fires too, and says nothing new.
    (alert,) = body["alerts"]
    assert alert["labels"] == {
        "alertname": "JobDown",
        "job": "docproc-service",
        "service": "docproc",
        "severity": "critical",
        "cluster": "j-TESTBED",
    }
    assert alert["annotations"] == {
        "summary": "No target of docproc-service answers",
        "description": "What docproc does is not done.",
    }


def test_the_mail_says_it_too(told: dict[str, Any]) -> None:
    mail = told["firing"]["mail"]
    assert mail["to"] == "on-call@example.com"
    assert "What docproc does is not done." in mail["text"]
    assert told["firing"]["webhook"]["body"]["externalURL"] in mail["text"]


def test_its_links_lead_to_prometheus_and_to_alertmanager(
    told: dict[str, Any], prometheus: Api, alertmanager: Api, variables: dict[str, Any]
) -> None:
    body = told["firing"]["webhook"]["body"]
    pages = {
        "prometheus": (prometheus, urlsplit(body["alerts"][0]["generatorURL"])),
        "alertmanager": (alertmanager, urlsplit(body["externalURL"])),
    }
    for name, (api, link) in pages.items():
        assert link.port == variables[f"{name}_port"]
        path = f"{link.path or '/'}?{link.query}"
        assert api.as_user(None)(path)[0] == 401
        # Debian's builds have no pages.
        assert api(path)[0] in {200, 404}
    assert urlsplit(body["externalURL"]).hostname == variables["ansible_host"]
    (expression,) = parse_qs(pages["prometheus"][1].query)["g0.expr"]
    assert prometheus.data(f"/api/v1/query?query={quote(expression)}")["status"] == "success"


def test_people_are_told_of_the_end(told: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    took = {via: message["at"] - told["started"] for via, message in told["resolved"].items()}
    with capsys.disabled():
        print(f"\nfrom the repair to the message: {', '.join(f'{via} {s:.1f} s' for via, s in took.items())}")
    ended = {alert["labels"]["alertname"]: alert["status"] for alert in told["resolved"]["webhook"]["body"]["alerts"]}
    assert ended["JobDown"] == "resolved"


@pytest.mark.usefixtures("told")
def test_watchdog_is_known_and_told_to_no_one(inbox: Inbox, alertmanager: Api) -> None:
    (watchdog,) = poll(lambda: alertmanager.data("/api/v2/alerts?filter=alertname%3DWatchdog"), 40)
    assert [receiver["name"] for receiver in watchdog["receivers"]] == ["nowhere"]
    assert "Watchdog" not in str(inbox.messages())


def saved_since(host: Host, moment: float) -> bool:
    """Tell whether Alertmanager has saved the silences and what it sent."""
    times = host.check_output(f"sudo stat --format=%.Y {STATE}/nflog {STATE}/silences")
    return all(float(saved) > moment for saved in times.split())


def test_a_kill_loses_and_doubles_nothing_that_is_ten_seconds_old(
    host: Host, alertmanager: Api, embedding: Service, inbox: Inbox
) -> None:
    embedding.fail()
    for via in ("webhook", "mail"):
        inbox.wait_for("firing", embedding, via)
    silence = silence_ingest(alertmanager)
    now = float(host.check_output("date +%s.%N"))
    assert poll(lambda: saved_since(host, now), 20)

    kill(embedding)
    decide(alertmanager)
    assert alertmanager.data(f"/api/v2/silence/{silence}")["status"]["state"] == "active"
    embedding.recover()
    for via in ("webhook", "mail"):
        inbox.wait_for("resolved", embedding, via)
        assert [message["status"] for message in inbox.about(embedding, via)] == ["firing", "resolved"]


def test_what_could_not_be_sent_is_sent_after_a_kill_once_or_at_worst_twice(
    host: Host, alertmanager: Api, embedding: Service, inbox: Inbox
) -> None:
    # If a kill took away that the last alert has ended, this one would be taken for it, of which people know.
    now = float(host.check_output("date +%s.%N"))
    assert poll(lambda: saved_since(host, now), 20)
    inbox.stop()
    failed = "alertmanager_notification_requests_failed_total"
    before = metric(alertmanager, failed)
    embedding.fail()
    assert poll(lambda: metric(alertmanager, failed) > before, 30)
    kill(embedding)
    inbox.start()
    inbox.wait_for("firing", embedding, "webhook")

    # At once: what was sent is not saved yet.
    kill(embedding)
    decide(alertmanager)
    embedding.recover()
    inbox.wait_for("resolved", embedding, "webhook")
    statuses = [message["status"] for message in inbox.about(embedding, "webhook")]
    assert statuses in (["firing", "resolved"], ["firing", "firing", "resolved"])
