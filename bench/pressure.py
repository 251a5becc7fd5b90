"""A busy NameNode beside Prometheus: what it loses when Prometheus is busy too, and who gives way when memory ends."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from statistics import mean
from typing import Any

from bench.cost import SERVICES, start_exporter, synthetic_job, usage
from bench.figures import Target, spread, table
from bench.harness import DEMO_UNITS, ON_NODE, SELF_SCRAPE, WORK, BenchError, Node, bed, command, say
from bench.scale import write_rule_file

TITLE = "Beside a busy NameNode"
TARGETS = 1000
# Groups of rules are evaluated side by side.
GROUPS = 4
NAMENODE = "bench-namenode"
OUTPUT = f"{ON_NODE}/namenode"
NAMENODE_MEGABYTES = 512
LARGE_NAMENODE_MEGABYTES = 4096
EXHAUSTED_SECONDS = 30
ROUNDS = 2
SETTLE_SECONDS = 30
WINDOW_SECONDS = 20


PROSE = f"""\
The NameNode is a stand-in, a unit without weights or limits: one process that keeps every core at work, holds memory,
and counts what it gets done. Prometheus, with its own weights and limits, is idle, or it scrapes {TARGETS} targets and
evaluates rules over all of their series without a break. What answers for the targets has the least weight there is."""


def measure(quick: bool) -> dict[str, Any]:
    """Measure the NameNode's throughput beside an idle and a busy Prometheus, then let the node's memory end.

    :param quick: one round, short times
    :returns: operations per second beside either, the cores that Prometheus gets beside the NameNode and without it,
        and which units the kernel killed
    """
    rounds, settle, window = (1, 15, 5) if quick else (ROUNDS, SETTLE_SECONDS, WINDOW_SECONDS)
    rules = write_heavy_rules(WORK / "heavy-rules")
    loads: dict[str, dict[str, Any]] = {
        "idle": {"prometheus_scrape_configs": SELF_SCRAPE},
        "busy": {
            "prometheus_scrape_configs": [*SELF_SCRAPE, *synthetic_job(TARGETS)],
            "prometheus_rules_dirs": [str(rules)],
        },
    }
    operations: dict[str, list[float]] = {load: [] for load in loads}
    with bed() as made:
        (node,) = made.nodes
        node.shell(f"systemctl disable --quiet --now {' '.join(DEMO_UNITS)}")
        start_exporter(node)
        start_namenode(node, NAMENODE_MEGABYTES)
        for load in [*loads] * rounds:
            made.describe(**loads[load])
            made.site()
            say(f"pressure: Prometheus is {load}")
            time.sleep(settle)
            operations[load].append(throughput(node, window))
        beside = usage(node, window)["prometheus"]
        node.shell(f"systemctl stop {NAMENODE}")
        alone = usage(node, window)["prometheus"]
        say("pressure: the node's memory ends")
        killed = exhaust_memory(node)
    return {
        "operations": operations,
        "prometheus": {"cores_beside": beside.cores, "cores_alone": alone.cores, "megabytes": alone.megabytes},
        "killed": killed,
    }


def write_heavy_rules(folder: Path) -> Path:
    """Fill a folder with rules over all synthetic series, due again before they are done, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(GROUPS):
        rule = {"record": f"heavy:rule_{number}", "expr": "sum by (item) (rate({__name__=~'synthetic_.*'}[5m]))"}
        write_rule_file(folder / f"heavy-{number}.yml", {"interval": "1s", "rules": [rule]})
    return folder


def start_namenode(node: Node, megabytes: int) -> None:
    """Start the NameNode with the weights of a unit that says nothing of them."""
    node.start(NAMENODE, "namenode.py", f"--megabytes {megabytes} --output {OUTPUT}")


def throughput(node: Node, window: float) -> float:
    """Return how many operations a second the NameNode does over some seconds."""
    before, done_before = map(float, node.shell(f"tail -n 1 {OUTPUT}").split())
    time.sleep(window)
    now, done = map(float, node.shell(f"tail -n 1 {OUTPUT}").split())
    return (done - done_before) / (now - before)


def exhaust_memory(node: Node) -> list[str]:
    """Start a NameNode that takes most of the memory, on a node with too little of it.

    :returns: the units whose process the kernel killed for it, in their order
    """
    pid = node.main_pid(SERVICES["prometheus"])
    # What the kernel can take back from nobody.
    held = node.shell("grep --no-messages --with-filename RssAnon: /proc/[0-9]*/status || true").splitlines()
    megabytes = {line.split("/")[2]: int(line.split()[1]) / 1024 for line in held}
    limit = f"{LARGE_NAMENODE_MEGABYTES + sum(megabytes.values()) - megabytes[str(pid)] / 2:.0f}m"
    began = time.time()
    command("docker", "update", f"--memory={limit}", f"--memory-swap={limit}", node.name)
    start_namenode(node, LARGE_NAMENODE_MEGABYTES)
    time.sleep(EXHAUSTED_SECONDS)
    killed = killed_units(node.shell(f"journalctl --no-pager --output=cat --since=@{began:.0f} _PID=1"))
    if not killed:
        raise BenchError(f"Nobody was killed although {limit} of memory were too little.")
    return killed


def killed_units(journal: str) -> list[str]:
    """Return the units that systemd says were killed with the signal that memory's end brings, in their order."""
    return re.findall(r"^(\S+\.service): Main process exited, code=killed, status=9/KILL$", journal, re.MULTILINE)


def targets(data: dict[str, Any]) -> list[Target]:
    """Hold the figures against the targets."""
    idle, busy = (mean(data["operations"][load]) for load in ("idle", "busy"))
    others = [unit for unit in data["killed"] if unit not in SERVICES.values()]
    return [
        Target("throughput that a NameNode loses to a busy Prometheus", 5, "%", 100 * (1 - busy / idle)),
        Target("units but monitoring's own that die when memory ends", 0, "", len(others)),
    ]


def text(data: dict[str, Any]) -> str:
    """Describe the figures in Markdown."""
    operations, prometheus = data["operations"], data["prometheus"]
    throughputs = table(
        ["Prometheus", "throughput of the NameNode"],
        *([load, spread(values, "MB/s hashed")] for load, values in operations.items()),
    )
    return "\n\n".join(
        [
            PROSE,
            throughputs,
            f"The busy Prometheus takes {prometheus['cores_alone']:.2f} cores where the NameNode is stopped, and "
            f"{prometheus['cores_beside']:.2f} beside it; {prometheus['megabytes']:.0f} MB of memory.",
            f"Then a NameNode of {LARGE_NAMENODE_MEGABYTES} MB starts, where there is room for half of Prometheus. "
            f"The kernel killed, in this order: {', '.join(data['killed']) or 'nobody'}.",
        ]
    )
