"""Measure what the project costs and write docs/performance.md: ``python -m bench [SECTION ...]``.

Each section makes its own local nodes and removes them, also when it is interrupted. What it found is kept in
``.cache/bench``, so the page has the last figures of every section, whichever were measured now.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from bench import archives, cost, machine, nodes, plots, pressure, report, runs, scale
from bench.harness import PROJECT, WORK, BenchError, say

SECTIONS = {module.__name__.removeprefix("bench."): module for module in (runs, archives, nodes, scale, cost, pressure)}


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)}; by default all")
    parser.add_argument("--quick", action="store_true", help="small sizes, once; the page goes to .cache/bench")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    # So that the nodes are removed as they are at Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    kept, written = (WORK / "quick", WORK / "quick") if arguments.quick else (WORK / "results", PROJECT / "docs")
    kept.mkdir(parents=True, exist_ok=True)
    try:
        for name in arguments.sections or SECTIONS:
            load = os.getloadavg()[0]
            data = SECTIONS[name].measure(arguments.quick)
            # Only a test bed that has been made knows which programs it has.
            where = machine.describe(load)
            (kept / f"{name}.json").write_text(json.dumps({"machine": where, "data": data}, indent=1))
    except BenchError as error:
        print(f"[bench] {error}", file=sys.stderr)
        return 1
    finally:
        write(kept, written)
    return 0


def write(kept: Path, written: Path) -> None:
    """Write the page and its pictures from what is kept of the sections."""
    files = {name: kept / f"{name}.json" for name in SECTIONS}
    results = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    (written / "performance.md").write_text(report.page(SECTIONS, results))
    for module in (nodes, scale):
        name = module.__name__.removeprefix("bench.")
        if name in results:
            plots.draw(written / "images" / f"{name}.png", module.AXIS, module.lines(results[name]["data"]))
    say(f"wrote {written / 'performance.md'}")


if __name__ == "__main__":
    sys.exit(main())
