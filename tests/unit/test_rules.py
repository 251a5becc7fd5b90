"""The alerts and recording rules: promtool's tests in tests/rules pass, and no alert lacks what it needs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.emr.monitoring.plugins.filter.prometheus_configuration import generated_rules
from ansible_collections.emr.monitoring.plugins.plugin_utils.rule_files import (
    FASTEST_BURN,
    GENERATED_RULE_FILES,
    impossible_thresholds,
)

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "roles/prometheus"
RUNBOOK = (ROOT / "docs/runbook.md").read_text("utf-8")
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
THRESHOLDS = DEFAULTS["prometheus_alert_thresholds"]
RUNBOOK_URL = DEFAULTS["prometheus_runbook_url"]
SHIPPED = sorted((ROLE / "files").glob("*rules/*.yml"))
TESTS = sorted((ROOT / "tests/rules").iterdir())
RULES = [
    rule for path in SHIPPED for group in yaml.safe_load(path.read_text("utf-8"))["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
# The Watchdog is never silent: that is what it is for.
KINDS = {rule["alert"]: {"fires", "silent", "edge"} for rule in ALERTS} | {"Watchdog": {"fires", "edge"}}
Promtool = Callable[..., str]


def name_of(rule: dict[str, Any]) -> str:
    """Return the name of an alert with what tells it from another one of that name."""
    return " ".join(filter(None, [rule["alert"], rule["labels"].get("window")]))


each_alert = pytest.mark.parametrize("alert", [pytest.param(rule, id=name_of(rule)) for rule in ALERTS])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with promtool's tests, and in it the folder of the rules as they lie on a node."""
    made = tmp_path_factory.mktemp("promtool")
    shutil.copytree(ROOT / "tests/rules", made, dirs_exist_ok=True)
    (made / "rules").mkdir()
    for file in SHIPPED:
        shutil.copy(file, made / "rules")
    for path, generated in generated_rules(THRESHOLDS, RUNBOOK_URL).items():
        (made / path).write_text(generated["content"])
    return made


def cases() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return the alert, the kind and the content of each of promtool's tests."""
    for path in TESTS:
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            named = re.fullmatch(r"(\w+) (fires|silent|edge): .+", case["name"])
            assert named, f"{path.name}: name it '<alert> fires|silent|edge: <what>', not {case['name']!r}"
            yield named[1], named[2], case


def expected(alert: str, case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all that a test expects to fire under the name of an alert."""
    tests = [test for test in case["alert_rule_test"] if test["alertname"] == alert]
    assert tests, f"{case['name']} does not look at {alert}"
    return [one for test in tests for one in test["exp_alerts"]]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(promtool: Promtool, folder: Path, path: Path) -> None:
    promtool("test", "rules", folder / path.name)


def test_promtool_finds_no_fault(promtool: Promtool, folder: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *(folder / "rules").iterdir())


def test_each_alert_has_a_firing_a_silent_and_an_edge_case() -> None:
    found: dict[str, set[str]] = {}
    for alert, kind, _ in cases():
        found.setdefault(alert, set()).add(kind)
    assert found == KINDS


def test_a_case_shows_what_its_name_says() -> None:
    for alert, kind, case in cases():
        fires = bool(expected(alert, case))
        assert kind == "edge" or fires == (kind == "fires"), case["name"]


@each_alert
def test_a_case_shows_the_alert_firing(alert: dict[str, Any]) -> None:
    fired = [one["exp_labels"] for name, kind, case in cases() if kind == "fires" for one in expected(name, case)]
    assert any(alert["labels"].items() <= labels.items() for labels in fired)


@each_alert
def test_an_alert_says_how_bad_it_is_and_what_it_means(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert "$value" in alert["annotations"]["description"]
    for threshold in re.findall(r"(?<!absent\()threshold:\w+", alert["expr"]):
        shown = alert["annotations"]["description"]
        # Of the burn's two limits the ratio is the one that was passed; the number of errors only keeps it quiet.
        assert threshold in shown or threshold == "threshold:upload_error_budget_errors"


def test_an_alert_about_a_service_names_it() -> None:
    about_itself = {"Watchdog", "AlertThresholdMissing"}
    for alert, _, case in cases():
        for one in expected(alert, case):
            assert alert in about_itself or "job" in one["exp_labels"], case["name"]


@each_alert
def test_an_alert_leads_to_its_section_of_the_runbook(alert: dict[str, Any]) -> None:
    address = '{{ with query "alerts:runbook:info" }}{{ . | first | label "url" }}{{ end }}'
    assert alert["annotations"]["runbook_url"] == f"{address}#{alert['alert'].lower()}"


def test_the_runbook_has_a_section_for_each_alert_and_no_other() -> None:
    sections = re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert set(sections) == set(KINDS)


def test_links_within_the_runbook_lead_somewhere() -> None:
    sections = {section.lower() for section in re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)}
    links = set(re.findall(r"\(#(\w+)\)", RUNBOOK))
    assert links
    assert links <= sections


def test_prometheus_can_parse_every_question_of_the_runbook(promtool: Promtool, tmp_path: Path) -> None:
    questions = re.findall(r"ask '([^']+)'", RUNBOOK)
    assert questions
    rules = [{"record": f"question{number}", "expr": expr} for number, expr in enumerate(questions)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "runbook", "rules": rules}]}))
    promtool("check", "rules", file)


def test_every_recorded_series_that_is_asked_for_is_recorded() -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule} | {"alerts:runbook:info"}
    asked = {
        name
        for text in [*(json.dumps(rule) for rule in RULES), RUNBOOK]
        for name in re.findall(r"\b[a-z_]+:[a-z_]+:\w+", text)
    }
    assert asked == recorded


def test_recorded_series_are_named_after_their_labels() -> None:
    for rule in RULES:
        if "record" in rule:
            level = rule["record"].split(":")[0]
            for labels in re.findall(r"by \(([^)]+)\)", rule["expr"]):
                kept = [label for label in labels.split(", ") if label != "le"]
                assert level.startswith("_".join(kept)), f"{rule['record']} keeps {kept}"


def test_the_thresholds_of_the_rules_are_those_of_the_defaults() -> None:
    alerts = [rule for rule in ALERTS if rule["alert"] != "AlertThresholdMissing"]
    used = {name for rule in alerts for name in re.findall(r"threshold:(\w+)", rule["expr"])}
    assert used == set(THRESHOLDS)


def test_a_threshold_that_is_missing_is_an_alert_whichever_it_is() -> None:
    (expr,) = (rule["expr"] for rule in ALERTS if rule["alert"] == "AlertThresholdMissing")
    named = re.findall(r'label_replace\(absent\(threshold:(\w+)\),\s+"threshold", "(\w+)", "", ""\)', expr)
    assert sorted(named) == sorted((name, name) for name in THRESHOLDS)


def test_the_highest_multiple_of_the_error_budget_can_be_reached() -> None:
    multiples = [
        float(factor)
        for rule in ALERTS
        for factor in re.findall(r"([\d.]+) \* threshold:upload_error_budget_ratio", rule["expr"])
    ]
    assert max(multiples) == FASTEST_BURN
    assert impossible_thresholds({"upload_error_budget_ratio": 1 / FASTEST_BURN})
    assert not impossible_thresholds({"upload_error_budget_ratio": 0.069})


def test_the_defaults_of_the_thresholds_are_possible() -> None:
    assert impossible_thresholds(THRESHOLDS) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("upload_error_ratio", 5),
        ("upload_error_ratio", 1),
        ("upload_error_ratio", -0.1),
        ("upload_error_ratio", None),
        ("upload_error_ratio", float("nan")),
        ("request_latency_seconds", float("inf")),
    ],
)
def test_a_threshold_that_nothing_can_pass_is_named(name: str, value: float | None) -> None:
    (sentence,) = impossible_thresholds({name: value, "openai_error_ratio": "0.5"})
    assert sentence.startswith(f"{name} is {value}: write a number")


def test_a_file_with_the_name_of_one_that_the_role_makes_is_known() -> None:
    assert {f"rules/{name}" for name in GENERATED_RULE_FILES} == set(generated_rules({}, RUNBOOK_URL))
    assert all(variable in DEFAULTS for variable in GENERATED_RULE_FILES.values())
