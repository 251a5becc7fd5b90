"""Find what the Grafanas of one database, which outlives them, do not have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: shared_databases
author: EMR monitoring
version_added: "1.0.0"
short_description: Say what has to be the same on all hosts that share the database of this host's Grafana, and is not
description:
  - What encrypts a database, and who logs in, is one thing for all that use it, now or after this node. What a node
    generates is its own, so it has to be set.
options:
  _terms:
    description: Names of the variables that have to be the same.
    required: true
"""
EXAMPLES = r"""
- name: Refuse two keys of one database
  ansible.builtin.assert:
    that: query('emr.monitoring.shared_databases', 'grafana_secret_key') == []
"""
RETURN = r"""
_raw:
  description: One sentence per variable, with the hosts and what to do.
  type: list
  elements: str
"""


def place(database: Any) -> tuple[str, str] | None:
    """Return what makes two databases the same one, nothing where there is none."""
    if not isinstance(database, Mapping) or not database.get("host"):
        return None
    host = str(database["host"])
    return host if ":" in host.rpartition("]")[2] else f"{host}:5432", str(database.get("name") or "grafana")


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **_: Any) -> list[str]:
        """Return the sentences about the host whose variables these are."""
        known = variables or {}
        if not known.get("grafana_database"):
            return []
        # By the inventory alone, without the defaults of roles: what one generates is another one on each host.
        hosts = {name: known["hostvars"][name] for name in known["ansible_play_hosts_all"]}
        own = self._value(known["inventory_hostname"], hosts, "grafana_database")
        sharing = [name for name in hosts if place(self._value(name, hosts, "grafana_database")) == place(own)]
        return [
            f"{variable} has to be one value for all whose Grafana keeps its data in this grafana_database, and for "
            f"those that come after them: set it in the inventory, with Vault. It is not set, or differs, on "
            f"{' and '.join(sharing)}."
            for variable in terms
            if not self._is_one([self._value(name, hosts, variable) for name in sharing])
        ]

    @staticmethod
    def _value(name: str, hosts: Mapping[str, Any], variable: str) -> Any:
        return hosts[name].get(variable)

    @staticmethod
    def _is_one(values: list[Any]) -> bool:
        return None not in values and len({str(value) for value in values}) == 1
