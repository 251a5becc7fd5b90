"""The headers that Grafana sends with each request to a data source, as its provisioning files have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def header_names(headers: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what belongs into ``jsonData``."""
    return {f"httpHeaderName{number}": str(name) for number, name in enumerate(headers or {}, 1)}


def header_values(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what belongs into ``secureJsonData``, in which $ is $$; the gate judges what is no text."""
    return {
        f"httpHeaderValue{number}": value.replace("$", "$$") if isinstance(value, str) else value
        for number, value in enumerate((headers or {}).values(), 1)
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"header_names": header_names, "header_values": header_values}
