"""Tell what systemd understands."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


def systemd_memory_limit(value: Any) -> bool:
    """Tell whether a value is one for ``MemoryMax=`` (systemd.resource-control(5)), such as 2G, 10% or infinity."""
    return re.fullmatch(r"infinity|\d+[KMGT]?|\d+%", str(value)) is not None


def systemd_folder(value: str) -> bool:
    """Tell whether a path is absolute, and one that every line of a unit takes as it is."""
    return re.fullmatch(r"(/[A-Za-z0-9_][A-Za-z0-9._+-]*)+", value) is not None


class TestModule:
    """Ansible's entry point."""

    def tests(self) -> dict[str, Callable[..., bool]]:
        """Return the tests of this file by name."""
        return {"systemd_folder": systemd_folder, "systemd_memory_limit": systemd_memory_limit}
