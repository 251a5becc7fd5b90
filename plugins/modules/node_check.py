#!/usr/bin/python
"""Answer in one trip whether a node can and may be provisioned."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emr.monitoring.plugins.module_utils.grafana_sources import stored_sources
from ansible_collections.emr.monitoring.plugins.module_utils.node_addresses import address_problems
from ansible_collections.emr.monitoring.plugins.module_utils.node_data import backed_up, data_problems
from ansible_collections.emr.monitoring.plugins.module_utils.node_folders import (
    folder_owners,
    folder_problems,
    link_problems,
    overlap_problems,
    space_problems,
)
from ansible_collections.emr.monitoring.plugins.module_utils.node_ports import port_problems
from ansible_collections.emr.monitoring.plugins.module_utils.node_secrets import SELF_PROVISIONED, secret_problems
from ansible_collections.emr.monitoring.plugins.module_utils.node_services import (
    is_installed,
    is_usable,
    migration_warning,
    ownership_problems,
)
from ansible_collections.emr.monitoring.plugins.module_utils.node_system import (
    base_problems,
    emr_identity,
    os_problems,
    os_release,
    systemd_problems,
)

DOCUMENTATION = r"""
module: node_check
short_description: Tell whether a node can and may be provisioned
description:
  - Looks at the node's identity, operating system, free space and busy ports, and changes nothing.
  - Fails with every problem at once. Each is named with what was found and what to do about it.
  - Returns what the other roles need to know about the node as facts, in place of a run of C(setup).
extends_documentation_fragment: [emr.monitoring.node]
options:
  emr_required:
    description:
      - Whether the node must be one of an Amazon EMR cluster.
      - A node that says of itself that it is not of the kind that O(primary) says is a problem in any case.
    type: bool
    default: true
  primary:
    description:
      - Whether the node has to be the primary one of its cluster. V(false) is for core and task nodes, of which the
        primary is none.
    type: bool
    default: true
  info_dir:
    description: Where EMR describes the node. The check needs its C(instance.json); C(job-flow.json) and
      C(extraInstanceData.json) are read if they are there.
    type: path
    default: /mnt/var/lib/info
  adopt:
    description: Whether what somebody else put on the node of one of O(services) is taken over. Else it is a problem.
    type: bool
    default: false
  grafana_database:
    description: Grafana's SQLite database, which tells the data sources that users made. Empty where it has none.
    type: str
    default: ""
  grafana_version:
    description: The Grafana to run. That it will change a database of which no run keeps a copy is warned of.
    type: str
    default: ""
attributes:
  check_mode:
    description: Does the same in check mode.
    support: full
notes:
  - Needs root, because only root sees which process holds a port.
author: [emr-monitoring contributors]
"""

EXAMPLES = r"""
- name: Check the node
  emr.monitoring.node_check:
    ports:
      - {port: 9090, unit: prometheus.service, variable: prometheus_port}
      - {port: 3000, unit: grafana.service, variable: grafana_port}
    space:
      - {path: /mnt/prometheus, megabytes: 2048, variable: prometheus_storage_dir}
      - path: /mnt/grafana
        megabytes: 1500
        variable: grafana_dir
        unless: /mnt/grafana/13.0.1
    folders:
      - {path: /mnt/prometheus/releases, variable: prometheus_root}
      - {path: /mnt/prometheus/data, owner: prometheus, variable: prometheus_data_dir}
    services:
      - name: prometheus
        unit: prometheus.service
        releases: /mnt/prometheus/releases
        folders: {prometheus_root: /mnt/prometheus, prometheus_data_dir: /mnt/prometheus/data}
        configuration: /etc/prometheus
        files: [prometheus.yml, web.yml]
    secrets:
      - variable: grafana_secret_key
        path: /etc/grafana/credentials/secret_key
        used_by: /mnt/grafana/data/grafana.db
        sha256: "{{ grafana_secret_key | hash('sha256') }}"
"""

RETURN = r"""
ansible_facts:
  description: What is known about the node.
  returned: success
  type: dict
  contains:
    architecture:
      description: C(x86_64) or C(aarch64), under the name that C(setup) gives it.
      type: str
      sample: aarch64
    nodename:
      description: What the system calls itself, under the name that C(setup) gives it.
      type: str
      sample: ip-10-0-0-12.eu-central-1.compute.internal
    backed_up:
      description: Where the backups that the node makes look for the data. Empty where it makes none.
      type: dict
      sample: {metrics: /mnt/prometheus/data, grafana: /mnt/grafana/data, database: /mnt/grafana/data/grafana.db}
    emr:
      description: The cluster. What is not known is an empty string.
      type: dict
      sample:
        is_emr: true
        cluster_id: j-2AXXXXXXGAPLF
        region: eu-central-1
        master_private_dns_name: ip-10-0-0-12.eu-central-1.compute.internal
    grafana_sources:
      description:
        - The data sources that users made in the running Grafana, with uid, name and type.
        - None where its database is no SQLite file that can be read.
      type: list
      elements: dict
      sample: [{uid: ce8xn2, name: Orders, type: mysql}]
    made:
      description: Those of O(services) that this project installed, wholly or in part, whether they are needed or not.
      type: list
      elements: str
      sample: [alertmanager, prometheus]
    users:
      description: The owners in O(folders) who exist and are as they are to be. One that this project did not make is.
      type: list
      elements: str
      sample: [grafana, prometheus]
os:
  description: The operating system as it calls itself.
  returned: always
  type: str
  sample: Amazon Linux 2023.9.20251208
problems:
  description: The problems one by one.
  returned: failure
  type: list
  elements: str
"""
ARGUMENTS: dict[str, Any] = {
    "emr_required": {"type": "bool", "default": True},
    "primary": {"type": "bool", "default": True},
    "info_dir": {"type": "path", "default": "/mnt/var/lib/info"},
    "ports": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "port": {"type": "int", "required": True},
            "unit": {"type": "str", "required": True},
            "variable": {"type": "str", "required": True},
            "address": {"type": "str"},
            "follows": {"type": "bool", "default": False},
            "needed": {"type": "bool", "default": True},
        },
    },
    "space": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "megabytes": {"type": "int", "required": True},
            "variable": {"type": "str", "required": True},
            "unless": {"type": "path"},
            "needed": {"type": "bool", "default": True},
        },
    },
    "folders": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "owner": {"type": "str"},
            "variable": {"type": "str", "required": True},
        },
    },
    "services": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "unit": {"type": "str", "required": True},
            "releases": {"type": "path", "required": True},
            "folders": {"type": "dict", "required": True},
            "configuration": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "str", "required": True},
            "needed": {"type": "bool", "default": True},
        },
    },
    "secrets": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "variable": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "kept": {"type": "path"},
            "used_by": {"type": "path"},
            "known": {"type": "bool", "default": True},
            "sha256": {"type": "str", "no_log": True},
            "length": {"type": "int", "default": 32},
            "needed": {"type": "bool", "default": True},
        },
    },
    "secrets_dir": {"type": "str", "default": ""},
    "adopt": {"type": "bool", "default": False},
    "grafana_database": {"type": "str", "default": ""},
    "grafana_version": {"type": "str", "default": ""},
    "secrets_replaced": {"type": "list", "elements": "str", "default": []},
    "self_provisioned": {"type": "path", "default": SELF_PROVISIONED},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        release = os_release(Path("/etc/os-release").read_text(encoding="utf-8"))
    except FileNotFoundError:
        release = {}
    systemctl = module.get_bin_path("systemctl")
    version = module.run_command([systemctl, "--version"])[1] if systemctl else ""
    machine = os.uname().machine
    ports, space, services = (
        [entry for entry in params[name] if entry["needed"]] for name in ("ports", "space", "services")
    )
    emr, problems = emr_identity(Path(params["info_dir"]), params["emr_required"], params["primary"])
    problems = [
        *base_problems(machine, (sys.version_info[0], sys.version_info[1]), os.geteuid()),
        *os_problems(release),
        *systemd_problems(version, Path("/run/systemd/system")),
        *problems,
        *port_problems(Path("/proc"), ports),
        *address_problems(ports, Path("/proc")),
        *space_problems(space),
        *folder_problems(params["folders"]),
        *link_problems(params["folders"]),
        *overlap_problems(services),
        *([] if params["adopt"] else [*ownership_problems(services), *data_problems(services)]),
        *secret_problems(params),
    ]
    name = release.get("PRETTY_NAME", "")
    if problems:
        lines = "".join(f"\n- {problem}" for problem in problems)
        module.fail_json(f"This node cannot be provisioned; nothing was changed:{lines}", problems=problems, os=name)
    for service in services:
        if service["name"] == "grafana" and params["grafana_version"]:
            warning = migration_warning(service["releases"], params["grafana_version"], params["grafana_database"])
            if warning:
                module.warn(warning)
    facts = {
        "architecture": machine,
        "nodename": os.uname().nodename,
        "backed_up": backed_up(),
        "emr": emr,
        "grafana_sources": stored_sources(params["grafana_database"]),
        "made": [service["name"] for service in params["services"] if is_installed(service)],
        "users": [user.pw_name for user in folder_owners(params["folders"]) if is_usable(user)],
    }
    module.exit_json(changed=False, os=name, ansible_facts=facts)


if __name__ == "__main__":
    main()
