"""The ingest service: uploads, request latency, messages to Kafka."""

from dashboards.panels import dashboard, firing, p95, query, row, timeseries

UPLOADS = 'sum(rate(ingest_uploads_total{status="success"}[5m])) by (content_type)'
UPLOAD_ERRORS = 'sum(rate(ingest_uploads_total{status=~"error_.*"}[5m])) by (content_type)'
REQUEST_P95 = p95("ingest_request_processing_duration_seconds_bucket", "path")
PRODUCED = "sum(rate(ingest_kafka_messages_produced_total[5m])) by (topic, status)"

UPLOADS_PANEL = timeseries(
    "Tasa de Ingesta de Documentos",
    "Documentos subidos por segundo, con éxito y con error, por tipo de contenido.",
    "suffix:docs/s",
    query(UPLOADS, "{{content_type}} - Success"),
    query(UPLOAD_ERRORS, "{{content_type}} - Error"),
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

DASHBOARD = dashboard(
    "ingest-service",
    "ingest-service",
    "Subida de documentos, latencia de las peticiones y producción a Kafka del Ingest Service.",
    firing('service="ingest"'),
    row(9, UPLOADS_PANEL),
    row(9, LATENCY_PANEL, KAFKA_PANEL),
)
