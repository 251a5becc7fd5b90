"""The roles' public variables: each has a default, a typed spec and a description."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
WITH_SPECS = sorted(path.parts[-3] for path in ROLES.glob("*/meta/argument_specs.yml"))


def load(role: str, path: str) -> Any:
    return yaml.safe_load((ROLES / role / path).read_text())


def public(role: str) -> dict[str, Any]:
    """Return the options of a role's variables; the role settings, which has no tasks, has no ``main`` either."""
    specs = load(role, "meta/argument_specs.yml")["argument_specs"]
    return dict((specs.get("main") or specs["settings"])["options"])


WITH_ARCHIVES = [role for role in WITH_SPECS if f"{role}_url" in load(role, "defaults/main.yml")]


@pytest.mark.parametrize("role", WITH_SPECS)
def test_specs_and_defaults_have_the_same_variables(role: str) -> None:
    defaults = load(role, "defaults/main.yml")
    options = public(role)
    assert set(options) == set(defaults)
    assert [name for name, option in options.items() if option.get("required")] == []


@pytest.mark.parametrize("role", WITH_SPECS)
def test_the_defaults_in_the_specs_are_the_defaults(role: str) -> None:
    defaults = load(role, "defaults/main.yml")
    options = public(role)
    stated = {name: option["default"] for name, option in options.items() if "default" in option}
    assert {name: defaults[name] for name in stated} == stated
    plain = {name for name, value in defaults.items() if isinstance(value, str | int) and "{{" not in str(value)}
    assert plain <= set(stated), "a default that can be read has to be in the spec"


@pytest.mark.parametrize("role", WITH_SPECS)
def test_every_variable_is_described(role: str) -> None:
    options = public(role)
    leaves = [leaf for option in options.values() for leaf in option.get("options", {}).values()]
    assert all(option["description"].endswith(".") and "type" in option for option in [*options.values(), *leaves])


@pytest.mark.parametrize("role", WITH_SPECS)
def test_the_keys_in_the_specs_are_those_of_the_defaults(role: str) -> None:
    defaults = load(role, "defaults/main.yml")
    options = public(role)
    # An empty default is one of a whole that a user writes or does not.
    dicts = {name: option for name, option in options.items() if option["type"] == "dict" and defaults[name]}
    typed = {name: list(option["options"]) for name, option in dicts.items() if "options" in option}
    assert {name: list(defaults[name]) for name in typed} == typed


@pytest.mark.parametrize("role", WITH_SPECS)
def test_every_default_has_a_comment(role: str) -> None:
    lines = (ROLES / role / "defaults/main.yml").read_text().splitlines()
    bare = [line for above, line in pairwise(lines) if re.match(r"\w", line) and above[:1] != "#"]
    assert bare == []


@pytest.mark.parametrize("role", WITH_ARCHIVES)
def test_the_archive_comes_over_https(role: str) -> None:
    assert load(role, "defaults/main.yml")[f"{role}_url"].startswith("https://")


@pytest.mark.parametrize("role", WITH_ARCHIVES)
def test_the_release_to_run_is_pinned_for_both_architectures(role: str) -> None:
    defaults = load(role, "defaults/main.yml")
    assert defaults[f"{role}_checksums"][defaults[f"{role}_version"]].keys() == {"amd64", "arm64"}


@pytest.mark.parametrize("role", WITH_ARCHIVES)
def test_every_release_is_pinned_with_a_sha256(role: str) -> None:
    for checksums in load(role, "defaults/main.yml")[f"{role}_checksums"].values():
        assert {"amd64"} <= checksums.keys() <= {"amd64", "arm64"}
        assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in checksums.values())


def test_nothing_whose_order_counts_goes_through_a_set() -> None:
    """Ansible's filters of sets give an order that another process need not have: a file would change by itself."""
    sets = re.compile(r"\| *(difference|intersect|union|symmetric_difference)\(")
    found = {
        name
        for folder in ("vars", "defaults")
        for path in ROLES.glob(f"*/{folder}/*.yml")
        for name, value in yaml.safe_load(path.read_text()).items()
        if sets.search(str(value))
    }
    # Of these it counts what is in them: prefixes of names to look for, and the services of a run.
    assert found == {"__emr_node_misspelt", "__settings_chosen"}


def test_the_jobs_are_the_guides() -> None:
    text = (ROLES.parent / "group_vars/emr_master/prometheus.yml").read_text()
    assert load("settings", "defaults/main.yml")["prometheus_port"] == 9090
    jobs = yaml.safe_load(text.replace("{{ prometheus_port | default(9090) }}", "9090"))["prometheus_scrape_configs"]
    assert jobs == [
        {"job_name": "prometheus", "static_configs": [{"targets": ["localhost:9090"]}]},
        {
            "job_name": "ingest-service",
            "metrics_path": "/metrics",
            "static_configs": [{"targets": ["localhost:8000"], "labels": {"service": "ingest"}}],
        },
        {
            "job_name": "docproc-service",
            "static_configs": [{"targets": ["localhost:8003"], "labels": {"service": "docproc"}}],
        },
        {
            "job_name": "embedding-service",
            "static_configs": [{"targets": ["localhost:8002"], "labels": {"service": "embedding"}}],
        },
    ]
    assert load("prometheus", "defaults/main.yml")["prometheus_global"] == {
        "scrape_interval": "15s",
        "evaluation_interval": "15s",
    }
