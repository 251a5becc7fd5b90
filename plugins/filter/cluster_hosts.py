"""The hosts of a cluster beside its primary node: how they are reached, and what guards what they tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.certificates import certificate_chain, certificate_problems
from ansible_collections.emr.monitoring.plugins.filter.listen import is_loopback, url_host
from ansible_collections.emr.monitoring.plugins.plugin_utils.web_configuration import web_files

# What Python's regular expressions have and Go's have not, and the other way round: github.com/google/re2/wiki/Syntax.
NOT_IN_GO = re.compile(r"\(\?(?:[=!>#(aLux]|<[=!]|P=)|\\[1-9Zu]")
NOT_IN_PYTHON = re.compile(r"\(\?[imsU-]+\)|\\[pP](?:\{\^?\w+\}|\w)|\\x\{[0-9a-fA-F]+\}|\\z|\\Q.*?(?:\\E|$)")


def host_addresses(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return by name of a host of the inventory the address by which the primary node reaches it.

    That is ``emr_cluster_address`` of the host, or else the one by which Ansible does.
    """
    found = {host: hostvars[host] for host in hosts}
    return {
        host: str(known.get("emr_cluster_address") or known.get("ansible_host") or host)
        for host, known in found.items()
    }


def host_targets(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], port: Any) -> dict[str, str]:
    """Return by name of a host of the inventory ``host:port`` of its node_exporter.

    :param port: of those that have no ``node_exporter_port`` of their own
    """
    addresses = host_addresses(hosts, hostvars)
    return {
        host: f"{url_host(address)}:{hostvars[host].get('node_exporter_port', port)}"
        for host, address in addresses.items()
    }


def plain_files(files: Mapping[str, Any]) -> dict[str, str]:
    """Return files as texts, which may be what ``yaml_file`` returns."""
    return {path: file["content"] if isinstance(file, Mapping) else file for path, file in files.items()}


def host_login_problems(settings: Mapping[str, Any], needed: bool) -> list[str]:
    """Say what is wrong with the certificate that the hosts of a cluster share, or that one would be without.

    :param settings: ``listen_address``, ``password``, and the PEM texts ``certificate`` and ``key``
    :param needed: whether there are other hosts than the primary node
    """
    problems = certificate_problems(settings["certificate"], settings["key"], "node_exporter_tls_")
    empty = [name for name in ("password", "tls_certificate") if not settings[name.removeprefix("tls_")]]
    if needed:
        problems += [
            f"node_exporter_{name} is empty, and what node_exporter tells leaves its host: remove that line."
            for name in empty
        ]
    elif empty and not is_loopback(settings["listen_address"]):
        problems.append(
            f"node_exporter_listen_address is {settings['listen_address']}, and this cluster has no core and task "
            "nodes, and so no login for what would leave the host: remove that line."
        )
    return problems


def other_login_problems(settings: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Say what a host has for itself of what its cluster shares: Prometheus has one login for all of them.

    :param settings: what the cluster shares, by the names of the variables without ``node_exporter_`` and ``tls_``
    :param known: the variables of the host
    """
    problems = []
    for name in ("username", "password", "password_salt", "tls_certificate", "tls_key"):
        given, shared = known.get(f"node_exporter_{name}"), str(settings[name.removeprefix("tls_")]).strip()
        own = certificate_chain(str(given)) if name == "tls_certificate" else str(given)
        if given is not None and own.strip() != shared:
            problems.append(
                f"node_exporter_{name} of this host is not that of the primary node: set it for all, or for emr_master "
                "alone."
            )
    return problems


def unit_pattern_problems(pattern: Any) -> list[str]:
    """Say what is wrong with the regular expression of the units, at which node_exporter would end."""
    # What stands for itself, and the name of a group, mean nothing more here.
    text = re.sub(r"\(\?<(?![=!])", "(?P<", str(pattern).replace(r"\\", "x"))
    if found := NOT_IN_GO.search(text):
        return [f"node_exporter_units is {pattern!r}, and node_exporter's regular expressions have no {found[0]}."]
    try:
        re.compile(NOT_IN_PYTHON.sub("x?", text))
    except re.error as error:
        return [f"node_exporter_units is {pattern!r}, which is no regular expression ({error}): mend it."]
    return []


def hosts_ready_at(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> float:
    """Return when the last node_exporter that this run restarted on one of the hosts was ready; 0 without any."""
    runs = [hostvars[host].get("__node_exporter_run") or {} for host in hosts]
    return max((float(run.get("ready_at") or 0) for run in runs), default=0)


def hosts_not_watched(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say of each host to which node_exporter could not be brought why.

    :param hosts: names of the inventory; of each that something failed on, its own variables tell what
    """
    return [f"{host} is not watched: {_reason(hostvars[host])}" for host in sorted(hosts)]


def _reason(known: Mapping[str, Any]) -> str:
    for step in ("__node_exporter_run", "__node_exporter_checked", "__emr_node_worker"):
        result = known.get(step) or {}
        if result.get("unreachable"):
            return f"it cannot be reached ({result.get('msg')}). Run again once it can, or take it out of emr_workers."
        if result.get("failed"):
            return str(result.get("msg"))
    return "what stopped it is said above. Run again once that is mended, or take it out of emr_workers."


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {
            "host_addresses": host_addresses,
            "host_login_problems": host_login_problems,
            "host_targets": host_targets,
            "other_login_problems": other_login_problems,
            "unit_pattern_problems": unit_pattern_problems,
            "plain_files": plain_files,
            "hosts_not_watched": hosts_not_watched,
            "hosts_ready_at": hosts_ready_at,
            "web_configuration": web_files,
        }
