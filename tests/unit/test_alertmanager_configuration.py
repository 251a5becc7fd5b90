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
    assert made({**written, "secrets": {"slack": "x"}})["problems"] == []


def test_a_file_that_nobody_brings_is_refused_and_one_elsewhere_is_not_known() -> None:
    written = {"config": {"global": {"http_config": {"authorization": {"credentials_file": "files/token"}}}}}
    (problem,) = made(written)["problems"]
    assert "global.http_config.authorization.credentials_file is /etc/alertmanager/files/token" in problem
    assert "alertmanager_files" in problem
    assert made(written, files={"token": "x"})["problems"] == []
    assert made(told(api_url_file="/opt/token"))["problems"] == []


def test_a_key_of_another_certificate_is_refused() -> None:
    tls = {"cert_file": "files/c.pem", "key_file": "files/k.pem"}
    written = told(http_config={"tls_config": tls})
    assert made(written, files={"c.pem": PAIR.certificate, "k.pem": PAIR.key})["problems"] == []
    (problem,) = made(written, files={"c.pem": PAIR.certificate, "k.pem": OTHER.key})["problems"]
    assert "(files/k.pem in alertmanager_files)" in problem


@pytest.mark.parametrize(
    ("patterns", "matches"),
    [
        (["files/*.tmpl"], True),
        ([f"{FOLDER}/files/mail.tmpl"], True),
        (["/opt/*.tmpl"], True),
        (["files/*.tpl"], False),
        # In Go as in a shell, no star goes on into a subfolder.
        (["*.tmpl"], False),
    ],
)
def test_a_pattern_of_templates_that_matches_nothing_is_refused(patterns: list[str], matches: bool) -> None:
    problems = made({"config": {"templates": patterns}}, files={"mail.tmpl": ""})["problems"]
    assert [f"alertmanager_config.templates holds {patterns[0]!r}" in problem for problem in problems] == (
        [] if matches else [True]
    )


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
    commands = [[word.replace("{config}", str(tmp_path)) for word in words[1:]] for words in found["message_checks"]]
    assert (refused is None) == (not commands)
    if refused:
        with pytest.raises(AssertionError, match=re.escape(refused)):
            amtool(*commands[0])
        assert "alertmanager_receivers, receiver a.slack_configs." in commands[0][-1]
    else:
        for words in commands:
            amtool(*words)


def test_without_templates_of_the_users_own_amtool_is_content() -> None:
    (words,) = made(told(text="{{ .Status }}"))["message_checks"]
    assert words[:4] == ["amtool", "template", "render", "--template.glob=/dev/null"]


def test_html_is_made_as_html() -> None:
    written = {"receivers": [{"name": "a", "email_configs": [{"to": "a@b", "html": "{{ .Status }}"}]}]}
    (words,) = made(written)["message_checks"]
    assert "--template.type=html" in words
