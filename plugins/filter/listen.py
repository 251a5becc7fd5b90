"""Where a service listens, and by which address this node reaches it there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*")
# Every address of the node: of both kinds with the second.
ANY = ("0.0.0.0", "::")  # noqa: S104  # to compare with


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def is_loopback(address: Any) -> bool:
    """Tell whether only this node reaches what listens on an address."""
    found = _ip(str(address))
    return found.is_loopback if found else str(address) == "localhost"


def url_host(address: Any) -> str:
    """Return an address as it stands before a port: IPv6 in brackets."""
    return f"[{address}]" if ":" in str(address) else str(address)


def asked_host(listen: Any) -> str:
    """Return the host for a question of this node to what listens on `listen`.

    :param listen: an address or a name; all addresses are asked by the loopback's
    """
    return url_host({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(listen), str(listen)))  # noqa: S104


def target_host(listen: Any) -> str:
    """Return the host by which other services of this node know what listens on `listen`.

    :param listen: an address or a name; ``localhost`` stands for all that it reaches
    """
    return "localhost" if str(listen) in (*ANY, "127.0.0.1") else url_host(listen)


def own_addresses(listen: Any, port: Any, url: Any) -> list[str]:
    """Return the addresses of a service of this node for ``is_own``, in each way to write them.

    :param listen: what it listens on
    :param url: its address in links, where others may be reached by other paths
    :returns: ``host:port/*`` for whatever is asked there, and ``host/path`` for nothing but that
    """
    hosts = dict.fromkeys(["localhost", "127.0.0.1", "[::1]", asked_host(listen), target_host(listen)])
    return [*([_without_scheme(url)] if url else []), *(f"{_without_scheme(f'{host}:{port}')}/*" for host in hosts)]


def is_own(url: Any, own: Iterable[str]) -> bool:
    """Tell whether a URL, whose scheme may be missing, is one of what ``own_addresses`` returns."""
    asked = _without_scheme(url)
    return not {asked, f"{asked.partition('/')[0]}/*"}.isdisjoint(own)


def _without_scheme(url: Any) -> str:
    """Return ``host/path`` of a URL, with the port unless it is that of its scheme."""
    found = re.match(r"(?:https?://)?([^/?#]*)([^?#]*)", str(url))
    host, path = found.groups() if found else ("", "")
    return re.sub(r":(80|443)$", "", host.lower()) + path.rstrip("/")


def served_path(url: Any, kept: Any) -> str:
    """Return the path below which a service serves its pages: ``/prometheus``, or nothing for the root.

    :param url: its address in links, which may be empty
    :param kept: whether the proxy before it leaves the path of that address in what it passes on
    """
    found = re.match(r"https?://[^/?#]+(/[^?#]*)", str(url or ""))
    return found[1].rstrip("/") if found and kept else ""


def listen_names(addresses: Iterable[Any]) -> list[str]:
    """Return those of the listen addresses that a certificate can be for: none that stands for all."""
    return [str(address) for address in dict.fromkeys(addresses) if str(address) not in ANY]


def listening_note(listen: Any) -> str:
    """Return what to say beside the address of a page that is not reached by every address of the node."""
    if str(listen) in ANY:
        return ""
    return f" (it listens on {listen} alone" + (": use an ssh tunnel)" if is_loopback(listen) else ")")


def listen_problems(addresses: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with addresses to listen on, before the node is asked whether it has them.

    :param addresses: address by the name of its variable; ``monitoring_listen_address`` is the one that others follow
    """
    wrong = {name: value for name, value in addresses.items() if not is_host(str(value))}
    general = wrong.get("monitoring_listen_address")
    # Its own API server does not start with a name (12.4).
    grafana = str(addresses.get("grafana_listen_address", "::"))
    names = [grafana] if is_host(grafana) and not _ip(grafana) else []
    return [
        *(f"grafana_listen_address is '{name}', and Grafana takes an address alone: write it." for name in names),
        *_described(wrong, general),
    ]


def _described(wrong: Mapping[str, Any], general: Any) -> list[str]:
    return [
        f"{name} is '{value}': write an address of the node, such as 10.0.0.5 or \"::1\", or its name, without "
        'brackets and port; 0.0.0.0 is every one, "::" also those of IPv6.'
        for name, value in wrong.items()
        if name == "monitoring_listen_address" or value != general
    ]


def host_problems(address: Any) -> list[str]:
    """Say why an address in links cannot be the one of a host."""
    if is_host(str(address)):
        return []
    return [f"monitoring_address is {str(address)!r}: write a name or an address alone, such as emr.example.com."]


def is_host(address: str) -> bool:
    """Tell whether a text is the name or the IP address of one host."""
    found = _ip(address)
    if found:
        return "%" not in address
    # A name whose last part is a number is an address that is none.
    return bool(HOST.fullmatch(address)) and not address.rpartition(".")[2].isdigit()


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {
            "asked_host": asked_host,
            "is_own": is_own,
            "listen_names": listen_names,
            "host_problems": host_problems,
            "listen_problems": listen_problems,
            "listening_note": listening_note,
            "own_addresses": own_addresses,
            "served_path": served_path,
            "target_host": target_host,
            "url_host": url_host,
        }
