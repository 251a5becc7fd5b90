"""A webhook and a mail server that keep what they get: they stand for the ones elsewhere that alerts are sent to.

``GET /messages`` on the webhook's port returns it all as JSON, each message with ``via`` (webhook or mail), ``at``
(seconds since the epoch), ``status`` (firing or resolved) and ``service``. Both want a secret; the mail server takes it
under TLS alone.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import re
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

WEBHOOK_PORT = 9099
MAIL_PORT = 9025
TOKEN = "a-token-of-the-webhook"  # noqa: S105  # the tests' own
LOGIN = ("alertmanager", "a-password-of-the-mail-server")

messages: list[dict[str, Any]] = []


def keep(via: str, status: str, service: str, **content: Any) -> None:
    """Keep a message."""
    messages.append({"via": via, "at": time.time(), "status": status, "service": service, **content})


class Webhook(BaseHTTPRequestHandler):
    """Takes messages at ``/webhook``."""

    def do_GET(self) -> None:
        """Return all messages."""
        self.answer(200, json.dumps(messages))

    def do_POST(self) -> None:
        """Keep a message."""
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        keep("webhook", body["status"], body["groupLabels"].get("service", ""), body=body)
        return self.answer(200)

    def answer(self, status: int, text: str = "") -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


class Mail(StreamRequestHandler):
    """Speaks as much SMTP (RFC 5321) as one mail takes, with STARTTLS and a login."""

    encrypted = False
    logged_in = False

    def handle(self) -> None:
        """Serve a connection."""
        self.say("220 receivers")
        while line := self.rfile.readline().decode().strip():
            verb, _, argument = line.partition(" ")
            if verb == "EHLO":
                self.say("250-receivers", "250 AUTH PLAIN" if self.encrypted else "250 STARTTLS")
            elif verb == "STARTTLS":
                self.encrypt()
            elif verb == "AUTH" and self.encrypted:
                self.logged_in = base64.b64decode(argument.split()[1]).decode().split("\0")[1:] == list(LOGIN)
                self.say("235 welcome" if self.logged_in else "535 wrong login")
            elif verb == "QUIT":
                self.say("221 bye")
            elif not self.logged_in:
                self.say("530 log in first")
            elif verb == "DATA":
                self.say("354 go on")
                self.take_mail()
                self.say("250 kept")
            else:
                self.say("250 fine")

    def say(self, *lines: str) -> None:
        """Send an answer."""
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def encrypt(self) -> None:
        """Go on under TLS."""
        self.say("220 go on")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        here = Path(__file__).parent
        context.load_cert_chain(here / "certificate.pem", here / "key.pem")
        self.request = context.wrap_socket(self.request, server_side=True)
        self.setup()
        self.encrypted = True

    def take_mail(self) -> None:
        """Keep a mail."""
        lines = list(iter(self.rfile.readline, b".\r\n"))
        mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        body = mail.get_body(("html", "plain"))
        # "[FIRING:1] docproc (...)" or "[RESOLVED] docproc (...)"
        ((status, service),) = re.findall(r"^\[(\w+)[^]]*\] (\S*)", mail["Subject"])
        keep("mail", status.lower(), service, to=mail["To"], text=body.get_content() if body else "")


def main() -> int:
    """Serve both until the end."""
    ThreadingTCPServer.allow_reuse_address = True
    mail = ThreadingTCPServer(("127.0.0.1", MAIL_PORT), Mail)
    threading.Thread(target=mail.serve_forever, daemon=True).start()
    ThreadingHTTPServer(("", WEBHOOK_PORT), Webhook).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
