"""The same job by the collections prometheus.prometheus and grafana.grafana, side by side with this project's runs.

Prometheus is the same archive. The role of Grafana knows packages of its own repository alone, so it installs the
newest one from there, with the project's data source and dashboards. **This has not run yet:** Galaxy and Grafana's
hosts could not be reached where it was written, so the figures of a first run deserve a close look.
"""

from __future__ import annotations

import hashlib
import subprocess
from typing import Any

import yaml

from bench.harness import PROJECT, WORK, Bed, archive, bed, say, scrape_configs, test_bed

COLLECTIONS = ("prometheus.prometheus", "grafana.grafana")
FOLDER = WORK / "peers"
ROLES = ["prometheus.prometheus.prometheus", "grafana.grafana.grafana"]


def measure(quick: bool) -> dict[str, list[float]] | None:
    """Measure the peers on nodes made anew.

    :param quick: once
    :returns: seconds by kind of run, with the names of bench.runs; None where Galaxy cannot be reached
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    install = ["ansible-galaxy", "collection", "install", f"--collections-path={FOLDER}", *COLLECTIONS]
    if subprocess.run(install, cwd=PROJECT, capture_output=True, check=False).returncode:
        return None
    playbook = FOLDER / "site.yml"
    play = {"name": "Install the peers", "hosts": "emr_master", "become": True, "roles": ROLES}
    playbook.write_text(yaml.safe_dump([play], sort_keys=False))
    seconds: dict[str, list[float]] = {"floor": [], "first": [], "unchanged": [], "job_run": []}
    for number in range(1 if quick else 3):
        say(f"peers: node {number + 1}")
        with bed() as made:
            made.environment |= {"ANSIBLE_COLLECTIONS_PATH": str(FOLDER), "ANSIBLE_INJECT_FACT_VARS": "true"}
            seconds["floor"].append(made.floor().seconds)
            _describe(made, [])
            for kind in ("first", "unchanged"):
                seconds[kind].append(made.play(str(playbook)).seconds)
            _describe(made, [{"job_name": "extra", "static_configs": [{"targets": ["localhost:8003"]}]}])
            seconds["job_run"].append(made.play(str(playbook)).seconds)
    return seconds


def _describe(made: Bed, extra_jobs: list[dict[str, Any]]) -> None:
    """Write an inventory without this project's variables, some of which have the same names."""
    prometheus = archive("prometheus")
    sha256 = hashlib.sha256(prometheus.read_bytes()).hexdigest()
    (FOLDER / "sha256sums.txt").write_text(f"{sha256}  {prometheus.name}\n")
    made.describe()
    (made.inventory / "group_vars").unlink()
    hosts = made.inventory / "hosts.yml"
    inventory = yaml.safe_load(hosts.read_text())
    (variables,) = inventory["emr_master"]["children"]["testbed"]["hosts"].values()
    variables |= {
        "ansible_host": "127.0.0.1",
        "ansible_user": "hadoop",
        "ansible_ssh_private_key_file": test_bed()["ansible_ssh_private_key_file"],
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        "prometheus_version": test_bed()["prometheus_version"],
        "prometheus_binary_url": f"file://{prometheus}",
        "prometheus_checksums_url": f"file://{FOLDER}/sha256sums.txt",
        "prometheus_checksum": sha256,
        "prometheus_scrape_configs": [
            {"job_name": "prometheus", "static_configs": [{"targets": ["localhost:9090"]}]},
            *scrape_configs()[1:],
            *extra_jobs,
        ],
        "grafana_ini": {"security": {"admin_user": "admin", "admin_password": sha256}},
        "grafana_datasources": [{"name": "Prometheus", "type": "prometheus", "url": "http://localhost:9090"}],
        "grafana_dashboards_dir": str(PROJECT / "roles/grafana/files/dashboards"),
    }
    hosts.write_text(yaml.safe_dump(inventory, sort_keys=False))
