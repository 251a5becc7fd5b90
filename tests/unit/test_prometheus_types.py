"""What Prometheus takes as a list, a duration, or true and false is that, or it is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.plugin_utils.prometheus_types import typed
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

from tests.unit.test_prometheus_input import given


def job(**options: Any) -> dict[str, Any]:
    """Return a job as it is rendered."""
    found = given(scrape_configs=[{"job_name": "a", **options}])
    assert found["problems"] == []
    return {key: value for key, value in found["jobs"][0].items() if key != "job_name"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"params": {"module": "http_2xx"}}, {"params": {"module": ["http_2xx"]}}),
        ({"params": {"module": ["a", "b"]}}, {"params": {"module": ["a", "b"]}}),
        (
            {"relabel_configs": {"source_labels": "a", "target_label": "b"}},
            {"relabel_configs": [{"source_labels": ["a"], "target_label": "b"}]},
        ),
        ({"file_sd_configs": [{"files": "x.yml"}]}, {"file_sd_configs": [{"files": ["x.yml"]}]}),
        ({"dns_sd_configs": {"names": "a.b"}}, {"dns_sd_configs": [{"names": ["a.b"]}]}),
        ({"file_sd_configs": None}, {"file_sd_configs": []}),
    ],
)
def test_a_single_value_is_a_list_of_one(written: dict[str, Any], meant: dict[str, Any]) -> None:
    assert job(**written) == meant


NAMES = {"tags": "a", "services": "b", "names": "c", "files": "d", "timeout": "e", "x_interval": "f", "send": "g"}


def test_the_names_of_labels_and_headers_are_the_users() -> None:
    group = {"targets": ["localhost:1"], "labels": NAMES}
    assert job(static_configs=[group]) == {"static_configs": [group]}
    assert given(external_labels=NAMES)["global"]["external_labels"] == NAMES
    assert given(**{"global": {"external_labels": NAMES}})["global"]["external_labels"] == NAMES
    (entry,) = given(remote_write=[{"name": "a", "url": "https://x/", "headers": NAMES}])["remote_write"]
    assert entry["headers"] == NAMES


@pytest.mark.parametrize("value", [10, 1.5, "10", True])
@pytest.mark.parametrize("name", ["scrape_interval", "scrape_timeout"])
def test_a_duration_without_a_unit_is_refused(name: str, value: Any) -> None:
    (problem,) = given(scrape_configs=[{"job_name": "a", name: value}])["problems"]
    assert problem.startswith(f"prometheus_scrape_configs, job a.{name} is ")
    assert "write it with its unit, such as 10s" in problem


@pytest.mark.parametrize("value", ["10s", "1m30s", "0", 0, "1h"])
def test_a_duration_is_taken(value: Any) -> None:
    assert job(scrape_interval=value) == {"scrape_interval": value}
    assert given(alertmanagers=[{"timeout": value}])["problems"] == []


@pytest.mark.parametrize("value", ["yes", "true", 1, "no"])
def test_what_only_looks_true_is_refused(value: Any) -> None:
    options = {"tls_config": {"insecure_skip_verify": value}}
    (problem,) = given(scrape_configs=[{"job_name": "a", **options}])["problems"]
    assert "job a.tls_config.insecure_skip_verify is" in problem
    assert "write true or false, without quotes" in problem
    assert job(tls_config={"insecure_skip_verify": True})["tls_config"] == {"insecure_skip_verify": True}


@pytest.mark.parametrize("value", ["needle", 1, [["needle"]]])
def test_what_is_no_list_of_mappings_is_refused_without_its_value(value: Any) -> None:
    (problem,) = given(scrape_configs=[{"job_name": "a", "relabel_configs": value}])["problems"]
    assert problem.startswith("prometheus_scrape_configs, job a.relabel_configs is ")
    assert "needle" not in problem


@pytest.mark.parametrize("value", [10, "10", True])
def test_a_size_without_a_unit_is_refused(value: Any) -> None:
    gate = Written()
    typed(gate, "prometheus_scrape_limits.body_size_limit", "body_size_limit", value)
    assert "with its unit, such as 10MB" in gate.problems[0]
    typed(gate, "x", "body_size_limit", "10MB")
    typed(gate, "x", "body_size_limit", 0)
    assert len(gate.problems) == 1


def test_an_action_that_is_none_is_refused_by_its_place() -> None:
    rule = {"source_labels": ["a"], "action": "dorp"}
    (problem,) = given(scrape_configs=[{"job_name": "a", "relabel_configs": [rule]}])["problems"]
    assert "relabel_configs.action is 'dorp'" in problem
    right = {"job_name": "a", "relabel_configs": [{**rule, "action": "Drop"}]}
    assert given(scrape_configs=[right])["problems"] == []


def test_so_it_is_in_the_limits_of_all_jobs() -> None:
    (problem,) = given(scrape_limits={"body_size_limit": 10})["problems"]
    assert problem.startswith("prometheus_scrape_limits.body_size_limit is 10: write it with its unit")
    assert given(scrape_limits={"sample_limit": 5000, "body_size_limit": "50MB"})["problems"] == []
