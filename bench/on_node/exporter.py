"""One process that stands for many scrape targets: it answers on every address of 127.0.0.0/8.

The series are counters that grow by one a second. A page is written once a second, whoever asks for it, so that the
process costs next to nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import time

PORT = 9999
SERIES_PER_METRIC = 20


def addresses(count: int) -> list[str]:
    """Return the addresses of that many targets (at most 65,000)."""
    return [f"127.1.{number // 250}.{number % 250 + 1}:{PORT}" for number in range(count)]


def page(series: int, value: int) -> bytes:
    """Write a page of metrics in Prometheus' text format.

    :param series: how many series it has
    :param value: the value of each
    """
    lines = (f'synthetic_{number // SERIES_PER_METRIC}_total{{item="{number}"}} {value}\n' for number in range(series))
    return "".join(lines).encode()


class Scrape(asyncio.Protocol):
    """A connection of the scraper, which stays open between its requests."""

    def __init__(self, series: int) -> None:
        self.series = series

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request; a scrape has no body and fits one packet."""
        if data.endswith(b"\r\n\r\n") and isinstance(self.transport, asyncio.WriteTransport):
            self.transport.write(_answer(self.series, int(time.time())))


_written: dict[tuple[int, int], bytes] = {}


def _answer(series: int, now: int) -> bytes:
    if (series, now) not in _written:
        body = page(series, now)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
        _written.clear()
        _written[series, now] = head.encode() + body
    return _written[series, now]


async def serve(series: int) -> None:
    """Answer until the process is killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Scrape(series), "0.0.0.0", PORT, backlog=10_000)  # noqa: S104
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, required=True)
    asyncio.run(serve(parser.parse_args().series))
