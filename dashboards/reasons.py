"""The collapsed row of a service's page that answers why: requests, Kafka, the process."""

from dashboards.panels import Json, collapsed, query, row, timeseries

TITLE = "¿Por qué? Peticiones, errores y duración · Kafka · Proceso"


def reasons(service: str, red: list[Json], kafka: list[Json]) -> list[Json]:
    """Return the row.

    Args:
        service: the value of the label `service` that its scrape job gives it.
        red: three panels: rate, errors, duration.
        kafka: two panels: what goes in and out, and what lies between.
    """
    rate, errors, duration = red
    return collapsed(TITLE, row(9, rate, errors), row(9, duration, *kafka), row(9, *_process(service)))


def _process(service: str) -> list[Json]:
    of = f'{{service="{service}"}}'
    limit = {
        "matcher": {"id": "byFrameRefID", "options": "B"},
        # In the legend alone: a line there would press the other one to the floor.
        "properties": [{"id": "custom.hideFrom", "value": {"legend": False, "tooltip": False, "viz": True}}],
    }
    files = timeseries(
        "Ficheros Abiertos",
        "Ficheros y conexiones que tiene abiertos el proceso, y cuántos puede tener.",
        "none",
        query(f"process_open_fds{of}", "{{instance}}"),
        query(f"process_max_fds{of}", "Límite {{instance}}"),
    )
    files["fieldConfig"]["overrides"].append(limit)
    return [
        timeseries(
            "Memoria del Proceso",
            "Memoria residente: si crece sin volver a bajar, el proceso la pierde.",
            "bytes",
            query(f"process_resident_memory_bytes{of}", "{{instance}}"),
        ),
        timeseries(
            "CPU del Proceso",
            "Parte de un núcleo que usa el proceso: cerca del 100% un proceso de un solo hilo no da más de sí.",
            "percentunit",
            query(f"rate(process_cpu_seconds_total{of}[5m])", "{{instance}}"),
        ),
        files,
    ]


def waiting(entered: str, left: str) -> str:
    """Return the PromQL of what entered in the last hour and has not left.

    Args:
        entered: selector of the counters of what goes in.
        left: selector of the counters of what comes out.
    """
    # The two are not scraped at the same moment: a few may seem to leave before they enter.
    return f"clamp_min(round(sum(increase({entered}[1h])) - on () sum(increase({left}[1h]))), 0)"


def quantiles(buckets: str) -> list[Json]:
    """Return the queries of three percentiles.

    Args:
        buckets: the name of a histogram's `_bucket` metric.
    """
    return [
        query(f"histogram_quantile({share}, sum(rate({buckets}[5m])) by (le))", name)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    ]
