"""Prometheus' rule files: those of the user's folders, and what the role makes of its variables."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.emr.monitoring.plugins.plugin_utils.left_out import seems_meant

# What the role makes of its variables, beside the rule files of the folders.
GENERATED_RULE_FILES = {"thresholds.yml": "prometheus_alert_thresholds", "runbook.yml": "prometheus_runbook_url"}
RULE_FILES = (".yml", ".yaml")
NEAR_MISS = re.compile(r"\.(ya?ml|rules?)(?![a-z])", re.IGNORECASE)
# The highest multiple of the error budget that an alert compares with.
FASTEST_BURN = 14.4


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
