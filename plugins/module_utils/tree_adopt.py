"""Take over what somebody else put where files of this project go: a copy of it stays for good."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence

from ansible_collections.emr.monitoring.plugins.module_utils.tree import naming


def copies_folder(name: str) -> str:
    """Return the folder for copies of what was there before a service, each time in a folder of its own."""
    return f"/var/lib/emr-monitoring-{name}-before"


def keep_copies(paths: Sequence[str], folder: str) -> str:
    """Copy files and links below a folder that root alone reads; return where they are.

    :raises TreeError: one of them cannot be copied; what is there then can stay
    """
    with naming(f"make a folder in {folder}"):
        os.makedirs(folder, 0o700, exist_ok=True)
        place = tempfile.mkdtemp(prefix=time.strftime("%Y-%m-%dT%H-%M-%S-"), dir=folder)
    for path in paths:
        with naming(f"keep {path} in {place}"):
            os.makedirs(os.path.dirname(f"{place}{path}"), 0o700, exist_ok=True)
            shutil.copy2(path, f"{place}{path}", follow_symlinks=False)
    return place
