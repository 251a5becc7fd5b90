"""What several hosts of an inventory have to have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def is_one(values: Iterable[Any]) -> bool:
    """Tell whether all hosts have a value, and the same one."""
    found = list(values)
    return None not in found and len({str(value) for value in found}) == 1


def hosts_of_play(variables: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return by name the variables of all hosts of the play by the inventory alone, without the defaults of roles.

    What a default generates is another one on each host.
    """
    return {name: variables["hostvars"][name] for name in variables["ansible_play_hosts_all"]}
