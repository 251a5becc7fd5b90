"""What a user writes for the backups is what happens, or it is refused."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.plugin_utils.unit_options import NAME as VARIABLE_NAME
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import LOST_SPACE, Written, loses_space

# Of how many days, weeks and months the last backup stays, where the user does not say it.
KEEP = {"daily": 7, "weekly": 4, "monthly": 6}
# What restic would take from its environment, and the role says itself.
OWN = {
    **dict.fromkeys(("RESTIC_REPOSITORY", "RESTIC_REPOSITORY_FILE"), "use backup_repository"),
    **dict.fromkeys(("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND"), "use backup_password"),
    "RESTIC_HOST": "use backup_host",
    "RESTIC_CACHE_DIR": "leave it out",
}
# How an address of restic's begins that is no folder.
SCHEME = re.compile(r"[a-z0-9]+:")


def backup_input(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is meant.

    :param written: the variables of the role backup without their prefix, as they were written; and ``folders``,
        those of the node's data by the names of their variables
    :returns: ``keep``, number by period; ``environment``, text by name; ``sha256`` of the archive; and ``problems``,
        sentences on what is wrong
    """
    gate = Written()
    if not str(written["repository"] or "").strip():
        gate.problems.append(
            "backup_repository is empty: set it to where the backups go, such as "
            "s3:https://s3.eu-central-1.amazonaws.com/bucket/monitoring, or a folder on the node."
        )
    elif str(written["repository"]) != str(written["repository"]).strip():
        gate.problems.append("backup_repository begins or ends with a space, which would be part of it: remove it.")
    gate.problems += _unusable(str(written["repository"] or ""), written["folders"])
    if "\n" in str(written["schedule"] or ""):
        gate.refuse("backup_schedule", written["schedule"], "write one line, such as '*-*-* 03:00'")
    if loses_space(str(written["password"])):
        gate.problems.append(f"backup_password {LOST_SPACE}")
    if "@" in str(written["proxy"] or ""):
        gate.problems.append(
            "monitoring_download_proxy has a login, which the download of restic would show in the list of processes: "
            "put the archive on the node, and set backup_restic_url to file:///path/of/it."
        )
    keep = {**KEEP, **gate.mapping("backup_keep", written["keep"])}
    for period, number in keep.items():
        if period in KEEP:
            gate.number(f"backup_keep.{period}", number, whole=True)
    if not gate.problems and not any(int(number) > 0 for number in keep.values()):
        gate.problems.append("backup_keep keeps nothing: set one of daily, weekly and monthly to 1 at least.")
    environment = gate.texts(
        "backup_environment", gate.mapping("backup_environment", written["environment"], secret=True)
    )
    gate.problems += [
        f"backup_environment holds {name!r}, which is no name of a variable: write it as NAME: value."
        for name in environment
        if not VARIABLE_NAME.fullmatch(name)
    ]
    gate.problems += [
        f"backup_environment holds {name}, which is the role's own: {remedy}."
        for name, remedy in OWN.items()
        if name in environment
    ]
    version, architecture = str(written["version"]), written["architecture"]
    known = written["checksums"].get(version) if isinstance(written["checksums"], Mapping) else None
    checksum = known.get(architecture) if isinstance(known, Mapping) else None
    if not checksum:
        gate.problems.append(
            f"backup_restic_checksums has no {version} for {architecture}: add its sha256, from the SHA256SUMS of that "
            "release."
        )
    return {"keep": keep, "environment": environment, "sha256": checksum, "problems": gate.problems}


def _unusable(repository: str, folders: Mapping[str, str]) -> list[str]:
    """Say why a folder of the node is none for backups; what is not a folder, restic knows."""
    path = repository.removeprefix("local:")
    if not path.strip() or SCHEME.match(path):
        return []
    if not path.startswith("/"):
        return [
            "backup_repository is neither an absolute path nor an address such as s3:…, sftp:… or rest:…: write one."
        ]
    place = posixpath.normpath(path)
    return [
        f"backup_repository is {repository}, and {name} is {folder}: one lies in the other, and what removes the data "
        "would remove the backups. Choose a folder of its own, best on another disk."
        for name, folder in folders.items()
        # What is no path is told as such.
        if folder.startswith("/")
        and posixpath.commonpath([place, posixpath.normpath(folder)]) in (place, posixpath.normpath(folder))
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {"backup_input": backup_input}
