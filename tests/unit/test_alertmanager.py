"""What the role makes of the user's receivers and routes: Alertmanager takes it, and tells the right people."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_sections import (
    inline_secrets,
    meant_times,
    sending_resolved,
)

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/alertmanager"
EXAMPLES = [
    *re.findall(r"^## (.*?)$.*?^```yaml\n(.*?)^```", (ROOT / "docs/alerting.md").read_text(), re.M | re.S),
    *re.findall(r"^## (Alerts .*?)$.*?^```yaml\n(.*?)^```", (ROOT / "docs/recipes.md").read_text(), re.M | re.S),
]
TEAM_AND_ON_CALL = next(text for title, text in EXAMPLES if "PagerDuty" in title)

Render = Callable[[str], Path]
Amtool = Callable[..., str]


@pytest.fixture
def render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Render:
    """Return a function that writes alertmanager.yml as the role does, with variables in YAML over its defaults."""
    # Where ansible.cfg has the filters.
    monkeypatch.chdir(ROOT)

    def write(variables: str) -> Path:
        loader = DataLoader()
        known: dict[str, Any] = {"ansible_facts": {"architecture": "x86_64"}}
        known |= {f"vault_{name}": "a secret" for name in re.findall(r"vault_(\w+)", variables)}
        for path in ("defaults/main.yml", "vars/main.yml"):
            for role in (ROLE.parent / "settings", ROLE):
                known |= loader.load_from_file(str(role / path), trusted_as_template=True)
        # So that a certificate is one for show.
        known |= {
            "alertmanager_password": "",
            "ansible_check_mode": True,
            "inventory_hostname": "node",
            "inventory_dir": "/i",
        } | loader.load(variables)
        template = trust_as_template("{{ __alertmanager_made.files['alertmanager.yml'].content }}")
        file = tmp_path / "alertmanager.yml"
        file.write_text(Templar(loader, known).template(template))
        return file

    return write


def told(amtool: Amtool, file: Path, **labels: str) -> str:
    """Return who is told of an alert with these labels."""
    routes = ("config", "routes", "test", f"--config.file={file}")
    return amtool(*routes, *(f"{name}={value}" for name, value in labels.items())).strip()


def test_the_documents_have_examples() -> None:
    assert [title for title, _ in EXAMPLES] == [
        "By e-mail",
        "Slack",
        "PagerDuty for what is critical, a channel for the rest",
        "Amazon SNS",
        "When the monitoring itself dies",
        "Several primary nodes",
        "Alerts to a person",
    ]


@pytest.mark.parametrize("example", [text for _, text in EXAMPLES], ids=[title for title, _ in EXAMPLES])
def test_alertmanager_takes_the_examples_of_the_documents(render: Render, amtool: Amtool, example: str) -> None:
    file = render(example)
    assert "SUCCESS" in amtool("check-config", file)
    config = DataLoader().load_from_file(str(file))
    assert inline_secrets(config) == []


def test_a_template_of_alertmanagers_own_reaches_it_as_it_is(render: Render) -> None:
    slack = next(text for title, text in EXAMPLES if title == "Slack")
    assert "{{ range .Alerts }}{{ .Annotations.summary }}" in render(slack).read_text()


def test_by_default_the_first_receiver_is_told_of_all_but_watchdog(render: Render, amtool: Amtool) -> None:
    file = render("alertmanager_receivers: [{name: first}, {name: second}]")
    assert told(amtool, file, alertname="JobDown", severity="critical") == "first"
    assert told(amtool, file, alertname="Watchdog", severity="none") == "nowhere"


def test_routes_of_the_users_own_leave_watchdog_alone(render: Render, amtool: Amtool) -> None:
    file = render(TEAM_AND_ON_CALL)
    assert told(amtool, file, alertname="JobDown", severity="critical") == "on-call"
    assert told(amtool, file, alertname="Slow", severity="warning") == "team"
    assert told(amtool, file, alertname="Watchdog", severity="critical") == "nowhere"


def test_who_wants_watchdog_gets_it(render: Render, amtool: Amtool) -> None:
    file = render("{alertmanager_receivers: [{name: people}, {name: switch}], alertmanager_watchdog_receiver: switch}")
    assert told(amtool, file, alertname="Watchdog", severity="none") == "switch"
    assert told(amtool, file, alertname="JobDown", severity="critical") == "people"


def test_receivers_tell_of_the_end_unless_they_say_not_to() -> None:
    mail, hook = {"to": "a@example.com"}, {"url": "http://localhost", "send_resolved": False}
    assert sending_resolved([{"name": "a", "email_configs": [mail], "webhook_configs": [hook]}, {"name": "b"}]) == [
        {"name": "a", "email_configs": [mail | {"send_resolved": True}], "webhook_configs": [hook]},
        {"name": "b"},
    ]


@pytest.mark.parametrize(
    "path",
    [
        "global.smtp_auth_password",
        "global.slack_api_url",
        "receivers.slack_configs.api_url",
        "receivers.pagerduty_configs.routing_key",
        "receivers.pagerduty_configs.service_key",
        "receivers.opsgenie_configs.api_key",
        "receivers.telegram_configs.bot_token",
        "receivers.discord_configs.webhook_url",
        "receivers.sns_configs.sigv4.secret_key",
        "receivers.webhook_configs.http_config.authorization.credentials",
        "receivers.webhook_configs.http_config.oauth2.client_secret",
    ],
)
def test_a_secret_in_the_configuration_is_found(path: str) -> None:
    config: Any = "a secret"
    for name in reversed(path.split(".")):
        config = {name: [config] if name.endswith("_configs") else config}
    assert inline_secrets(config) == [path]


def test_what_is_no_secret_is_none() -> None:
    receiver = {
        "slack_configs": [{"api_url_file": "/etc/alertmanager/secrets/slack", "channel": "#token"}],
        "victorops_configs": [{"routing_key": "team"}],
        "webex_configs": [{"api_url": "https://example.com"}],
    }
    assert inline_secrets({"receivers": [receiver]}) == []


def test_times_of_day_are_written_as_they_were_meant() -> None:
    config = yaml.safe_load(
        "time_intervals: [{name: night, time_intervals: [{times: [{start_time: 18:00, end_time: '24:00'}, "
        "{start_time: 00:30, end_time: 8:05}], weekdays: ['monday:friday']}]}]"
    )
    (interval,) = meant_times(config)["time_intervals"]
    times = [{"start_time": "18:00", "end_time": "24:00"}, {"start_time": "00:30", "end_time": "08:05"}]
    assert interval == {"name": "night", "time_intervals": [{"times": times, "weekdays": ["monday:friday"]}]}
