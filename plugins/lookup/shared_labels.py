"""Find the hosts whose metrics could not be told apart where they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: shared_labels
author: EMR monitoring
version_added: "1.0.0"
short_description: Name the hosts of the play that send their metrics to one place with the same external labels
description:
  - Each of them scrapes its own localhost. Where the labels are the same, too, two series are one at the far side,
    which takes the samples of one and drops those of the other, and answers that all is well.
  - What is compared stands in the inventory, or is the id of the cluster that each node has told.
options:
  _terms:
    description: Nothing.
    required: false
"""
EXAMPLES = r"""
- name: Refuse series that collide
  ansible.builtin.assert:
    that: query('emr.monitoring.shared_labels') == []
"""
RETURN = r"""
_raw:
  description: One sentence where there are such hosts, with what to do.
  type: list
  elements: str
"""


# By which Cortex and Mimir, and Thanos, keep one tenant's series apart from another's.
TENANT = ("x-scope-orgid", "thanos-tenant")


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **_: Any) -> list[str]:
        """Return the sentence about the host whose variables these are."""
        known = variables or {}
        if not known.get("prometheus_remote_write"):
            return []
        # One that has failed may not have told its cluster.
        hosts = {name: known["hostvars"][name] for name in known["ansible_play_hosts"]}
        own = hosts[known["inventory_hostname"]]
        alike = [
            name
            for name, host in hosts.items()
            if _labels(host) == _labels(own) != {} and _endpoints(host) & _endpoints(own)
        ]
        if len(alike) < 2:
            return []
        labels = ", ".join(f"{name}: {value}" for name, value in _labels(own).items())
        return [
            f"{' and '.join(alike)} send their metrics to one place with the same external labels ({labels}): there, "
            "what each scrapes on its localhost would be one series, and the samples of one of them dropped. Tell them "
            'apart: prometheus_external_labels: {cluster: "{{ ansible_facts.emr.cluster_id }}", node: '
            '"{{ inventory_hostname }}"}.'
        ]


def _labels(host: Mapping[str, Any]) -> dict[str, str]:
    """Return the external labels of a host, by the inventory or the default of the role."""
    labels = host.get("prometheus_external_labels")
    if labels is None:
        cluster = ((host.get("ansible_facts") or {}).get("emr") or {}).get("cluster_id")
        labels = {"cluster": cluster} if cluster else {}
    written = host.get("prometheus_global")
    further = written.get("external_labels") if isinstance(written, Mapping) else None
    return {
        str(name): str(value) for part in (labels, further) if isinstance(part, Mapping) for name, value in part.items()
    }


def _endpoints(host: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return where a host sends its metrics, and as which tenant.

    Its localhost is whatever sends them on from there.
    """
    entries = host.get("prometheus_remote_write")
    return {
        (str(entry.get("url")).rstrip("/"), _tenant(entry))
        for entry in (entries if isinstance(entries, list) else [entries])
        if isinstance(entry, Mapping)
    }


def _tenant(entry: Mapping[str, Any]) -> str:
    """Return what an entry says of the tenant, in whichever of the two forms."""
    written = [entry.get(option) for option in ("headers", "http_headers")]
    headers = {
        str(name).lower(): value for part in written if isinstance(part, Mapping) for name, value in part.items()
    }
    return str([sorted(_texts(headers.get(name))) for name in TENANT])


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [text for part in value for text in _texts(part)]
    return [] if value is None else [str(value)]
