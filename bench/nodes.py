"""Many nodes: how the seconds of a run that changes nothing grow with their number."""

from __future__ import annotations

import os
from collections.abc import Sequence
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Any

from bench.figures import Target, ratio, spread, table
from bench.harness import DEMO_UNITS, PROJECT, SELF_SCRAPE, Node, bed, say

TITLE = "Many nodes"
AXIS = "nodes"
CONTAINERS = (1, 2, 4, 8)
# More names than containers: several names then stand for one. In even steps, so that a quadratic growth would show.
NAMES = (10, 30, 50)
KINDS = ("containers", "names")
PROSE = """\
Runs that change nothing, 50 nodes at a time at most (`forks` in `ansible.cfg`). **Controller and nodes share the same
cores here**, so what the modules do on each node counts too. *Names* are hosts of the inventory that share eight
containers, each name with an ssh connection of its own: the controller does all the work of as many nodes."""


def measure(quick: bool) -> dict[str, Any]:
    """Provision some nodes, and run again and again over more and more of them.

    :param quick: few nodes, one run each
    :returns: seconds by number of nodes: of containers of their own, and of names that share them; those of the floor
        on one; and the CPU seconds that a run over all the containers takes of the controller, with the cores there are
    """
    containers, names = ((1, 2), (3, 4, 5)) if quick else (CONTAINERS, NAMES)
    seconds: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    cpu_seconds = 0.0
    # Without the demo services, whose load has nothing to do with the runs.
    with bed(containers[-1], prometheus_scrape_configs=SELF_SCRAPE) as made:
        for node in made.nodes:
            node.shell(f"systemctl disable --quiet --now {' '.join(DEMO_UNITS)}")
        say(f"nodes: the first run on {containers[-1]}")
        made.site()
        for count in containers:
            say(f"nodes: {count}")
            made.describe({node.name: {"ansible_port": node.port} for node in made.nodes[:count]})
            if count == containers[0]:
                floor = [made.floor().seconds for _ in range(1 if quick else 2)]
            before = controller_cpu_seconds()
            runs = [made.unchanged().seconds for _ in range(1 if quick else 2)]
            seconds["containers"][str(count)] = runs
            cpu_seconds = (controller_cpu_seconds() - before) / len(runs)
        for count in names:
            say(f"nodes: {count} names")
            made.describe(share(made.nodes, count))
            # Opens the connections.
            made.floor()
            seconds["names"][str(count)] = [made.unchanged().seconds]
    return {**seconds, "floor": floor, "controller": {"cpu_seconds": cpu_seconds, "cores": os.cpu_count()}}


def controller_cpu_seconds() -> float:
    """Return the CPU seconds of all runs so far, without what they did on the nodes."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def share(nodes: Sequence[Node], count: int) -> dict[str, dict[str, Any]]:
    """Return variables of that many hosts, which are the nodes again and again, each with a connection of its own."""
    hosts = {}
    for number in range(count):
        node = nodes[number % len(nodes)]
        name = f"{node.name}-{number // len(nodes)}"
        hosts[name] = {
            "ansible_port": node.port,
            "ansible_control_path": f"%(directory)s/{name}",
            "monitoring_secrets_dir": str(PROJECT / ".cache/testbed/secrets" / node.name),
        }
    return hosts


def targets(data: dict[str, Any]) -> list[Target]:
    """Hold the figures against the targets."""
    count, most = list(data["containers"].items())[-1]
    few, more, all_ = (median(values) for values in data["names"].values())
    return [
        Target(f"{count} nodes, nothing changed", 13, "x floor", ratio(most, data["floor"])),
        Target(
            f"the last {NAMES[2] - NAMES[1]} of {NAMES[2]} nodes (1 is linear)",
            1.2,
            f"x the {NAMES[1] - NAMES[0]} before them",
            (all_ - more) / (more - few),
        ),
    ]


def lines(data: dict[str, Any]) -> dict[str, dict[int, list[float]]]:
    """Return what is drawn: seconds by number of nodes."""
    return {kind: {int(count): seconds for count, seconds in data[kind].items()} for kind in KINDS}


def text(data: dict[str, Any]) -> str:
    """Describe the figures in Markdown."""
    one, controller = data["containers"]["1"], data["controller"]
    count, most = list(data["containers"].items())[-1]
    rows = [
        [number, kind, spread(seconds), f"{ratio(seconds, one):.1f}"]
        for kind in KINDS
        for number, seconds in data[kind].items()
    ]
    return "\n\n".join(
        [
            PROSE,
            table(["nodes", "", "seconds", "x one"], *rows),
            f"In the {median(most):.0f} s of a run over {count} containers, {controller['cores']} cores have "
            f"{median(most) * controller['cores']:.0f} CPU seconds. Ansible takes "
            f"{controller['cpu_seconds']:.0f} of them on the controller; the nodes share the rest.",
            "![Seconds by number of nodes](images/nodes.png)",
        ]
    )
