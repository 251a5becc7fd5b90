"""Find misspelt role variables, which Ansible itself would silently ignore."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Any


def misspelt_variables(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Describe each variable that a role does not know.

    :param names: variable names that are set, all with the role's prefix
    :param known: the role's public variable names, with the same prefix
    :returns: one sentence per unknown name, with the nearest right one
    """
    known = sorted(known)
    return [
        f"{name} is not a variable of this role: did you mean {max(known, key=lambda right: _likeness(name, right))}?"
        for name in sorted(set(names) - set(known))
    ]


def _likeness(name: str, right: str) -> float:
    """Compare the letters in their order and regardless of it, since swapped letters are the usual slip."""
    ordered = SequenceMatcher(None, name, right).ratio()
    return ordered + SequenceMatcher(None, sorted(name), sorted(right)).ratio()


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"misspelt_variables": misspelt_variables}
