"""Read a value as it was meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written


def meant_list(value: Any) -> list[Any]:
    """Return what is meant as a list: nothing is an empty one, and a single value is a list of one."""
    return Written().sequence("", value)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"meant_list": meant_list}
