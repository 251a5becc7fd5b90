"""What the demo services share: a miniature Kafka, text chunking, and a clean stop.

The services imitate the pipeline that the dashboards were written for (ingest, docproc, embedding), so that
every metric of the monitoring guide moves on a test node without Kafka, S3 or OpenAI.

They are healthy until a fault is switched on: `sudo touch /var/lib/demo/faults/NAME`; `rm` switches it off again.

    ingest-errors, docproc-errors            every second upload or document fails
    ingest-kafka-errors                      every second message to Kafka fails
    openai-rate-limit, openai-authentication, openai-timeout
                                             every fourth call of OpenAI fails that way
    ingest-latency, docproc-latency, openai-latency
                                             each takes so many seconds longer as the file says (`echo 6 | sudo tee`)
    docproc-stop, embedding-stop             the service runs on, but takes no messages
    embedding-drop                           the service consumes, but produces nothing
    traffic-stop                             no uploads
    ingest-exit, docproc-exit, embedding-exit
                                             the service dies, and again at each start
"""

import json
import os
import signal
import sqlite3
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOPIC_RAW = "documents.raw"
TOPIC_CHUNKS = "chunks.processed"
TOPIC_EMBEDDINGS = "embeddings.ready"

SWITCHES = Path("/var/lib/demo/faults")

Message = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS message_topic ON message (topic, id);
"""


class Broker:
    """Topics in one SQLite file, shared by the processes.

    Nobody starts first: whoever opens the file makes it. Like Kafka, a topic keeps its newest messages and
    forgets the oldest, so a service that is down cannot fill the disk.
    """

    def __init__(self, path: Path, retention: int = 1000) -> None:
        self._retention = retention
        # Calls are serialised by the services themselves; uvicorn only opens it in another thread.
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        # No WAL: switching it on fails with "database is locked" when two services start at once.
        # Losing the queue in a power cut is fine, and a sync per message is the dearest thing here.
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA)

    @classmethod
    def from_environment(cls) -> "Broker":
        return cls(Path(os.environ.get("DEMO_BROKER", "/var/lib/demo/broker.db")))

    def produce(self, topic: str, messages: Sequence[Message]) -> None:
        # IMMEDIATE: a read lock that is upgraded later fails at once when another process writes.
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT INTO message (topic, body) VALUES (?, ?)",
            [(topic, json.dumps(message)) for message in messages],
        )
        self._db.execute(
            "DELETE FROM message WHERE topic = ?1 AND id <= "
            "(SELECT id FROM message WHERE topic = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (topic, self._retention),
        )
        self._db.execute("COMMIT")

    def consume(self, topic: str, limit: int) -> list[Message]:
        # An empty poll takes no write lock; the services poll far more often than they find something.
        if not self._db.execute("SELECT 1 FROM message WHERE topic = ? LIMIT 1", (topic,)).fetchone():
            return []
        rows = self._db.execute(
            "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE topic = ? ORDER BY id LIMIT ?) "
            "RETURNING id, body",
            (topic, limit),
        ).fetchall()
        return [json.loads(body) for _, body in sorted(rows)]

    def close(self) -> None:
        self._db.close()


@dataclass
class EveryNth:
    """True at every n-th call: errors that come reliably, not by luck."""

    n: int
    _calls: int = field(default=0, init=False)

    def __call__(self) -> bool:
        self._calls += 1
        return self._calls % self.n == 0


def fault(name: str) -> bool:
    """Tell whether a fault is switched on."""
    return (SWITCHES / name).exists()


def latency(name: str) -> float:
    """Return the seconds that a fault adds, 0 when it is switched off."""
    try:
        # A file that is about to be written is empty for a moment.
        return float((SWITCHES / name).read_text() or 0)
    except FileNotFoundError:
        return 0


def die_on(name: str) -> None:
    """Die when a fault is switched on, at once as in a crash."""
    if fault(name):
        print(f"dying of {name}", flush=True)
        os._exit(1)


def chunk_text(text: str, size: int = 80, overlap: int = 10) -> list[str]:
    """Cut a text into pieces of `size` words, each beginning with the end of the one before."""
    if not 0 <= overlap < size:
        raise ValueError(f"overlap must be at least 0 and below size, not {overlap} with size {size}")
    words = text.split()
    starts = range(0, max(len(words) - overlap, 1), size - overlap)
    return [" ".join(words[start : start + size]) for start in starts if words]


def jitter(key: str) -> float:
    """A factor from 0.5 to 1.5 that belongs to the key: spread latencies, the same ones in every run."""
    return 0.5 + (zlib.crc32(key.encode()) % 1000) / 1000


def stop_on_signal() -> threading.Event:
    """The event that SIGTERM sets. Sleep with its `wait`, or a stop has to wait for the sleep."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
