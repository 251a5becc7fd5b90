#!/usr/bin/python
"""Answer in one trip whether a node can and may be provisioned."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: node_check
short_description: Tell whether a node can and may be provisioned
description:
  - Looks at the node's identity, operating system, free space and busy ports, and changes nothing.
  - Fails with every problem at once. Each is named with what was found and what to do about it.
  - Returns what the other roles need to know about the node as facts, in place of a run of C(setup).
options:
  emr_required:
    description:
      - Whether the node must be the primary node of an Amazon EMR cluster.
      - A node that says of itself that it is I(not) the primary node is a problem in any case.
    type: bool
    default: true
  info_dir:
    description: Where EMR describes the node. The check needs its C(instance.json); C(job-flow.json) and
      C(extraInstanceData.json) are read if they are there.
    type: path
    default: /mnt/var/lib/info
  ports:
    description: The TCP ports that the services are going to listen on. One that a process outside the
      service's own unit listens on already, at whichever address, is a problem.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The port's number.
        type: int
        required: true
      unit:
        description: The systemd unit that may hold the port, with its suffix.
        type: str
        required: true
      variable:
        description: The variable to change for another port.
        type: str
        required: true
      needed:
        description: Whether the service runs on this node at all.
        type: bool
        default: true
  space:
    description: How much free disk space the services need. What is asked of one file system is added up.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the space is needed. It does not have to exist yet.
        type: path
        required: true
      megabytes:
        description: How much must be free, in MiB, not counting what is reserved for root.
        type: int
        required: true
      variable:
        description: The variable to change for another place.
        type: str
        required: true
      unless:
        description: A path. If it exists, the space has been used already and nothing more is needed.
        type: path
      needed:
        description: Whether the service runs on this node at all.
        type: bool
        default: true
  folders:
    description:
      - Folders that root makes. One that lies below a folder of a service's user is a problem, since that user
        could put a link to anything in its place.
      - So is a folder for such a user that holds what belongs to another one.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The folder. It does not have to exist yet.
        type: path
        required: true
      owner:
        description: The user of a service that the folder is for. It does not have to exist yet.
        type: str
      variable:
        description: The variable to change for another place.
        type: str
        required: true
  services:
    description:
      - What the services are made of. Where nothing on the node says that this project installed a service and yet its
        unit, its user or one of its files is there, it belongs to somebody, which is a problem.
      - So is a folder of a service that is another one's too, or lies in it.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the service, of its user, and of its manifest of M(emr.monitoring.template_tree).
        type: str
        required: true
      unit:
        description: Its systemd unit, with its suffix.
        type: str
        required: true
      releases:
        description: The folder of its releases.
        type: path
        required: true
      folders:
        description: Its folders on the node, by the variable that names them.
        type: dict
        required: true
      configuration:
        description: The folder of its configuration.
        type: path
        required: true
      files:
        description: The files in O(services.configuration) that it cannot do without.
        type: list
        elements: str
        required: true
      needed:
        description: Whether the service runs on this node at all.
        type: bool
        default: true
  secrets:
    description:
      - The secrets that are generated once for this node. One that the node has and the controller has not is a
        problem, since another one would be generated; so is a key of a database that is not the one of the node.
      - They are compared on the node. None is returned.
    type: list
    elements: dict
    default: []
    suboptions:
      variable:
        description: The variable that holds the secret.
        type: str
        required: true
      path:
        description: The file on the node that holds it, too.
        type: path
        required: true
      used_by:
        description: A file that exists where the secret is in use, even if O(secrets.path) is gone.
        type: path
      known:
        description: Whether the controller has it.
        type: bool
        default: true
      sha256:
        description: The digest of what the controller has, for a key that must not change.
        type: str
      length:
        description: Not used here; see M(emr.monitoring.generated_secrets).
        type: int
        default: 32
      needed:
        description: Whether the service runs on this node at all.
        type: bool
        default: true
  secrets_dir:
    description: Where the controller keeps the secrets, for the messages.
    type: str
    default: ""
  secrets_replaced:
    description: Variables whose secret on the node gives way to another one on purpose.
    type: list
    elements: str
    default: []
  self_provisioned:
    description: Where a node that provisioned itself keeps its secrets, each in a file with the name of its variable.
    type: path
    default: /etc/emr-monitoring/secrets
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
    emr:
      description: The cluster. What is not known is an empty string.
      type: dict
      sample:
        is_emr: true
        cluster_id: j-2AXXXXXXGAPLF
        region: eu-central-1
        master_private_dns_name: ip-10-0-0-12.eu-central-1.compute.internal
    made:
      description: Those of O(services) that this project installed, wholly or in part, whether they are needed or not.
      type: list
      elements: str
      sample: [alertmanager, prometheus]
    users:
      description: The owners in O(folders) who exist.
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
    "info_dir": {"type": "path", "default": "/mnt/var/lib/info"},
    "ports": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "port": {"type": "int", "required": True},
            "unit": {"type": "str", "required": True},
            "variable": {"type": "str", "required": True},
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
            "used_by": {"type": "path"},
            "known": {"type": "bool", "default": True},
            "sha256": {"type": "str", "no_log": True},
            "length": {"type": "int", "default": 32},
            "needed": {"type": "bool", "default": True},
        },
    },
    "secrets_dir": {"type": "str", "default": ""},
    "secrets_replaced": {"type": "list", "elements": "str", "default": []},
    "self_provisioned": {"type": "path", "default": "/etc/emr-monitoring/secrets"},
}
# Amazon Linux 2023's and Debian 12's, the oldest one on which the units were seen to run.
MIN_SYSTEMD = 252
MIN_PYTHON = (3, 9)
MIN_OS = {"debian": (12,), "ubuntu": (24, 4)}
SUPPORTED_OS = "Amazon Linux 2023 (EMR 7), Debian 12 or Ubuntu 24.04 and their successors"
# Where the other modules and roles of this project keep what they made.
MANIFESTS = Path("/var/lib/ansible-template-tree")
RECORDS = Path("/var/lib")
UNIT_FOLDERS = tuple(map(Path, ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
                                "/usr/lib/systemd/system", "/lib/systemd/system")))  # fmt: skip
# How the roles make the user of a service.
USER_HOME, USER_SHELL = "/nonexistent", "/usr/sbin/nologin"
LISTEN = "0A"
MIB = 1024 * 1024


class Process(NamedTuple):
    """A process as /proc shows it; `cgroups` holds the path of each hierarchy, split at its slashes."""

    pid: int
    name: str
    command: str
    cgroups: list[list[str]]

    def belongs_to(self, unit: str) -> bool:
        """Tell whether the process runs within the systemd unit `unit` (with its suffix)."""
        return any(unit in path for path in self.cgroups)

    @property
    def unit(self) -> str:
        """The innermost systemd service or scope around the process, or an empty string."""
        parts = [part for path in self.cgroups for part in path if part.endswith((".service", ".scope"))]
        return parts[-1] if parts else ""


def os_release(text: str) -> dict[str, str]:
    """Return the fields of /etc/os-release, whose content is `text`."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): " ".join(shlex.split(value)) for key, _, value in pairs}


def os_problems(release: dict[str, str]) -> list[str]:
    """Return what is wrong with the operating system that the fields of os-release describe."""
    name, version = release.get("ID", ""), release.get("VERSION_ID", "")
    found = release.get("PRETTY_NAME") or f"{name} {version}".strip() or "an unknown system"
    if name == "amzn" and version == "2":
        return [f"The node runs {found}, the system of EMR 6, which is out of support: use an EMR 7 release."]
    numbers = tuple(int(part) for part in re.findall(r"\d+", version))
    if (name == "amzn" and version == "2023") or (name in MIN_OS and numbers >= MIN_OS[name]):
        return []
    return [f"The node runs {found}: use {SUPPORTED_OS}."]


def base_problems(machine: str, python: tuple[int, int], uid: int) -> list[str]:
    """Return what is wrong with the processor architecture, the python version and the effective user id."""
    problems = []
    if machine not in ("x86_64", "aarch64"):
        problems.append(f"The processor is {machine}: use an x86_64 or aarch64 (Graviton) instance.")
    if python < MIN_PYTHON:
        problems.append(
            f"Ansible uses python {python[0]}.{python[1]} on the node: point ansible_python_interpreter "
            "at python 3.9 or later."
        )
    if uid != 0:
        problems.append(
            f"The check runs as user id {uid}, not as root: set become: true, and see that the login user may use sudo."
        )
    return problems


def systemd_problems(version_text: str, runtime_dir: Path) -> list[str]:
    """Return what is wrong with systemd.

    `version_text` is the output of `systemctl --version`, empty if there is no such command; `runtime_dir` is
    the directory that exists if systemd has booted the system.
    """
    match = re.match(r"systemd (\d+)", version_text)
    if not match:
        return [f"The node has no systemd, which runs the services here: use {SUPPORTED_OS}."]
    problems = []
    if int(match.group(1)) < MIN_SYSTEMD:
        problems.append(f"The node has systemd {match.group(1)}, and {MIN_SYSTEMD} is needed: use {SUPPORTED_OS}.")
    if not runtime_dir.exists():
        problems.append(
            "systemd is installed but is not process 1, thus it cannot run services: use a machine or "
            "container that boots with systemd."
        )
    return problems


def emr_identity(info_dir: Path, required: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the cluster as `ansible_facts.emr` presents it, and the problems found.

    `info_dir` is EMR's directory of JSON files; with `required` it must describe a primary node.
    """
    problems = []

    def load(name: str) -> dict[str, Any] | None:
        path = info_dir / name
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            problems.append(f"{path} cannot be read ({error}): EMR writes this file, repair or replace the node.")
            return None
        if isinstance(data, dict):
            return data
        problems.append(f"{path} holds no JSON object: EMR writes this file, repair or replace the node.")
        return None

    source = info_dir / "instance.json"
    instance = load(source.name)
    if instance is None and not problems and required:
        problems.append(
            f"{source} does not exist, thus this is no EMR node: take the primary node of a cluster into the "
            "inventory, or set emr_required to false for a machine outside EMR."
        )
    if instance is not None and instance.get("isMaster") is not True:
        problems.append(
            f"This is not the primary node of its cluster ({source} has isMaster: "
            f"{json.dumps(instance.get('isMaster'))}): take the primary node into the inventory instead."
        )
    job_flow, extra = load("job-flow.json") or {}, load("extraInstanceData.json") or {}
    facts = {
        "is_emr": instance is not None,
        "cluster_id": job_flow.get("jobFlowId") or "",
        "region": extra.get("region") or "",
        "master_private_dns_name": job_flow.get("masterPrivateDnsName") or "",
    }
    return facts, problems


def listeners(proc: Path, ports: set[int]) -> dict[int, set[str]]:
    """Return the socket inodes that listen on each of `ports`; `proc` is where procfs is mounted."""
    found: dict[int, set[str]] = {}
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:  # IPv6 can be switched off
            continue
        for fields in (line.split() for line in lines):
            port = int(fields[1].rpartition(":")[2], 16)
            if fields[3] == LISTEN and port in ports:
                found.setdefault(port, set()).add(fields[9])
    return found


def holders(proc: Path, inodes: set[str]) -> dict[str, list[int]]:
    """Return the pids that hold each of the socket inodes, as far as this user may see them."""
    links = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, list[int]] = {}
    for pid in sorted(int(entry.name) for entry in os.scandir(proc) if entry.name.isdigit()):
        try:
            descriptors = os.listdir(proc / str(pid) / "fd")
        except OSError:  # gone in the meantime, or not ours to see
            continue
        for descriptor in descriptors:
            try:
                inode = links.get(os.readlink(f"{proc}/{pid}/fd/{descriptor}"))
            except OSError:
                continue
            if inode and pid not in found.setdefault(inode, []):
                found[inode].append(pid)
    return found


def process(proc: Path, pid: int) -> Process | None:
    """Return the process `pid`, or None if it has ended."""
    home = proc / str(pid)
    try:
        name = (home / "comm").read_text(errors="replace").strip()
        command = (home / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
        cgroups = [line.split(":", 2)[2].split("/") for line in (home / "cgroup").read_text().splitlines()]
    except OSError:
        return None
    return Process(pid, name, command, cgroups)


def port_problems(proc: Path, ports: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the ports: asked for twice, or held by a process of another unit.

    `proc` is where procfs is mounted, `ports` the module's option.
    """
    problems = []
    wanted: dict[int, str] = {}
    for entry in ports:
        other = wanted.setdefault(entry["port"], entry["variable"])
        if other != entry["variable"]:
            problems.append(f"{other} and {entry['variable']} are both {entry['port']}: give one of them another port.")
    listening = listeners(proc, set(wanted))
    pids = holders(proc, set().union(*listening.values())) if listening else {}
    for entry in ports:
        strangers: dict[int, Process | None] = {}
        for inode in listening.get(entry["port"], set()):
            found = [owner for owner in (process(proc, pid) for pid in pids.get(inode, [])) if owner]
            # A socket that systemd or a parent passed on is held by several processes, by ours among them.
            if not found:
                strangers[0] = None
            elif not any(owner.belongs_to(entry["unit"]) for owner in found):
                strangers[found[0].pid] = found[0]
        problems += [_port_problem(entry, strangers[pid]) for pid in sorted(strangers)]
    return problems


def _port_problem(entry: dict[str, Any], owner: Process | None) -> str:
    if owner is None:
        who = "a process that cannot be seen (of another container, or of another user)"
    else:
        # Any user can name a process so that its name would write to the terminal.
        who = ascii(f"{owner.name} (pid {owner.pid}{', ' + owner.unit if owner.unit else ''})")[1:-1]
    hint = ""
    if entry["port"] == 9090 and owner and "ThriftServer" in owner.command:
        hint = " HBase's thrift server takes 9090 on every cluster with HBase."
    return (
        f"Port {entry['port']} is taken by {who}, and {entry['unit']} is to listen there: set "
        f"{entry['variable']} to a free port, or stop that process.{hint}"
    )


def existing_parent(path: str) -> Path:
    """Return the nearest directory on the way to `path` that exists, links resolved."""
    place = Path(os.path.realpath(path))
    while not place.exists():
        place = place.parent
    return place


def mount_point(place: Path) -> Path:
    """Return where the file system that holds the existing path `place` is mounted."""
    device = place.stat().st_dev
    while place != place.parent and place.parent.stat().st_dev == device:
        place = place.parent
    return place


def free_bytes(place: Path) -> int:
    """Return how many bytes users other than root can still write to the file system of `place`."""
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


def space_problems(space: list[dict[str, Any]]) -> list[str]:
    """Return a problem for each file system that has less room than the module's option asks for in sum."""
    demands: dict[int, list[dict[str, Any]]] = {}
    for entry in space:
        if not (entry.get("unless") and os.path.exists(entry["unless"])):
            demands.setdefault(existing_parent(entry["path"]).stat().st_dev, []).append(entry)
    problems = []
    for entries in demands.values():
        place = existing_parent(entries[0]["path"])
        free, needed = free_bytes(place) // MIB, sum(entry["megabytes"] for entry in entries)
        if free < needed:
            wishes = ", ".join(f"{entry['path']} ({entry['megabytes']} MB)" for entry in entries)
            variables = " or ".join(dict.fromkeys(entry["variable"] for entry in entries))
            problems.append(
                f"The file system at {mount_point(place)} has {free} MB free, and {needed} MB are needed for "
                f"{wishes}: free some space, or set {variables} to a place on a larger file system."
            )
    return problems


def folder_owners(folders: list[dict[str, Any]]) -> list[pwd.struct_passwd]:
    """Return those of the users that the folders are for who exist. `folders` is the module's option."""
    found = []
    for user in sorted({entry["owner"] for entry in folders if entry["owner"]}):
        with suppress(KeyError):
            found.append(pwd.getpwnam(user))
    return found


def folder_problems(folders: list[dict[str, Any]]) -> list[str]:
    """Return a problem for each folder in whose place a service could put a link, or that belongs to another user.

    `folders` is the module's option.
    """
    users = {user.pw_uid: user.pw_name for user in folder_owners(folders)}
    owners = {os.path.realpath(entry["path"]): entry["owner"] for entry in folders}
    problems = []
    for entry in folders:
        real = Path(os.path.realpath(entry["path"]))
        for place in (*real.parents, *Path(entry["path"]).parents):
            owner = owners.get(str(place)) or (users.get(place.lstat().st_uid) if os.path.lexists(place) else None)
            if owner:
                problems.append(
                    f"{entry['path']} lies in {place}, where {owner} can put links to anything: set "
                    f"{entry['variable']} to a folder outside."
                )
                break
        if entry["owner"] and real.is_dir() and users.get(real.stat().st_uid) != entry["owner"]:
            found = sorted({path.name for path in real.iterdir()} - {"lost+found"})
            if found:
                problems.append(
                    f"{entry['path']} does not belong to {entry['owner']} and holds {found[0]!r}: set "
                    f"{entry['variable']} to a folder of its own, or give it to that user with chown -R."
                )
    return problems


def is_installed(service: dict[str, Any], manifests: Path = MANIFESTS) -> bool:
    """Tell whether this project installed a service, if only in part. `service` is an entry of the module's option."""
    releases = Path(service["releases"])
    patterns = ("*/.release.json", ".staging-*", ".download-*")
    return (manifests / f"{service['name']}.json").exists() or any(
        found for pattern in patterns for found in releases.glob(pattern)
    )


def is_ours(service: dict[str, Any], manifests: Path = MANIFESTS, records: Path = RECORDS) -> bool:
    """Tell whether this project installed a service, began to, or left its user behind when it removed it."""
    return is_installed(service, manifests) or (records / f"emr-monitoring-{service['name']}").exists()


def strangers(service: dict[str, Any], unit_folders: Sequence[Path] = UNIT_FOLDERS) -> list[str]:
    """Return what is in the way of a service that this project did not install, each in words that name it."""
    files = [folder / service["unit"] for folder in unit_folders]
    files += [Path(service["configuration"]) / name for name in service["files"]]
    # /lib is mostly a link to /usr/lib.
    real = dict.fromkeys(path.parent.resolve() / path.name for path in files if os.path.lexists(path))
    found = [str(path) for path in real]
    with suppress(KeyError):
        user = pwd.getpwnam(service["name"])
        if (user.pw_dir, user.pw_shell) != (USER_HOME, USER_SHELL):
            found.append(f"the user {user.pw_name} (uid {user.pw_uid}, home {user.pw_dir}, shell {user.pw_shell})")
    return found


def ownership_problems(services: list[dict[str, Any]]) -> list[str]:
    """Return a problem for each service that is there already and that somebody else put there."""
    problems = []
    for service in services:
        found = [] if is_ours(service) else strangers(service)
        if found:
            name, unit = service["name"], service["unit"]
            problems.append(
                f"Somebody else's {name} is on the node: {', '.join(found)}. It is neither overwritten nor stopped. If "
                f"nobody needs it, take it away (its package with apt or dnf; else systemctl disable --now {unit}, "
                f"move the files elsewhere, and userdel {name}) and run again; its data may stay where it is."
            )
    return problems


def overlap_problems(services: list[dict[str, Any]]) -> list[str]:
    """Return a problem for each folder of a service that is also another one's, or lies in it."""
    folders = [
        (service["name"], f"{variable} ({path})", Path(os.path.realpath(path)))
        for service in services
        for variable, path in [
            *service["folders"].items(),
            (f"the configuration of {service['name']}", service["configuration"]),
        ]
    ]
    problems = [
        f"{variable} ({path}) is or lies in the folder of releases, {service['releases']}: choose another one."
        for service in services
        for variable, path in service["folders"].items()
        if service["releases"] in (path, *map(str, Path(path).parents))
    ]
    for (name, what, path), (other_name, other_what, other) in combinations(folders, 2):
        if name != other_name and (path == other or path in other.parents or other in path.parents):
            relation = "are one folder" if path == other else "lie one in the other"
            problems.append(f"{what} and {other_what} {relation}: give each service a folder of its own.")
    return problems


def secret_on_node(secret: dict[str, Any], self_provisioned: str) -> tuple[str, bytes]:
    """Return the file on the node that holds a secret, and its content; both are empty where there is none.

    `secret` is an element of the module's option, `self_provisioned` the folder of a node that provisioned itself.
    """
    for path in (secret["path"], os.path.join(self_provisioned, secret["variable"])):
        with suppress(OSError):
            content = Path(path).read_bytes()
            if content.strip():
                return path, content
    return "", b""


TAKE_OVER = (
    "To go on with those of the node, run site.yml once with -e monitoring_secrets_from_node=true (without --check)"
)


def secret_problems(params: dict[str, Any]) -> list[str]:
    """Return what would take the place of a secret that the node has. `params` are the module's options."""
    wanted = [secret for secret in params["secrets"] if secret["needed"]]
    names = [secret["variable"] for secret in params["secrets"]]
    problems = [
        f"monitoring_secrets_replace names {name!r}: the secrets are {', '.join(names)}."
        for name in params["secrets_replaced"]
        if name not in names
    ]
    held: dict[str, str] = {}
    lost: dict[str, str] = {}
    for secret in wanted:
        name = secret["variable"]
        if name in params["secrets_replaced"]:
            continue
        path, content = secret_on_node(secret, params["self_provisioned"])
        if not secret["known"] and path:
            held[name] = path
        elif not secret["known"] and secret.get("used_by") and os.path.exists(secret["used_by"]):
            lost[name] = secret["used_by"]
        elif secret["known"] and secret.get("sha256") and path and not _is_digest_of(secret["sha256"], content):
            problems.append(_other_key(name, path, params["secrets_dir"]))
    if held:
        problems.append(
            f"{params['secrets_dir']} holds no {', '.join(held)}, and the node has what is missing there, such as "
            f"{next(iter(held.values()))}: it was provisioned by another controller or with another folder, and new "
            f"ones would lock out everybody who uses those. {TAKE_OVER}. {_on_purpose(held)}"
        )
    if lost:
        problems.append(
            f"{params['secrets_dir']} holds no {', '.join(lost)}, and {', '.join(dict.fromkeys(lost.values()))} on the "
            "node was made with it, of which the node has no copy: copy the file from the controller that provisioned "
            f"the node. {_on_purpose(lost)}"
        )
    return problems


def _is_digest_of(digest: str, content: bytes) -> bool:
    # A file that somebody wrote by hand ends with a line break.
    return digest in {hashlib.sha256(text).hexdigest() for text in (content, content.rstrip())}


def _other_key(name: str, path: str, folder: str) -> str:
    return (
        f"{name}, which the inventory sets or {folder} holds, is not the key of the node in {path}, which encrypts "
        f"what users stored in Grafana. {TAKE_OVER}; where the inventory sets {name}, set it to the node's instead. "
        f"{_on_purpose([name])}"
    )


def _on_purpose(names: Iterable[str]) -> str:
    loss = ""
    if "grafana_secret_key" in names:
        loss = (
            " Then Grafana can no longer decrypt the passwords of the data sources that users made: they have to enter "
            "them again."
        )
    return f"For others on purpose, add -e monitoring_secrets_replace={','.join(names)}.{loss}"


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
    emr, problems = emr_identity(Path(params["info_dir"]), params["emr_required"])
    problems = [
        *base_problems(machine, (sys.version_info[0], sys.version_info[1]), os.geteuid()),
        *os_problems(release),
        *systemd_problems(version, Path("/run/systemd/system")),
        *problems,
        *port_problems(Path("/proc"), ports),
        *space_problems(space),
        *folder_problems(params["folders"]),
        *overlap_problems(services),
        *ownership_problems(services),
        *secret_problems(params),
    ]
    name = release.get("PRETTY_NAME", "")
    if problems:
        lines = "".join(f"\n- {problem}" for problem in problems)
        module.fail_json(f"This node cannot be provisioned; nothing was changed:{lines}", problems=problems, os=name)
    facts = {
        "architecture": machine,
        "emr": emr,
        "made": [service["name"] for service in params["services"] if is_installed(service)],
        "users": [user.pw_name for user in folder_owners(params["folders"])],
    }
    module.exit_json(changed=False, os=name, ansible_facts=facts)


if __name__ == "__main__":
    main()
