"""Tell what systemd understands."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# With less, none of the programs starts: who writes 1024 means as many megabytes.
LEAST = 32 << 20


def systemd_memory_limit(value: Any) -> bool:
    """Tell whether a value is one for ``MemoryMax=`` (systemd.resource-control(5)), such as 2G, 10% or infinity.

    One that no program could start with is none.
    """
    if re.fullmatch(r"infinity|0*[1-9]\d*%", str(value)):
        return True
    found = re.fullmatch(r"(\d+)([KMGT]?)", str(value))
    return found is not None and int(found[1]) * UNITS[found[2]] >= LEAST


def systemd_folder(value: str) -> bool:
    """Tell whether a path is absolute, and one that every line of a unit takes as it is."""
    return re.fullmatch(r"(/[A-Za-z0-9_][A-Za-z0-9._+-]*)+", value) is not None


class TestModule:
    """Ansible's entry point."""

    def tests(self) -> dict[str, Callable[..., bool]]:
        """Return the tests of this file by name."""
        return {"systemd_folder": systemd_folder, "systemd_memory_limit": systemd_memory_limit}
