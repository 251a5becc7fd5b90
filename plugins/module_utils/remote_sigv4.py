"""Sign a request as AWS wants it (Signature Version 4), as Prometheus does for sigv4."""

from __future__ import annotations

import hashlib
import hmac
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Keys:
    """What AWS knows somebody by; `token` comes with those that expire."""

    access: str
    secret: str
    token: str = ""


@dataclass(frozen=True)
class Scope:
    """What a signature is good for: a service in a region, for some minutes from `at` (UTC) on."""

    region: str
    service: str
    at: datetime


def cleaned(url: str) -> str:
    """Return a URL with its path as it is signed and sent: without a final slash and the like."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path="/" + posixpath.normpath(parts.path or "/").lstrip("/")))


def signed(url: str, headers: Mapping[str, str], body: bytes, keys: Keys, scope: Scope) -> dict[str, str]:
    """Return the headers of a POST with its signature, as the documentation of AWS describes it.

    :param url: a URL as `cleaned` returns it
    :param headers: those to be signed, but for Host and those that belong to the signature
    """
    parts = urlsplit(url)
    moment = scope.at.strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "X-Amz-Date": moment, **({"X-Amz-Security-Token": keys.token} if keys.token else {})}
    canonical = {name.lower(): " ".join(value.split()) for name, value in {**sent, "Host": parts.netloc}.items()}
    names = ";".join(sorted(canonical))
    query = "&".join(
        f"{name}={value}"
        for name, value in sorted(
            (quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parse_qsl(parts.query, True)
        )
    )
    request = "\n".join(
        [
            "POST",
            # What is quoted in the URL is quoted once more, but for S3.
            quote(parts.path, safe="/-_.~"),
            query,
            *(f"{name}:{canonical[name]}" for name in sorted(canonical)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    named = f"{moment[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = "\n".join([ALGORITHM, moment, named, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in named.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    login = f"{ALGORITHM} Credential={keys.access}/{named}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "Authorization": login}
