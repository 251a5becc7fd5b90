"""Find what the Grafanas of one database, which outlives them, do not have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.emr.monitoring.plugins.plugin_utils.shared import hosts_of_play, is_one

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
        hosts = hosts_of_play(known)
        own = place(hosts[known["inventory_hostname"]].get("grafana_database"))
        sharing = {name: host for name, host in hosts.items() if place(host.get("grafana_database")) == own}
        where = " and ".join(sharing)
        problems = [
            f"{variable} has to be one value for all whose Grafana keeps its data in this grafana_database, and for "
            f"those that come after them: set it in the inventory, with Vault. It is not set, or differs, on {where}."
            for variable in terms
            if not is_one([host.get(variable) for host in sharing.values()])
        ]
        return problems + (_source_problems(sharing, where) if len(sharing) > 1 else [])


def _source_problems(sharing: Mapping[str, Any], where: str) -> list[str]:
    """Say why one data source cannot be that of each node's own Prometheus."""
    if any(host.get("grafana_prometheus_url") for host in sharing.values()):
        return []
    problems = []
    if not is_one([host.get("prometheus_password") for host in sharing.values()]):
        problems.append(
            f"prometheus_password has to be one value on {where}: their Grafanas have one database, and so one data "
            "source, with which each asks its own Prometheus. Set it in the inventory, with Vault; or have all ask "
            "one, by grafana_prometheus_url."
        )
    if any(str(host.get("tls_self_signed", False)).lower() in ("true", "yes", "on", "1") for host in sharing.values()):
        problems.append(
            f"tls_self_signed makes a certificate for each node, and the Grafanas on {where} have one database, and so "
            "one data source, which trusts one: use tls_certificate and tls_key for all of them."
        )
    return problems
