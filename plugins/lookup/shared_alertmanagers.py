"""Find what the hosts of one cluster of Alertmanagers do not have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.lookup import LookupBase
from ansible_collections.emr.monitoring.plugins.filter.listen import is_loopback
from ansible_collections.emr.monitoring.plugins.plugin_utils.shared import hosts_of_play, is_one

DOCUMENTATION = r"""
name: shared_alertmanagers
author: EMR monitoring
version_added: "1.0.0"
short_description: Say what has to be the same on all hosts whose Alertmanagers are one cluster, and is not
description:
  - Each Prometheus sends its alerts to each of them, with one login and one certificate. What a node generates is its
    own, so it has to be set.
  - What is compared stands in the inventory.
options:
  _terms:
    description: Nothing.
    required: false
"""
EXAMPLES = r"""
- name: Refuse Alertmanagers that do not take each other's alerts
  ansible.builtin.assert:
    that: query('emr.monitoring.shared_alertmanagers') == []
"""
RETURN = r"""
_raw:
  description: One sentence for each thing, with what to do.
  type: list
  elements: str
"""
# With the default of a role they are the same, too.
SAME = (
    "alertmanager_peers",
    "alertmanager_peers_port",
    "alertmanager_port",
    "alertmanager_username",
)


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **_: Any) -> list[str]:
        """Return the sentences about the host whose variables these are."""
        known = variables or {}
        hosts = hosts_of_play(known)
        own = hosts[known["inventory_hostname"]]
        sharing = {name: host for name, host in hosts.items() if host.get("alertmanager_peers")}
        if own.get("alertmanager_peers") is None or not _is_several(own["alertmanager_peers"]):
            return []
        where = " and ".join(sharing)
        problems = [
            f"{variable} differs on {where}, whose Alertmanagers are to be one cluster: set one value for all of them."
            for variable in SAME
            if len({str(host.get(variable)) for host in sharing.values()}) > 1
        ]
        passwords = [host.get("alertmanager_password") for host in sharing.values()]
        if not is_one(passwords):
            problems.append(
                "alertmanager_password has to be one value for all of alertmanager_peers, since each Prometheus sends "
                "its alerts to each of them: set it in the inventory, with Vault. It is not set, or differs, on "
                f"{where}."
            )
        listen = [
            host.get("alertmanager_listen_address") or host.get("monitoring_listen_address")
            for host in sharing.values()
        ]
        if any(is_loopback(address) for address in listen):
            problems.append(
                f"alertmanager_peers is set, and the Alertmanager of one of {where} listens for its own host alone: "
                "the others have to reach it. Change alertmanager_listen_address, or monitoring_listen_address."
            )
        return problems + _certificate_problems(list(sharing.values()), where)


def _certificate_problems(hosts: list[Mapping[str, Any]], where: str) -> list[str]:
    """Say why alerts could not go from one host to the other over TLS."""
    if any(boolean(host.get("tls_self_signed", False), strict=False) for host in hosts):
        options = ("tls_self_signed_dir", "tls_self_signed_names")
        wrong = [name for name in options if not _is_set([host.get(name) for host in hosts])]
        if not wrong:
            return []
        return [
            f"tls_self_signed makes a certificate for each node, and alertmanager_peers needs one for all: set "
            f"{' and '.join(wrong)} to one value on {where}, a folder on the controller and the names of all of them."
        ]
    if _is_set([host.get("tls_certificate") for host in hosts]):
        return []
    return [
        f"alertmanager_peers is set, and alerts would go from one of {where} to the other in clear, with the login: "
        "set tls_certificate and tls_key, one pair for all, or tls_self_signed with tls_self_signed_dir and "
        "tls_self_signed_names for all."
    ]


def _is_several(peers: Any) -> bool:
    return isinstance(peers, list | tuple) and len(set(map(str, peers))) > 1


def _is_set(values: list[Any]) -> bool:
    return all(values) and is_one(values)
