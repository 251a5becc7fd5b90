"""The pins: what a node installs for itself is what was tested."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
OTHERS = ["requirements-aws.txt", "requirements-bench.txt", "contrib/emr/requirements.txt"]


def pins(name: str) -> dict[str, str]:
    """Return the pinned lines of a lock file by package and marker."""
    lines = (PROJECT / name).read_text().splitlines()
    pinned = [line.removesuffix(" \\") for line in lines if line[:1].isalpha()]
    return {line.replace(line.split("==")[1].split(" ")[0], ""): line for line in pinned}


@pytest.mark.parametrize("name", OTHERS)
def test_a_package_has_one_version_everywhere(name: str) -> None:
    tested, other = pins("requirements.txt"), pins(name)
    shared = tested.keys() & other.keys()
    assert shared
    assert {key: other[key] for key in shared} == {key: tested[key] for key in shared}


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-aws.txt", "requirements-bench.txt", "contrib/emr/requirements.txt"]
)
def test_every_pin_has_a_hash(name: str) -> None:
    lines = (PROJECT / name).read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line[:1].isalpha()]
    assert starts
    assert [lines[n] for n in starts if "--hash=sha256:" not in lines[n + 1]] == []
