"""What the tests of TLS share: pairs of a certificate and its key, on their way to the node."""

from __future__ import annotations

import base64
from typing import Any

from testinfra.host import Host

NAME = "monitoring.example.com"


def given(certificate: str, key: str) -> dict[str, Any]:
    """Return the variables that give a pair in place of the inventory's, each as PEM text or as a path on the node."""
    return {"tls_self_signed": False, "tls_certificate": certificate, "tls_key": key}


def put(host: Host, certificate: str, key: str, mode: str) -> tuple[str, str]:
    """Put a pair on the node; return the two paths.

    :param mode: of the key's file
    """
    paths = "/etc/ssl/monitoring.pem", "/etc/ssl/monitoring.key"
    for path, text, bits in zip(paths, (certificate, key), ("0644", mode), strict=True):
        encoded = base64.b64encode(text.encode()).decode()
        host.check_output(f"echo {encoded} | base64 --decode | sudo install --mode={bits} /dev/stdin {path}")
    return paths


def secret_part(key: str) -> str:
    """Return a line of a key: whoever holds the key in files or output holds this line."""
    return key.splitlines()[1]
