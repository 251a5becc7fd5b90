"""Find what an inventory says of a variable where Ansible prefers the group_vars of another group."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.inventory.group import Group
from ansible.plugins.loader import inventory_loader, vars_loader
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: overruled_values
author: EMR monitoring
version_added: "1.0.0"
short_description: Describe each value of a variable that the group_vars of one group leave without effect
description:
  - Looks at the groups of the host, in the files of static inventories and in C(group_vars) beside the inventories and
    the playbook. Returns nothing where another value than that of O(group) has won, thus somebody chose it.
options:
  _terms:
    description: Names of the variables.
    required: true
  group:
    description: The group whose C(group_vars) are looked at as the ones that win.
    required: true
"""
EXAMPLES = r"""
- name: Say which scrape jobs have no effect
  ansible.builtin.debug:
    msg: "{{ query('emr.monitoring.overruled_values', 'prometheus_scrape_configs', group='emr_master') }}"
"""
RETURN = r"""
_raw:
  description: One sentence per value that has no effect, with where it stands and what wins.
  type: list
  elements: str
"""

# The formats of a static inventory; what a script or a service answers is not asked for again.
FORMATS = ("ansible.builtin.yaml", "ansible.builtin.ini", "ansible.builtin.toml")


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **options: Any) -> list[str]:
        """Return the sentences about all the variables."""
        self.set_options(var_options=variables, direct=options)
        return [sentence for name in terms for sentence in self._overruled(name, variables or {})]

    def _overruled(self, name: str, variables: Mapping[str, Any]) -> list[str]:
        groups, preferred = ["all", *variables["group_names"]], self.get_option("group")
        beside_playbook = Path(variables["playbook_dir"]) / "group_vars"
        sources = [Path(source) for source in variables.get("ansible_inventory_sources") or []]
        folders = [(source if source.is_dir() else source.parent) / "group_vars" for source in sources]
        files = {
            (folder / group, group): values[name]
            # An inventory may link to the folder beside the playbook, which then counts once.
            for folder in {folder.resolve(): folder for folder in [*folders, beside_playbook]}.values()
            for group in groups
            if name in (values := self._group_vars(folder.parent, group))
        }
        own = [place for place, value in files.items() if place[1] == preferred and value == variables.get(name)]
        if not own:
            return []
        # What comes with the playbook is nobody's choice.
        files.pop((beside_playbook / preferred, preferred), None)
        inventories = {
            (path, group): value
            for source in sources
            for path in inventory_files(source)
            for group, value in self._in_inventory(path, name)
            if group in groups
        }
        return [
            f"{name} of the group {group} in {where} has no effect: the one in {own[-1][0]} wins. Edit that one, or "
            f"write yours for the host or for a child of the group {preferred}, and remove the other."
            for (where, group), value in {**inventories, **files}.items()
            if value != variables[name]
        ]

    def _group_vars(self, folder: Path, group: str) -> dict[str, Any]:
        plugin = vars_loader.get("ansible.builtin.host_group_vars")
        return dict(plugin.get_vars(self._loader, str(folder), Group(group)))

    def _in_inventory(self, path: Path, name: str) -> Iterator[tuple[str, Any]]:
        """Yield each group to which a static inventory gives the variable, with the value."""
        if os.access(path, os.X_OK) or name.encode() not in path.read_bytes():
            return
        for plugin in map(inventory_loader.get, FORMATS):
            found = InventoryData()
            try:
                if plugin.verify_file(str(path)):
                    plugin.parse(found, self._loader, str(path), cache=False)
            except AnsibleError:
                # Another format: Ansible itself has read the file before.
                continue
            yield from ((group.name, group.vars[name]) for group in found.groups.values() if name in group.vars)
            return


def inventory_files(source: Path) -> list[Path]:
    """Return the files of an inventory: the file itself, or those in the folder as Ansible would read them."""
    if not source.is_dir():
        return [source] if source.is_file() else []
    return sorted(path for path in source.iterdir() if path.is_file() and path.suffix in {"", ".yml", ".yaml", ".ini"})
