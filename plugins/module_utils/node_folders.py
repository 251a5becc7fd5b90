"""Whether the folders of the services have room, an owner each, and no way in for others."""

from __future__ import annotations

import os
import posixpath
import pwd
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
# What a unit's sandbox, or the next start of the node, leaves nothing of.
HIDDEN = {
    "/home": "a unit does not see /home (ProtectHome=yes)",
    "/root": "a unit does not see /root (ProtectHome=yes)",
    "/run": "what lies in /run is gone with each start of the node",
    "/tmp": "a unit has a /tmp of its own, which goes with it (PrivateTmp=yes)",  # noqa: S108
    "/var/tmp": "a unit has a /var/tmp of its own, which goes with it (PrivateTmp=yes)",  # noqa: S108
    "/var/run": "what lies in /var/run is gone with each start of the node",
    "/dev": "a unit has a /dev of its own (PrivateDevices=yes)",
    "/proc": "/proc is the kernel's",
    "/sys": "/sys is the kernel's",
}


def hidden(path: str) -> str:
    """Return why no unit of this project could use a folder or a file, empty where it could."""
    # Two slashes at the beginning stay two (POSIX).
    path = posixpath.normpath(path).replace("//", "/", 1)
    return next((reason for place, reason in HIDDEN.items() if f"{path}/".startswith(f"{place}/")), "")


def link_problems(folders: list[dict[str, Any]]) -> list[str]:
    """Return a problem for each folder that a link leads to where no unit could use it.

    `folders` is the module's option.
    """
    real = {entry["path"]: os.path.realpath(entry["path"]) for entry in folders}
    return [
        f"{entry['path']} leads to {real[entry['path']]}, and {hidden(real[entry['path']])}: set {entry['variable']} "
        "to a folder elsewhere."
        for entry in folders
        if real[entry["path"]] != entry["path"] and hidden(real[entry["path"]])
    ]


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
