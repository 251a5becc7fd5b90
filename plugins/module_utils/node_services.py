"""Whether a service on the node is this project's or somebody else's."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

# Where the other modules and roles of this project keep what they made.
MANIFESTS = Path("/var/lib/ansible-template-tree")
RECORDS = Path("/var/lib")
UNIT_FOLDERS = tuple(
    Path(root, "systemd", kind)
    for root, kinds in {
        "/etc": ("system",),
        "/run": ("system", "transient", "generator"),
        "/usr/local/lib": ("system",),
        "/usr/lib": ("system",),
        "/lib": ("system",),
    }.items()
    for kind in kinds
)
# How the roles make the user of a service.
USER_HOME, USER_SHELL = "/nonexistent", "/usr/sbin/nologin"


def is_installed(service: dict[str, Any], manifests: Path = MANIFESTS) -> bool:
    """Tell whether this project installed a service, if only in part. `service` is an entry of the module's option."""
    releases = Path(service["releases"])
    patterns = ("*/.release.json", ".staging-*", ".download-*")
    return (manifests / f"{service['name']}.json").exists() or any(
        found for pattern in patterns for found in releases.glob(pattern)
    )


def migration_warning(releases: str, version: str, database: str) -> str:
    """Return what to say before Grafana changes a database that no run can copy; empty where there is nothing to say.

    :param releases: the folder of Grafana's releases; the link ``current`` beside it leads to the one in use
    :param version: the release to run
    :param database: its SQLite file; empty where it has another database
    """
    used = os.path.realpath(os.path.join(os.path.dirname(releases), "current"))
    if database or not os.path.isdir(used) or os.path.basename(used) == version:
        return ""
    return (
        f"grafana_version goes from {os.path.basename(used)} to {version}, and Grafana may change its database when "
        "another version starts first. grafana_ini.database is no SQLite file of this node, so no run keeps a copy of "
        "it: have a backup before you go on."
    )


def strangers(
    service: dict[str, Any],
    unit_folders: Sequence[Path] = UNIT_FOLDERS,
    manifests: Path = MANIFESTS,
    records: Path = RECORDS,
) -> list[str]:
    """Return what is in the way of a service that this project did not install, each in words that name it."""
    if is_installed(service, manifests):
        return []
    files = [folder / service["unit"] for folder in unit_folders]
    files += [Path(service["configuration"]) / name for name in service["files"]]
    # /lib is mostly a link to /usr/lib.
    real = dict.fromkeys(path.parent.resolve() / path.name for path in files if os.path.lexists(path))
    found = [str(path) for path in real]
    # It is made before the user, the first thing of all, and stays with it: the rest may be somebody else's since.
    recorded = (records / f"emr-monitoring-{service['name']}").exists()
    with suppress(KeyError):
        user = pwd.getpwnam(service["name"])
        if not recorded and (user.pw_dir, user.pw_shell) != (USER_HOME, USER_SHELL):
            found.append(f"the user {user.pw_name} (uid {user.pw_uid}, home {user.pw_dir}, shell {user.pw_shell})")
    return found


def is_usable(user: pwd.struct_passwd, records: Path = RECORDS) -> bool:
    """Tell whether the user of a service is as it is to be; one that this project did not make stays as it is."""
    return user.pw_shell == USER_SHELL or not (records / f"emr-monitoring-{user.pw_name}").exists()


def ownership_problems(services: list[dict[str, Any]]) -> list[str]:
    """Return a problem for each service that is there already and that somebody else put there."""
    problems = []
    for service in services:
        found = strangers(service)
        if found:
            name, unit = service["name"], service["unit"]
            problems.append(
                f"Somebody else's {name} is on the node: {', '.join(found)}. It is neither overwritten nor stopped. If "
                f"nobody needs it, take it away (its package with apt or dnf; else systemctl disable --now {unit}, "
                f"move the files elsewhere, and userdel {name}) and run again; its data may stay where it is. "
                "To have it taken over, with copies of what is replaced, set monitoring_adopt_existing: true."
            )
    return problems
