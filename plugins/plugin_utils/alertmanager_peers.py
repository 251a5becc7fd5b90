"""The gate of several Alertmanagers that are one cluster, so that each problem is told once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.listen import ANY, is_host, is_loopback, url_host
from ansible_collections.emr.monitoring.plugins.filter.yaml_file import yaml_file
from ansible_collections.emr.monitoring.plugins.plugin_utils.scrape_jobs import asks_this_node_alone
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

VARIABLE = "alertmanager_peers"
# One pair is for all of them; what they know each other by is that each has it.
NAME = "alertmanager"
CERTIFICATE, KEY = "peers/certificate.pem", "peers/key.pem"
# External labels by which what sends the same is told apart.
REPLICA = ("__replica__", "replica")
TLS = {
    "tls_server_config": {
        "cert_file": CERTIFICATE,
        "key_file": KEY,
        "client_ca_file": CERTIFICATE,
        "client_auth_type": "RequireAndVerifyClientCert",
        "min_version": "TLS12",
    },
    "tls_client_config": {"ca_file": CERTIFICATE, "cert_file": CERTIFICATE, "key_file": KEY, "server_name": NAME},
}


def written_peers(gate: Written, value: Any) -> list[str]:
    """Return the hosts of a cluster as they were meant; none where there is nobody else."""
    hosts = []
    for host in gate.sequence(VARIABLE, value):
        name = str(gate.text(VARIABLE, host)).strip("[]")
        if not name:
            continue
        if not is_host(name) or is_loopback(name) or name in ANY:
            gate.refuse(VARIABLE, host, "write hosts by the names or addresses under which they reach each other")
        hosts.append(name)
    return list(dict.fromkeys(hosts)) if len(set(hosts)) > 1 else []


def alertmanager_peers(written: Any, port: Any, pair: Mapping[str, str], config_dir: str) -> dict[str, Any]:
    """Return what has an Alertmanager be one of a cluster.

    :param written: what the user wrote into ``alertmanager_peers``: all hosts, this one among them
    :param port: where all of them listen for each other
    :param pair: ``certificate`` and ``key`` that all of them share, PEM texts
    :param config_dir: the folder of Alertmanager's configuration on the node
    :returns: ``arguments`` of the program; ``files``, path below ``config_dir`` -> text, or what ``yaml_file``
        returns; ``others``, how many others there are to be; and ``problems``, a list of sentences
    """
    gate = Written()
    hosts = written_peers(gate, written)
    if not hosts:
        return {"arguments": ["--cluster.listen-address="], "files": {}, "others": 0, "problems": gate.problems}
    return {
        "arguments": [
            f"--cluster.listen-address=0.0.0.0:{port}",
            f"--cluster.tls-config={config_dir}/peers.yml",
            *(f"--cluster.peer={url_host(host)}:{port}" for host in hosts),
        ],
        "files": {"peers.yml": yaml_file(TLS, ["*"]), CERTIFICATE: pair["certificate"], KEY: pair["key"]},
        "others": len(hosts) - 1,
        "problems": gate.problems,
    }


def told_apart(
    written: Any, jobs: Iterable[Mapping[str, Any]], host: str, labels: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return how the alerts of several Prometheus are told apart: by their node, but for what all of them see.

    A label ``node`` that the series themselves have stays.

    :param written: what the user wrote into ``alertmanager_peers``, right or wrong
    :param jobs: jobs in Prometheus' syntax
    :param host: the name of this node
    :param labels: external labels, which each alert has
    :returns: relabelling in Prometheus' syntax, none without peers. What names no job is this node's own
    """
    if not written_peers(Written(), written):
        return []
    node = str(labels.get("node") or host)
    rules: list[dict[str, Any]] = [
        {"source_labels": ["node"], "regex": "", "target_label": "node", "replacement": node.replace("$", "$$")}
    ]
    seen_by_all = "|".join(re.escape(str(job["job_name"])) for job in jobs if not asks_this_node_alone(job))
    if seen_by_all:
        # Prometheus replaces variables of its environment in an external label.
        own = {"node": node} | {name: labels[name] for name in REPLICA if name in labels}
        rules += [
            {
                "source_labels": ["job", name],
                "regex": f"({seen_by_all});{'.*' if '$' in value else re.escape(value)}",
                "target_label": name,
                "replacement": "",
            }
            for name, value in own.items()
        ]
    return rules


def alertmanager_targets(written: Any, port: Any) -> list[str]:
    """Return ``host:port`` of each of several Alertmanagers, none where there is one.

    :param written: what the user wrote into ``alertmanager_peers``, right or wrong
    """
    return [f"{url_host(host)}:{port}" for host in written_peers(Written(), written)]
