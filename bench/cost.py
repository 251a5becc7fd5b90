"""What monitoring costs the node: memory and CPU of Prometheus and Grafana, by the number of targets."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any

from bench.figures import Target, table
from bench.harness import BenchError, Node, bed, say, scrape_configs
from bench.on_node.exporter import addresses

TITLE = "What monitoring costs the node"
LEVELS = (0, 100, 1000, 5000)
SERIES = 200
SERVICES = {"prometheus": "prometheus.service", "grafana": "grafana-server.service"}
TICKS = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 30
WINDOW_SECONDS = 20
PROSE = f"""\
Beside the demo services, synthetic targets of {SERIES} series each, scraped every 15 s. The process that answers for
them is not counted. Prometheus has no `MemoryMax=` here. It has run for minutes only, and its memory grows for two to
three hours, until it writes its first block. So `prometheus_memory_max` is by default 2G, with room for about 1,000 of
these targets, and `grafana_memory_max` is 1G.

"""


@dataclass(frozen=True)
class Usage:
    """What a process takes: cores, on average over some time, and megabytes at its end."""

    cores: float
    megabytes: float


def measure(quick: bool) -> dict[str, Any]:
    """Add more and more synthetic targets to the demo services.

    :param quick: few targets, short times
    :returns: the usage of each service by number of synthetic targets
    """
    levels = LEVELS[:2] if quick else LEVELS
    settle, window = (10, 10) if quick else (SETTLE_SECONDS, WINDOW_SECONDS)
    usages: dict[str, Any] = {}
    # What it needs is the question, so it gets what it asks for.
    with bed(prometheus_memory_max="infinity") as made:
        start_exporter(made.nodes[0])
        for count in levels:
            say(f"cost: {count} synthetic targets")
            made.describe(prometheus_scrape_configs=[*scrape_configs(), *synthetic_job(count)])
            made.site()
            time.sleep(settle)
            up = made.play("playbooks/verify.yml").output.count("- UP ")
            if up < count:
                raise BenchError(f"Of {count} synthetic targets {up} are up at most: the machine is too busy for them.")
            found = usage(made.nodes[0], window)
            usages[str(count)] = {service: asdict(taken) for service, taken in found.items()}
    return usages


def start_exporter(node: Node) -> None:
    """Start what answers for the synthetic targets, behind everything else that wants the CPU."""
    node.start("bench-exporter", "exporter.py", f"--series {SERIES}", "LimitNOFILE=65536", "CPUWeight=1")


def synthetic_job(count: int) -> list[dict[str, Any]]:
    """Return the scrape job of some synthetic targets; no job for none."""
    return [{"job_name": "synthetic", "static_configs": [{"targets": addresses(count)}]}] if count else []


def usage(node: Node, window: float) -> dict[str, Usage]:
    """Watch the services for some seconds and return what each took."""
    pids = {service: node.main_pid(unit) for service, unit in SERVICES.items()}
    before = {service: cpu_seconds(node.shell(f"cat /proc/{pid}/stat")) for service, pid in pids.items()}
    began = time.monotonic()
    time.sleep(window)
    took = time.monotonic() - began
    return {
        service: Usage(
            (cpu_seconds(node.shell(f"cat /proc/{pid}/stat")) - before[service]) / took,
            resident_megabytes(node.shell(f"cat /proc/{pid}/status")),
        )
        for service, pid in pids.items()
    }


def cpu_seconds(stat: str) -> float:
    """Return the CPU seconds, its own and the kernel's for it, in a process's ``/proc/PID/stat``."""
    # Behind the name, which may hold spaces, the third field is the first.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_megabytes(status: str) -> float:
    """Return the resident memory in a process's ``/proc/PID/status``."""
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def targets(data: dict[str, Any]) -> list[Target]:
    """Return nothing: what monitoring may cost depends on what is asked of it."""
    return []


def text(data: dict[str, Any]) -> str:
    """Describe the figures in Markdown."""
    rows = [
        [f"{int(count):,}", f"{int(count) * SERIES:,}", *(_shown(Usage(**taken)) for taken in services.values())]
        for count, services in data.items()
    ]
    return PROSE + table(["synthetic targets", "series", "Prometheus", "Grafana"], *rows)


def _shown(taken: Usage) -> str:
    return f"{taken.megabytes:.0f} MB, {taken.cores:.2f} cores"
