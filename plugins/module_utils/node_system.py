"""What is wrong with a node as such: its system, systemd, and its place in the cluster."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

# Amazon Linux 2023's and Debian 12's, the oldest one on which the units were seen to run.
MIN_SYSTEMD = 252
MIN_PYTHON = (3, 9)
MIN_OS = {"debian": (12,), "ubuntu": (24, 4)}
SUPPORTED_OS = "Amazon Linux 2023 (EMR 7), Debian 12 or Ubuntu 24.04 and their successors"


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


def emr_identity(info_dir: Path, required: bool, primary: bool = True) -> tuple[dict[str, Any], list[str]]:
    """Return the cluster as `ansible_facts.emr` presents it, and the problems found.

    `info_dir` is EMR's directory of JSON files; with `required` it must describe a node of a cluster. `primary` is
    whether that has to be the primary one, or one of the others.
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
            f"{source} does not exist, thus this is no EMR node: "
            f"take {'the primary node' if primary else 'the others'} of a cluster into "
            f"{'the inventory' if primary else 'the group emr_workers'}, or set emr_required to false for a machine "
            "outside EMR."
        )
    if instance is not None and not primary and instance.get("isMaster") is True:
        problems.append(
            f"This is the primary node of its cluster ({source} has isMaster: true): take it out of the group "
            "emr_workers, which is for the core and task nodes."
        )
    if instance is not None and primary and instance.get("isMaster") is not True:
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
