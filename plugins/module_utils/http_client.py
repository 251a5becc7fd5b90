"""Ask a service of the node over HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

POLL_TIMEOUT = 5.0
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----")
# OpenSSL's X509_V_FLAG_PARTIAL_CHAIN, for which the ssl module has a name from Python 3.10 on.
PARTIAL_CHAIN = 0x80000
Fetch = Callable[..., "Answer"]


class Answer(NamedTuple):
    """An HTTP answer. Where there is none, `status` is 0 and `error` says why."""

    status: int
    body: str = ""
    error: str = ""


class AnyStatus(urllib.request.HTTPErrorProcessor):
    """Take every status as an answer: a redirect is no sign of readiness, and the body of an error says more."""

    def http_response(self, request: urllib.request.Request, response: http.client.HTTPResponse) -> Any:
        """Return the response as it came."""
        return response

    https_response = http_response


def pinned_context(certificate_path: str) -> ssl.SSLContext:
    """Return a context that trusts the first certificate in a PEM file, if it is valid now, and no other.

    Raise OSError if the file cannot be read or holds no certificate.
    """
    # It trusts nothing yet, not even the system's list.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        found = CERTIFICATE.search(Path(certificate_path).read_text(errors="replace"))
        context.load_verify_locations(cadata=found.group() if found else "")
    except FileNotFoundError:
        raise OSError(f"certificate_path {certificate_path} does not exist") from None
    except (ssl.SSLError, ValueError):
        raise OSError(f"certificate_path {certificate_path} holds no certificate") from None
    # Trust need not end in a root: the certificate of the service is itself what is trusted.
    context.verify_flags |= PARTIAL_CHAIN
    # Safe, since it is not the name that tells the service from others: nobody else has the key to this very
    # certificate. (If it is a certificate authority's, its holder could sign another one, but also use this one.)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def fetcher(username: str | None, password: str | None, certificate_path: str | None) -> Fetch:
    """Return a function that sends a request and returns the Answer.

    It takes a URL, the method and a limit in seconds. The credentials are sent as basic authentication;
    `certificate_path` is a PEM file whose first certificate to trust in place of the system's list.
    """
    headers = {}
    if username is not None:
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"

    def fetch(url: str, method: str = "GET", timeout: float = POLL_TIMEOUT) -> Answer:
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), AnyStatus()]
        try:
            if url.startswith("https:"):
                # Read at each attempt: the service may be what creates the file.
                context = pinned_context(certificate_path) if certificate_path else ssl.create_default_context()
                handlers.append(urllib.request.HTTPSHandler(context=context))
            # The playbook's author chose the URL.
            request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310
            with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as response:
                return Answer(int(response.status), response.read().decode(errors="replace"))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, ssl.SSLCertVerificationError) and certificate_path:
                reason = (
                    f"its certificate is refused ({reason.verify_message}): check certificate_path {certificate_path}"
                )
            return Answer(0, error=str(reason) or type(error).__name__)

    return fetch


def no_answer(url: str, answer: Answer) -> str:
    """Return what is wrong with an answer that is not HTTP 200."""
    hint = ": check url_username and url_password" if answer.status == 401 else ""
    return f"{url} answers HTTP {answer.status}{hint}" if answer.status else f"{url} cannot be read: {answer.error}"


def gauge(page: str, metric: str) -> float | None:
    """Return the value of `metric` on a page of metrics in Prometheus' text format, None if absent."""
    match = re.search(rf"^{re.escape(metric)}(?:\{{.*\}})?[ \t]+(\S+)", page, re.MULTILINE)
    return float(match.group(1)) if match else None


def parsed(body: str) -> Any:
    """Return what the JSON text `body` holds, None if it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None
