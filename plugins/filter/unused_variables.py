"""Find what an inventory sets for a part of the project that is not in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

# With these a release is pinned, or a login kept, before the service is wanted.
AHEAD = ("_version", "_checksums", "_url", "_architecture", "_username", "_password", "_password_salt")


def without_effect(names: Iterable[str], parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which variables have no effect.

    :param names: the variables that the inventory or the command line sets
    :param parts: each with ``variables`` (how its variables' names begin), ``used`` (whether it is in use) and
        ``because`` (why it is not)
    :returns: a sentence for each part that is not in use and has variables
    """
    names = sorted(names)
    found = (
        (part, [name for name in names if name.startswith(tuple(part["variables"])) and not name.endswith(AHEAD)])
        for part in parts
        if not part["used"]
    )
    return [
        f"{', '.join(idle)} {'has' if len(idle) == 1 else 'have'} no effect: {part['because']}."
        for part, idle in found
        if idle
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {"without_effect": without_effect}
