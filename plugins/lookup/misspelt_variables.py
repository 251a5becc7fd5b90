"""Find misspelt role variables, which Ansible itself would silently ignore."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: misspelt_variables
short_description: Describe each variable with a role's prefix that the role does not know
options:
  _terms:
    description: Folders of roles; each has C(meta/argument_specs.yml).
    required: true
"""
EXAMPLES = r"""
- name: Refuse misspelt variables
  ansible.builtin.assert:
    that: query('emr.monitoring.misspelt_variables', role_path) == []
"""
RETURN = r"""
_raw:
  description: One sentence per unknown name, with the nearest right one.
  type: list
  elements: str
"""


def misspelt(names: Iterable[str], known: Iterable[str]) -> list[str]:
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


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **_: Any) -> list[str]:
        """Return the sentences for all the roles."""
        sentences = []
        for role in map(Path, terms):
            specs = self._loader.load_from_file(str(role / "meta" / "argument_specs.yml"))
            names = [name for name in variables or {} if name.startswith(f"{role.name}_")]
            sentences += misspelt(names, specs["argument_specs"]["main"]["options"])
        return sentences
