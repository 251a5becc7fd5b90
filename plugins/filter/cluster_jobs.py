"""The scrape jobs of the cluster itself: hosts, HDFS and YARN."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.emr.monitoring.plugins.filter.certificates import certificate_chain, certificate_server_name
from ansible_collections.emr.monitoring.plugins.filter.listen import is_host, url_host
from ansible_collections.emr.monitoring.plugins.filter.meant import meant_list

# What Hadoop serves at /prom and nobody looks at, or whose names hold the ids of containers: three quarters of it.
NOISE = (
    "(rpcdetailed|container_resource|nn_top_user_op_counts|generic_event_type_metrics|http_server2|metrics_system"
    "|partition_queue_metrics|fs_volume)_.*"
)
# Labels that change with each write to HDFS, so that every scrape would make new series, and those that say nothing.
CHANGING = (
    "totalsynctimes|enabledecpolicies|storageinfo|sessionid|context|clustermetrics|capacityschedulermetrics|processname"
    "|hostname"
)
RELABELLING = [
    {"source_labels": ["__name__"], "regex": NOISE, "action": "drop"},
    {"regex": CHANGING, "action": "labeldrop"},
]
# By job: the daemon of the primary, that of the other nodes, and which roles of instances have it.
DAEMONS = {"hdfs": ("namenode", "datanode", ("CORE",)), "yarn": ("resourcemanager", "nodemanager", ("CORE", "TASK"))}
EC2_OWN = {"region", "port", "filters"}
DEFAULTS = Path(__file__).parents[2] / "roles/settings/defaults/main.yml"


def cluster_scrape_configs(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the jobs ``node``, ``hdfs`` and ``yarn``.

    :param settings: ``primaries``, names of hosts; ``core`` and ``task``, addresses of the other nodes by the name that
        the series get; ``discovery``, ``inventory`` or ``ec2``; ``cluster_id`` and ``region``, for EC2; ``hadoop``, how
        its daemons are asked (over the role's defaults); ``ec2``, further options of its discovery; ``hosts``, the
        node_exporters: ``own``, ``host:port`` of that of this node, whose system calls itself ``nodename``,
        ``others``, the same of the other nodes by name, their ``port`` for those that are discovered, and
        ``username``, ``password`` and ``certificate`` of all
    :returns: jobs in Prometheus' syntax; every target has the labels ``component`` and ``instance``, the name of its
        host, so that what is known of a host by several jobs can be put together
    """
    hadoop = {**yaml_load(DEFAULTS.read_text("utf-8"))["emr_cluster_hadoop"], **(settings["hadoop"] or {})}
    jobs = [_hosts_job(settings, settings["hosts"])]
    for name, daemons in DAEMONS.items():
        job: dict[str, Any] = {"job_name": name, "metrics_path": "/prom"}
        if hadoop["scheme"] != "http":
            job["scheme"] = hadoop["scheme"]
        if hadoop["params"]:
            job["params"] = {key: [str(item) for item in meant_list(value)] for key, value in hadoop["params"].items()}
        if hadoop["ca"]:
            job["tls_config"] = {"ca": hadoop["ca"]}
        jobs.append({**job, **_targets(settings, hadoop, *daemons), "metric_relabel_configs": RELABELLING})
    return jobs


def _hosts_job(settings: Mapping[str, Any], hosts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job of the hosts themselves. One that is alone in its cluster speaks HTTP, to itself."""
    job: dict[str, Any] = {"job_name": "node"}
    if hosts["certificate"]:
        # No other one is trusted, whoever signed it; it need not name the hosts.
        name = certificate_server_name(hosts["certificate"])
        ca = certificate_chain(hosts["certificate"])
        job |= {"scheme": "https", "tls_config": {"ca": ca, "server_name": name}}
    if hosts["password"]:
        job["basic_auth"] = {"username": str(hosts["username"]), "password": str(hosts["password"])}
    static = [_group(hosts["own"], "node_exporter", _own_name(settings["primaries"], hosts["nodename"]))]
    if settings["discovery"] == "ec2":
        return {**job, **_discovered(settings, static, int(hosts["port"]), "node_exporter", ("CORE", "TASK"))}
    others = [_group(target, "node_exporter", name) for name, target in hosts["others"].items()]
    return {**job, "static_configs": static + others}


def _own_name(primaries: Sequence[str], nodename: str) -> str:
    """Return which of the primary nodes this one is: of several the one that has its name, with a domain or not."""
    if len(primaries) == 1:
        return primaries[0]
    return next((name for name in primaries if name.partition(".")[0] == nodename.partition(".")[0]), nodename)


def _targets(
    settings: Mapping[str, Any], hadoop: Mapping[str, Any], daemon: str, other: str, roles: Sequence[str]
) -> dict[str, Any]:
    """Return the discovery of one job: its daemon of the primary, and the other one on the nodes of some roles."""
    port = hadoop[f"{other}_port"]
    primary = [_group(f"{url_host(name)}:{hadoop[f'{daemon}_port']}", daemon, name) for name in settings["primaries"]]
    if settings["discovery"] == "ec2":
        return _discovered(settings, primary, int(port), other, roles)
    nodes = {name: address for role in roles for name, address in settings[role.lower()].items()}
    return {
        "static_configs": primary
        + [_group(f"{url_host(address)}:{port}", other, name) for name, address in nodes.items()]
    }


def _discovered(
    settings: Mapping[str, Any], static: list[dict[str, Any]], port: int, component: str, roles: Sequence[str]
) -> dict[str, Any]:
    """Return the discovery of a job: static targets, and a component on the instances of some roles."""
    return {
        "static_configs": static,
        "ec2_sd_configs": [_instances(settings, port)],
        "relabel_configs": _relabelled(component, "|".join(roles)),
    }


def _group(target: str, component: str, name: str) -> dict[str, Any]:
    return {"targets": [target], "labels": {"component": component, "instance": name}}


def _instances(settings: Mapping[str, Any], port: int) -> dict[str, Any]:
    """Return the discovery of the instances of this cluster that run."""
    tag = "tag:aws:elasticmapreduce:job-flow-id"
    return {
        "region": settings["region"],
        "port": port,
        "filters": [
            {"name": tag, "values": [settings["cluster_id"]]},
            {"name": "instance-state-name", "values": ["running"]},
        ],
        **(settings["ec2"] or {}),
    }


def _relabelled(component: str, role: str) -> list[dict[str, Any]]:
    """Return what gives the discovered targets, and no others, their labels."""
    tag = "__meta_ec2_tag_aws_elasticmapreduce_instance_group_role"
    name = "__meta_ec2_private_dns_name"
    return [
        # What is static has its component already.
        {"source_labels": ["component", tag], "regex": f".+;|;({role})", "action": "keep"},
        {"source_labels": ["component"], "regex": "", "target_label": "component", "replacement": component},
        {"source_labels": [name], "regex": "(.+)", "target_label": "instance"},
    ]


def cluster_problems(settings: Mapping[str, Any], has_workers: bool, masters: int = 1) -> list[str]:
    """Say what keeps the cluster from being monitored.

    :param settings: those of ``cluster_scrape_configs``
    :param has_workers: whether the inventory has the group ``emr_workers``
    :param masters: how many nodes the group ``emr_master`` has
    """
    problems = []
    if has_workers and masters > 1:
        problems.append(
            f"The inventory has {masters} nodes in emr_master, and emr_workers does not tell whose those are: give "
            "each cluster an inventory of its own, or set emr_cluster_discovery: ec2 and remove the group."
        )
    for option in sorted(EC2_OWN & set(settings["ec2"] or {})):
        problems.append(f"emr_cluster_ec2 holds {option}, which the role writes: remove it.")
    problems += _address_problems(settings)
    for name, port in (settings["hadoop"] or {}).items():
        if name.endswith("_port") and not 0 < int(port) < 65536:
            problems.append(f"emr_cluster_hadoop.{name} is {port}: choose a port from 1 to 65535.")
    lost = sorted(set(settings["task"]) - set(settings["hosts"]["others"]))
    if lost and settings["discovery"] == "inventory":
        problems.append(
            f"{' and '.join(lost)} of the group emr_task are not in emr_workers, so that nothing watches the hosts "
            "themselves: make emr_task a child of emr_workers."
        )
    if not settings["primaries"]:
        problems.append("emr_cluster_primaries is empty: name the host of the NameNode and the ResourceManager.")
    if settings["discovery"] == "ec2":
        missing = [name for name in ("cluster_id", "region") if not settings[name]]
        if missing:
            problems.append(
                f"emr_cluster_discovery is ec2, and the node does not tell its {' and its '.join(missing)} "
                "(/mnt/var/lib/info): list the core and task nodes in the group emr_workers of the inventory, and set "
                "emr_cluster_discovery: inventory."
            )
        if has_workers:
            problems.append(
                "emr_cluster_discovery is ec2, and the inventory has the group emr_workers: nodes in both would be "
                "asked twice. Remove the group, or set emr_cluster_discovery: inventory."
            )
    return problems


def _address_problems(settings: Mapping[str, Any]) -> list[str]:
    """Say which names of hosts are none, such as one with a port."""
    named = [("emr_cluster_primaries", "holds", str(name)) for name in settings["primaries"]]
    named += [
        (f"emr_cluster_address (or ansible_host) of {host}", "is", str(address))
        for group in ("core", "task")
        for host, address in settings[group].items()
    ]
    return [
        f"{what} {verb} {address!r}: write the name or the address of a host alone, such as "
        "ip-172-31-0-11.ec2.internal."
        for what, verb, address in named
        # A name that is whole may end with a dot.
        if not is_host(address.removesuffix("."))
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {
            "cluster_problems": cluster_problems,
            "cluster_scrape_configs": cluster_scrape_configs,
        }
