"""A value that is not of the type of its variable is refused before anything changes, whatever YAML made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.emr.monitoring.plugins.lookup.wrong_values import MAY_BE_EMPTY, LookupModule, wrong_values
from ansible_collections.emr.monitoring.plugins.plugin_utils.role_options import role_options

ROLES = Path(__file__).resolve().parents[2] / "roles"
OPTIONS = {
    name: option
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml"))
    for name, option in role_options(str(path)).items()
    if path.parts[-3] in {"settings", "prometheus", "alertmanager", "grafana", "node_exporter"}
}
NEEDLE = "needle"


def named(kind: str) -> list[str]:
    return [name for name, option in OPTIONS.items() if option["type"] in kind.split()]


def said(name: str, value: Any) -> list[str]:
    return wrong_values({name: value}, OPTIONS)


@pytest.mark.parametrize("name", named("str path"))
@pytest.mark.parametrize("value", [False, 1.5, [NEEDLE], {NEEDLE: NEEDLE}])
def test_what_must_be_text_and_is_not_is_refused_for_every_variable(name: str, value: Any) -> None:
    (problem,) = said(name, value)
    assert problem.startswith(f"{name} is ")
    assert NEEDLE not in problem


@pytest.mark.parametrize("name", [name for name in named("str path") if "choices" not in OPTIONS[name]])
def test_text_and_a_plain_number_are_text_for_every_variable(name: str) -> None:
    assert said(name, "text") == said(name, 123456789012345) == []


@pytest.mark.parametrize("name", named("str path int float bool"))
def test_what_is_left_empty_is_refused_unless_that_says_something(name: str) -> None:
    wanted = 0 if name in MAY_BE_EMPTY else 1
    assert len(said(name, None)) == len(said(name, "")) == wanted


def test_what_may_be_empty_is_known() -> None:
    unknown = MAY_BE_EMPTY - OPTIONS.keys()
    assert unknown == {"grafana_password", "grafana_password_salt", "emr_cluster_hadoop.ca", "grafana_database.ca"}


@pytest.mark.parametrize("name", named("int"))
@pytest.mark.parametrize("value", ["soon", True, 1.5, -1, [1], "1 s"])
def test_what_must_be_a_number_and_is_not_is_refused_for_every_variable(name: str, value: Any) -> None:
    (problem,) = said(name, value)
    assert problem.startswith(f"{name} is ")
    assert said(name, 10) == said(name, "10") == []


@pytest.mark.parametrize("name", named("bool"))
def test_what_says_neither_yes_nor_no_is_refused_for_every_variable(name: str) -> None:
    for value in ("maybe", 2, [True], 1.0):
        (problem,) = said(name, value)
        assert problem.endswith("write true or false.")
    assert [problem for value in (True, "no", "on", 1, "0", "False") for problem in said(name, value)] == []


@pytest.mark.parametrize("name", named("dict"))
def test_what_must_be_a_mapping_and_is_not_is_refused_without_its_value(name: str) -> None:
    (problem,) = said(name, NEEDLE)
    assert problem == f"{name} is a text: write a mapping, name: value."
    assert said(name, None) == []


@pytest.mark.parametrize("name", [name for name in named("list") if OPTIONS[name]["elements"] != "dict"])
def test_a_single_value_is_a_list_of_one_and_an_empty_one_is_none(name: str) -> None:
    assert said(name, "/one") == said(name, ["/one", 2]) == said(name, None) == []
    assert said(name, ["/one", None]) == [f"{name}[2] is empty: write a value, or remove the line for the default."]
    (problem,) = said(name, [[NEEDLE]])
    assert problem == f"{name}[1] is a list: write one text."


def test_what_is_none_of_the_choices_is_refused() -> None:
    assert said("monitoring_fetch", "nobody") == ["monitoring_fetch is 'nobody': write one of node, controller."]


def test_a_misspelt_key_is_named_with_the_right_one() -> None:
    assert said("prometheus_alert_thresholds", {"upload_eror_ratio": 0.1}) == [
        "prometheus_alert_thresholds.upload_eror_ratio is not known: did you mean upload_error_ratio?"
    ]
    assert said("prometheus_alert_thresholds", {"upload_error_ratio": "0.1"}) == []
    (problem,) = said("prometheus_alert_thresholds", {"upload_error_ratio": "high"})
    assert problem == "prometheus_alert_thresholds.upload_error_ratio is 'high': write a number, such as 0.5."


def test_what_yaml_has_changed_is_refused_and_the_result_of_a_template_is_not(tmp_path: Path) -> None:
    path = tmp_path / "written.yml"
    path.write_text('prometheus_port: 010\ngrafana_port: "{{ 3000 + 1 }}"\ngrafana_admin_password: 18:00\n')
    loader = DataLoader()
    values = loader.load_from_file(str(path), cache="none", trusted_as_template=True)
    looked_up = LookupModule(loader, _templar(loader, values)).run(["settings", "grafana"], values)
    assert looked_up == [
        "prometheus_port is 8: write a whole number, such as 60.",
        "grafana_admin_password is a number: YAML has read it as something else than text: put it in quotes.",
    ]


def test_only_what_is_asked_for_is_looked_at() -> None:
    loader = DataLoader()
    values = {"prometheus_port": "x", "grafana_port": trust_as_template("{{ not_known_yet }}")}
    lookup = LookupModule(loader, _templar(loader, values))
    assert lookup.run(["settings"], values, only=["prometheus_port"]) == [
        "prometheus_port is 'x': write a whole number, such as 60."
    ]


def test_a_default_is_not_evaluated_and_another_value_is() -> None:
    loader = DataLoader()
    defaults = loader.load_from_file(str(ROLES / "grafana/defaults/main.yml"), cache="none", trusted_as_template=True)
    # What it refers to is not known here.
    assert LookupModule(loader, _templar(loader, defaults)).run(["grafana"], defaults) == []
    changed = {**defaults, "grafana_start_timeout": "soon"}
    assert LookupModule(loader, _templar(loader, changed)).run(["grafana"], changed) == [
        "grafana_start_timeout is 'soon': write a whole number, such as 60."
    ]


def _templar(loader: DataLoader, values: dict[str, Any]) -> Any:
    return Templar(loader, values)
