"""Alertmanager's configuration: a wrong one is refused, a new one is loaded, and without receivers there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.alerts import receivers
from tests.integration.alerts.tools import UNIT, silence_ingest
from tests.integration.node import Api, Playbook, poll, refused, unit_properties

FOLDERS = "/etc/alertmanager /etc/systemd/system /mnt/alertmanager"
FINGERPRINT = f"sudo find {FOLDERS} -path '*/data/*' -prune -o -printf '%p %i %m %u %l\\n' | sort"
WEBHOOK = {"url": "http://127.0.0.1:9099/elsewhere"}
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a receiver that Alertmanager does not know": (
        {"alertmanager_receivers": [{"name": "people", "mail_configs": [{"to": "a@example.com"}]}]},
        ["amtool check-config", "mail_configs", "nothing was changed"],
    ),
    "a value of a flag that Alertmanager does not take": (
        {"alertmanager_flags": ["--log.level=loud"]},
        ["unrecognized log level loud", "nothing was changed"],
    ),
    "a secret in the configuration": (
        {"alertmanager_receivers": [{"name": "people", "telegram_configs": [{"bot_token": "a-bot", "chat_id": 1}]}]},
        ["receivers.telegram_configs.bot_token", "alertmanager_secrets", "/etc/alertmanager/secrets/<name>"],
    ),
    "a file that no secret is for": (
        {"alertmanager_secrets": {"webhook": "a-token"}},
        ["auth_password_file is /etc/alertmanager/secrets/smtp, and alertmanager_secrets has no value for smtp"],
    ),
    "a duration that would be ten nanoseconds": (
        {"alertmanager_receivers": [{"name": "people", "webhook_configs": [{**WEBHOOK, "timeout": 10}]}]},
        ["receiver people.webhook_configs.timeout is 10", "with its unit"],
    ),
    "templates that are not there": (
        {"alertmanager_config": {"templates": ["files/*.tmpl"]}},
        ["alertmanager_config.templates holds 'files/*.tmpl', which matches no file", "alertmanager_files"],
    ),
    "a port that another process holds": (
        {"alertmanager_port": receivers.WEBHOOK_PORT},
        ["9099", "python3", "set alertmanager_port to a free port"],
    ),
}


@pytest.fixture
def unchanged(host: Host) -> Iterator[None]:
    """Fail when the node is not afterwards as it was before."""

    def state() -> tuple[str, dict[str, str]]:
        return host.check_output(FINGERPRINT), unit_properties(host, UNIT, "MainPID", "ActiveState")

    before = state()
    yield
    assert state() == before


def known_to(prometheus: Api) -> list[int]:
    """Return how many Alertmanagers Prometheus sends to, and how many it leaves out."""
    found = prometheus.data("/api/v1/alertmanagers")["data"]
    return [len(found["activeAlertmanagers"]), len(found["droppedAlertmanagers"])]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("unchanged", "inbox")
def test_it_is_refused(playbook: Playbook, case: str) -> None:
    extra_vars, words = CASES[case]
    refused(playbook("site.yml", "--tags=alertmanager", **extra_vars), *words)


def test_without_receivers_it_goes_and_the_silences_stay_for_its_return(
    host: Host, playbook: Playbook, prometheus: Api, alertmanager: Api
) -> None:
    silence = silence_ingest(alertmanager)

    done = playbook("site.yml", "--tags=alertmanager,prometheus", alertmanager_receivers=[])
    assert done.returncode == 0, done.stdout
    assert "/mnt/alertmanager/data" in done.stdout
    assert unit_properties(host, UNIT, "LoadState", "ActiveState") == {
        "LoadState": "not-found",
        "ActiveState": "inactive",
    }
    left = "sudo find /etc/alertmanager /mnt/alertmanager -maxdepth 1 2>/dev/null || true"
    assert host.check_output(left).splitlines() == ["/mnt/alertmanager", "/mnt/alertmanager/data"]
    assert poll(lambda: known_to(prometheus) == [0, 0], 20)

    again = playbook("site.yml", "--tags=alertmanager,prometheus", alertmanager_receivers=[])
    assert "changed=0 " in again.stdout
    assert "TASK [emr.monitoring.prometheus : " in again.stdout
    assert not [
        role for role in ("alertmanager", "service_removal") if f"TASK [emr.monitoring.{role} : " in again.stdout
    ]

    on = playbook("site.yml", "--tags=alertmanager,prometheus")
    assert on.returncode == 0, on.stdout
    assert poll(lambda: known_to(prometheus) == [1, 0], 20)
    assert alertmanager.data(f"/api/v2/silence/{silence}")["status"]["state"] == "active"


def test_what_is_added_to_its_unit_counts_and_goes_with_it(host: Host, playbook: Playbook) -> None:
    added = {
        "alertmanager_environment": {"NEEDLE": "a $secret \"in\" 'quotes'"},
        "alertmanager_unit_dropin": {"Service": {"LimitNOFILE": 4711}},
    }
    done = playbook("site.yml", "--tags=alertmanager", "--diff", **added)
    assert done.returncode == 0, done.stdout
    assert "a $secret" not in done.stdout
    found = unit_properties(host, UNIT, "LimitNOFILE", "MainPID")
    assert found["LimitNOFILE"] == "4711"
    environment = host.check_output(f"sudo cat /proc/{found['MainPID']}/environ | tr '\\0' '\\n'").splitlines()
    assert "NEEDLE=a $secret \"in\" 'quotes'" in environment

    gone = playbook("site.yml", "--tags=alertmanager,prometheus", alertmanager_receivers=[], **added)
    assert gone.returncode == 0, gone.stdout
    assert not host.file(f"/etc/systemd/system/{UNIT}.d").exists
    back = playbook("site.yml", "--tags=alertmanager,prometheus")
    assert back.returncode == 0, back.stdout
    assert unit_properties(host, UNIT, "LimitNOFILE")["LimitNOFILE"] != "4711"


def test_new_receivers_and_secrets_need_no_restart_and_the_most_talkative_run_shows_no_secret(
    host: Host, playbook: Playbook, prometheus: Api, alertmanager: Api, variables: dict[str, Any]
) -> None:
    before = unit_properties(host, UNIT, "MainPID", "ExecMainStartTimestampMonotonic")
    (people,) = variables["alertmanager_receivers"]
    login = (variables["alertmanager_username"], "another-phrase-for-alertmanager")
    secrets = {"webhook": "another-token", "smtp": "another-password"}
    done = playbook(
        "site.yml",
        "--tags=alertmanager,prometheus",
        "-vvvv",
        "--diff",
        alertmanager_password=login[1],
        alertmanager_secrets=secrets,
        alertmanager_receivers=[people, {"name": "others", "webhook_configs": [WEBHOOK]}],
    )
    assert done.returncode == 0, done.stdout
    assert "+- name: others" in done.stdout
    assert alertmanager("/api/v2/status")[0] == 401
    as_admin = alertmanager.as_user(login)
    assert "- name: others" in as_admin.data("/api/v2/status")["config"]["original"]
    # Prometheus has the new password too.
    sent = "/api/v1/query?query=prometheus_notifications_errors_total"
    failed = prometheus.data(sent)["data"]["result"][0]["value"][1]

    def told() -> str:
        return max((alert["updatedAt"] for alert in as_admin.data("/api/v2/alerts")), default="")

    last = told()
    assert poll(lambda: told() > last, 40)
    # A new sender begins at 0.
    assert int(prometheus.data(sent)["data"]["result"][0]["value"][1]) <= int(failed)

    back = playbook("site.yml", "--tags=alertmanager,prometheus", "-vvvv", "--diff")
    assert back.returncode == 0, back.stdout
    assert alertmanager("/api/v2/status")[0] == 200
    assert unit_properties(host, UNIT, "MainPID", "ExecMainStartTimestampMonotonic") == before
    both = [login[1], variables["alertmanager_password"]]
    both += [*secrets.values(), *variables["alertmanager_secrets"].values()]
    assert [secret for secret in both if secret in done.stdout + back.stdout] == []
