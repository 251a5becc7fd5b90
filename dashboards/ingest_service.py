"""The ingest service: uploads, request latency, messages to Kafka."""

from dashboards.panels import (
    NO_SCRAPES,
    PER_MINUTE,
    dashboard,
    firing,
    p95,
    per_minute,
    quantile,
    query,
    row,
    timeseries,
)
from dashboards.reasons import reasons, waiting

UPLOADS = 'sum(rate(ingest_uploads_total{status="success"}[5m])) by (content_type)'
UPLOAD_ERRORS = 'sum(rate(ingest_uploads_total{status=~"error_.*"}[5m])) by (content_type)'
REQUEST_P95 = p95("ingest_request_processing_duration_seconds_bucket", "path")
PRODUCED = "sum(rate(ingest_kafka_messages_produced_total[5m])) by (topic, status)"
ACCEPTED = 'ingest_uploads_total{status="success"}'
DELIVERED = 'ingest_kafka_messages_produced_total{status="success"}'
DELIVERED_RATE = f"sum(rate({DELIVERED}[5m])) by (topic)"

UPLOADS_PANEL = timeseries(
    "Tasa de Ingesta de Documentos",
    "Documentos subidos por minuto, con éxito y con error, por tipo de contenido.",
    "suffix:docs/min",
    query(UPLOADS, "{{content_type}} - Success"),
    query(UPLOAD_ERRORS, "{{content_type}} - Error"),
    times=PER_MINUTE,
)
LATENCY_PANEL = timeseries(
    "Latencia de Petición (p95)",
    "Latencia por debajo de la cual se encuentran el 95% de las peticiones, por ruta del endpoint.",
    "s",
    query(REQUEST_P95, "{{path}}"),
)
KAFKA_PANEL = timeseries(
    "Tasa de Producción a Kafka (Ingest)",
    "Mensajes por segundo que se están produciendo correctamente (o fallando) en cada topic.",
    "mps",
    query(PRODUCED, "{{topic}} - {{status}}"),
)

REQUESTS_PANEL = timeseries(
    "Peticiones por Ruta",
    "Peticiones por minuto de cada ruta del endpoint, sin las del propio Prometheus.",
    "suffix:pet./min",
    query(
        per_minute(f"sum(rate(ingest_request_processing_duration_seconds_count{{{NO_SCRAPES}}}[5m])) by (path)"),
        "{{path}}",
    ),
)
CAUSES_PANEL = timeseries(
    "Errores por Causa",
    "Subidas rechazadas o fallidas por minuto: las dos primeras causas son de quien sube, las demás nuestras.",
    "suffix:errores/min",
    query(per_minute('sum(rate(ingest_uploads_total{status=~"error_.*"}[5m])) by (status)'), "{{status}}"),
)
DURATION_PANEL = timeseries(
    "Duración por Ruta",
    "La petición mediana y la que tarda más que el 99%, por ruta, sin las del propio Prometheus.",
    "s",
    *(
        query(
            quantile(share, "ingest_request_processing_duration_seconds_bucket", "path", matcher=NO_SCRAPES),
            f"{name} {{{{path}}}}",
        )
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ),
)
IN_OUT_PANEL = timeseries(
    "Kafka: Entrada y Salida",
    "Documentos aceptados por segundo y mensajes entregados a Kafka: deberían ser iguales.",
    "mps",
    query(f"sum(rate({ACCEPTED}[5m]))", "Aceptados"),
    query(f"sum({DELIVERED_RATE})", "Entregados"),
)
LOST_PANEL = timeseries(
    "Kafka: Entre Entrada y Salida",
    "Documentos aceptados en la última hora que no llegaron a Kafka: debería ser 0.",
    "suffix:docs",
    query(waiting(ACCEPTED, DELIVERED), "Sin entregar"),
)

DASHBOARD = dashboard(
    "ingest-service",
    "ingest-service",
    "Subida de documentos, latencia de las peticiones y producción a Kafka del Ingest Service.",
    firing('service="ingest"'),
    row(11, UPLOADS_PANEL),
    row(11, LATENCY_PANEL, KAFKA_PANEL),
    reasons("ingest", [REQUESTS_PANEL, CAUSES_PANEL, DURATION_PANEL], [IN_OUT_PANEL, LOST_PANEL]),
)
