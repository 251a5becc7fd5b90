"""The fixture that several tests of files for Prometheus use: its own checker."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).parents[2]
# For the tests that have Ansible render something: it finds the plugins as in a run.
init_plugin_loader([str(ROOT / "collections")])


@pytest.fixture(scope="session")
def promtool() -> Callable[..., str]:
    """Return a function that runs promtool, fails with what it says when it is not content, and returns that."""
    found = (
        os.environ.get("PROMTOOL") or shutil.which("promtool") or next(map(str, ROOT.glob(".cache/**/promtool")), None)
    )
    if not found:
        pytest.fail("No promtool: set PROMTOOL to its path, or unpack a Prometheus release below .cache/")

    def run(*arguments: str | Path) -> str:
        done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
