"""A large inventory: thousands of static targets and hundreds of rule files."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import yaml

from bench.figures import Target, table
from bench.harness import WORK, Bed, bed, say, scrape_configs
from bench.on_node.exporter import addresses

TITLE = "A large inventory"
AXIS = "static targets in the inventory"
# Static targets, and rule files.
SIZES = ((100, 5), (1_000, 50), (10_000, 500))
RULES_PER_FILE = 5
# Each target is scraped, and costs little.
SERIES = 10
INTERVAL_SECONDS = 30
JOB = {"job_name": "many", "scrape_interval": f"{INTERVAL_SECONDS}s", "scrape_timeout": "20s"}
PROSE = f"""\
Static targets in the inventory, each of them scraped every {INTERVAL_SECONDS} s, and files of {RULES_PER_FILE} rules.
A run that brings targets waits for their first scrapes, 20 s at most. The memory is that of the largest process on the
node, which is the module or promtool.

"""
# What renders and checks: on the controller, and then on the node, which brings it live in the same trip.
RENDER = ("emr.monitoring.prometheus : Refuse wrong input", "emr.monitoring.prometheus : Bring the release")


def measure(quick: bool) -> dict[str, Any]:
    """Run with the project's own inventory, and with larger and larger ones: each when it is new, and unchanged.

    :param quick: without the largest
    :returns: by number of targets, what either run took
    """
    sizes: dict[str, Any] = {}
    with bed() as made:
        made.site()
        made.measure_modules()
        own = _run(made)
        made.nodes[0].start("bench-exporter", "exporter.py", f"--series {SERIES}", "LimitNOFILE=65536")
        for targets_, files in SIZES[:2] if quick else SIZES:
            job = {**JOB, "static_configs": [{"targets": addresses(targets_)}]}
            rules = write_rules(WORK / "rules", files)
            made.describe(prometheus_scrape_configs=[*scrape_configs(), job], prometheus_rules_dirs=[str(rules)])
            say(f"scale: {targets_} targets")
            new = _run(made)
            # A run after that has no scrape to wait for.
            time.sleep(INTERVAL_SECONDS)
            say(f"scale: {targets_} targets, unchanged")
            sizes[str(targets_)] = {"rule_files": files, "new": new, "unchanged": _run(made)}
    return {"own": own, "sizes": sizes}


def _run(made: Bed) -> dict[str, Any]:
    run, executions = made.site(), made.executions()
    return {
        "seconds": run.seconds,
        "render_and_check": sum(map(run.task, RENDER)),
        "megabytes": max(execution["megabytes"] for execution in executions),
        "module_executions": len(executions),
    }


def write_rule_file(path: Path, group: dict[str, Any]) -> None:
    """Write a file with one group of rules, named as the file."""
    path.write_text(yaml.safe_dump({"groups": [{"name": path.stem, **group}]}, sort_keys=False))


def write_rules(folder: Path, files: int) -> Path:
    """Fill a folder with files of recording rules and return it; what was in it goes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(files):
        rules = "".join(
            f"      - {{record: 'bench:rule_{number}_{rule}', expr: vector({rule})}}\n"
            for rule in range(RULES_PER_FILE)
        )
        (folder / f"bench-{number:03}.yml").write_text(f"groups:\n  - name: bench-{number}\n    rules:\n{rules}")
    return folder


def targets(data: dict[str, Any]) -> list[Target]:
    """Hold the figures against the targets."""
    size, largest = list(data["sizes"].items())[-1]
    new, unchanged = largest["new"], largest["unchanged"]
    what = f"{int(size):,} targets and {largest['rule_files']} rule files"
    return [
        Target(f"{what}: rendering and checking", 10, "s", new["render_and_check"]),
        Target("… memory on the node", 200, "MB", max(new["megabytes"], unchanged["megabytes"])),
        Target(
            "… module executions, nothing changed",
            data["own"]["module_executions"],
            "",
            unchanged["module_executions"],
        ),
    ]


def lines(data: dict[str, Any]) -> dict[str, dict[int, list[float]]]:
    """Return what is drawn: seconds by number of targets."""
    return {
        label: {int(size): [runs[kind][figure]] for size, runs in data["sizes"].items()}
        for label, kind, figure in (
            ("the run that brings them", "new", "seconds"),
            ("a run that changes nothing", "unchanged", "seconds"),
            ("rendering and checking them", "new", "render_and_check"),
        )
    }


def text(data: dict[str, Any]) -> str:
    """Describe the figures in Markdown."""
    rows = [
        [f"{int(size):,}", runs["rule_files"], kind, *_shown(runs[kind])]
        for size, runs in data["sizes"].items()
        for kind in ("new", "unchanged")
    ]
    rows.insert(0, ["the project's own", 0, "unchanged", *_shown(data["own"])])
    head = ["targets", "rule files", "run", "seconds", "rendering and checking", "memory", "module executions"]
    return f"{PROSE}{table(head, *rows)}\n\n![Seconds by number of targets](images/scale.png)"


def _shown(run: dict[str, Any]) -> list[str]:
    return [
        f"{run['seconds']:.1f} s",
        f"{run['render_and_check']:.1f} s",
        f"{run['megabytes']:.0f} MB",
        str(run["module_executions"]),
    ]
