"""The golden signals of the whole pipeline on one screen, made of the services' own queries."""

from dashboards import docproc_service as docproc
from dashboards import embedding_service as embedding
from dashboards import ingest_service as ingest
from dashboards.panels import dashboard, firing, query, row, stat, table, timeseries

ALERTS = firing('alertname!="Watchdog"')

UP_PANEL = stat(
    "Estado de los Servicios",
    "Si Prometheus puede leer las métricas de todos los endpoints de cada job.",
    "none",
    query("min(up) by (job)", "{{job}}"),
    field={
        "mappings": [
            {
                "type": "value",
                "options": {
                    "0": {"color": "red", "index": 0, "text": "CAÍDO"},
                    "1": {"color": "green", "index": 1, "text": "ACTIVO"},
                },
            }
        ]
    },
    background=True,
)
UPLOADS_PANEL = stat(
    "Documentos Subidos",
    "Documentos subidos con éxito por segundo.",
    "suffix:docs/s",
    query(f"sum({ingest.UPLOADS})", "Subidos"),
)
UPLOAD_ERRORS_PANEL = stat(
    "Subidas con Error",
    "Parte de las subidas que terminan en error.",
    "percentunit",
    query("job_service:ingest_uploads_errors:ratio_rate5m", "Con error"),
    field={
        "thresholds": {
            "mode": "absolute",
            "steps": [
                {"color": "green", "value": None},
                {"color": "yellow", "value": 0.01},
                {"color": "red", "value": 0.05},
            ],
        }
    },
)
DOCUMENTS_PANEL = stat(
    "Documentos Procesados",
    "Documentos procesados por minuto.",
    "suffix:docs/min",
    query(f"sum({docproc.DOCUMENTS})", "Procesados"),
)
ERRORS_PANEL = timeseries(
    "Errores por Servicio",
    "Errores por segundo de cada etapa del pipeline.",
    "suffix:errores/s",
    query(f"sum({ingest.UPLOAD_ERRORS})", "Ingest - subidas"),
    query(f"sum({docproc.ERRORS})", "DocProc - procesamiento"),
    query(f"sum({embedding.OPENAI_ERRORS})", "Embedding - API OpenAI"),
)
KAFKA_PANEL = timeseries(
    "Flujo de Mensajes Kafka",
    "Mensajes que Ingest produce y que Embedding consume y produce: deberían mantener un ritmo similar.",
    "mps",
    query(ingest.PRODUCED, "Ingest - Producidos a {{topic}} ({{status}})"),
    query(embedding.CONSUMED, "Embedding - Consumidos de {{topic}}"),
    query(embedding.PRODUCED, "Embedding - Producidos a {{topic}}"),
)

ALERTS_PANEL = table(
    "Alertas Activas",
    "Las alertas que se están disparando ahora. El runbook dice qué mirar primero en cada una.",
    query(f"count({ALERTS}) by (alertname, job, severity)", "{{alertname}}"),
    {"alertname": "Alerta", "job": "Job", "severity": "Gravedad", "Value": "Número"},
)

DASHBOARD = dashboard(
    "vision-general",
    "Visión general",
    "Las señales principales del pipeline de documentos: tráfico, errores, latencia y estado.",
    ALERTS,
    row(
        4,
        UP_PANEL,
        UPLOADS_PANEL,
        UPLOAD_ERRORS_PANEL,
        DOCUMENTS_PANEL,
        embedding.BATCHES_PANEL,
        widths=(8, 4, 4, 4, 4),
    ),
    row(8, ALERTS_PANEL, ingest.UPLOADS_PANEL, ERRORS_PANEL, KAFKA_PANEL),
    row(8, ingest.LATENCY_PANEL, docproc.DURATION_PANEL, embedding.LATENCY_PANEL),
)
