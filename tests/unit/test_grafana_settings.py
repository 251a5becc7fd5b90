"""What a user writes into grafana.ini and Grafana would ignore without a word is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils.grafana_settings import ignored_settings, known_settings
from ansible_collections.emr.monitoring.plugins.module_utils.questions_grafana import Grafana

# As Grafana 12.4 writes it.
DEFAULTS = """##################### Grafana Configuration Defaults #####################
app_mode = production

#################################### Server ##############################
[server]
# Protocol (http, https, h2, socket, socket_h2)
protocol = http
min_tls_version = ""

[server.custom_response_headers]
#exampleHeader1 = exampleValue1

[smtp]
enabled = false
;startTLS_policy =
"""


@pytest.fixture
def defaults(tmp_path: Path) -> str:
    path = tmp_path / "defaults.ini"
    path.write_text(DEFAULTS)
    return str(path)


def test_what_is_commented_out_is_known_and_prose_is_not() -> None:
    assert known_settings(DEFAULTS) == {
        "": {"app_mode": "production"},
        "server": {"protocol": "http", "min_tls_version": '""'},
        "server.custom_response_headers": {"exampleHeader1": "exampleValue1"},
        "smtp": {"enabled": "false", "startTLS_policy": ""},
    }


@pytest.mark.parametrize(
    ("section", "key", "meant"),
    [
        ("smtp", "enable", "Did you mean enabled?"),
        ("smtp", "starttls_policy", "Did you mean startTLS_policy?"),
        ("server", "PROTOCOL", "Did you mean protocol?"),
        ("Server", "protocol", "Did you mean the section server?"),
        ("smpt", "enabled", "Did you mean the section smtp?"),
        ("server", "nonsense", "ignores."),
        ("elsewhere", "enabled", "ignores."),
    ],
)
def test_a_setting_that_grafana_does_not_know_is_said(defaults: str, section: str, key: str, meant: str) -> None:
    (said,) = ignored_settings(defaults, {section: {key: True}})
    assert said.startswith(f"grafana_ini.{section}.{key} is no setting")
    assert said.endswith(meant)


def test_what_is_neither_true_nor_false_where_the_default_is_one_is_said(defaults: str) -> None:
    (said,) = ignored_settings(defaults, {"smtp": {"enabled": False}})
    assert said.startswith("grafana_ini.smtp.enabled is neither true nor false, and Grafana takes its default, false")


def test_names_that_anybody_may_choose_are_none_of_them(defaults: str) -> None:
    given = {
        "server.custom_response_headers": {"X-Frame-Options": False},
        "feature_toggles": {"someFeature": True},
        "plugin.acme-note-panel": {"path": False},
        "smtp": {"enabled": True, "startTLS_policy": False},
    }
    assert ignored_settings(defaults, given) == []
    assert ignored_settings(f"{defaults}.gone", {"smtp": {"enable": True}}) == []


def test_the_run_shows_it(defaults: str) -> None:
    grafana = Grafana("http://g", "admin", {}, "/etc/dashboards", [], ini={"smtp": {"enable": True}}, defaults=defaults)
    well = {"status": 200, "json": [], "error": ""}
    found = grafana.judge({"health": well, "search": well}, late=True)
    assert found.lines == ignored_settings(defaults, {"smtp": {"enable": True}})
    assert found.problems == []
