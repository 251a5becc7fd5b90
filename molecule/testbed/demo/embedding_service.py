"""Turns chunks into embeddings with an imaginary OpenAI: the embedding-service of the guide in miniature."""

import threading
from collections import Counter as Tally
from itertools import cycle

from prometheus_client import Counter, Histogram, start_http_server

from .pipeline import (
    TOPIC_CHUNKS,
    TOPIC_EMBEDDINGS,
    Broker,
    EveryNth,
    die_on,
    fault,
    jitter,
    latency,
    stop_on_signal,
)

BATCH_DURATION = Histogram(
    "embedding_batch_processing_duration_seconds",
    "Time to process a batch of chunks, retries included",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
TEXTS = Counter("embedding_texts_processed", "Texts turned into embeddings", ["company_id"])
API_DURATION = Histogram(
    "embedding_openai_api_duration_seconds",
    "Time of one call of the embeddings API",
    ["model_name"],
    buckets=(0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10),
)
API_ERRORS = Counter("embedding_openai_api_errors", "Failed calls of the embeddings API", ["error_type"])
CONSUMED = Counter("embedding_messages_consumed", "Messages taken from Kafka", ["topic"])
PRODUCED = Counter("embedding_kafka_messages_produced", "Messages sent to Kafka", ["topic"])

SECONDS = {"text-embedding-3-small": 0.12, "text-embedding-3-large": 0.3}
TIMEOUT_SECONDS = 1.0
# A key that is valid is never refused.
FAILS = {"rate_limit": EveryNth(29), "timeout": EveryNth(53)}
FAULTS = {
    "rate_limit": ("openai-rate-limit", EveryNth(4)),
    "timeout": ("openai-timeout", EveryNth(4)),
    "authentication": ("openai-authentication", EveryNth(4)),
}


class OpenAIError(Exception):
    """A refused call; its text is the error type."""


def create_embeddings(model: str, batch: int, stop: threading.Event) -> None:
    """The API call: it takes its time, and sometimes fails."""
    with API_DURATION.labels(model).time():
        stop.wait(latency("openai-latency"))
        for error_type, (switch, every_fourth) in FAULTS.items():
            if (fault(switch) and every_fourth()) or (error_type in FAILS and FAILS[error_type]()):
                stop.wait(TIMEOUT_SECONDS if error_type == "timeout" else 0.03)
                raise OpenAIError(error_type)
        stop.wait(SECONDS[model] * jitter(f"{model}/{batch}"))


def main() -> None:
    die_on("embedding-exit")
    stop = stop_on_signal()
    broker = Broker.from_environment()
    # A series that first appears at 1 hides its first increase from rate().
    for error_type in FAULTS:
        API_ERRORS.labels(error_type)
    start_http_server(8002, addr="127.0.0.1")

    models = cycle(["text-embedding-3-small", "text-embedding-3-small", "text-embedding-3-large"])
    batch = 0
    while not stop.wait(0.5):
        die_on("embedding-exit")
        chunks = [] if fault("embedding-stop") else broker.consume(TOPIC_CHUNKS, limit=16)
        if not chunks:
            continue
        batch += 1
        CONSUMED.labels(TOPIC_CHUNKS).inc(len(chunks))
        with BATCH_DURATION.time():
            model = next(models)
            # What is consumed has to be produced, or the flow panel shows a problem that is none.
            while True:
                try:
                    create_embeddings(model, batch, stop)
                    break
                except OpenAIError as error:
                    API_ERRORS.labels(str(error)).inc()
            embeddings = [{"document_id": chunk["document_id"], "model": model} for chunk in chunks]
            if not fault("embedding-drop"):
                broker.produce(TOPIC_EMBEDDINGS, embeddings)
                PRODUCED.labels(TOPIC_EMBEDDINGS).inc(len(embeddings))
        for company_id, texts in Tally(chunk["company_id"] for chunk in chunks).items():
            TEXTS.labels(company_id).inc(texts)


if __name__ == "__main__":
    main()
