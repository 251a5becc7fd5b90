"""What a user writes for Grafana is what is rendered, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_input import grafana_input
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_own_keys import ONLY, OWN_KEYS

NOTHING: dict[str, Any] = {
    "ini": {},
    "dashboards_dirs": [],
    "data_dir": "/mnt/grafana/data",
    "external_url": "http://node:3000/",
    "metrics": False,
}
NEEDLE = "needle"


def given(**written: Any) -> dict[str, Any]:
    return grafana_input({**NOTHING, **written})


def from_yaml(folder: Path, text: str) -> Any:
    """Return what Ansible reads in a file, with the place of each value."""
    path = folder / "written.yml"
    path.write_text(text)
    return DataLoader().load_from_file(str(path), cache="none")


@pytest.mark.parametrize("nothing", [None, {}, {"server": None}, {"server": {}}])
def test_a_section_in_which_nothing_stands_takes_nothing_away(nothing: Any) -> None:
    assert given(ini=nothing)["ini"] == {}
    assert given(ini=nothing, dashboards_dirs=None)["problems"] == []


@pytest.mark.parametrize("name", sorted(OWN_KEYS))
def test_a_key_that_the_role_writes_is_refused_with_what_to_use(name: str) -> None:
    section, _, key = name.rpartition(".")
    (problem,) = given(ini={section: {key: NEEDLE}})["problems"]
    assert problem.startswith(f"grafana_ini.{name} would ")
    assert OWN_KEYS[name] in problem
    assert NEEDLE not in problem


@pytest.mark.parametrize("name", ["server.root_url", "server.domain"])
def test_without_an_address_of_the_role_the_user_gives_one(name: str) -> None:
    section, _, key = name.rpartition(".")
    assert given(ini={section: {key: "a.example.com"}}, external_url="")["problems"] == []


@pytest.mark.parametrize("name", sorted(ONLY))
def test_a_value_with_which_the_questions_get_no_answer_is_refused(name: str) -> None:
    section, _, key = name.rpartition(".")
    only = ONLY[name][0]
    value: object
    for value in (only, str(only).lower(), "on" if only else "off", int(only)):
        assert given(ini={section: {key: value}})["problems"] == []
    for value in (not only, str(not only), "nonsense", None):
        (problem,) = given(ini={section: {key: value}})["problems"]
        assert problem.startswith(f"grafana_ini.{name} can be {str(only).lower()} alone: ")


@pytest.mark.parametrize(
    "ini",
    [
        {"smtp": {"enabled": True, "host": "a:25", "password": "x"}},
        {"auth.generic_oauth": {"enabled": True, "client_secret": "x"}},
        {"auth.anonymous": {"enabled": True}, "auth": {"disable_login_form": True}, "users": {"allow_sign_up": True}},
        {"log": {"mode": "console file", "level": "debug"}, "analytics": {"check_for_updates": True}},
        {"server": {"min_tls_version": "TLS1.3", "router_logging": True, "enable_gzip": True, "read_timeout": "5m"}},
        {"security": {"cookie_samesite": "lax", "allow_embedding": True, "admin_email": "a@example.com"}},
        {"database": {"type": "postgres", "host": "db:5432", "path": "/var/lib/x.db"}},
        {"database": {"path": "mine.db"}},
        {"plugins": {"allow_loading_unsigned_plugins": "a", "plugin_admin_enabled": False}},
        {"dashboards": {"default_home_dashboard_path": "/etc/grafana/dashboards/a.json", "min_refresh_interval": "5s"}},
    ],
)
def test_keys_that_users_set_are_theirs(ini: dict[str, Any]) -> None:
    found = given(ini=ini)
    assert found["problems"] == []
    assert found["ini"] == ini


@pytest.mark.parametrize("path", ["/var/lib/grafana.db", "../grafana.db", "/mnt/grafana/database/x.db"])
def test_a_database_that_the_unit_cannot_write_is_refused(path: str) -> None:
    (problem,) = given(ini={"database": {"path": path}})["problems"]
    assert problem.startswith("grafana_ini.database.path is /")


PLACES = {
    "a setting": "ini: {{smtp: {{password: {0}}}}}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", ["010", "1.10", "18:00", "0x1F", "1_000", "2026-01-01"])
def test_what_yaml_has_changed_is_refused_and_not_shown(tmp_path: Path, place: str, value: str) -> None:
    written = from_yaml(tmp_path, PLACES[place].format(value))
    (problem,) = given(**written)["problems"]
    assert "put it in quotes" in problem
    assert value not in problem


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", ["8080", "0", "text", "'010'", "'18:00'"])
def test_text_and_plain_numbers_are_taken(tmp_path: Path, place: str, value: str) -> None:
    assert given(**from_yaml(tmp_path, PLACES[place].format(value)))["problems"] == []


def test_a_switch_and_a_part_stay_what_they_are(tmp_path: Path) -> None:
    written = from_yaml(tmp_path, "ini: {a: {b: on, c: no, d: 0.5, e: , f: 12}}")
    assert given(**written)["ini"] == {"a": {"b": True, "c": False, "d": 0.5, "e": None, "f": 12}}
    assert given(**written)["problems"] == []


@pytest.mark.parametrize(
    ("ini", "problem"),
    [
        (NEEDLE, "grafana_ini is a text: write a mapping"),
        ({"smtp": NEEDLE}, "grafana_ini.smtp is a text: write a mapping"),
        ({"smtp": [{"password": NEEDLE}]}, "grafana_ini.smtp is a list: write a mapping"),
        ({"smtp": {"password": [NEEDLE]}}, "grafana_ini.smtp.password is a list: give one text"),
        ({"smtp": {"password": f"{NEEDLE}\n[x]"}}, "grafana_ini.smtp.password holds a line break"),
        ({True: {"a": 1}}, "grafana_ini holds 'True', which is no name"),
        ({"a": {1.5: "b"}}, "grafana_ini.a holds '1.5', which is no name"),
        ({"a]": {"b": 1}}, "grafana_ini holds 'a]', which is no name"),
        ({"security": {"brute_force_login_protection_max_attempts": "five"}}, "grafana_ini.security.brute_force_login"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name_without_its_value(ini: Any, problem: str) -> None:
    (found,) = given(ini=ini)["problems"]
    assert found.startswith(problem)
    assert NEEDLE not in found


def test_a_single_value_is_a_list_of_one() -> None:
    assert given(dashboards_dirs="/one/path")["dashboards_dirs"] == ["/one/path"]


def test_metrics_for_everybody_are_refused_here() -> None:
    (problem,) = given(ini={"metrics": {"enabled": True}})["problems"]
    assert "Set grafana_metrics to true" in problem
