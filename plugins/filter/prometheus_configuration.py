"""The files of Prometheus' configuration, made of what the role's variables say."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.emr.monitoring.plugins.filter.certificates import certificate_server_name
from ansible_collections.emr.monitoring.plugins.filter.prometheus_input import prometheus_input
from ansible_collections.emr.monitoring.plugins.filter.systemd import systemd_arguments
from ansible_collections.emr.monitoring.plugins.filter.yaml_file import plain, yaml_file
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_peers import told_apart
from ansible_collections.emr.monitoring.plugins.plugin_utils.collected import collected
from ansible_collections.emr.monitoring.plugins.plugin_utils.named_files import (
    elsewhere_problems,
    file_checks,
    files_elsewhere,
    missing_files,
    named_file_problems,
    targets_elsewhere,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.remote_write import remote_write
from ansible_collections.emr.monitoring.plugins.plugin_utils.rule_files import (
    impossible_thresholds,
    prometheus_rule_files,
    threshold_rules,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.scrape_jobs import (
    discoveries,
    mixed_self_scrapes,
    passwords_in_files,
    static_targets,
    with_own_targets,
    with_self_scrape_settings,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.service_files import service_files
from ansible_collections.emr.monitoring.plugins.plugin_utils.unit_options import unit_options
from ansible_collections.emr.monitoring.plugins.plugin_utils.web_configuration import CERTIFICATE, web_files

# Names of files with a login or a certificate. Not all that ends in _file is one: a parameter's name may.
FILES = [
    "basic_auth.*_file",
    "authorization.credentials_file",
    "bearer_token_file",
    "google_iam.credentials_file",
    "oauth2.client_secret_file",
    "oauth2.client_certificate_key_file",
    "oauth2.tls_config.*_file",
    "tls_config.*_file",
]
# What of prometheus.yml is no secret, and is shown: names, times, addresses, labels that end up in series. All else may
# be one, such as what a relabelling writes into a parameter.
HARMLESS = [
    "global.*",
    "rule_files",
    "alerting.alertmanagers.static_configs.targets",
    "scrape_configs.job_name",
    "scrape_configs.*_interval",
    "scrape_configs.*_timeout",
    "scrape_configs.*_limit",
    "scrape_configs.honor_*",
    "scrape_configs.metrics_path",
    "scrape_configs.scheme",
    "scrape_configs.static_configs.targets",
    "scrape_configs.static_configs.labels.[!_]*",
    "scrape_configs.*relabel_configs.action",
    "scrape_configs.*relabel_configs.source_labels",
    "scrape_configs.*relabel_configs.target_label",
    *(f"scrape_configs.{file}" for file in FILES),
    "scrape_configs.follow_redirects",
    "scrape_configs.enable_*",
    "scrape_configs.tls_config.insecure_skip_verify",
    "scrape_configs.tls_config.server_name",
    "remote_write.name",
    "remote_write.remote_timeout",
    "remote_write.follow_redirects",
    "remote_write.send_*",
    "remote_write.queue_config.*",
    "remote_write.metadata_config.*",
    *(f"remote_write.{file}" for file in FILES),
    "remote_write.http_headers.*.files",
    "remote_write.sigv4.region",
    "remote_write.write_relabel_configs.action",
    "remote_write.write_relabel_configs.source_labels",
    "remote_write.write_relabel_configs.target_label",
]


def prometheus_configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Make all files of the configuration, or say all that is wrong with what was written.

    :param settings: ``written``, see ``prometheus_input``; ``files``, see ``service_files``; ``unit``, see
        ``unit_options``; ``arguments`` of the
        program; ``defaults``, the path of the role's defaults; ``rules_dirs``, the role's own folders of rule files;
        ``thresholds`` of the user by name; ``runbook_url``; ``username``, ``password``, ``password_salt``,
        ``certificate`` and ``key``, see ``web_files``; ``addresses`` of this node's own Prometheus, see
        ``own_addresses``, its ``port``, the ``path`` below which it serves, and ``target``, the ``host:port`` by
        which the node reaches it; ``data_dir``, the folder of its data; ``remote_write``, see the function of that
        name; ``peers``, what was written into ``alertmanager_peers``, and ``node``, the name of this node
    :returns: ``problems``, a list of sentences; ``files``, path below the configuration's folder -> text, or what
        ``yaml_file`` returns; ``secret``, those that no diff shows; ``unit_files``, what is added to the unit;
        ``checks`` of the module ``service``, that files are there; ``static_targets`` by job; ``discoveries``, see
        there; ``remote_write``, its entries as they are rendered, and ``remote_files``, what they name; and
        ``command_line``, the arguments as systemd reads them. Where there are problems the files are not whole.
    """
    defaults = yaml_load(Path(settings["defaults"]).read_text("utf-8"))
    meant = prometheus_input({**settings["written"], "defaults": defaults["prometheus_global"]})
    thresholds = {**defaults["prometheus_alert_thresholds"], **(settings["thresholds"] or {})}
    brought = service_files(settings["files"], "prometheus_files")
    unit = unit_options(**settings["unit"])
    scrapes_itself = _self_scrape(settings)
    moved = with_own_targets(meant["jobs"], settings["port"], settings["target"])
    remote = remote_write(
        meant["remote_write"],
        {**settings["remote_write"], "environment": settings["unit"]["environment"]},
        meant["global"].get("external_labels", {}),
        static_targets(moved),
    )
    jobs = with_self_scrape_settings(moved, scrapes_itself, settings["addresses"])
    labels = meant["global"].get("external_labels", {})
    sections = _sections(meant, jobs, remote["entries"], told_apart(settings["peers"], moved, settings["node"], labels))
    config = passwords_in_files(sections, settings["password_salt"])
    config_dir = settings["remote_write"]["config_dir"]
    users = {**meant["config"], "alerting": meant["alerting"], "scrape_configs": meant["jobs"]}
    elsewhere = [*files_elsewhere({**users, "remote_write": remote["entries"]}, config_dir)]
    problems = [
        *meant["problems"],
        *elsewhere_problems(
            [*elsewhere, *targets_elsewhere(users, config_dir)], "prometheus", settings["unit"]["dropin"]
        ),
        *named_file_problems(sections, brought["files"], config_dir, settings["data_dir"]),
        *_missing(users, brought["files"], config_dir),
        *_job_problems(meant["jobs"], meant["global"]),
        *mixed_self_scrapes(meant["jobs"], scrapes_itself, settings["addresses"]),
        *(f"prometheus_alert_thresholds: {wrong}." for wrong in impossible_thresholds(thresholds)),
        *brought["problems"],
        *unit["problems"],
        *remote["problems"],
        *config["problems"],
    ]
    rules_dirs = [*settings["rules_dirs"], *meant["rules_dirs"]]
    files = {
        **brought["files"],
        **collected(problems, lambda: prometheus_rule_files(rules_dirs), {}),
        "prometheus.yml": yaml_file(config["config"], HARMLESS),
        **collected(problems, lambda: web_files(settings, "prometheus_password"), {}),
        **({} if problems else generated_rules(thresholds, settings["runbook_url"])),
        **config["files"],
        **remote["config_files"],
    }
    return {
        "command_line": collected(problems, lambda: systemd_arguments(settings["arguments"]), ""),
        "problems": problems,
        "files": files,
        "secret": [*brought["secret"], *remote["config_files"]],
        "unit_files": unit["files"],
        "checks": file_checks(elsewhere, "prometheus", settings["unit"]["dropin"]),
        "discoveries": discoveries(moved),
        "static_targets": static_targets(moved),
        "remote_write": plain(remote["entries"]),
        "remote_files": remote["files"],
    }


def generated_rules(thresholds: Mapping[str, Any], runbook_url: str) -> dict[str, dict[str, str]]:
    """Return the rule files that hold what the rules of the alerts compare with, and where the runbook is."""
    # Where the annotations of the alerts find the address of the runbook: rule files know no variables.
    runbook = {"record": "alerts:runbook:info", "expr": "1", "labels": {"url": runbook_url}}
    return {
        "rules/thresholds.yml": yaml_file(threshold_rules(thresholds), ["*"]),
        "rules/runbook.yml": yaml_file({"groups": [{"name": "runbook", "rules": [runbook]}]}, ["*"]),
    }


def _missing(sections: Mapping[str, Any], files: Collection[str], config_dir: str) -> Iterator[str]:
    for where, path in missing_files(sections, {*files, CERTIFICATE}, config_dir):
        yield (
            f"{where} is {config_dir}/{path}, and prometheus_files does not bring it: add it there, as NAME, and write "
            "files/NAME."
        )


def _job_problems(jobs: Iterable[Mapping[str, Any]], limits: Mapping[str, Any]) -> Iterator[str]:
    names = collections.Counter(job["job_name"] for job in jobs)
    if twice := [name for name, count in names.items() if count > 1]:
        yield (
            "Every job in prometheus_scrape_configs needs a job_name of its own, and there are several named "
            f"{', '.join(twice)}: rename or merge them."
        )
    for job in jobs:
        for target in static_targets([job])[str(job["job_name"])]:
            if re.search(r"\s", target["address"]):
                yield f"The job {job['job_name']} has the target {target['address']!r}, which holds a space: remove it."
    longest = max(names, key=len, default="")
    # Prometheus would refuse its own metrics, whose labels the names are.
    limit = str(limits.get("label_value_length_limit") or 0)
    if limit.isdigit() and 0 < int(limit) < len(longest):
        yield (
            f"The longest job_name in prometheus_scrape_configs has {len(longest)} characters, and "
            f"label_value_length_limit in prometheus_scrape_limits is {limit}: choose a shorter name."
        )


def _self_scrape(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a job needs that scrapes this node's own Prometheus."""
    login = {"username": str(settings["username"]), "password": str(settings["password"])}
    # The certificate itself is trusted, whoever signed it; it need not be for localhost.
    name = certificate_server_name(settings["certificate"] or "")
    tls = {"scheme": "https", "tls_config": {"ca_file": CERTIFICATE, "server_name": name}}
    path = {"metrics_path": f"{settings['path']}/metrics"} if settings["path"] else {}
    return path | ({"basic_auth": login} if settings["password"] else {}) | (tls if settings["certificate"] else {})


def _sections(
    meant: Mapping[str, Any], jobs: list[Mapping[str, Any]], remote: list[Mapping[str, Any]], labels: list[Any]
) -> dict[str, Any]:
    """Return prometheus.yml with its sections in the order in which upstream documents them.

    :param labels: the relabelling of all alerts, which comes before the user's own
    """
    alerting = {"alerting": meant["alerting"]} if meant["alerting"] else {}
    if alerting and labels:
        own = meant["alerting"].get("alert_relabel_configs") or []
        # What is no list promtool refuses, in its own words.
        own = own if isinstance(own, list | tuple) else [own]
        alerting = {"alerting": {**meant["alerting"], "alert_relabel_configs": [*labels, *own]}}
    return {
        "global": meant["global"],
        **alerting,
        "rule_files": ["rules/*"],
        "scrape_configs": jobs,
        **({"remote_write": remote} if remote else {}),
        **meant["config"],
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"prometheus_configuration": prometheus_configuration}
