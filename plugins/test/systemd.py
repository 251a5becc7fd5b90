"""Tell what systemd understands."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


def systemd_memory_limit(value: Any) -> bool:
    """Tell whether a value is one for ``MemoryMax=`` (systemd.resource-control(5)), such as 2G, 10% or infinity."""
    return re.fullmatch(r"infinity|\d+[KMGT]?|\d+%", str(value)) is not None


class TestModule:
    """Ansible's entry point."""

    def tests(self) -> dict[str, Callable[[Any], bool]]:
        """Return the tests of this file by name."""
        return {"systemd_memory_limit": systemd_memory_limit}
