"""The embedding service: throughput, OpenAI's latency and errors, the flow through Kafka."""

from dashboards.panels import dashboard, firing, p95, query, row, stat, timeseries

BATCHES = "sum(rate(embedding_batch_processing_duration_seconds_count[1m]) * 60)"
TEXTS = "sum(rate(embedding_texts_processed_total[5m])) by (company_id)"
OPENAI_P95 = p95("embedding_openai_api_duration_seconds_bucket", "model_name")
OPENAI_ERRORS = "sum(rate(embedding_openai_api_errors_total[5m])) by (error_type)"
CONSUMED = "sum(rate(embedding_messages_consumed_total[5m])) by (topic)"
PRODUCED = "sum(rate(embedding_kafka_messages_produced_total[5m])) by (topic)"

BATCHES_PANEL = stat(
    "Chunks Procesados para Embedding por Minuto",
    "Número de lotes (batches) procesados por minuto.",
    "suffix:ops/min",
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
    "suffix:errores/s",
    query(OPENAI_ERRORS, "{{error_type}}"),
)
KAFKA_PANEL = timeseries(
    "Flujo de Mensajes Kafka (Embedding)",
    "En un estado ideal, la tasa de chunks.processed consumidos debería ser similar a la de embeddings.ready"
    " producidos. Cualquier discrepancia grande indica un problema.",
    "mps",
    query(CONSUMED, "Consumidos de {{topic}}"),
    query(PRODUCED, "Producidos a {{topic}}"),
)

DASHBOARD = dashboard(
    "embedding-service",
    "embedding-service",
    "Throughput del worker de embeddings, API de OpenAI y flujo de Kafka del Embedding Service.",
    firing('service="embedding"'),
    row(7, BATCHES_PANEL, TEXTS_PANEL, widths=(6, 18)),
    row(8, LATENCY_PANEL, ERRORS_PANEL),
    row(8, KAFKA_PANEL),
)
