"""The embedding service: throughput, OpenAI's latency and errors, the flow through Kafka."""

from dashboards.panels import PER_MINUTE, columns, dashboard, firing, p95, per_minute, query, row, stat, timeseries
from dashboards.reasons import quantiles, reasons, waiting

BATCHES = "sum(rate(embedding_batch_processing_duration_seconds_count[1m]) * 60)"
TEXTS = "sum(rate(embedding_texts_processed_total[5m])) by (company_id)"
OPENAI_P95 = p95("embedding_openai_api_duration_seconds_bucket", "model_name")
OPENAI_ERRORS = "sum(rate(embedding_openai_api_errors_total[5m])) by (error_type)"
CONSUMED = "sum(rate(embedding_messages_consumed_total[5m])) by (topic)"
PRODUCED = "sum(rate(embedding_kafka_messages_produced_total[5m])) by (topic)"

BATCHES_UNIT = "suffix:ops/min"
BATCHES_PANEL = stat(
    "Chunks Procesados para Embedding por Minuto",
    "Número de lotes (batches) procesados por minuto.",
    BATCHES_UNIT,
    query(BATCHES, "Lotes"),
)
TEXTS_PANEL = timeseries(
    "Chunks Procesados para Embedding por Segundo",
    "Tendencia de los chunks procesados por segundo, por empresa.",
    "suffix:chunks/s",
    query(TEXTS, "{{company_id}}"),
)
LATENCY_PANEL = timeseries(
    "Latencia API OpenAI (p95)",
    "Latencia por debajo de la cual se encuentran el 95% de las llamadas a la API de OpenAI, por modelo.",
    "s",
    query(OPENAI_P95, "{{model_name}}"),
)
ERRORS_PANEL = timeseries(
    "Errores de API OpenAI",
    "Permite distinguir rápidamente entre errores de autenticación, rate limits, etc.",
    "suffix:errores/min",
    query(OPENAI_ERRORS, "{{error_type}}"),
    times=PER_MINUTE,
)
KAFKA_PANEL = timeseries(
    "Flujo de Mensajes Kafka (Embedding)",
    "En un estado ideal, la tasa de chunks.processed consumidos debería ser similar a la de embeddings.ready"
    " producidos. Cualquier discrepancia grande indica un problema.",
    "mps",
    query(CONSUMED, "Consumidos de {{topic}}"),
    query(PRODUCED, "Producidos a {{topic}}"),
)

CALLS = "sum(rate(embedding_openai_api_duration_seconds_count[5m]))"
CALLS_PANEL = timeseries(
    "Llamadas a OpenAI por Modelo",
    "Llamadas por minuto a la API de OpenAI, los reintentos incluidos.",
    "suffix:llam./min",
    query(per_minute(f"{CALLS} by (model_name)"), "{{model_name}}"),
)
SHARE_PANEL = timeseries(
    "Errores por Tipo",
    "Parte de las llamadas a la API de OpenAI que falla con cada tipo de error.",
    "percentunit",
    query(f"{OPENAI_ERRORS} / on () group_left () ({CALLS} > 0)", "{{error_type}}"),
)
QUANTILES_PANEL = timeseries(
    "Duración de un Lote",
    "El lote mediano, y los que tardan más que el 95% y el 99%, los reintentos incluidos.",
    "s",
    *quantiles("embedding_batch_processing_duration_seconds_bucket"),
)
IN_OUT_PANEL = timeseries(
    "Kafka: Entrada y Salida",
    "Chunks que DocProc entrega a Kafka, los que Embedding consume y los embeddings que produce: deberían ser iguales.",
    "mps",
    query("sum(rate(docproc_chunks_produced_total[5m]))", "Desde DocProc"),
    query(f"sum({CONSUMED})", "Consumidos"),
    query(f"sum({PRODUCED})", "Producidos"),
)
WAITING_PANEL = timeseries(
    "Kafka: Entre Entrada y Salida",
    "Chunks de la última hora: los que esperan en Kafka, y los consumidos cuyo embedding no se ha producido.",
    "suffix:chunks",
    query(waiting("docproc_chunks_produced_total", "embedding_messages_consumed_total"), "Sin consumir"),
    query(
        waiting("embedding_messages_consumed_total", "embedding_kafka_messages_produced_total"),
        "No producidos",
    ),
)

DASHBOARD = dashboard(
    "embedding-service",
    "embedding-service",
    "Throughput del worker de embeddings, API de OpenAI y flujo de Kafka del Embedding Service.",
    firing('service="embedding"'),
    columns((10, [(5, BATCHES_PANEL), (9, LATENCY_PANEL)]), (14, [(14, TEXTS_PANEL)])),
    row(9, ERRORS_PANEL, KAFKA_PANEL, widths=(10, 14)),
    reasons("embedding", [CALLS_PANEL, SHARE_PANEL, QUANTILES_PANEL], [IN_OUT_PANEL, WAITING_PANEL]),
)
