"""What a user writes for Alertmanager is what is rendered, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_input import alertmanager_input
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_sections import alertmanager_sections

NOTHING: dict[str, Any] = {"receivers": [{"name": "a"}], "route": {}, "inhibit_rules": [], "config": {}, "secrets": {}}
NEEDLE = "needle"


def given(**written: Any) -> dict[str, Any]:
    return alertmanager_input({**NOTHING, **written}, "/secrets")


def from_yaml(folder: Path, text: str) -> Any:
    """Return what Ansible reads in a file, with the place of each value."""
    path = folder / "written.yml"
    path.write_text(text)
    return DataLoader().load_from_file(str(path), cache="none")


@pytest.mark.parametrize("name", ["receivers", "route", "inhibit_rules", "config", "secrets"])
def test_a_variable_that_is_left_empty_is_nothing(name: str) -> None:
    found = given(**{name: None})
    assert found["problems"] == []
    alertmanager_sections(found, {"receiver": "nowhere"})


def test_what_is_left_empty_is_what_upstream_takes_it_for() -> None:
    found = given(receivers=[{"name": "a", "email_configs": None}], route={"routes": None})
    assert found["problems"] == []
    sections = alertmanager_sections(found, {"receiver": "nowhere"})
    assert sections["receivers"] == [{"name": "a", "email_configs": []}, {"name": "nowhere"}]
    assert sections["route"] == {"receiver": "a", "routes": [{"receiver": "nowhere"}]}


def test_a_single_value_is_a_list_of_one() -> None:
    way = {"url": "http://localhost"}
    found = given(receivers={"name": "a", "webhook_configs": way}, inhibit_rules={"equal": ["x"]})
    assert found["problems"] == []
    assert found["receivers"] == [{"name": "a", "webhook_configs": [way]}]
    assert found["inhibit_rules"] == [{"equal": ["x"]}]


PLACES = {
    "a name": "receivers: [{{name: {0}}}]",
    "a channel": "receivers: [{{name: a, slack_configs: [{{channel: {0}}}]}}]",
    "a header": "config: {{global: {{smtp_from: a, smtp_smarthost: 'b:25'}}}}\n"
    "receivers: [{{name: a, email_configs: [{{to: a, headers: {{Subject: {0}}}}}]}}]",
    "a route": "route: {{receiver: {0}}}",
    "a route below": "route: {{routes: [{{match: {{l: {0}}}}}]}}",
    "an inhibition": "inhibit_rules: [{{equal: [{0}]}}]",
    "an address": "config: {{global: {{smtp_hello: {{a: [{{hello: {0}}}]}}}}}}",
    "a secret": "secrets: {{a: {0}}}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", ["no", "010", "1.10", "18:00", "1_000", "2026-01-01"])
def test_what_yaml_has_changed_is_refused_and_not_shown(tmp_path: Path, place: str, value: str) -> None:
    (problem,) = given(**from_yaml(tmp_path, PLACES[place].format(value)))["problems"]
    assert "put it in quotes" in problem
    assert value not in problem.replace("no ", "")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", ["'no'", "'010'", "8080", "123456", "text"])
def test_text_and_plain_numbers_are_taken_as_text_in_each_place(tmp_path: Path, place: str, value: str) -> None:
    found = given(**from_yaml(tmp_path, PLACES[place].format(value)))
    assert found["problems"] == []
    assert f"'{value.strip(chr(39))}'" in repr(found)


def test_a_mute_time_is_taken_as_it_was_meant(tmp_path: Path) -> None:
    times = "[{start_time: 18:00, end_time: 24:00}, {start_time: 00:30, end_time: 9:05}]"
    written = from_yaml(tmp_path, f"config: {{time_intervals: [{{name: n, time_intervals: [{{times: {times}}}]}}]}}")
    found = given(**written)
    assert found["problems"] == []
    (interval,) = found["config"]["time_intervals"][0]["time_intervals"]
    assert interval["times"] == [
        {"start_time": "18:00", "end_time": "24:00"},
        {"start_time": "00:30", "end_time": "09:05"},
    ]


@pytest.mark.parametrize("interval", ["{times: [{start_time: 18:00:00}]}", "{days_of_month: [1:5]}"])
def test_a_time_that_yaml_has_changed_beyond_recovery_is_refused(tmp_path: Path, interval: str) -> None:
    written = from_yaml(tmp_path, f"config: {{time_intervals: [{{name: n, time_intervals: [{interval}]}}]}}")
    (problem,) = given(**written)["problems"]
    assert "quotes" in problem


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"receivers": [{"email_configs": []}]}, "alertmanager_receivers[1] has no name"),
        ({"receivers": [NEEDLE]}, "alertmanager_receivers[1] is a text: write a receiver"),
        (
            {"receivers": [{"name": "a", "email_configs": [NEEDLE]}]},
            "alertmanager_receivers, receiver a.email_configs is a text: write a list",
        ),
        ({"receivers": [{"name": "a"}, {"name": "a"}]}, "alertmanager_receivers has a more than once"),
        (
            {"receivers": [{"name": "nowhere"}]},
            "alertmanager_receivers has nowhere more than once, or it is the role's",
        ),
        ({"route": NEEDLE}, "alertmanager_route is a text: write a mapping"),
        ({"config": [{"global": NEEDLE}]}, "alertmanager_config is a list: write a mapping"),
        ({"config": {"route": {}}}, "alertmanager_config holds route, which the role writes: use alertmanager_route"),
        ({"config": {"receivers": []}}, "alertmanager_config holds receivers, which the role writes: use"),
        ({"config": {"inhibit_rules": []}}, "alertmanager_config holds inhibit_rules, which the role writes: use"),
        ({"secrets": NEEDLE}, "alertmanager_secrets is a text: write a mapping"),
        ({"secrets": {"a": None}}, "alertmanager_secrets.a is empty"),
        ({"secrets": {"a": [NEEDLE]}}, "alertmanager_secrets.a is a list: write one text"),
        ({"secrets": {"../a": NEEDLE}}, "alertmanager_secrets holds '../a', which is no name of a file"),
        (
            {"config": {"global": {"smtp_auth_password": NEEDLE}}},
            "alertmanager_receivers or alertmanager_config holds a secret: global.smtp_auth_password.",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name_without_its_value(written: dict[str, Any], problem: str) -> None:
    (found,) = given(**written)["problems"]
    assert found.startswith(problem)
    assert NEEDLE not in found


WITHOUT_UNIT = [10, 300, "10", 1.5, True]


@pytest.mark.parametrize("value", WITHOUT_UNIT)
@pytest.mark.parametrize(
    "place",
    [
        lambda value: {"receivers": [{"name": "a", "webhook_configs": [{"timeout": value}]}]},
        lambda value: {"receivers": [{"name": "a", "pushover_configs": [{"retry": value}]}]},
        lambda value: {"route": {"group_wait": value}},
        lambda value: {"route": {"routes": [{"repeat_interval": value}]}},
        lambda value: {"config": {"global": {"resolve_timeout": value}}},
    ],
)
def test_a_duration_without_a_unit_would_be_nanoseconds(place: Any, value: Any) -> None:
    (problem,) = given(**place(value))["problems"]
    assert "write it with its unit" in problem


@pytest.mark.parametrize("value", ["10s", "1m30s", 0, "0", None])
def test_a_duration_with_a_unit_is_taken(value: Any) -> None:
    assert given(receivers=[{"name": "a", "slack_configs": [{"timeout": value}]}])["problems"] == []


def test_one_text_is_a_list_of_one_where_alertmanager_takes_a_list() -> None:
    found = given(
        route={"group_by": "job", "routes": [{"matchers": 'severity="info"', "mute_time_intervals": "nights"}]},
        config={
            "templates": "files/*.tmpl",
            "time_intervals": [{"name": "nights", "time_intervals": [{"years": 2026}]}],
        },
    )
    assert found["problems"] == []
    assert found["route"]["group_by"] == ["job"]
    assert found["route"]["routes"] == [{"matchers": ['severity="info"'], "mute_time_intervals": ["nights"]}]
    assert found["config"]["templates"] == ["files/*.tmpl"]
    assert found["config"]["time_intervals"][0]["time_intervals"] == [{"years": ["2026"]}]


def test_a_secret_is_a_file_of_its_name() -> None:
    assert given(secrets={"a": "x"})["secret_files"] == {"secrets/a": "x"}


@pytest.mark.parametrize(
    ("way", "problem"),
    [
        (
            {"webhook_configs": [{"url": "localhost:5001/needle"}]},
            "webhook_configs.url is no address: begin it with http",
        ),
        ({"slack_configs": [{"api_url": "hooks.slack.com"}]}, "slack_configs.api_url is no address"),
        (
            {"email_configs": [{"from": "a@b", "smarthost": "smtp.example.com"}]},
            "write host:port, such as smtp.example",
        ),
        ({"email_configs": [{"from": "a@b", "smarthost": "smtp.example.com: 25"}]}, "write host:port"),
    ],
)
def test_an_address_that_nothing_can_be_sent_to_is_refused_by_its_receiver(way: dict[str, Any], problem: str) -> None:
    found = given(receivers=[{"name": "a", **way}])["problems"]
    assert any(problem in each for each in found)
    assert not any(NEEDLE in each for each in found)
    assert any("receiver a." in each for each in found)


def test_of_all_receivers_together_too() -> None:
    (found,) = given(config={"global": {"smtp_smarthost": "smtp.example.com"}})["problems"]
    assert found.startswith("alertmanager_config.global.smtp_smarthost is 'smtp.example.com': write host:port")
    assert given(config={"global": {"smtp_smarthost": "[::1]:25", "opsgenie_api_url": "https://x/"}})["problems"] == []


@pytest.mark.parametrize("matcher", ["severity == critical", 'severity=="critical"'])
def test_a_matcher_that_would_never_match_is_refused(matcher: str) -> None:
    for written in (
        {"route": {"routes": [{"matchers": [matcher]}]}},
        {"inhibit_rules": [{"source_matchers": [matcher]}]},
    ):
        (problem,) = given(**written)["problems"]
        assert "write one = alone" in problem
    assert given(route={"routes": [{"matchers": ['a="b"', "c!=d", 'e=~"f=="']}]})["problems"] == []


def test_a_chat_in_quotes_is_its_number() -> None:
    found = given(receivers=[{"name": "a", "telegram_configs": [{"chat_id": "-100123"}]}])
    assert found["receivers"][0]["telegram_configs"] == [{"chat_id": -100123}]


def test_a_mail_that_nobody_sends_is_refused_by_its_receiver() -> None:
    mail = {"name": "a", "email_configs": [{"to": "a@b"}]}
    without_from, without_smarthost = given(receivers=[mail])["problems"]
    assert "receiver a.email_configs has no from: write it" in without_from
    assert "smtp_smarthost in alertmanager_config.global" in without_smarthost
    common = {"global": {"smtp_from": "a@b", "smtp_smarthost": "c:submission"}}
    assert given(receivers=[mail], config=common)["problems"] == []


@pytest.mark.parametrize("url", ["https://a/?token=needle", "https://u:needle@a/", "https://a/hook?x=1&api_key=needle"])
def test_a_token_in_the_address_of_a_webhook_is_a_secret(url: str) -> None:
    (problem,) = given(receivers=[{"name": "a", "webhook_configs": [{"url": url}]}])["problems"]
    assert "write url_file" in problem
    assert NEEDLE not in problem
