"""What is made of all that was written for Alertmanager: whole, or everything that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.filter.alertmanager_configuration import alertmanager_configuration

from tests.certificates import sign

PAIR, OTHER = sign("client.example.com"), sign("other.example.com")
NOTHING: dict[str, Any] = {"receivers": [{"name": "a"}], "route": {}, "inhibit_rules": [], "config": {}, "secrets": {}}
FOLDER = "/etc/alertmanager"
SETTINGS: dict[str, Any] = {
    "config_dir": FOLDER,
    "amtool": "amtool",
    "watchdog_route": {"receiver": "nowhere"},
    "files": {},
    "unit": {"service": "alertmanager", "unit": "x.service", "environment": {}, "dropin": {}},
    "arguments": [],
    "peers": {"written": [], "port": 9094, "pair": {"certificate": "", "key": ""}},
    "username": "",
    "password": "",
    "password_salt": "",
    "certificate": "",
    "key": "",
}


def made(written: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return alertmanager_configuration({**SETTINGS, "written": {**NOTHING, **written}, **settings})


def told(**way: Any) -> dict[str, Any]:
    """Return a receiver that is told by Slack."""
    return {"receivers": [{"name": "a", "slack_configs": [way]}]}


@pytest.mark.parametrize("path", ["secrets/slack", f"{FOLDER}/secrets/slack", f"{FOLDER}/x/../secrets/slack"])
def test_a_file_that_no_secret_is_for_is_refused(path: str) -> None:
    written = told(api_url_file=path)
    (problem,) = made(written)["problems"]
    assert problem == (
        f"receiver a.slack_configs.api_url_file is {FOLDER}/secrets/slack, and alertmanager_secrets has no value for "
        "slack: add it there."
    )
    assert made({**written, "secrets": {"slack": "https://hooks.example.com/x\n"}})["problems"] == []


@pytest.mark.parametrize("secret", ["hooks.example.com/needle", "localhost:5001", "xoxb-needle"])
def test_a_file_in_which_an_address_is_read_holds_one(secret: str) -> None:
    (problem,) = made({**told(api_url_file="secrets/slack"), "secrets": {"slack": secret}})["problems"]
    assert problem.startswith(
        "receiver a.slack_configs.api_url_file is /etc/alertmanager/secrets/slack, which holds no"
    )
    assert secret not in problem


def test_a_file_that_nobody_brings_is_refused_and_one_elsewhere_is_not_known() -> None:
    written = {"config": {"global": {"http_config": {"authorization": {"credentials_file": "files/token"}}}}}
    (problem,) = made(written)["problems"]
    assert "global.http_config.authorization.credentials_file is /etc/alertmanager/files/token" in problem
    assert "alertmanager_files" in problem
    assert made(written, files={"token": "x"})["problems"] == []
    found = made(told(api_url_file="/opt/token"))
    assert found["problems"] == []
    there, readable = (check["command"] for check in found["checks"])
    assert there == ["test", "-r", "/opt/token"]
    assert readable == ["runuser", "--user=alertmanager", "--", *there]
    (problem,) = made({"config": {"templates": ["/home/me/*.tmpl"]}})["problems"]
    assert problem.startswith("alertmanager_config.templates is '/home/me/*.tmpl', and a unit does not see /home")
    (problem,) = made(told(api_url_file="/home/hadoop/token"))["problems"]
    assert "'/home/hadoop/token', and a unit does not see /home (ProtectHome=yes): bring it by alertmanager" in problem
    # What a service makes at its start is not there yet.
    assert made(told(api_url_file="/run/secrets/token"))["checks"] == []


def test_a_key_of_another_certificate_is_refused() -> None:
    tls = {"cert_file": "files/c.pem", "key_file": "files/k.pem"}
    written = told(http_config={"tls_config": tls})
    assert made(written, files={"c.pem": PAIR.certificate, "k.pem": PAIR.key})["problems"] == []
    (problem,) = made(written, files={"c.pem": PAIR.certificate, "k.pem": OTHER.key})["problems"]
    assert f"({FOLDER}/files/k.pem in alertmanager_files)" in problem


@pytest.mark.parametrize(
    ("patterns", "matches"),
    [
        (["files/*.tmpl"], True),
        ([f"{FOLDER}/files/mail.tmpl"], True),
        (["/opt/*.tmpl"], True),
        (["files/*.tpl"], False),
        # In Go as in a shell, no star goes on into a subfolder.
        (["*.tmpl"], False),
        (["files/[^_]*.tmpl"], True),
        (["files/[^m]*.tmpl"], False),
    ],
)
def test_a_pattern_of_templates_that_matches_nothing_is_refused(patterns: list[str], matches: bool) -> None:
    problems = made({"config": {"templates": patterns}}, files={"mail.tmpl": ""})["problems"]
    assert [f"alertmanager_config.templates holds {patterns[0]!r}" in problem for problem in problems] == (
        [] if matches else [True]
    )


MAIL_WAY = {"to": "a@b", "from": "a@b", "smarthost": "c:25"}
MAIL = '{{ define "mail" }}{{ .Status }}: {{ range .Alerts }}{{ .Labels.alertname }}{{ end }}{{ end }}'


@pytest.mark.parametrize(
    ("way", "refused"),
    [
        ({"text": '{{ template "mail" . }}'}, ""),
        ({"text": "{{ .CommonAnnotations.summary | toUpper }}", "title": "{{ len .Alerts.Firing }}"}, ""),
        ({"text": '{{ template "mial" . }}'}, 'template "mial" not defined'),
        ({"title": "{{ range .Alerts }}x"}, "unexpected EOF"),
        ({"text": "{{ end }}"}, "unexpected {{end}}"),
        ({"text": "{{ .Sumary }}"}, "can't evaluate field Sumary"),
        ({"text": "{{ upper .Status }}"}, 'function "upper" not defined'),
        ({"fields": [{"title": "t", "value": "{{ .Status"}]}, "unclosed action"),
        # What needs no template is not made.
        ({"text": "plain"}, None),
    ],
)
def test_a_message_that_could_not_be_made_is_found(
    way: dict[str, Any], refused: str | None, amtool: Callable[..., str], tmp_path: Path
) -> None:
    found = made({**told(**way), "config": {"templates": ["files/*.tmpl"]}}, files={"mail.tmpl": MAIL})
    assert found["problems"] == []
    (tmp_path / "files").mkdir()
    (tmp_path / "files/mail.tmpl").write_text(MAIL)
    checks = found["checks"]
    assert (refused is None) == (not checks)
    words = [[word.replace("{config}", str(tmp_path)) for word in check["command"][1:]] for check in checks]
    if refused:
        with pytest.raises(AssertionError, match=re.escape(refused)):
            amtool(*words[0])
        assert checks[0]["about"].startswith("alertmanager_receivers, receiver a.slack_configs.")
    else:
        for each in words:
            amtool(*each)


@pytest.mark.parametrize(
    "text",
    [
        "{{ slice .CommonAnnotations.summary 0 20 }}",
        "{{ .CommonAnnotations.for | humanizeDuration }}",
        "{{ index .GroupLabels.SortedPairs.Values 2 }}",
    ],
)
def test_what_goes_by_the_alert_is_no_refusal(text: str, amtool: Callable[..., str]) -> None:
    (check,) = made(told(text=text))["checks"]
    with pytest.raises(AssertionError, match=check["tolerated"]):
        amtool(*check["command"][1:])


def test_without_templates_of_the_users_own_amtool_is_content() -> None:
    (check,) = made(told(text="{{ .Status }}"))["checks"]
    assert check["command"][:4] == ["amtool", "template", "render", "--template.glob=/dev/null"]


@pytest.mark.parametrize(
    ("kind", "way", "html"),
    [
        ("email_configs", {**MAIL_WAY, "html": "{{ .Status }}"}, True),
        ("email_configs", {**MAIL_WAY, "text": "{{ .Status }}"}, False),
        ("telegram_configs", {"message": "{{ .Status }}"}, True),
        ("telegram_configs", {"message": "{{ .Status }}", "parse_mode": "MarkdownV2"}, False),
        ("pushover_configs", {"message": "{{ .Status }}", "html": True}, True),
        ("pushover_configs", {"message": "{{ .Status }}"}, False),
    ],
)
def test_a_message_is_made_as_alertmanager_makes_it(kind: str, way: dict[str, Any], html: bool) -> None:
    found = made({"receivers": [{"name": "a */ b", kind: [way]}]})
    assert found["problems"] == []
    (check,) = found["checks"]
    assert ("--template.type=html" in check["command"]) == html


def test_a_relative_path_is_one_below_the_configuration() -> None:
    """By itself Alertmanager looks for it in the folder that it was started in, and tells nobody anything."""
    found = made(told(api_url_file="files/slack"), files={"slack": "https://hooks.example.com/x"})
    assert found["problems"] == []
    assert f"api_url_file: {FOLDER}/files/slack" in found["files"]["alertmanager.yml"]["content"]


@pytest.mark.parametrize("key", ["details", "custom_fields"])
def test_names_of_the_users_own_are_no_options(key: str) -> None:
    way = {"routing_key_file": "/opt/key", key: {"log_file": "app.log", "timeout": 30}}
    found = made({"receivers": [{"name": "a", "pagerduty_configs": [way]}]})
    assert found["problems"] == []
    assert "log_file: app.log" in found["files"]["alertmanager.yml"]["content"]


def test_the_certificate_of_its_own_pages_can_be_named() -> None:
    written = told(http_config={"tls_config": {"ca_file": "tls/certificate.pem"}})
    assert made(written, certificate=PAIR.certificate, key=PAIR.key)["problems"] == []


def test_receivers_that_no_route_leads_to_are_told() -> None:
    receivers = [{"name": name} for name in ("first", "routed", "deep", "alone", "dead")]
    routes = [{"receiver": "routed", "routes": [{"receiver": "deep"}]}]
    found = made({"receivers": receivers, "route": {"routes": routes}}, watchdog_route={"receiver": "dead"})
    assert found["without_route"] == ["alone"]
