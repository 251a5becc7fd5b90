"""The headers that Grafana sends with each request to a data source, as its provisioning files have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def header_names(headers: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what belongs into ``jsonData``."""
    return {f"httpHeaderName{number}": str(name) for number, name in enumerate(headers or {}, 1)}


def header_values(headers: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what belongs into ``secureJsonData``, in which a literal $ is written $$."""
    values = (headers or {}).values()
    return {f"httpHeaderValue{number}": str(value).replace("$", "$$") for number, value in enumerate(values, 1)}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"header_names": header_names, "header_values": header_values}
