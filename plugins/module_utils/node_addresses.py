"""Whether the node has the addresses that services are to listen on."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
# For all addresses of one kind.
ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104


def node_addresses(proc: Path) -> dict[int, list[str]]:
    """Return the addresses of the node but for those of its loopback and of a single link, by their kind.

    `proc` is where procfs is mounted.
    """
    found: dict[int, list[str]] = {socket.AF_INET: [], socket.AF_INET6: []}
    for kind, table in ((socket.AF_INET, "fib_trie"), (socket.AF_INET6, "if_inet6")):
        try:
            text = (proc / "net" / table).read_text(encoding="ascii")
        except FileNotFoundError:  # one kind can be switched off
            continue
        if kind == socket.AF_INET:
            found[kind] = [each for each in dict.fromkeys(LOCAL.findall(text)) if not each.startswith("127.")]
        else:
            packed = [bytes.fromhex(line.split()[0]) for line in text.splitlines()]
            texts = [socket.inet_ntop(kind, each) for each in packed]
            found[kind] = [each for each in texts if each != "::1" and not each.startswith("fe80")]
    return found


def address_problems(ports: list[dict[str, Any]], proc: Path) -> list[str]:
    """Return a problem for each address of the module's option `ports` that nothing can listen on.

    `proc` is where procfs is mounted.
    """
    there = node_addresses(proc)
    problems = []
    for entry in ports:
        address = entry.get("address")
        reason = _reason(address, there) if address else ""
        if reason:
            variable = (
                "monitoring_listen_address" if entry["follows"] else entry["variable"].replace("port", "listen_address")
            )
            problems.append(f"{variable} is {address}{reason}.")
    return list(dict.fromkeys(problems))


def _reason(address: str, there: Mapping[int, list[str]]) -> str:
    """Return why nobody reaches a service that listens on `address`, empty where it can be done."""
    if address == ANY[socket.AF_INET] and there[socket.AF_INET6] and not there[socket.AF_INET]:
        return f', every address of IPv4, and this node has only those of IPv6: write "{ANY[socket.AF_INET6]}"'
    try:
        found = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)
    except OSError:
        return ", a name that this node does not know: write one of its addresses"
    # Of several addresses of one name, Go's programs take the first one, of IPv4 if there is any.
    kind, _, _, _, place = sorted(found, key=lambda each: each[0] != socket.AF_INET)[0]
    try:
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.bind(place)
    except OSError:
        known = [*there[socket.AF_INET], *there[socket.AF_INET6]]
        return f", which this node does not have: write one of {', '.join([*known, '127.0.0.1', ANY[socket.AF_INET]])}"
    return ""
