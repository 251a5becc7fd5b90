"""By which proxy Prometheus asks an address: the rules of Go's golang.org/x/net/http/httpproxy."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}
WITH_PORT = re.compile(r"\[?(?P<host>[^\[\]]*?)\]?:(?P<port>[0-9]+)")


def proxy_of(url: str, entry: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Return the address of the proxy by which a URL is asked, empty where it is asked directly.

    :param entry: what says so in Prometheus' configuration: ``proxy_url``, ``no_proxy``, ``proxy_from_environment``
    :param environment: what is set for the process
    """
    if entry.get("proxy_from_environment"):
        proxy = _variable(environment, f"{urlsplit(url).scheme}_proxy")
        without = _variable(environment, "no_proxy")
    else:
        proxy, without = str(entry.get("proxy_url") or ""), str(entry.get("no_proxy") or "")
        # Go has no rules then, not even that for the machine itself.
        if not without:
            return _address(proxy)
    return "" if bypassed(url, without) else _address(proxy)


def bypassed(url: str, without: str) -> bool:
    """Tell whether a URL is asked directly in spite of a proxy.

    :param without: hosts, domains, addresses and networks (CIDR), some with a port, separated by commas
    """
    parts = urlsplit(url)
    host, port = (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme)
    address = _ip(host)
    if host == "localhost" or (address and address.is_loopback):
        return True
    return any(_matches(name.strip().lower(), host, port, address) for name in without.split(",") if name.strip())


def _matches(name: str, host: str, port: int | None, address: Any) -> bool:
    if name == "*":
        return True
    if re.search(r"/[0-9]+$", name):
        try:
            return bool(address) and address in ipaddress.ip_network(name, strict=False)
        except ValueError:
            return False
    found = WITH_PORT.fullmatch(name) if not _ip(name) else None
    named = found.group("host") if found else name
    if not named or (found and int(found.group("port")) != port):
        return False
    if address or _ip(named):
        return bool(address) and _ip(named) == address
    domain = named[1:] if named.startswith("*.") else named
    return host.endswith(domain) if domain.startswith(".") else host == domain or host.endswith(f".{domain}")


def _ip(host: str) -> Any:
    """Return the address that a text is, None where it is none; of one of IPv4 in IPv6 the former."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _address(proxy: str) -> str:
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"
