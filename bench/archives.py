"""Unpacking: a release's installation against tar and sha256sum, Prometheus' archive and one of Grafana's size."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
from pathlib import Path
from typing import Any

from bench.figures import Target, ratio, spread, table
from bench.harness import PROJECT, WORK, archive, grafana_is_standin, say

TITLE = "Unpacking"
# The real one of 13.2 has 457 MB, and unpacked 1.36 GB.
GRAFANA_FILES = 13_358
GRAFANA_BYTES = 1_360_000_000
PROSE = """\
The part of the module `service` that installs a release, against `sha256sum` and `tar xzf` of the same archive, both on
the machine that measures. Only the module has everything on the disk when it is done. `like-grafana` has as many files
and bytes as Grafana's archive, and stands for it where that cannot be had.

"""
REFERENCE = "rm -rf {root} && mkdir -p {root} && sync && sha256sum {packed} >/dev/null && tar xzf {packed} -C {root}"
# Prints the seconds, and the megabytes of its largest moment.
INSTALL = """
import resource, sys, time
from ansible_collections.emr.monitoring.plugins.module_utils.release import parse
from ansible_collections.emr.monitoring.plugins.module_utils.release_install import install
url, sha256, root = sys.argv[1:]
release = parse(dict(name="bench", version="1", url=url, sha256=sha256, root=root, current="", exclude=[]))
began = time.monotonic()
install(release)
print(time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measure(quick: bool) -> dict[str, Any]:
    """Unpack each archive some times with either.

    :param quick: once, and Prometheus' archive alone
    :returns: by archive: its megabytes, the seconds of both and the megabytes of memory of the module
    """
    data: dict[str, Any] = {}
    for packed in [archive("prometheus"), *([] if quick else [_grafana()])]:
        say(f"archives: {packed.name}")
        figures = [_unpack(packed) for _ in range(1 if quick else 3)]
        data[packed.name] = {
            "megabytes": packed.stat().st_size / 1e6,
            **{name: [figure[name] for figure in figures] for name in figures[0]},
        }
    return data


def _unpack(packed: Path) -> dict[str, float]:
    root = WORK / "unpacked"
    began = time.monotonic()
    subprocess.run(["sh", "-c", REFERENCE.format(root=root, packed=packed)], check=True)
    reference = time.monotonic() - began
    shutil.rmtree(root)
    with packed.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    command = [sys.executable, "-c", INSTALL, packed.as_uri(), sha256, str(root)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "collections")}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    shutil.rmtree(root)
    seconds, megabytes = map(float, done.stdout.split())
    return {"tar": reference, "module": seconds, "memory": megabytes}


def _grafana() -> Path:
    """Return Grafana's archive, where the test bed has it, or one with as many files and bytes."""
    return _like_grafana() if grafana_is_standin() else archive("grafana")


def _like_grafana() -> Path:
    """Pack many small texts and some large programs: Python's library and promtool."""
    packed = WORK / "like-grafana.tar.gz"
    if packed.exists():
        return packed
    say("archives: packing one of Grafana's size (a minute or two, once)")
    promtool = PROJECT / ".cache/testbed/promtool"
    texts = itertools.cycle(sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")))
    part = packed.with_suffix(".part")
    with tarfile.open(part, "w:gz", compresslevel=6) as tar:
        for number in range(GRAFANA_FILES):
            tar.add(next(texts), f"grafana/public/{number // 100}/{number}")
        for number in range((GRAFANA_BYTES - tar.offset) // promtool.stat().st_size):
            tar.add(promtool, f"grafana/bin/{number}")
    part.rename(packed)
    return packed


def targets(data: dict[str, Any]) -> list[Target]:
    """Hold the figures against the targets."""
    worst = max(ratio(figures["module"], figures["tar"]) for figures in data.values())
    memory = max(max(figures["memory"]) for figures in data.values())
    return [
        Target("unpacking", 1.3, "x tar and sha256sum", worst),
        Target("memory of the module that unpacks", 100, "MB", memory),
    ]


def text(data: dict[str, Any]) -> str:
    """Describe the figures in Markdown."""
    rows = [
        [
            f"{name}, {figures['megabytes']:.0f} MB",
            spread(figures["tar"]),
            spread(figures["module"]),
            f"{ratio(figures['module'], figures['tar']):.2f}",
            spread(figures["memory"], "MB"),
        ]
        for name, figures in data.items()
    ]
    return PROSE + table(["archive", "tar and sha256sum", "the module", "ratio", "memory of the module"], *rows)
