"""Uploads documents to ingest-service at a steady, bounded rate, a few of them wrong on purpose."""

import http.client
import os
from itertools import count

from .pipeline import fault, stop_on_signal

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
CONTENT_TYPES = ("application/pdf", "text/plain", DOCX, "text/html")
COMPANIES = ("acme", "globex", "initech")
SENTENCE = "the quick brown fox jumps over the lazy dog and writes a report about it "

# Prime, so that the errors spread over all content types and companies; rare enough to be no alert.
UNSUPPORTED_EVERY, TOO_LARGE_EVERY, EMPTY_EVERY = 1009, 911, 809


def document(number: int) -> tuple[str, bytes]:
    """Content type and body of the n-th upload."""
    content_type = CONTENT_TYPES[number % len(CONTENT_TYPES)]
    if number % UNSUPPORTED_EVERY == 0:
        return "image/png", b"\x89PNG"
    if number % TOO_LARGE_EVERY == 0:
        return content_type, b"x" * (80 * 1024)
    if number % EMPTY_EVERY == 0:
        return content_type, b""
    return content_type, (SENTENCE * (5 + number % 20)).encode()


def upload(address: str, number: int) -> None:
    content_type, body = document(number)
    headers = {"Content-Type": content_type, "X-Company-Id": COMPANIES[number % len(COMPANIES)]}
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("POST", "/api/v1/documents", body, headers)
        connection.getresponse().read()
    finally:
        connection.close()


def main() -> None:
    rate = min(float(os.environ.get("DEMO_RATE", "2")), 20.0)
    address = os.environ.get("DEMO_INGEST", "127.0.0.1:8000")
    stop = stop_on_signal()
    for number in count(1):
        if stop.wait(1 / rate):
            return
        if fault("traffic-stop"):
            continue
        try:
            upload(address, number)
        except OSError as error:
            # ingest-service may start later, or be restarted by a test.
            print(f"upload {number}: {error}", flush=True)
            stop.wait(1)


if __name__ == "__main__":
    main()
