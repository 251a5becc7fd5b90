"""Who listens on the ports of the services."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

LISTEN = "0A"


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
