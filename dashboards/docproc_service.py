"""The document processing service: throughput, duration, chunks, errors."""

from dashboards.panels import dashboard, firing, p95, query, row, timeseries

DOCUMENTS = "sum(rate(docproc_processing_duration_seconds_count[1m]) * 60) by (content_type)"
DURATION_P95 = p95("docproc_processing_duration_seconds_bucket", "content_type")
CHUNKS = "sum(rate(docproc_chunks_produced_total[5m])) by (company_id)"
ERRORS = "sum(rate(docproc_processing_errors_total[5m])) by (stage)"

DOCUMENTS_PANEL = timeseries(
    "Documentos Procesados por Minuto",
    "Cuántos documentos se han procesado por minuto, por tipo de contenido.",
    "suffix:docs/min",
    query(DOCUMENTS, "{{content_type}}"),
)
DURATION_PANEL = timeseries(
    "Duración del Procesamiento (p95)",
    "Permite ver si un tipo de archivo (ej. PDF) tarda significativamente más que otros en procesarse.",
    "s",
    query(DURATION_P95, "{{content_type}}"),
)
CHUNKS_PANEL = timeseries(
    "Tasa de Chunks Producidos",
    "Chunks generados por segundo, por empresa.",
    "suffix:chunks/s",
    query(CHUNKS, "{{company_id}}"),
)
ERRORS_PANEL = timeseries(
    "Tasa de Errores de Procesamiento (DocProc)",
    "Muestra dónde están fallando los documentos (en validación, descarga S3, etc.).",
    "suffix:errores/s",
    query(ERRORS, "{{stage}}"),
)

DASHBOARD = dashboard(
    "docproc-service",
    "docproc-service",
    "Throughput, duración, chunks y errores del Document Processing Service.",
    firing('service="docproc"'),
    row(9, DOCUMENTS_PANEL, DURATION_PANEL),
    row(9, CHUNKS_PANEL, ERRORS_PANEL),
)
