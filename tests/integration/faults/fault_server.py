"""A server on the node that misbehaves: as the source of an archive, and as a service that is scraped.

It runs with the standard library alone. Its one argument is the address of the sound archive.
"""

from __future__ import annotations

import gzip
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 9099
MEGABYTE = 1 << 20
# user:pass@word
PROXY_LOGIN = "Basic dXNlcjpwYXNzQHdvcmQ="
HUGE = 100
METRICS = "text/plain; version=0.0.4"


class Handler(BaseHTTPRequestHandler):
    """Answer each path with a fault of its own."""

    archive = b""
    bomb = b""

    def do_GET(self) -> None:
        """Find the fault by the first part of the path; asked as a proxy, for the path at whatever host."""
        if self.path.startswith("http://"):
            if self.headers.get("Proxy-Authorization") != PROXY_LOGIN:
                self.send_error(407)
                return
            self.path = "/" + self.path.split("/", 3)[3]
        getattr(self, f"do_{self.path.split('/')[1]}")()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write what a test asks for: the path, and the bytes that were asked for."""
        self.log_message("%s %s %s", self.path, code, self.headers.get("Range", "all"))

    def answer(self, body: bytes, length: int, content_type: str = "application/gzip") -> None:
        """Announce a length, and send what is asked for of a body that may be shorter."""
        start = int(self.headers.get("Range", "bytes=0-")[len("bytes=") :].rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length - start))
        self.send_header("Content-Range", f"bytes {start}-{length - 1}/{length}")
        self.end_headers()
        self.wfile.write(body[start:])

    def do_sound(self) -> None:
        self.answer(self.archive, len(self.archive))

    def do_error(self) -> None:
        self.send_error(500)

    def do_drop(self) -> None:
        self.answer(self.archive[: len(self.archive) // 2], len(self.archive))

    def do_truncated(self) -> None:
        half = self.archive[: len(self.archive) // 2]
        self.answer(half, len(half))

    def do_corrupted(self) -> None:
        middle = len(self.archive) // 2
        damaged = bytes([self.archive[middle] ^ 1])
        self.answer(self.archive[:middle] + damaged + self.archive[middle + 1 :], len(self.archive))

    def do_html(self) -> None:
        page = b"<html><body>It works!</body></html>"
        self.answer(page, len(page), "text/html")

    def do_garbage(self) -> None:
        page = b"<html><body>It works!</body></html>"
        self.answer(page, len(page), METRICS)

    def do_many(self) -> None:
        """More samples than a service may have."""
        page = b"".join(b"many_%d 1\n" % number for number in range(60000))
        self.answer(page, len(page), METRICS)

    def do_slow(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", METRICS)
        self.end_headers()
        for number in range(600):
            self.wfile.write(b"slow_%d 1\n" % number)
            time.sleep(0.2)

    def do_silent(self) -> None:
        time.sleep(120)

    def do_huge(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", METRICS)
        self.end_headers()
        for _ in range(HUGE):
            self.wfile.write(b"# " + b"x" * (MEGABYTE - 3) + b"\n")

    def do_bomb(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", METRICS)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(self.bomb)))
        self.end_headers()
        self.wfile.write(self.bomb)


def main() -> None:
    """Serve until killed."""
    with urllib.request.urlopen(sys.argv[1], timeout=10) as response:
        Handler.archive = response.read()
    Handler.bomb = gzip.compress((b"# " + b"x" * (MEGABYTE - 3) + b"\n") * HUGE)
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
