"""Prometheus' own health: what it scrapes, keeps, evaluates and sends on."""

from dashboards.panels import PLAIN, Json, collapsed, dashboard, firing, per_minute, query, row, stat, timeseries

SERVICE = "prometheus"
REMOTE = "prometheus_remote_storage"
BEHIND = "job_instance_remote_name:prometheus_remote_write_behind:seconds"
EVALUATION = "prometheus_rule_group_last_duration_seconds / prometheus_rule_group_interval_seconds"
STORED = "job_instance:prometheus_tsdb_storage_bytes:sum"


def _rate(name: str) -> str:
    """Return the PromQL of what an endpoint's counter of samples gains in a second."""
    return f"rate({REMOTE}_{name}_total[5m])"


def _worse(yellow: float, red: float) -> Json:
    steps = [{"color": "green", "value": None}, {"color": "yellow", "value": yellow}, {"color": "red", "value": red}]
    return {"thresholds": {"mode": "absolute", "steps": steps}}


DOWN_PANEL = stat(
    "Targets Caídos",
    "Targets cuyas métricas Prometheus no puede leer.",
    "none",
    query("count(up == 0) or vector(0)", "Caídos"),
    field=_worse(1, 1),
)
SERIES_PANEL = stat(
    "Series",
    "Series que tiene en memoria.",
    "none",
    query("sum(prometheus_tsdb_head_series)", "Series"),
)
LEFT_PANEL = stat(
    "Disco por Usar",
    "Parte de prometheus_retention_size que queda: al agotarse se van las métricas más viejas.",
    "percentunit",
    query(f"1 - {STORED} / (prometheus_tsdb_retention_limit_bytes > 0)", "Queda"),
    field=PLAIN,
)
RULES_PANEL = stat(
    "Reglas con Error",
    "Evaluaciones de reglas que han fallado en los últimos 5 minutos.",
    "none",
    query("sum(increase(prometheus_rule_evaluation_failures_total[5m]))", "Con error"),
    field=_worse(1, 1),
)

SCRAPES_PANEL = timeseries(
    "Duración de las Lecturas",
    "Lo que tarda en leer las métricas de cada target.",
    "s",
    query("scrape_duration_seconds", "{{instance}}"),
)
STORAGE_PANEL = timeseries(
    "Disco de las Métricas",
    "Bloques, WAL y lo que admite prometheus_retention_size.",
    "bytes",
    query("prometheus_tsdb_storage_blocks_bytes", "bloques"),
    query("prometheus_tsdb_wal_storage_size_bytes", "WAL"),
    query("prometheus_tsdb_retention_limit_bytes > 0", "límite"),
)
EVALUATION_PANEL = timeseries(
    "Tiempo de las Reglas",
    "Parte de su intervalo que tarda la evaluación de cada grupo de reglas.",
    "percentunit",
    query(f'label_replace({EVALUATION}, "group", "$1", "rule_group", ".*;(.*)")', "{{group}}"),
)
HEAD_PANEL = timeseries(
    "Series en Memoria",
    "Series que tiene en memoria: si crecen sin parar, alguna métrica tiene una etiqueta con demasiados valores.",
    "none",
    query("prometheus_tsdb_head_series", "{{instance}}"),
)
MEMORY_PANEL = timeseries(
    "Memoria del Proceso",
    "Memoria residente, que crece con las series; al pasar de prometheus_memory_max systemd lo reinicia.",
    "bytes",
    query('process_resident_memory_bytes{job="prometheus"}', "{{instance}}"),
)
QUERIES_PANEL = timeseries(
    "Consultas (p90)",
    "Lo que tarda como mucho el 90% de las consultas, las de las reglas incluidas.",
    "s",
    query('prometheus_engine_query_duration_seconds{quantile="0.9", slice="inner_eval"}', "{{instance}}"),
)
SENT_PANEL = timeseries(
    "Muestras Aceptadas",
    "Muestras por minuto que acepta cada destino de prometheus_remote_write.",
    "suffix:/min",
    query(
        per_minute(f"({_rate('samples')} - {_rate('samples_retried')} - {_rate('samples_failed')})"), "{{remote_name}}"
    ),
)
REFUSED_PANEL = timeseries(
    "Envíos con Problemas",
    "Muestras por minuto que cada destino rechaza, que se pierden allí, y las que se vuelven a enviar.",
    "suffix:/min",
    query(per_minute(_rate("samples_failed")), "{{remote_name}} rechaza"),
    query(per_minute(_rate("samples_retried")), "{{remote_name}} repite"),
)
DELAY_PANEL = timeseries(
    "Retraso por Destino",
    "Antigüedad de lo último que se ha enviado a cada destino.",
    "s",
    query(BEHIND, "{{remote_name}}"),
)

DASHBOARD = dashboard(
    SERVICE,
    "Prometheus",
    "La salud del propio Prometheus: lo que lee, guarda, evalúa y envía a otros.",
    firing('job="prometheus"'),
    row(5, DOWN_PANEL, SERIES_PANEL, LEFT_PANEL, RULES_PANEL),
    row(9, SCRAPES_PANEL, STORAGE_PANEL, EVALUATION_PANEL),
    row(9, HEAD_PANEL, MEMORY_PANEL, QUERIES_PANEL),
    collapsed("Envío a otros: prometheus_remote_write", row(9, SENT_PANEL, REFUSED_PANEL, DELAY_PANEL)),
)
