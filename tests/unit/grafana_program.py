"""A Grafana that runs for a test: the stand-in, or a genuine one where a test has it."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.certificates import Pair, sign

STANDIN = Path(__file__).parents[2] / "molecule/testbed/grafana_standin"
ADMIN = ("admin", "from-the-ini")
PROMETHEUS_PASSWORD = "pa$word"  # noqa: S105


def until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.05)


@dataclass
class Certificate:
    """A certificate and its key in two files: self-signed unless there is an issuer, an authority without names."""

    folder: Path
    common_name: str
    names: tuple[str, ...] = ()
    issuer: Certificate | None = None

    def __post_init__(self) -> None:
        issuer = self.issuer.pair if self.issuer else None
        self.pair: Pair = sign(*self.names, common_name=self.common_name, issuer=issuer, authority=not self.names)
        self.path = self.folder / f"{self.common_name}.pem"
        self.path.write_text(self.pair.certificate)
        self.key_path = self.folder / f"{self.common_name}.key"
        self.key_path.write_text(self.pair.key)

    @property
    def text(self) -> str:
        return self.path.read_text()

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key_path)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return what trusts this certificate alone."""
        return ssl.create_default_context(cafile=self.path)


class Grafana:
    """One installation in a folder of its own: what a role would lay out, and the means to start it."""

    def __init__(self, root: Path, home: Path = STANDIN) -> None:
        self.root = root
        self.home = home
        self.config = root / "grafana.ini"
        self.log = root / "grafana.log"
        self.dashboards = root / "dashboards"
        for folder in ("datasources", "dashboards", "plugins", "alerting"):
            (root / "provisioning" / folder).mkdir(parents=True)
        self.dashboards.mkdir()
        (root / "plugins").mkdir()
        self.ini()
        self.provider()
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self.options = ["cfg:log.level=debug"] if home == STANDIN else []

    def ini(self, admin: str = ADMIN[1], more: str = "") -> None:
        self.config.write_text(
            f"[paths]\ndata = {self.root}/data\nlogs = {self.root}/log\n"
            f"provisioning = {self.root}/provisioning\nplugins = {self.root}/plugins\n"
            "[server]\nhttp_addr = 127.0.0.1\nhttp_port = 0\n"
            f"[security]\nadmin_password = {admin}\n{more}\n"
        )

    def https(self, certificate: Certificate, more: str = "", server: str = "") -> None:
        pair = f"cert_file = {certificate.path}\ncert_key = {certificate.key_path}"
        self.ini(more=f"{more}\n[server]\nprotocol = https\n{pair}\n{server}")
        self.tls = certificate.client_context()

    def provider(self, **options: Any) -> None:
        provider = {
            "name": "files",
            "folder": "EMR",
            "updateIntervalSeconds": 1,
            "options": {"path": str(self.dashboards)},
            **options,
        }
        content = {"apiVersion": 1, "providers": [provider]}
        (self.root / "provisioning/dashboards/files.yml").write_text(json.dumps(content))

    def datasources(self, *sources: dict[str, Any], name: str = "a.yaml", **document: Any) -> None:
        content = {"apiVersion": 1, "datasources": list(sources), **document}
        (self.root / "provisioning/datasources" / name).write_text(json.dumps(content))

    def dashboard(self, name: str, **content: Any) -> Path:
        path = self.dashboards / name
        path.write_text(json.dumps(content))
        return path

    def command(self, *words: str) -> list[str]:
        program = self.home / "bin/grafana"
        # The stand-in needs this interpreter's packages.
        interpreter = [sys.executable] if program.read_bytes()[:2] == b"#!" else []
        return [*interpreter, str(program), *words]

    def cli(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = self.command("cli", "--homepath", str(self.home), "--config", str(self.config), *words)
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    def start(self, **environment: str) -> subprocess.Popen[str]:
        command = self.command("server", f"--homepath={self.home}", f"--config={self.config}", *self.options)
        with self.log.open("w") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, text=True, env={**os.environ, **environment})

    def logged(self) -> str:
        return self.log.read_text()

    @contextmanager
    def running(self, **environment: str) -> Iterator[None]:
        process = self.start(**environment)
        try:
            until(lambda: process.poll() is not None or "HTTP Server Listen" in self.logged(), "listening", 120)
            found = re.search(r"address=127\.0\.0\.1:(\d+)", self.logged())
            assert found, self.logged()
            self.port = int(found[1])
            yield
        finally:
            process.terminate()
            assert process.wait(60) == 0, self.logged()

    def ask(
        self, path: str, body: Any = None, auth: tuple[str, str] | None = ADMIN, method: str | None = None
    ) -> tuple[int, Message, Any]:
        data = None if body is None else json.dumps(body).encode()
        url = f"https://localhost:{self.port}{path}" if self.tls else f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        if auth:
            request.add_header("Authorization", "Basic " + base64.b64encode(":".join(auth).encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.tls) as answer:
                status, headers, text = answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, headers, text = error.code, error.headers, error.read().decode()
        return status, headers, json.loads(text) if text.startswith(("{", "[")) else text

    def call(self, *arguments: Any, **options: Any) -> tuple[int, Any]:
        status, _, content = self.ask(*arguments, **options)
        return status, content

    def health(self, uid: str) -> str:
        return str(self.call(f"/api/datasources/uid/{uid}/health")[1]["message"])

    def titles(self) -> list[str]:
        return [found["title"] for found in self.call("/api/search?type=dash-db")[1]]


class FakePrometheus(BaseHTTPRequestHandler):
    """Knows one series, and wants a password."""

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        wanted = base64.b64encode(f"grafana:{PROMETHEUS_PASSWORD}".encode()).decode()
        answer: dict[str, Any]
        if self.headers.get("Authorization") != f"Basic {wanted}":
            status, answer = 401, {"error": "unauthorized"}
        elif form["query"] == ["broken("]:
            status, answer = 400, {"status": "error", "error": "parse error"}
        else:
            status = 200
            series: dict[str, Any] = {"metric": {"job": "ingest"}}
            is_range = self.path.endswith("query_range")
            series |= {"values": [[1, "2"], [16, "NaN"]]} if is_range else {"value": [1, "2.5"]}
            result = [] if form["query"] == ["absent_series"] else [series]
            answer = {"data": {"resultType": "matrix" if is_range else "vector", "result": result}}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def serving_prometheus(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakePrometheus)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def source(name: str = "Prometheus", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "prometheus", "url": "http://127.0.0.1:1", **more}


def board(title: str, uid: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "uid": uid, "panels": [], "schemaVersion": 39, **more}
