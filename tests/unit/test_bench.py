"""The bench: how it reads what programs print, how it sums up, and what its page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import archives, cost, nodes, pressure, report, runs, scale
from bench.figures import Target, ratio, spread, table
from bench.harness import BenchError, Counts, Node, Run, counts, task_seconds
from bench.on_node import exporter

OUTPUT = """\
PLAY [Monitor] *****************************************************************
Using module file /project/plugins/modules/node_check.py
<127.0.0.1> SSH: EXEC ssh -o ControlMaster=auto
<127.0.0.1> SSH: EXEC ssh -o ControlMaster=auto

TASK [emr_node : Check the node [again]] ***************************************
ok: [a]

PLAY RECAP *********************************************************************
a                          : ok=42   changed=1    unreachable=0    failed=0    skipped=3    rescued=0    ignored=0
b                          : ok=40   changed=2    unreachable=0    failed=0    skipped=4    rescued=0    ignored=0
"""


def test_a_run_is_counted_by_node_and_its_trips_and_changes_over_all_nodes() -> None:
    assert counts(OUTPUT) == Counts(tasks=45, module_executions=1, round_trips=2, changed=3)


def test_a_task_lasts_until_the_next_banner() -> None:
    lines = [
        (0.0, "PLAY [Monitor] ***"),
        (1.0, "TASK [emr_node : Check the node [again]] ***"),
        (1.5, "ok: [a]"),
        (3.0, "TASK [Show] ***"),
        (3.5, "PLAY [Verify] ***"),
        (4.0, "TASK [Verify] ***"),
        (9.0, "PLAY RECAP ***"),
    ]
    assert task_seconds(lines) == [("emr_node : Check the node [again]", 2.0), ("Show", 0.5), ("Verify", 5.0)]


def test_a_task_that_is_not_there_or_not_alone_is_refused() -> None:
    run = Run(began=0, seconds=9, output="", tasks=[("role : Install", 1.0), ("role : Install again", 2.0)])
    assert run.task("role : Install again") == 2.0
    for start in ("role : Remove", "role : Install"):
        with pytest.raises(BenchError, match=start):
            run.task(start)


@pytest.mark.parametrize(
    ("values", "shown"), [([2.0], "2 s"), ([9.0, 7.123, 8.0], "8 s (7.12 to 9)"), ([12.345], "12.3 s"), ([], "")]
)
def test_a_spread_is_the_median_between_the_least_and_the_greatest(values: list[float], shown: str) -> None:
    assert spread(values) == shown


def test_a_ratio_is_one_of_medians() -> None:
    assert ratio([10, 11, 100], [1, 2, 3]) == 5.5


@pytest.mark.parametrize(("measured", "verdict"), [(4.99, "met"), (5.004, "met"), (5.01, "**not met**")])
def test_a_target_is_met_by_the_figure_that_is_shown(measured: float, verdict: str) -> None:
    assert Target("a run", 5, "x floor", measured).row()[3] == verdict


def test_a_table_has_a_head_and_a_row_for_each_entry() -> None:
    assert table(["a", "b"], [1, "x"], [2, "y"]) == "| a | b |\n|---|---|\n| 1 | x |\n| 2 | y |"


def test_the_last_load_of_a_configuration_counts() -> None:
    run = Run(began=0, seconds=9, output="loaded_at: 7.5\nloaded_at: null\n  loaded_at: 8.25", tasks=[])
    assert runs.loaded_at(run) == 8.25
    with pytest.raises(BenchError, match="loaded"):
        runs.loaded_at(Run(began=0, seconds=9, output="", tasks=[]))


def test_names_share_the_nodes_evenly_with_a_connection_each() -> None:
    hosts = nodes.share([Node("one", 1), Node("two", 2)], 5)
    assert [host["ansible_port"] for host in hosts.values()] == [1, 2, 1, 2, 1]
    assert len({host["ansible_control_path"] for host in hosts.values()}) == 5
    assert {host["monitoring_secrets_dir"].rpartition("/")[2] for host in hosts.values()} == {"one", "two"}


@pytest.mark.parametrize(("seconds", "verdict"), [(51.0, "met"), (61.0, "**not met**")])
def test_a_step_that_is_not_linear_shows(seconds: float, verdict: str) -> None:
    names = {"10": [11.0], "30": [31.0], "50": [seconds]}
    data = {"containers": {"1": [2.0], "8": [9.0]}, "names": names, "floor": [1.0]}
    assert nodes.targets(data)[1].row()[3] == verdict


def test_each_synthetic_target_has_an_address_of_its_own() -> None:
    assert len(set(exporter.addresses(10_000))) == 10_000


def test_a_synthetic_page_has_as_many_series_as_were_asked_for() -> None:
    lines = exporter.page(200, 7).decode().splitlines()
    assert len({line.rpartition(" ")[0] for line in lines}) == 200
    assert {line.rpartition(" ")[2] for line in lines} == {"7"}


def test_a_process_is_read_whatever_its_name() -> None:
    fields = ["S", *map(str, range(4, 14)), "150", "50", "0"]
    assert cost.cpu_seconds(f"12 (odd) name) {' '.join(fields)}") * cost.TICKS == 200


def test_the_units_that_memory_killed_are_told_from_those_that_stopped() -> None:
    journal = """\
bench-namenode.service: Main process exited, code=exited, status=1/FAILURE
prometheus.service: Main process exited, code=killed, status=9/KILL
prometheus.service: Failed with result 'signal'.
grafana-server.service: Main process exited, code=killed, status=9/KILL
"""
    assert pressure.killed_units(journal) == ["prometheus.service", "grafana-server.service"]


def test_a_rule_file_holds_one_group_that_is_named_as_the_file(tmp_path: Path) -> None:
    scale.write_rule_file(tmp_path / "some.yml", {"rules": [{"record": "a:b", "expr": "vector(1)"}]})
    assert yaml.safe_load((tmp_path / "some.yml").read_text()) == {
        "groups": [{"name": "some", "rules": [{"record": "a:b", "expr": "vector(1)"}]}]
    }


@pytest.fixture
def results() -> dict[str, Any]:
    """Return something of every section, in the form that it is kept."""
    run = {"seconds": 9.0, "render_and_check": 1.0, "megabytes": 70.0, "module_executions": 7}
    consists = {"tasks": 43, "module_executions": 7, "round_trips": 7, "changed": 0}
    data = {
        "runs": {"seconds": {kind: [1.0] for kind in runs.RUNS}, "counts": consists},
        "archives": {"some.tar.gz": {"megabytes": 50, "tar": [2.0], "module": [1.0], "memory": [33.0]}},
        "nodes": {
            "containers": {"1": [2.0], "8": [4.0]},
            "names": {"10": [11.0], "30": [31.0], "50": [51.0]},
            "floor": [1.0],
            "controller": {"cpu_seconds": 3.0, "cores": 2},
        },
        "scale": {"own": run, "sizes": {"10000": {"rule_files": 500, "new": run, "unchanged": run}}},
        "cost": {"0": {"prometheus": {"cores": 0.01, "megabytes": 80.0}, "grafana": {"cores": 0, "megabytes": 30.0}}},
        "pressure": {
            "operations": {"idle": [100.0], "busy": [90.0]},
            "prometheus": {"cores_beside": 0.1, "cores_alone": 1.9, "megabytes": 900.0},
            "killed": ["bench-namenode.service"],
        },
    }
    return {name: {"machine": {"load before": "0.1", "kernel": "6"}, "data": found} for name, found in data.items()}


SECTIONS = {module.__name__.removeprefix("bench."): module for module in (runs, archives, nodes, scale, cost, pressure)}


def test_the_page_holds_the_figures_against_every_target(results: dict[str, Any]) -> None:
    page = report.page(SECTIONS, results)
    assert "| nothing changed | at most 3 x floor | 1 x floor | met |" in page
    assert "| throughput that a NameNode loses to a busy Prometheus | at most 5 % | 10 % | **not met** |" in page
    assert "| units but monitoring's own that die when memory ends | at most 0 | 1 | **not met** |" in page
    assert "2 cores have 8 CPU seconds. Ansible takes 3 of them" in page
    assert "Not measured yet" not in page


def test_the_page_keeps_what_was_measured_and_names_what_was_not(results: dict[str, Any]) -> None:
    del results["nodes"], results["cost"]
    page = report.page(SECTIONS, results)
    assert "Not measured yet: nodes, cost." in page
    assert "10,000 targets" in page


def test_the_page_tells_the_sections_conditions_apart(results: dict[str, Any]) -> None:
    results = {name: results[name] for name in ("runs", "scale")}
    results["scale"]["machine"] = {"load before": "7.5", "kernel": "6"}
    page = report.page(SECTIONS, results)
    assert "| load before | runs: 0.1; scale: 7.5 |" in page
    assert "| kernel | 6 |" in page
