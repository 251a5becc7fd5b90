"""Find what the primary nodes of one cluster do not have in common, and its other nodes expect of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.emr.monitoring.plugins.plugin_utils.shared import hosts_of_play, is_one

DOCUMENTATION = r"""
name: shared_hosts
author: EMR monitoring
version_added: "1.0.0"
short_description: Say what has to be the same on all primary nodes of a cluster whose other nodes come by themselves
description:
  - A core or task node brings one login and one certificate along. What a primary node generates is its own.
options:
  _terms:
    description: Names of the variables that have to be the same.
    required: true
"""
EXAMPLES = r"""
- name: Refuse primary nodes that cannot ask the other nodes
  ansible.builtin.assert:
    that: query('emr.monitoring.shared_hosts', 'node_exporter_password') == []
"""
RETURN = r"""
_raw:
  description: One sentence, with the hosts and what to do; none where all is well.
  type: list
  elements: str
"""


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **_: Any) -> list[str]:
        """Return the sentence about the cluster of the host whose variables these are."""
        known = variables or {}
        hosts = hosts_of_play(known)
        own = _cluster(hosts[known["inventory_hostname"]])
        sharing = {name: host for name, host in hosts.items() if own and _cluster(host) == own}
        # What is generated is the same for all that have it from one folder.
        one_folder = is_one(host.get("monitoring_secrets_dir") for host in sharing.values())
        values = {term: [host.get(term) for host in sharing.values()] for term in terms}
        differing = [
            term for term, found in values.items() if not is_one(found) and not (one_folder and set(found) == {None})
        ]
        if len(sharing) < 2 or not differing:
            return []
        first = next(iter(sharing))
        return [
            f"{' and '.join(sharing)} are primary nodes of one cluster, whose core and task nodes come with one login "
            f"and one certificate, and {', '.join(differing)} is not set to one value for all of them: run "
            f"playbooks/hosts_bundle.yml --limit {first}, and site.yml with -e @FOLDER/hosts/variables.json, where "
            f"FOLDER is the monitoring_secrets_dir of {first}."
        ]


def _cluster(host: Mapping[str, Any]) -> str:
    """Return the id of a node's cluster, as the check of the node has found it."""
    return str(((host.get("ansible_facts") or {}).get("emr") or {}).get("cluster_id") or "")
