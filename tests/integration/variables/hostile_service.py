"""A service on the node that tells hostile things of itself to whoever scrapes it.

It runs with the standard library alone.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 9098
# What a shell, a template, a parser or a terminal could take for more than text. Whoever evaluates it leaves a trace:
# the number 1234321, or a file.
ONE_LINE = 'it\'s "q" `touch /tmp/evaluated` $(touch /tmp/evaluated) $HOME $$ %n %% \\n \\ ; # & | < > : - ñ שלום'
TEXT = ONE_LINE + " ${HOME} {{ 1111 * 1111 }} {% raw %} {# x #} \u202eabc \x1b[2J\x1b]0;x\x07\nanother: line"


class Handler(BaseHTTPRequestHandler):
    """Answer with hostile metrics, or with a hostile error."""

    def do_GET(self) -> None:
        """Send the metrics; on any other path, an error in the service's own words."""
        if self.path == "/metrics":
            value = TEXT.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
            page = f'hostile{{text="{value}"}} 1\n'.encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n")
            self.wfile.write(b"Content-Length: %d\r\n\r\n" % len(page) + page)
        else:
            reason = TEXT.replace("\n", "\r").encode() + b"\xff" + b"long " * 2000
            self.wfile.write(b"HTTP/1.1 500 " + reason + b"\r\nContent-Length: 0\r\n\r\n")


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
