"""The gate of Prometheus: what a user wrote is what is rendered, or it is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ansible_collections.emr.monitoring.plugins.plugin_utils import remote_write
from ansible_collections.emr.monitoring.plugins.plugin_utils.prometheus_types import listed, typed
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

# Where text is meant in what Prometheus reads, whatever YAML makes of it.
TEXT_BELOW = {"labels", "external_labels", "targets", "params", "source_labels", "headers"}
TEXT = {
    "job_name", "name", "metrics_path", "regex", "replacement", "target_label", "separator", "region",
    "username", "password", "credentials", "bearer_token", "client_id", "client_secret",
}  # fmt: skip
# Sections that other variables write.
OWN_SECTIONS = {
    "scrape_configs": "prometheus_scrape_configs",
    "rule_files": "prometheus_rules_dirs",
    "global": "prometheus_global",
    "remote_write": "prometheus_remote_write",
}


def prometheus_input(written: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a user wrote, and return it as it is rendered.

    :param written: values by the names of the role's variables without ``prometheus_``; ``defaults`` holds what the
        role has for ``global``
    :returns: ``problems``, a list of sentences, and ``jobs``, ``global``, ``alerting``, ``config``, ``remote_write``
        and ``rules_dirs``
    """
    gate = Written()
    jobs = [
        *_jobs(gate, "prometheus_scrape_configs", written["scrape_configs"]),
        *_jobs(gate, "prometheus_monitoring_scrape_configs", written["monitoring_scrape_configs"]),
    ]
    return {
        "jobs": jobs,
        "global": _global(gate, written),
        "alerting": _alerting(gate, written),
        "config": _config(gate, written["config"]),
        "remote_write": remote_write.written_entries(gate, written["remote_write"], _remote),
        "rules_dirs": [str(folder) for folder in gate.sequence("prometheus_rules_dirs", written["rules_dirs"])],
        "problems": gate.problems,
    }


def _jobs(gate: Written, variable: str, value: Any) -> list[dict[str, Any]]:
    found = []
    for number, job in enumerate(gate.sequence(variable, value), 1):
        where = f"{variable}[{number}]"
        if not isinstance(job, Mapping):
            gate.refuse(where, job, "write a job, a mapping with a job_name")
            continue
        name = gate.text(f"{where}.job_name", job.get("job_name"))
        if not name:
            gate.problems.append(f"{where} has no job_name: every job needs one of its own.")
            continue
        where = f"{variable}, job {name}"
        meant = {key: _value(gate, f"{where}.{key}", key, item) for key, item in job.items() if key != "job_name"}
        for key in [key for key in meant if str(key).endswith("_configs")]:
            meant[key] = _mappings(gate, f"{where}.{key}", meant[key])
        if "static_configs" in meant:
            groups = meant["static_configs"]
            meant["static_configs"] = [_group(gate, f"{where}.static_configs", group) for group in groups]
        found.append({"job_name": name, **meant})
    return found


def _mappings(gate: Written, where: str, value: Any) -> list[Any]:
    """Return a list of mappings; an empty one stands for what is left empty."""
    found = []
    for item in gate.sequence(where, value):
        if isinstance(item, Mapping | None):
            found.append(item or {})
        else:
            gate.refuse(where, item, "write a list of mappings, name: value", secret=True)
    return found


def _group(gate: Written, where: str, group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group of static targets, in which nothing stands for no target and no label, as upstream has it."""
    meant = {**group, "targets": gate.sequence(f"{where}.targets", group.get("targets"))}
    if "labels" in meant:
        meant["labels"] = gate.mapping(f"{where}.labels", meant["labels"])
    return meant


def _value(gate: Written, where: str, key: Any, value: Any) -> Any:
    """Return a value of Prometheus' configuration; what is meant as text is text, and what as a list a list."""
    return gate.structure(where, key, listed(key, value), text=TEXT, text_below=TEXT_BELOW, other=partial(typed, gate))


def _remote(gate: Written, where: str, key: Any, value: Any) -> Any:
    """Return a value of an entry of remote_write; what is meant as text is text."""
    return gate.structure(
        where,
        key,
        listed(key, value),
        text=TEXT | remote_write.TEXT,
        text_below=TEXT_BELOW | remote_write.TEXT_BELOW,
        other=partial(typed, gate),
    )


def _global(gate: Written, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the global section: the user's values over the role's, whichever of the variables holds them."""
    own = gate.mapping("prometheus_global", _value(gate, "prometheus_global", None, written["global"]))
    variable = "prometheus_external_labels"
    labels = gate.texts(variable, gate.mapping(variable, written["external_labels"]))
    own_labels = gate.mapping("prometheus_global.external_labels", own.get("external_labels"))
    name = "prometheus_scrape_limits"
    limits = gate.mapping(name, _value(gate, name, None, written["scrape_limits"]))
    if variable in written["own"]:
        gate.problems += _differences(variable, labels, "prometheus_global.external_labels", own_labels)
    if name in written["own"]:
        gate.problems += _differences(name, limits, "prometheus_global", own)
    labels |= own_labels
    merged = {**written["defaults"], **limits, **own}
    merged.pop("external_labels", None)
    return {**merged, "external_labels": labels} if labels else merged


def _differences(variable: str, values: Mapping[str, Any], other: str, others: Mapping[str, Any]) -> list[str]:
    """Describe what two variables give different values."""
    return [
        f"{variable} holds {key}: {value}, and {other} {key}: {others[key]}: write it into one of them."
        for key, value in values.items()
        if key in others and others[key] != value
    ]


def _alerting(gate: Written, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the alerting section: the role's Alertmanagers beside what the user wrote."""
    config = written["config"] if isinstance(written["config"], Mapping) else {}
    variable = "prometheus_config.alerting"
    own = gate.mapping(variable, _value(gate, variable, None, config.get("alerting")))
    senders = gate.sequence("prometheus_alertmanagers", written["alertmanagers"])
    senders = _value(gate, "prometheus_alertmanagers", None, senders)
    if senders and own.get("alertmanagers"):
        gate.problems.append(
            "prometheus_config.alerting holds alertmanagers, and prometheus_alertmanagers is set, too (by default it "
            "is where alertmanager_receivers is): write all of them into prometheus_alertmanagers."
        )
    return {**({"alertmanagers": senders} if senders else {}), **own}


def _config(gate: Written, value: Any) -> dict[str, Any]:
    sections = gate.sections("prometheus_config", value, OWN_SECTIONS)
    storage = sections.get("storage")
    tsdb = storage.get("tsdb") if isinstance(storage, Mapping) else None
    if isinstance(tsdb, Mapping) and "retention" in tsdb:
        gate.problems.append(
            "prometheus_config.storage.tsdb holds retention, which would replace prometheus_retention_time and "
            "prometheus_retention_size: use those."
        )
    return {
        name: _value(gate, f"prometheus_config.{name}", name, item)
        for name, item in sections.items()
        if name != "alerting"
    }


def retention_problems(time: Any, size: Any) -> list[str]:
    """Say what Prometheus would not take for how long, or for how many bytes, metrics are kept."""
    problems = []
    if not re.fullmatch("([0-9]+(ms|s|m|h|d|w|y))+", str(time)):
        problems.append(f"prometheus_retention_time is '{time}': write it like 15d or 12h.")
    if not re.fullmatch("0|[0-9]+(B|KB|MB|GB|TB|PB|EB)", str(size)):
        problems.append(f"prometheus_retention_size is '{size}': write it like 20GB, or 0 for no limit.")
    if not re.search("[1-9]", str(time)) and not re.search("[1-9]", str(size)):
        problems.append(
            f"prometheus_retention_time is '{time}' and prometheus_retention_size is '{size}': without any limit "
            "Prometheus keeps 15 days. Write a long time, such as 10y."
        )
    return problems


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"retention_problems": retention_problems}
