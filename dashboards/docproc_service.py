"""The document processing service: throughput, duration, chunks, errors."""

from dashboards.ingest_service import DELIVERED, DELIVERED_RATE
from dashboards.panels import PER_MINUTE, dashboard, firing, p95, per_minute, query, row, timeseries
from dashboards.reasons import quantiles, reasons, waiting

DOCUMENTS = "sum(rate(docproc_processing_duration_seconds_count[1m]) * 60) by (content_type)"
DURATION_P95 = p95("docproc_processing_duration_seconds_bucket", "content_type")
CHUNKS = "sum(rate(docproc_chunks_produced_total[5m])) by (company_id)"
ERRORS = "sum(rate(docproc_processing_errors_total[5m])) by (stage)"
FINISHED = "docproc_processing_duration_seconds_count"

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
    "suffix:errores/min",
    query(ERRORS, "{{stage}}"),
    times=PER_MINUTE,
)

RATE_PANEL = timeseries(
    "Documentos y Chunks",
    "Documentos procesados y chunks producidos por minuto: con documentos más largos crecen solo los chunks.",
    "suffix:/min",
    query(per_minute(f"sum(rate({FINISHED}[5m]))"), "Documentos"),
    query(per_minute("sum(rate(docproc_chunks_produced_total[5m]))"), "Chunks"),
)
SHARE_PANEL = timeseries(
    "Errores por Etapa",
    "Parte de los documentos que falla en cada etapa.",
    "percentunit",
    query(f"{ERRORS} / on () group_left () (sum(rate({FINISHED}[5m])) > 0)", "{{stage}}"),
)
QUANTILES_PANEL = timeseries(
    "Duración de un Documento",
    "El documento mediano, y los que tardan más que el 95% y el 99%, de todos los tipos.",
    "s",
    *quantiles("docproc_processing_duration_seconds_bucket"),
)
IN_OUT_PANEL = timeseries(
    "Kafka: Entrada y Salida",
    "Mensajes que Ingest entrega a Kafka, documentos que salen de Kafka y chunks que vuelven a entrar.",
    "mps",
    query(f"sum({DELIVERED_RATE})", "Desde Ingest"),
    query(f"sum(rate({FINISHED}[5m]))", "Procesados"),
    query("sum(rate(docproc_chunks_produced_total[5m]))", "Chunks"),
)
WAITING_PANEL = timeseries(
    "Kafka: Entre Entrada y Salida",
    "Documentos entregados a Kafka en la última hora y aún sin procesar: si crece, DocProc no da abasto.",
    "suffix:docs",
    query(waiting(DELIVERED, FINISHED), "Sin procesar"),
)

DASHBOARD = dashboard(
    "docproc-service",
    "docproc-service",
    "Throughput, duración, chunks y errores del Document Processing Service.",
    firing('service="docproc"'),
    row(11, DOCUMENTS_PANEL, DURATION_PANEL),
    row(11, CHUNKS_PANEL, ERRORS_PANEL),
    reasons("docproc", [RATE_PANEL, SHARE_PANEL, QUANTILES_PANEL], [IN_OUT_PANEL, WAITING_PANEL]),
)
