"""What a user writes for Prometheus is what is rendered, or it is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible_collections.emr.monitoring.plugins.filter.prometheus_input import prometheus_input

NOTHING: dict[str, Any] = {
    "defaults": {"scrape_interval": "15s", "evaluation_interval": "15s"},
    "scrape_configs": [],
    "monitoring_scrape_configs": [],
    "global": {},
    "scrape_limits": {},
    "external_labels": {},
    "alertmanagers": [],
    "config": {},
    "remote_write": [],
    "rules_dirs": [],
    "own": [],
}


def given(**written: Any) -> dict[str, Any]:
    return prometheus_input({**NOTHING, **written})


def from_yaml(folder: Path, text: str) -> Any:
    """Return what Ansible reads in a file, with the place of each value."""
    path = folder / "written.yml"
    path.write_text(text)
    return DataLoader().load_from_file(str(path), cache="none")


def test_of_nothing_written_the_defaults_are_left() -> None:
    assert given() == {
        "jobs": [],
        "global": NOTHING["defaults"],
        "alerting": {},
        "config": {},
        "remote_write": [],
        "rules_dirs": [],
        "problems": [],
    }


@pytest.mark.parametrize(
    ("variable", "values", "other"),
    [
        ("prometheus_external_labels", {"cluster": "a"}, {"external_labels": {"cluster": "b"}}),
        ("prometheus_external_labels", {"team": "a", "stage": "x"}, {"external_labels": {"team": "b", "stage": "x"}}),
        ("prometheus_scrape_limits", {"sample_limit": 5}, {"sample_limit": 6}),
    ],
)
def test_two_values_for_one_thing_are_refused_where_both_are_the_users(
    variable: str, values: dict[str, Any], other: dict[str, Any]
) -> None:
    written: dict[str, Any] = {variable.removeprefix("prometheus_"): values, "global": other}
    assert given(**written)["problems"] == []
    problems = given(**written, own=[variable])["problems"]
    assert len(problems) == 1
    assert problems[0].startswith(f"{variable} holds ")
    assert "write it into one of them" in problems[0]


def test_the_global_section_is_merged_and_the_users_value_is_the_last() -> None:
    merged = given(
        scrape_limits={"sample_limit": 50000, "label_limit": 60},
        external_labels={"cluster": "j-1"},
        **{"global": {"scrape_interval": "30s", "external_labels": {"monitor": "emr"}, "sample_limit": 200000}},
    )
    assert merged["problems"] == []
    assert merged["global"] == {
        "scrape_interval": "30s",
        "evaluation_interval": "15s",
        "sample_limit": 200000,
        "label_limit": 60,
        "external_labels": {"cluster": "j-1", "monitor": "emr"},
    }


@pytest.mark.parametrize(
    ("section", "variable"),
    [
        ("scrape_configs", "prometheus_scrape_configs"),
        ("rule_files", "prometheus_rules_dirs"),
        ("global", "prometheus_global"),
        ("remote_write", "prometheus_remote_write"),
    ],
)
def test_a_section_that_the_role_writes_is_refused_with_the_variable_to_use(section: str, variable: str) -> None:
    assert given(config={section: []})["problems"] == [
        f"prometheus_config holds {section}, which the role writes: use {variable}."
    ]


def test_what_is_added_to_the_alerting_section_leaves_the_alertmanagers() -> None:
    rules = [{"target_label": "cluster", "replacement": "a"}]
    found = given(alertmanagers=[{"scheme": "http"}], config={"alerting": {"alert_relabel_configs": rules}})
    assert found["alerting"] == {"alertmanagers": [{"scheme": "http"}], "alert_relabel_configs": rules}
    assert found["config"] == {}
    both = given(alertmanagers=[{"scheme": "http"}], config={"alerting": {"alertmanagers": []}})
    assert both["problems"] == []
    both = given(alertmanagers=[{"scheme": "http"}], config={"alerting": {"alertmanagers": [{"scheme": "https"}]}})
    assert "write all of them into prometheus_alertmanagers" in both["problems"][0]


PLACES = {
    "a label": "scrape_configs: [{{job_name: a, static_configs: [{{targets: [x], labels: {{l: {0}}}}}]}}]",
    "a target": "scrape_configs: [{{job_name: a, static_configs: [{{targets: [{0}]}}]}}]",
    "the name of a job": "scrape_configs: [{{job_name: {0}}}]",
    "a parameter": "scrape_configs: [{{job_name: a, params: {{p: [{0}]}}}}]",
    "a label of a discovery": "scrape_configs: [{{job_name: a, file_sd_configs: [{{labels: {{l: {0}}}}}]}}]",
    "a replacement": "scrape_configs: [{{job_name: a, relabel_configs: [{{replacement: {0}}}]}}]",
    "an external label": "external_labels: {{l: {0}}}",
    "an external label of global": "global: {{external_labels: {{l: {0}}}}}",
    "a password": "config: {{remote_read: [{{basic_auth: {{password: {0}}}}}]}}",
    "a header": "config: {{remote_read: [{{headers: {{X-Scope: {0}}}}}]}}",
    "an endpoint": "remote_write: [{{name: a, url: {0}}}]",
    "its password": "remote_write: [{{name: a, basic_auth: {{password: {0}}}}}]",
    "its token": "remote_write: [{{name: a, bearer_token: {0}}}]",
    "its header": "remote_write: [{{name: a, headers: {{X-Scope-OrgID: {0}}}}}]",
    "one of its secret headers": "remote_write: [{{name: a, http_headers: {{X: {{secrets: [{0}]}}}}}}]",
    "its key of AWS": "remote_write: [{{name: a, sigv4: {{access_key: {0}}}}}]",
    "its profile": "remote_write: [{{name: a, sigv4: {{profile: {0}}}}}]",
    "what a token is asked with": "remote_write: [{{name: a, oauth2: {{endpoint_params: {{a: {0}}}}}}}]",
    "its proxy": "remote_write: [{{name: a, proxy_url: {0}}}]",
    "an Alertmanager": "alertmanagers: [{{static_configs: [{{targets: [{0}]}}]}}]",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", ["no", "010", "1.10", "18:00", "0x1F", "1_000", "2026-01-01", "On"])
def test_what_yaml_has_changed_is_refused_in_each_place(tmp_path: Path, place: str, value: str) -> None:
    found = given(**from_yaml(tmp_path, PLACES[place].format(value)))
    assert [problem for problem in found["problems"] if "put it in quotes" in problem], found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", ["'no'", "'010'", "8080", "0", "text", "'18:00'"])
def test_text_and_plain_numbers_are_taken_as_text_in_each_place(tmp_path: Path, place: str, value: str) -> None:
    found = given(**from_yaml(tmp_path, PLACES[place].format(value)))
    assert found["problems"] == []
    assert f"'{value.strip(chr(39))}'" in repr(found)


@pytest.mark.parametrize("name", ["no", "1.0", "2026-01-01"])
def test_the_name_of_a_label_that_yaml_has_changed_is_refused(tmp_path: Path, name: str) -> None:
    written = from_yaml(tmp_path, f"external_labels: {{{name}: x}}")
    assert "put it in quotes" in given(**written)["problems"][0]


def test_a_number_of_which_nobody_knows_where_it_stood_is_taken() -> None:
    assert given(external_labels={"shard": 1})["global"]["external_labels"] == {"shard": "1"}


@pytest.mark.parametrize("empty", ["", "null"])
def test_what_is_left_empty_is_what_upstream_takes_it_for(tmp_path: Path, empty: str) -> None:
    text = f"scrape_configs:\n- job_name: a\n  static_configs: {empty}\n- job_name: b\n  static_configs:\n"
    text += f"  - targets: {empty}\n    labels: {empty}\n"
    found = given(**from_yaml(tmp_path, text))
    assert found["problems"] == []
    assert found["jobs"] == [
        {"job_name": "a", "static_configs": []},
        {"job_name": "b", "static_configs": [{"targets": [], "labels": {}}]},
    ]


@pytest.mark.parametrize(
    "name", ["config", "global", "external_labels", "scrape_limits", "rules_dirs", "alertmanagers", "remote_write"]
)
def test_a_variable_that_is_left_empty_is_nothing(name: str) -> None:
    assert given(**{name: None}) == given()


def test_a_single_value_is_a_list_of_one_where_a_list_is_meant() -> None:
    job = {"job_name": "a", "static_configs": {"targets": "localhost:1"}}
    assert given(rules_dirs="/one/path")["rules_dirs"] == ["/one/path"]
    assert given(scrape_configs=job)["jobs"] == [{"job_name": "a", "static_configs": [{"targets": ["localhost:1"]}]}]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"scrape_configs": [{"static_configs": []}]}, "prometheus_scrape_configs[1] has no job_name"),
        ({"scrape_configs": [{"job_name": "a"}, {"job_name": ""}]}, "prometheus_scrape_configs[2] has no job_name"),
        ({"scrape_configs": ["localhost:8000"]}, "prometheus_scrape_configs[1] is 'localhost:8000': write a job"),
        ({"global": ["15s"]}, "prometheus_global is ['15s']: write a mapping"),
        ({"config": "remote_write"}, "prometheus_config is 'remote_write': write a mapping"),
        (
            {"scrape_configs": [{"job_name": "a", "static_configs": [{"targets": ["x"], "labels": ["l"]}]}]},
            "prometheus_scrape_configs, job a.static_configs.labels is ['l']: write a mapping",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(written: dict[str, Any], problem: str) -> None:
    assert [found for found in given(**written)["problems"] if found.startswith(problem)]


NEEDLE = "needle"


@pytest.mark.parametrize(
    "written",
    [
        {"config": f"remote_read:\n- basic_auth: {{password: {NEEDLE}}}\n"},
        {"config": [{"remote_read": [{"basic_auth": {"password": NEEDLE}}]}]},
        {"remote_write": f"https://me:{NEEDLE}@host/"},
        {"remote_write": [{"name": {"a": NEEDLE}}]},
        {"config": f"https://me:{NEEDLE}@host/write?token={NEEDLE}"},
        {"global": [["a", NEEDLE]]},
        {"scrape_configs": [[{"basic_auth": {"password": NEEDLE}}]]},
        {"scrape_configs": [{"job_name": "a", "static_configs": [[{"labels": {"__param_token": NEEDLE}}]]}]},
        {"config": {"alerting": [{"alertmanagers": [{"basic_auth": {"password": NEEDLE}}]}]}},
    ],
)
def test_what_was_meant_to_be_something_else_shows_no_secret(written: dict[str, Any]) -> None:
    problems = given(**written)["problems"]
    assert problems
    assert NEEDLE not in "".join(problems)


@pytest.mark.parametrize("password", ["01234567", "12345.678", "1_234_567"])
def test_a_password_that_yaml_took_for_a_number_is_not_shown(tmp_path: Path, password: str) -> None:
    written = from_yaml(tmp_path, f"config: {{remote_read: [{{basic_auth: {{password: {password}}}}}]}}")
    (problem,) = given(**written)["problems"]
    assert problem.startswith("prometheus_config.remote_read.basic_auth.password is a number: ")
    assert not {password, str(yaml.safe_load(password))} & set(re.split(r"[ :]", problem))


def test_what_is_no_text_stays_as_it_was_written() -> None:
    job = {"job_name": "a", "honor_labels": True, "sample_limit": 10, "scrape_interval": "5s", "metrics_path": "/m"}
    assert given(scrape_configs=[job])["jobs"] == [job]
