"""The golden signals of the whole pipeline on one screen, made of the services' own queries."""

from dashboards import alerts
from dashboards import docproc_service as docproc
from dashboards import embedding_service as embedding
from dashboards import ingest_service as ingest
from dashboards.panels import (
    NO_SCRAPES,
    dashboard,
    linked,
    mapped,
    p95,
    per_minute,
    query,
    row,
    stat,
    timeseries,
)

SERVICES = (ingest, docproc, embedding)
INGEST, DOCPROC, EMBEDDING = (service.DASHBOARD["uid"] for service in SERVICES)

UP_PANEL = stat(
    "Estado de los Servicios",
    "Si Prometheus puede leer las métricas de todos los endpoints de cada job.",
    "none",
    query("min(up) by (job)", "{{job}}"),
    field={"mappings": [mapped(_0=("CAÍDO", "red"), _1=("ACTIVO", "green"))]},
    background=True,
    # A job has the name of its service's page.
    links={uid: uid for uid in (INGEST, DOCPROC, EMBEDDING)},
)
UPLOADS_PANEL = stat(
    "Documentos Subidos",
    "Documentos subidos con éxito por minuto.",
    "suffix:docs/min",
    query(per_minute(f"sum({ingest.UPLOADS})"), "Subidos"),
    links={"Subidos": INGEST},
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
    links={"Con error": INGEST},
)
DOCUMENTS_PANEL = stat(
    "Documentos Procesados",
    "Documentos procesados por minuto.",
    "suffix:docs/min",
    query(f"sum({docproc.DOCUMENTS})", "Procesados"),
    links={"Procesados": DOCPROC},
)
BATCHES_PANEL = stat(
    embedding.BATCHES_PANEL["title"],
    embedding.BATCHES_PANEL["description"],
    embedding.BATCHES_UNIT,
    query(embedding.BATCHES, "Lotes"),
    links={"Lotes": EMBEDDING},
)
FLOW_PANEL = timeseries(
    "Documentos por Minuto",
    "Documentos subidos, subidas con error y documentos procesados: un clic en una línea lleva a su servicio.",
    "suffix:docs/min",
    query(per_minute(f"sum({ingest.UPLOADS})"), "Subidos"),
    query(per_minute(f"sum({ingest.UPLOAD_ERRORS})"), "Con error"),
    query(f"sum({docproc.DOCUMENTS})", "Procesados"),
    links={"A": INGEST, "B": INGEST, "C": DOCPROC},
)
ERRORS_PANEL = timeseries(
    "Errores por Servicio",
    "Subidas, documentos y llamadas a OpenAI que fallan, por minuto: un clic en una línea lleva a su servicio.",
    "suffix:errores/min",
    query(per_minute(f"sum({ingest.UPLOAD_ERRORS})"), "Ingest"),
    query(per_minute(f"sum({docproc.ERRORS})"), "DocProc"),
    query(per_minute(f"sum({embedding.OPENAI_ERRORS})"), "Embedding"),
    links={"A": INGEST, "B": DOCPROC, "C": EMBEDDING},
)
KAFKA_PANEL = timeseries(
    "Flujo de Mensajes Kafka",
    "Mensajes que Ingest entrega, que Embedding consume y que produce: los dos últimos deberían ir a la par.",
    "mps",
    query(ingest.DELIVERED_RATE, "{{topic}}"),
    query(embedding.CONSUMED, "{{topic}}"),
    query(embedding.PRODUCED, "{{topic}}"),
    links={"A": INGEST, "B": EMBEDDING, "C": EMBEDDING},
)
LATENCY_PANEL = timeseries(
    "Latencia de Petición (p95)",
    "Lo que tarda como mucho el 95% de las peticiones de cada ruta, sin las del propio Prometheus.",
    "s",
    query(p95("ingest_request_processing_duration_seconds_bucket", "path", NO_SCRAPES), "{{path}}"),
)

DASHBOARD = dashboard(
    "vision-general",
    "Visión general",
    "Las señales principales del pipeline de documentos: tráfico, errores, latencia y estado.",
    alerts.FIRING,
    row(3, UP_PANEL, alerts.SUMMARY_PANEL, UPLOAD_ERRORS_PANEL, widths=(13, 6, 5)),
    row(3, UPLOADS_PANEL, DOCUMENTS_PANEL, BATCHES_PANEL, widths=(6, 7, 11)),
    row(9, FLOW_PANEL, ERRORS_PANEL, KAFKA_PANEL),
    row(
        9,
        linked(LATENCY_PANEL, INGEST),
        linked(docproc.DURATION_PANEL, DOCPROC),
        linked(embedding.LATENCY_PANEL, EMBEDDING),
    ),
)
