"""The fixtures that several tests of files for Prometheus and Alertmanager use: their own checkers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).parents[2]
Checker = Callable[..., str]
# For the tests that have Ansible render something: it finds the plugins as in a run.
init_plugin_loader([str(ROOT / "collections")])


@pytest.fixture(scope="session")
def promtool() -> Checker:
    """Return a function that runs promtool, fails with what it says when it is not content, and returns that."""
    return checker("promtool")


@pytest.fixture(scope="session")
def amtool() -> Checker:
    """Return the same for amtool."""
    return checker("amtool")


def checker(name: str) -> Checker:
    """Return a function that runs a checker; skip the test by name where there is none, unless none may be skipped."""
    variable = name.upper()
    found = os.environ.get(variable) or shutil.which(name) or next(map(str, ROOT.glob(f".cache/**/{name}")), None)
    if not found:
        missing = f"no {name}: set {variable} to its path, or have it below .cache (`make unit-complete`, with Docker)"
        if os.environ.get("UNIT_TESTS") == "complete":
            pytest.fail(missing)
        pytest.skip(missing)

    def run(*arguments: str | Path) -> str:
        done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no disk: what a power cut leaves no test can see, and thousands of files take minutes."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
