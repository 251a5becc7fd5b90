"""The machine and the versions, without which no figure means anything."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

from bench.harness import PROJECT, grafana_is_standin, test_bed


def describe(load: float) -> dict[str, str]:
    """Describe this machine and what ran on it.

    :param load: processes that ran or waited, before anything was measured
    """
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "measured": time.strftime("%Y-%m-%d %H:%M"),
        "processor": f"{os.cpu_count()} cores, {cpu.split(':')[1].strip()}",
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "load before": f"{load:.1f}",
        "controller": f"Python {platform.python_version()}, ansible-core {metadata.version('ansible-core')}",
        "nodes": "Docker containers on the same machine and cores, Debian 12, systemd 252, ssh with pipelining",
        "Prometheus": str(test_bed()["prometheus_version"]),
        "Grafana": str(test_bed()["grafana_version"]) + (", **a stand-in**" if grafana_is_standin() else ""),
        "commit": _git("rev-parse", "--short", "HEAD") + (" and changes" if _git("status", "--porcelain") else ""),
    }


def _git(*command: str) -> str:
    return subprocess.run(["git", *command], cwd=PROJECT, text=True, capture_output=True, check=True).stdout.strip()
