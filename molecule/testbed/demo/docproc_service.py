"""Cuts queued documents into chunks: the docproc-service of the guide in miniature."""

import threading

from prometheus_client import Counter, Histogram, start_http_server

from .pipeline import (
    TOPIC_CHUNKS,
    TOPIC_RAW,
    Broker,
    EveryNth,
    Message,
    chunk_text,
    die_on,
    fault,
    jitter,
    latency,
    stop_on_signal,
)

DURATION = Histogram(
    "docproc_processing_duration_seconds",
    "Time to process a document",
    ["content_type"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10),
)
CHUNKS = Counter("docproc_chunks_produced", "Chunks made of documents", ["company_id"])
ERRORS = Counter("docproc_processing_errors", "Documents that failed", ["stage"])

# Parsing a PDF costs more than reading a text: the panels by content type should show a difference.
SECONDS = {"application/pdf": 0.25, "text/html": 0.06, "text/plain": 0.02}
SECONDS_OTHER = 0.15

# Prime, so that the stages fail on different documents.
FAILS = {"s3_download": EveryNth(101), "validation": EveryNth(131), "extraction": EveryNth(151)}
EVERY_SECOND = EveryNth(2)


def process(document: Message, broker: Broker, stop: threading.Event) -> None:
    with DURATION.labels(document["content_type"]).time():
        seconds = SECONDS.get(document["content_type"], SECONDS_OTHER) * jitter(document["document_id"])
        stop.wait(seconds + latency("docproc-latency"))
        for stage, fails in FAILS.items():
            if fails() or (stage == "extraction" and fault("docproc-errors") and EVERY_SECOND()):
                ERRORS.labels(stage).inc()
                return
        chunks = [
            {"document_id": document["document_id"], "company_id": document["company_id"], "text": text}
            for text in chunk_text(document["text"])
        ]
        broker.produce(TOPIC_CHUNKS, chunks)
        CHUNKS.labels(document["company_id"]).inc(len(chunks))


def main() -> None:
    die_on("docproc-exit")
    stop = stop_on_signal()
    broker = Broker.from_environment()
    # A series that first appears at 1 hides its first increase from rate().
    for stage in FAILS:
        ERRORS.labels(stage)
    start_http_server(8003, addr="127.0.0.1")
    while not stop.wait(0.2):
        die_on("docproc-exit")
        if fault("docproc-stop"):
            continue
        for document in broker.consume(TOPIC_RAW, limit=5):
            process(document, broker, stop)


if __name__ == "__main__":
    main()
