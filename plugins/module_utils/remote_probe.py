"""Ask an endpoint of remote_write with its login whether it takes a write request, which holds nothing."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.http_client import PARTIAL_CHAIN, AnyStatus, parsed
from ansible_collections.emr.monitoring.plugins.module_utils.proxy import proxy_of
from ansible_collections.emr.monitoring.plugins.module_utils.remote_credentials import NoKeysError, find_keys
from ansible_collections.emr.monitoring.plugins.module_utils.remote_sigv4 import Scope, cleaned, signed
from ansible_collections.emr.monitoring.plugins.module_utils.text import printable

TIMEOUT = 10.0
# How many characters of an endpoint's own words are shown.
SAID = 200
# An empty WriteRequest, as snappy has it.
NOTHING = b"\0"
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
SECOND = "io.prometheus.write.v2.Request"
SECOND_HEADERS = {
    "Content-Type": f"application/x-protobuf;proto={SECOND}",
    "X-Prometheus-Remote-Write-Version": "2.0.0",
}
ACCEPTED, REFUSED, AWAY, NOT_ASKED = "accepted", "refused", "away", "not asked"
# What to look at where an endpoint refuses; with sigv4 it is another question.
REMEDIES = {
    401: "is its login right, and may it write?",
    403: "is its login right, and may it write?",
    404: "is the path in its url right?",
    405: "is the path in its url right?",
    407: "which is its proxy: is the login in proxy_url right?",
}
TRUST = "give its authority in tls_config.ca, or the name that is in it in tls_config.server_name"
SIGNED = "may the node's role, or whose keys these are, write there (aps:RemoteWrite)?"


@dataclass(frozen=True)
class Verdict:
    """What an endpoint answered: one of the four words above, and a sentence that goes on from its name."""

    word: str
    said: str = ""


class _NotAskedError(Exception):
    """Only Prometheus itself can ask the endpoint; the text says why."""


class _NoTokenError(Exception):
    """Whoever gives tokens gives none; the arguments are the status of its answer, and what to look at."""


class _NamedContext(ssl.SSLContext):
    """A context for a server that is known by another name than that of its address."""

    name: str | None = None

    def wrap_socket(self, *args: Any, **options: Any) -> Any:
        """Return the socket, for the other name."""
        return super().wrap_socket(*args, **{**options, "server_hostname": self.name or options["server_hostname"]})


def tls_context(config: Mapping[str, Any], path: Callable[[str], str]) -> ssl.SSLContext:
    """Return the context of a tls_config; `path` returns where a file lies. Raise OSError where one cannot be used."""
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.name = config.get("server_name")
    # As in Go, a name that stands in the subject alone is none.
    context.hostname_checks_common_name = False
    # And any certificate that is given to be trusted, is.
    context.verify_flags |= PARTIAL_CHAIN
    if config.get("ca_file"):
        context.load_verify_locations(cafile=path(config["ca_file"]))
    else:
        context.load_default_certs()
    if config.get("cert_file"):
        context.load_cert_chain(path(config["cert_file"]), path(config["key_file"]) if config.get("key_file") else None)
    if config.get("insecure_skip_verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def basic(name: str, password: str) -> str:
    """Return what a login is sent as."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def _token_in(answer: str) -> str:
    """Return the token that an answer holds, as JSON or as a form; empty where it holds none."""
    found = parsed(answer)
    if isinstance(found, dict):
        return str(found.get("access_token") or "")
    return urllib.parse.parse_qs(answer).get("access_token", [""])[0]


@dataclass(frozen=True)
class Endpoint:
    """An endpoint, as Prometheus would write to it.

    :ivar entry: an entry of remote_write as it is rendered
    :ivar environment: what is set for the process of Prometheus
    :ivar path: returns where a file lies that the entry names
    :ivar hide: returns what somebody said without any secret
    """

    entry: Mapping[str, Any]
    environment: Mapping[str, str]
    path: Callable[[str], str]
    hide: Callable[[str], str] = str

    def ask(self) -> Verdict:
        """Send a write request that holds nothing, and say what came of it."""
        try:
            headers = self._headers()
            headers.update(self._login(headers))
            return self._judged(*self._post(self._url, headers, NOTHING, self.entry))
        except _NotAskedError as error:
            return Verdict(NOT_ASKED, f"is not asked before: Prometheus alone {error}")
        except _NoTokenError as error:
            status, remedy = error.args
            return Verdict(
                AWAY if status >= 500 else REFUSED, f"gets no token, token_url answers HTTP {status}{remedy}"
            )
        except NoKeysError as error:
            return Verdict(REFUSED, f"wants sigv4, and there are no credentials, so Prometheus does not start: {error}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, ssl.SSLCertVerificationError):
                return Verdict(AWAY, f"shows a certificate that is not trusted ({reason.verify_message}): {TRUST}")
            return Verdict(AWAY, f"cannot be reached: {self.hide(printable(str(reason) or type(error).__name__))}")

    @property
    def _url(self) -> str:
        url = str(self.entry["url"])
        return cleaned(url) if "sigv4" in self.entry else url

    def _judged(self, status: int, body: str, leads_to: str) -> Verdict:
        words = self.hide(printable(" ".join(body.split())))[:SAID]
        answer = f"answers HTTP {status}" + (f" ({words})" if words else "")
        if status in REMEDIES:
            remedy = SIGNED if status in (401, 403) and "sigv4" in self.entry else REMEDIES[status]
            return Verdict(REFUSED, f"{answer}: {remedy}")
        if 300 <= status < 400:
            where = f"leads to {self.hide(printable(leads_to))}" if leads_to else "leads elsewhere"
            return Verdict(REFUSED, f"answers HTTP {status} and {where}: is that its address, or a page for a login?")
        if status >= 500:
            return Verdict(AWAY, answer)
        if status < 300 or status == 429:
            return Verdict(ACCEPTED)
        # It took the login and the path; what it does not like may be that the request is empty.
        return Verdict(NOT_ASKED, f"{answer} to a request that holds nothing, which need not be its answer to others")

    def _read(self, file: str) -> str:
        with open(self.path(file), encoding="utf-8") as stream:
            return stream.read()

    def _headers(self) -> dict[str, str]:
        headers = {**HEADERS, **(SECOND_HEADERS if self.entry.get("protobuf_message") == SECOND else {})}
        for name, header in (self.entry.get("http_headers") or {}).items():
            texts = [self._read(file).strip() for file in header.get("files") or []]
            headers[name] = ", ".join(map(str, [*(header.get("values") or []), *texts]))
        return headers

    def _post(self, url: str, headers: Mapping[str, str], body: bytes, way: Mapping[str, Any]) -> tuple[int, str, str]:
        """Return the status of the answer, its text, and where it leads to; `way` holds tls_config and the proxy."""
        if way.get("proxy_connect_header"):
            raise _NotAskedError("sends its proxy_connect_header.")
        context = tls_context(way.get("tls_config") or {}, self.path)
        request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310
        if proxy := proxy_of(url, way, self.environment):
            parts = urllib.parse.urlsplit(proxy)
            if parts.scheme != "http":
                raise _NotAskedError(f"goes by a proxy of the scheme {printable(parts.scheme)}.")
            if parts.username is not None:
                login = urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
                request.add_header("Proxy-Authorization", basic(*login))
            request.set_proxy(parts.netloc.rpartition("@")[2], "http")
        # What is set for Ansible's own process is not what Prometheus has.
        direct = urllib.request.ProxyHandler({})
        opener = urllib.request.build_opener(direct, urllib.request.HTTPSHandler(context=context), AnyStatus())
        with opener.open(request, timeout=TIMEOUT) as response:
            return response.status, response.read(8192).decode(errors="replace"), response.headers.get("Location", "")

    def _login(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that tell the endpoint who asks."""
        entry, found = self.entry, {}
        if cloud := next((name for name in ("azuread", "google_iam") if name in entry), None):
            raise _NotAskedError(f"knows how to log in with {cloud}.")
        if "basic_auth" in entry:
            login = entry["basic_auth"]
            name = self._read(login["username_file"]).strip() if "username_file" in login else login.get("username", "")
            password = self._read(login["password_file"]).strip() if "password_file" in login else ""
            found = {"Authorization": basic(name, password)}
        elif "authorization" in entry:
            login = entry["authorization"]
            token = self._read(login["credentials_file"]).strip() if "credentials_file" in login else ""
            found = {"Authorization": f"{login.get('type') or 'Bearer'} {token}"}
        elif "bearer_token_file" in entry:
            found = {"Authorization": f"Bearer {self._read(entry['bearer_token_file']).strip()}"}
        elif "oauth2" in entry:
            found = {"Authorization": f"Bearer {self._token(entry['oauth2'])}"}
        elif "sigv4" in entry:
            found = self._signature(entry["sigv4"], headers)
        return found

    def _signature(self, sigv4: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
        keys = find_keys(sigv4, self.environment, self._read)
        if keys is None:
            raise _NotAskedError("gets its keys from where its profile or its environment says.")
        if sigv4.get("role_arn"):
            raise _NotAskedError("takes over its role_arn.")
        # A header that the configuration adds is not part of the signature.
        own = {name: headers[name] for name in HEADERS}
        scope = Scope(sigv4["region"], sigv4.get("service_name", "aps"), datetime.now(timezone.utc))
        return signed(self._url, own, NOTHING, keys, scope)

    def _token(self, oauth2: Mapping[str, Any]) -> str:
        """Return a token for a client's own login (RFC 6749, 4.4), by either of the two ways to send its secret."""
        if "client_secret_file" not in oauth2:
            raise _NotAskedError("gets a token in that way of oauth2.")
        name, secret = str(oauth2.get("client_id", "")), self._read(oauth2["client_secret_file"]).strip()
        wanted = {"grant_type": "client_credentials", **(oauth2.get("endpoint_params") or {})}
        if oauth2.get("scopes"):
            wanted["scope"] = " ".join(oauth2["scopes"])
        header = {"Authorization": basic(urllib.parse.quote_plus(name), urllib.parse.quote_plus(secret))}
        ways: list[tuple[dict[str, str], dict[str, str]]] = [
            (header, {}),
            ({}, {"client_id": name, "client_secret": secret}),
        ]
        status = 0
        for headers, more in ways:
            body = urllib.parse.urlencode({**wanted, **more}).encode()
            sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
            status, answer, _ = self._post(oauth2["token_url"], sent, body, oauth2)
            if 200 <= status < 300:
                if token := _token_in(answer):
                    return token
                raise _NoTokenError(status, " and no access_token: is it the address that gives tokens?")
        raise _NoTokenError(status, ": is the client's login right?")
