"""Takes uploads over HTTP and queues them: the ingest-service of the guide in miniature."""

import asyncio
import time
from itertools import count
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

from .pipeline import TOPIC_RAW, Broker, EveryNth, die_on, fault, latency

MAX_BYTES = 64 * 1024
CONTENT_TYPES = frozenset(
    {
        "application/pdf",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "text/html",
        "text/plain",
    }
)
UPLOAD_PATH = "/api/v1/documents"
STATUSES = ("success", "error_unsupported_type", "error_too_large", "error_validation", "error_kafka", "error_internal")

UPLOADS = Counter("ingest_uploads", "Uploads by outcome", ["status", "content_type"])
DURATION = Histogram(
    "ingest_request_processing_duration_seconds",
    "Time to answer a request",
    ["path"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
PRODUCED = Counter("ingest_kafka_messages_produced", "Messages sent to Kafka", ["topic", "status"])


class Timing:
    """ASGI middleware that observes every request's duration."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                # Only routes that exist become labels: a scanner must not be able to make series.
                path = getattr(scope.get("route"), "path", "unmatched")
                DURATION.labels(path).observe(time.perf_counter() - started)


def build_app(broker: Broker) -> Any:
    document_ids = count(1)
    delivery_fails = EveryNth(1000)
    every_second_upload, every_second_delivery = EveryNth(2), EveryNth(2)

    def outcome(content_type: str, company_id: str, body: bytes) -> tuple[int, str]:
        if content_type not in CONTENT_TYPES:
            return 415, "error_unsupported_type"
        if len(body) > MAX_BYTES:
            return 413, "error_too_large"
        if not body or not company_id:
            return 422, "error_validation"
        if fault("ingest-errors") and every_second_upload():
            return 500, "error_internal"
        if delivery_fails() or (fault("ingest-kafka-errors") and every_second_delivery()):
            PRODUCED.labels(TOPIC_RAW, "error").inc()
            return 503, "error_kafka"
        document = {
            "document_id": f"doc-{next(document_ids)}",
            "company_id": company_id,
            "content_type": content_type,
            "text": body.decode(errors="replace"),
        }
        broker.produce(TOPIC_RAW, [document])
        PRODUCED.labels(TOPIC_RAW, "success").inc()
        return 202, "success"

    async def upload(request: Request) -> Response:
        die_on("ingest-exit")
        await asyncio.sleep(latency("ingest-latency"))
        content_type = request.headers.get("content-type", "")
        company_id = request.headers.get("x-company-id", "")
        status_code, status = outcome(content_type, company_id, await request.body())
        UPLOADS.labels(status, content_type if content_type in CONTENT_TYPES else "other").inc()
        return Response(status_code=status_code)

    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    app = FastAPI(title="ingest-service", docs_url=None, redoc_url=None)
    app.add_middleware(Timing)
    app.add_api_route(UPLOAD_PATH, upload, methods=["POST"])
    app.add_api_route("/metrics", metrics, methods=["GET"])
    return app


if __name__ == "__main__":
    die_on("ingest-exit")
    # A series that first appears at 1 hides its first increase from rate().
    for status in STATUSES:
        for content_type in CONTENT_TYPES:
            UPLOADS.labels(status, content_type)
    for delivery in ("success", "error"):
        PRODUCED.labels(TOPIC_RAW, delivery)
    uvicorn.run(
        build_app(Broker.from_environment()),
        host="127.0.0.1",
        port=8000,
        access_log=False,
        log_level="warning",
    )
