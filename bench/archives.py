"""Unpacking: the module release against tar and sha256sum, on Prometheus' archive and on one of Grafana's size."""

from __future__ import annotations

import hashlib
import itertools
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

from bench.figures import Target, ratio, spread, table
from bench.harness import ON_NODE, PROJECT, WORK, Bed, archive, bed, grafana_is_standin, say

TITLE = "Unpacking"
# The real one of 13.2 has 457 MB, and unpacked 1.36 GB.
GRAFANA_FILES = 13_358
GRAFANA_BYTES = 1_360_000_000
PROSE = """\
The module `release` on the node, without the third of a second that any module takes to start, against `sha256sum` and
`tar xzf` of the same archive. Only the module has everything on the disk when it is done. `like-grafana` has as many
files and bytes as Grafana's archive, and stands for it where that cannot be had.

"""
REFERENCE = """
cd {folder} && rm -rf reference && mkdir reference && sync
python3 -c 'import subprocess, time
began = time.monotonic()
subprocess.run("sha256sum {name} >sum && tar xzf {name} -C reference", shell=True, check=True)
print(time.monotonic() - began)'
rm -r reference
"""


def measure(quick: bool) -> dict[str, Any]:
    """Unpack each archive some times with either.

    :param quick: once, and Prometheus' archive alone
    :returns: by archive: its megabytes, the seconds of both and the megabytes of memory of the module
    """
    data: dict[str, Any] = {}
    with bed() as made:
        made.measure_modules()
        for packed in [archive("prometheus"), *([] if quick else [_grafana()])]:
            say(f"archives: {packed.name}")
            made.nodes[0].put(packed, f"{ON_NODE}/{packed.name}")
            figures = [_unpack(made, packed) for _ in range(1 if quick else 3)]
            data[packed.name] = {
                "megabytes": packed.stat().st_size / 1e6,
                **{name: [figure[name] for figure in figures] for name in figures[0]},
            }
    return data


def _unpack(made: Bed, packed: Path) -> dict[str, float]:
    node = made.nodes[0]
    reference = float(node.shell(REFERENCE.format(folder=ON_NODE, name=packed.name)))
    root = f"{ON_NODE}/releases"
    with packed.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    made.describe(archive_url=f"file://{ON_NODE}/{packed.name}", archive_sha256=sha256, releases_root=root)
    made.play("bench/release.yml")
    # The second time there is nothing to unpack: what it takes is the module's start.
    made.play("bench/release.yml")
    node.shell(f"rm -r {root} && sync")
    unpacked, start = made.executions()
    return {"tar": reference, "module": unpacked["seconds"] - start["seconds"], "memory": unpacked["megabytes"]}


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
