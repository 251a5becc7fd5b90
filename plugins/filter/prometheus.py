"""Read and make rule files, and tell what Prometheus' answers mean."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.emr.monitoring.plugins.module_utils.questions import shown
from ansible_collections.emr.monitoring.plugins.plugin_utils.left_out import seems_meant

# What the role makes of its variables, beside the rule files of the folders.
GENERATED_RULE_FILES = {"thresholds.yml": "prometheus_alert_thresholds", "runbook.yml": "prometheus_runbook_url"}
RULE_FILES = (".yml", ".yaml")
NEAR_MISS = re.compile(r"\.(ya?ml|rules?)(?![a-z])", re.IGNORECASE)
# The highest multiple of the error budget that an alert compares with.
FASTEST_BURN = 14.4


def with_self_scrape_settings(
    scrape_configs: Iterable[Mapping[str, Any]], settings: Mapping[str, Any], addresses: Collection[str]
) -> list[Mapping[str, Any]]:
    """Give the jobs that scrape this node's own Prometheus, and nobody else, what that takes.

    What counts is where a job goes to, not how it is called: a login is for the one who issued it.

    :param scrape_configs: jobs in Prometheus' syntax
    :param settings: settings of a job, such as ``basic_auth``; each that the job has itself stays as it is, and a job
        with another kind of login gets none besides
    :param addresses: ``host:port`` of this node's own Prometheus, in each way to write it
    """
    return [{**job, **_lacking(job, settings)} if _goes_to(job, addresses) == {True} else job for job in scrape_configs]


def mixed_self_scrapes(
    scrape_configs: Iterable[Mapping[str, Any]], settings: Mapping[str, Any], addresses: Collection[str]
) -> list[str]:
    """Say of each job that scrapes this node's own Prometheus and others why it cannot work, and what to write.

    The parameters are those of ``with_self_scrape_settings``.
    """
    return [
        f"The job {job.get('job_name')!r} in prometheus_scrape_configs scrapes this node's own Prometheus, which takes "
        "its login or its certificate, and others, who must not get them. Write two jobs, one with targets: "
        f'["{_own(job, addresses)}"] alone, and one of another name for the others; or give the job a basic_auth or an '
        "authorization of its own."
        for job in scrape_configs
        if settings and _goes_to(job, addresses) == {True, False} and not _has_login(job)
    ]


def _goes_to(job: Mapping[str, Any], addresses: Collection[str]) -> set[bool]:
    """Return whether a job goes to this node's own Prometheus, to others, or to both."""
    if _goes_elsewhere(job):
        return {False}
    discovers = any(name.endswith("_sd_configs") for name in job)
    return {target in addresses for target in _static_targets(job)} | ({False} if discovers else set())


def _goes_elsewhere(job: Mapping[str, Any]) -> bool:
    """Tell whether the address of a target need not be where it is scraped."""
    rules = job.get("relabel_configs") or ()
    labels = [str(rule.get("target_label", "")) for rule in rules]
    moved = any(label == "__address__" or "$" in label for label in labels)
    mapped = any(rule.get("action") == "labelmap" for rule in rules)
    return bool(moved or mapped or job.get("proxy_url") or job.get("proxy_from_environment"))


def _own(job: Mapping[str, Any], addresses: Collection[str]) -> str:
    return next(target for target in _static_targets(job) if target in addresses)


def _static_targets(job: Mapping[str, Any]) -> Iterator[str]:
    for group in job.get("static_configs") or ():
        yield from map(str, group.get("targets") or ())


def _has_login(job: Mapping[str, Any]) -> bool:
    return not {"basic_auth", "authorization", "oauth2"}.isdisjoint(job)


def _lacking(job: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    own = {*job, *(["basic_auth"] if _has_login(job) else [])}
    return {name: value for name, value in settings.items() if name not in own}


def passwords_in_files(config: Any, salt: str) -> dict[str, Any]:
    """Take the passwords of logins out of a configuration, so that it can be shown.

    :param config: a configuration in Prometheus' syntax
    :param salt: random text that goes into the names of the files, so that these give nothing away
    :returns: ``config``, in which each ``basic_auth`` names a file, and ``files``, name -> password
    """
    files: dict[str, str] = {}

    def without_passwords(part: Any, name: str = "") -> Any:
        if isinstance(part, Mapping):
            shown = in_file(part) if name == "basic_auth" and "password" in part else part
            return {key: without_passwords(value, key) for key, value in shown.items()}
        return [without_passwords(value) for value in part] if isinstance(part, list | tuple) else part

    def in_file(login: Mapping[str, Any]) -> dict[str, Any]:
        password = str(login["password"])
        # Another password has another name, for the reload to see it.
        file = f"password-{hashlib.sha256(f'{salt}{password}'.encode()).hexdigest()[:8]}"
        files[file] = password
        return {key: value for key, value in login.items() if key != "password"} | {"password_file": file}

    return {"config": without_passwords(config), "files": files}


def prometheus_rule_files(dirs: Iterable[str]) -> dict[str, str]:
    """Read the rule files of some folders.

    :param dirs: folders on the controller; their ``*.yml`` and ``*.yaml`` files are taken
    :returns: path below the configuration's folder (``rules/<name>``) -> text
    :raises AnsibleFilterError: a folder is missing, two files have the same name, one has that of a file that the
        role makes, or one cannot be read as text
    """
    found: dict[str, Path] = {}
    listed = list(dict.fromkeys(Path(directory).expanduser().absolute() for directory in dirs))
    for directory in listed:
        if not directory.is_dir():
            raise AnsibleFilterError(
                f"prometheus_rules_dirs: {directory} is not a folder: create it or remove it from the list."
            )
        for path in _rule_paths(directory, listed):
            if path.name in GENERATED_RULE_FILES:
                raise AnsibleFilterError(
                    f"prometheus_rules_dirs: {path} has the name of the file that "
                    f"{GENERATED_RULE_FILES[path.name]} makes: rename it."
                )
            if path.name in found:
                raise AnsibleFilterError(
                    f"prometheus_rules_dirs: {path} and {found[path.name]} have the same name: rename one."
                )
            found[path.name] = path
    return {f"rules/{name}": _rule_text(path) for name, path in found.items()}


def _rule_paths(directory: Path, listed: Collection[Path]) -> list[Path]:
    """Return the rule files of a folder; one that seems to be meant and would be left out is refused."""
    paths = [path for path in sorted(directory.rglob("*")) if not path.is_dir()]
    paths = [path for path in paths if not any(part[0] == "." for part in path.relative_to(directory).parts)]
    files = [
        path for path in paths if path.suffix in RULE_FILES or seems_meant(path, NEAR_MISS, _mapping_in, ("groups",))
    ]
    for path in files:
        if path.parent not in listed:
            raise AnsibleFilterError(
                f"prometheus_rules_dirs: {path} lies in a subfolder of {directory}, which is not looked at: list "
                f"{path.parent}, too, or move the file."
            )
        if path.suffix not in RULE_FILES:
            raise AnsibleFilterError(f"prometheus_rules_dirs: {path} is no *.yml and no *.yaml file: rename it.")
    if not files:
        raise AnsibleFilterError(
            f"prometheus_rules_dirs: {directory} holds no rule file (*.yml, *.yaml): add one, or take it off the list."
        )
    return [path for path in files if path.parent == directory]


def _mapping_in(text: str) -> Any:
    if "groups" not in text:
        raise ValueError
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError from error


def _rule_text(path: Path) -> str:
    if not path.name.isprintable():
        raise AnsibleFilterError(f"prometheus_rules_dirs: {str(path)!r} has an unprintable name: rename the file.")
    try:
        # Not read_text: it would change the line ends.
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleFilterError(
            f"prometheus_rules_dirs: {path} cannot be read ({error}): make it a readable file in UTF-8, or remove it."
        ) from error


def threshold_rules(thresholds: Mapping[str, Any]) -> dict[str, Any]:
    """Record each threshold as a series of its own, which the rules of the alerts compare with.

    :param thresholds: name -> number
    :returns: a rule file
    """
    rules = [{"record": f"threshold:{name}", "expr": str(float(value))} for name, value in thresholds.items()]
    return {"groups": [{"name": "thresholds", "rules": rules}]}


def impossible_thresholds(thresholds: Mapping[str, Any]) -> list[str]:
    """Say of each threshold that nothing measured can pass what it may be.

    :param thresholds: name -> number; the name of a ratio ends in ``_ratio``
    """
    wrong = [name for name, value in thresholds.items() if value is None or not 0 <= float(value) < _highest(name)]
    return [f"{name} is {thresholds[name]}: write a number from 0 to less than {_highest(name):.3g}" for name in wrong]


def _highest(threshold: str) -> float:
    if threshold == "upload_error_budget_ratio":
        return 1 / FASTEST_BURN
    return 1 if threshold.endswith("_ratio") else math.inf


def static_targets(scrape_configs: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return what is known beforehand of the targets of each job.

    :param scrape_configs: jobs in Prometheus' syntax
    :returns: name of the job -> its static targets, each ``address`` and ``labels``; none for what is discovered
    """
    return {
        str(job["job_name"]): [
            {
                "address": str(address),
                "labels": {name: str(value) for name, value in (group.get("labels") or {}).items()},
            }
            for group in job.get("static_configs") or []
            for address in group.get("targets") or []
        ]
        for job in scrape_configs
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {
            "impossible_thresholds": impossible_thresholds,
            "mixed_self_scrapes": mixed_self_scrapes,
            "passwords_in_files": passwords_in_files,
            "prometheus_rule_files": prometheus_rule_files,
            "shown": shown,
            "static_targets": static_targets,
            "threshold_rules": threshold_rules,
            "with_self_scrape_settings": with_self_scrape_settings,
        }
