"""Find misspelt variables, which Ansible itself would silently ignore."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: misspelt_variables
author: EMR monitoring
version_added: "1.0.0"
short_description: Describe each variable that is set and that no role of this collection knows
options:
  _terms:
    description:
      - What to look at. A text that ends in C(_) is for every variable that begins with it; another one is the name of
        a variable, and for every one that is written nearly like it.
    required: true
  beginnings:
    description:
      - With what the names of variables begin that are looked for, too, where this is written otherwise, as in
        C(promethus_port). And every name of this project in other letters' case or with other underscores.
    type: list
    elements: str
"""
EXAMPLES = r"""
- name: Refuse misspelt variables
  ansible.builtin.assert:
    that: query('emr.monitoring.misspelt_variables', 'prometheus_', 'emr_required') == []
"""
RETURN = r"""
_raw:
  description: One sentence per unknown name, with the nearest right one.
  type: list
  elements: str
"""

ROLES = Path(__file__).parents[2] / "roles"
# Two letters of a dozen; the name of a variable of somebody else's that begins alike differs by a word.
NEARLY = 0.85


def misspelt(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Describe each variable that no role knows.

    :param names: variable names that are set
    :param known: the roles' public variable names
    :returns: one sentence per unknown name, with the nearest right one
    """
    known = sorted(known)
    return [
        f"{name} is not a variable of this project: did you mean "
        f"{max(known, key=lambda right: _likeness(name, right))}?"
        for name in sorted(set(names) - set(known))
    ]


def looked_at(names: Iterable[str], terms: Iterable[str]) -> list[str]:
    """Return the names that begin with a term that ends in ``_``, or that are written nearly like another term."""
    terms = list(terms)
    prefixes = tuple(term for term in terms if term.endswith("_"))
    whole = [term for term in terms if term not in prefixes]
    return [name for name in names if name.startswith(prefixes) or any(_nearly(name, term) for term in whole)]


def otherwise_written(names: Iterable[str], known: Iterable[str], beginnings: Iterable[str]) -> list[str]:
    """Return the names that are one of this project's but for how their beginning is written.

    In other letters' case, with other underscores, or with a slip: ``promethus_port``.

    :param known: the roles' public variable names
    :param beginnings: each ends in ``_``; without any nothing is found
    """
    known = set(known)
    prefixes = list(beginnings)
    if not prefixes:
        return []
    squeezed = {name.replace("_", "") for name in known}
    rests = {prefix: {name[len(prefix) :] for name in known if name.startswith(prefix)} for prefix in prefixes}
    found = []
    for name in (name for name in set(names) - known if not name.startswith("_")):
        beginning, _, rest = name.lower().partition("_")
        slips = [prefix for prefix in prefixes if rest in rests[prefix] and _nearly(beginning, prefix.rstrip("_"))]
        if slips or name.lower().replace("_", "").replace("-", "") in squeezed:
            found.append(name)
    return found


def _nearly(name: str, term: str) -> bool:
    matcher = SequenceMatcher(None, name, term)
    return min(matcher.real_quick_ratio(), matcher.quick_ratio()) >= NEARLY and matcher.ratio() >= NEARLY


def _likeness(name: str, right: str) -> float:
    """Compare the letters in their order and regardless of it, since swapped letters are the usual slip."""
    name = name.lower()
    ordered = SequenceMatcher(None, name, right).ratio()
    return ordered + SequenceMatcher(None, sorted(name), sorted(right)).ratio()


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the sentences about all that is looked at."""
        names = looked_at(variables or {}, terms)
        beginnings = kwargs.get("beginnings") or []
        # To read what all roles know takes as long as a task.
        known = self._known() if names or beginnings else set()
        return misspelt([*names, *otherwise_written(variables or {}, known, beginnings)], known)

    def _known(self) -> set[str]:
        """Return the variables that an inventory can set: what a playbook tells ``uninstall`` is none of them."""
        specs = [self._loader.load_from_file(str(path)) for path in ROLES.glob("*/meta/argument_specs.yml")]
        entries = [entry for spec in specs for name, entry in spec["argument_specs"].items() if name != "uninstall"]
        return {option for entry in entries for option in entry["options"]}
