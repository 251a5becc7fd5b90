"""The pins: what a node installs for itself is what was tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
LOCKED = (
    "requirements.txt",
    "requirements-aws.txt",
    "requirements-bench.txt",
    "requirements-browser.txt",
    "requirements-go.txt",
    "contrib/emr/requirements.txt",
    "molecule/testbed/demo/requirements.txt",
    "molecule/testbed/spark/requirements.txt",
    "tests/aws/collection.txt",
)


def pins(name: str) -> dict[str, str]:
    """Return the pinned lines of a lock file by package and marker."""
    lines = (PROJECT / name).read_text().splitlines()
    pinned = [line.removesuffix(" \\") for line in lines if line[:1].isalpha()]
    return {line.replace(line.split("==")[1].split(" ")[0], ""): line for line in pinned}


@pytest.mark.parametrize("name", ["requirements-aws.txt", "requirements-bench.txt", "contrib/emr/requirements.txt"])
def test_a_package_has_one_version_everywhere(name: str) -> None:
    tested, other = pins("requirements.txt"), pins(name)
    shared = tested.keys() & other.keys()
    assert shared
    assert {key: other[key] for key in shared} == {key: tested[key] for key in shared}


@pytest.mark.parametrize("name", LOCKED)
def test_every_requirement_has_one_version_and_a_hash(name: str) -> None:
    text = re.sub(r"(?m)^ *#.*\n", "", (PROJECT / name).read_text()).replace("\\\n", "")
    pinned = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[\w.+]+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert text.splitlines()
    assert [line for line in text.splitlines() if not pinned.fullmatch(line)] == []


def test_every_collection_has_one_version() -> None:
    collections = yaml.safe_load((PROJECT / "requirements.yml").read_text())["collections"]
    assert collections
    assert [each for each in collections if not re.fullmatch(r"\d+\.\d+\.\d+", each["version"])] == []
