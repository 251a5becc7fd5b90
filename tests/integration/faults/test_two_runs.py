"""Two people run the playbook at once: one of the two configurations is live in the end, never a mixture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from tests.integration.faults.tools import job, loaded
from tests.integration.node import Api, Playbook, Start, poll


@pytest.mark.usefixtures("healed")
def test_the_configuration_is_wholly_that_of_one_run(
    *, host: Host, start: Start, playbook: Playbook, prometheus: Api, variables: dict[str, Any], tmp_path: Path
) -> None:
    changes: dict[str, dict[str, Any]] = {}
    for name, concurrency in {"first": 41, "second": 42}.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.yml").write_text(f"groups: [{{name: {name}, rules: [{{record: r, expr: up}}]}}]")
        changes[name] = {
            "prometheus_scrape_configs": [*variables["prometheus_scrape_configs"], job(name)],
            "prometheus_rules_dirs": [str(folder)],
            "prometheus_flags": [f"--query.max-concurrency={concurrency}"],
        }
    runs = [start("site.yml", "--tags=prometheus", **change) for change in changes.values()]
    outputs = [run.communicate()[0] for run in runs]
    # One may find Prometheus restarting for the other, and says so.
    codes = [run.returncode for run in runs]
    print(codes)
    assert 0 in codes, outputs
    assert all(code == 0 or "fatal: " in output for code, output in zip(codes, outputs, strict=True)), outputs

    def found() -> tuple[Any, ...]:
        jobs = [job["job_name"] for job in yaml.safe_load(loaded(prometheus))["scrape_configs"]]
        groups = [group["name"] for group in prometheus.data("/api/v1/rules")["data"]["groups"]]
        flags = prometheus.data("/api/v1/status/flags")["data"]
        files = [name.removesuffix(".yml") for name in host.check_output("sudo ls /etc/prometheus/rules").split()]
        of_runs = [[name for name in names if name in changes] for names in (jobs, groups, files)]
        return *of_runs, flags["query.max-concurrency"]

    wanted = [(["first"], ["first"], ["first"], "41"), (["second"], ["second"], ["second"], "42")]
    assert poll(lambda: found() in wanted, 10), found()
