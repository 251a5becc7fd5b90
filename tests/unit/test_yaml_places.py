"""A line that a checker names is told by what stands there, and nothing of its value is."""

from __future__ import annotations

import pytest
from ansible_collections.emr.monitoring.plugins.filter.yaml_file import yaml_file
from ansible_collections.emr.monitoring.plugins.plugin_utils.yaml_places import with_places

PATH = "/etc/prometheus/prometheus.yml"
CONFIG = {
    "global": {"scrape_interval": "15s"},
    "scrape_configs": [
        {"job_name": "first", "static_configs": [{"targets": ["localhost:1"]}]},
        {
            "job_name": "second",
            "params": {"token": ["needle"]},
            "relabel_configs": [{"action": "keep"}, {"action": "needle", "source_labels": ["a"]}],
        },
    ],
}
TEXT = yaml_file(CONFIG)["content"]


def line(text: str, nth: int = 0) -> int:
    return [number for number, each in enumerate(TEXT.split("\n"), 1) if text in each][nth]


@pytest.mark.parametrize(
    ("number", "place"),
    [
        (line("scrape_interval"), "global, scrape_interval"),
        (line("localhost:1"), "scrape_configs, job_name first, static_configs, targets"),
        (line("needle"), "scrape_configs, job_name second, params, token"),
        (line("needle", 1), "scrape_configs, job_name second, relabel_configs, action"),
        (line("job_name: second"), "scrape_configs, job_name second, job_name"),
    ],
)
def test_a_line_is_told_by_what_leads_to_it(number: int, place: str) -> None:
    said = with_places(f"refused: {PATH}: line {number}: cannot unmarshal", {PATH: TEXT})
    assert said == f"refused: {PATH}: line {number}: cannot unmarshal\nLine {number} is {place}."


def test_what_names_no_line_of_that_file_stays_as_it_is() -> None:
    for said in (f"{PATH}: no line", f"{PATH}: line 4711", "another: line 3"):
        assert with_places(said, {PATH: TEXT}) == said
    assert with_places("/a.yml: line 1", {"/a.yml": "{"}) == "/a.yml: line 1"
    assert with_places("/a.ini: line 1", {"/a.ini": "a: b"}) == "/a.ini: line 1"


def test_a_line_is_one_of_the_file_that_was_named_last() -> None:
    rules = {"/etc/prometheus/rules/a.yml": "groups:\n- name: g\n"}
    said = with_places(f"{PATH}: fine\n/etc/prometheus/rules/a.yml: line 2: bad", {PATH: TEXT, **rules})
    assert said.endswith("Line 2 is groups, name g, name.")
    said = with_places(f"/etc/prometheus/rules/a.yml: fine\n{PATH}: line {line('needle')}: bad", {PATH: TEXT, **rules})
    assert said.endswith("params, token.")


def test_a_name_that_is_none_is_not_shown() -> None:
    said = with_places("/a.yml: line 1: bad", {"/a.yml": "- name: [needle]\n  x: y\n"})
    assert "needle" not in said


def test_each_line_is_told_once() -> None:
    number = line("needle")
    said = with_places(f"{PATH}: line {number}: a, line {number}: b", {PATH: TEXT})
    assert said.count("Line ") == 1
    assert "needle" not in said
