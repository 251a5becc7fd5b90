"""Local nodes to measure on, and runs of a playbook with the seconds of each of its tasks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
BENCH = PROJECT / "bench"
WORK = PROJECT / ".cache" / "bench"
TESTBED = PROJECT / "molecule" / "testbed"
FIRST_PORT = 2300
DEMO_UNITS = ("demo-traffic", "ingest-service", "docproc-service", "embedding-service")
SELF_SCRAPE = [{"job_name": "prometheus", "static_configs": [{"targets": ["localhost:9090"]}]}]
# Where skipped tasks are shown, a task's banner comes when it starts, else with its first result.
PLAIN = {"ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true"}
# Where the bench keeps its files on a node: on the data volume, as the releases are.
ON_NODE = "/mnt/bench"
TASK = re.compile(r"TASK \[(.+)\] \**$")
RECAP = re.compile(r"^\S+ +: ok=(\d+) +changed=(\d+) +unreachable=\d+ +failed=\d+ +skipped=(\d+)", re.MULTILINE)


class BenchError(Exception):
    """A measurement that would mean nothing; the message says why."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"[bench] {time.strftime('%H:%M:%S')} {text}", flush=True)


def scrape_configs() -> list[dict[str, Any]]:
    """Return the scrape jobs that the project comes with."""
    variables = yaml.safe_load((PROJECT / "group_vars/emr_master/prometheus.yml").read_text())
    return list(variables["prometheus_scrape_configs"])


def test_bed() -> dict[str, Any]:
    """Return the variables of the test bed, which say what the nodes install."""
    return dict(yaml.safe_load((TESTBED / "group_vars/testbed/generated.yml").read_text()))


def grafana_is_standin() -> bool:
    """Tell whether the nodes run the test bed's stand-in for Grafana."""
    return str(test_bed()["grafana_version"]).endswith("-standin")


def archive(role: str) -> Path:
    """Return the archive that the nodes install for a role."""
    return PROJECT / ".cache/testbed/archives" / str(test_bed()["testbed_archives"][role])


@dataclass(frozen=True)
class Counts:
    """What a run consisted of: tasks of a node, module executions and ssh round trips, and changes."""

    tasks: int
    module_executions: int
    round_trips: int
    changed: int


def counts(output: str) -> Counts:
    """Count what a run did.

    :param output: what ``ansible-playbook -vvv`` printed; with less ``v`` there are no executions and no round trips
    """
    recaps = [[int(number) for number in recap] for recap in RECAP.findall(output)]
    return Counts(
        tasks=max((ok + skipped for ok, _, skipped in recaps), default=0),
        module_executions=output.count("Using module file "),
        round_trips=output.count(" SSH: EXEC "),
        changed=sum(changed for _, changed, _ in recaps),
    )


@dataclass(frozen=True)
class Run:
    """A run of a playbook: when it began (seconds since the epoch), its wall seconds and its output."""

    began: float
    seconds: float
    output: str
    tasks: list[tuple[str, float]]

    def task(self, start: str) -> float:
        """Return the seconds of the one task whose name starts so.

        :raises BenchError: there is no such task, or several
        """
        found = [seconds for name, seconds in self.tasks if name.startswith(start)]
        if len(found) != 1:
            raise BenchError(f"{len(found)} tasks start with {start!r}: {', '.join(name for name, _ in self.tasks)}")
        return found[0]


def task_seconds(lines: Iterable[tuple[float, str]]) -> list[tuple[str, float]]:
    """Return name and seconds of each task, from one banner to the next.

    :param lines: when each line of the output came, and the line
    """
    banners = [(when, match[1] if (match := TASK.match(line)) else "") for when, line in lines if _is_banner(line)]
    ends = [when for when, _ in banners[1:]]
    return [(name, end - when) for (when, name), end in zip(banners, ends, strict=False) if name]


def _is_banner(line: str) -> bool:
    return line.startswith(("TASK [", "PLAY [", "PLAY RECAP"))


@dataclass(frozen=True)
class Node:
    """A container that the test bed made."""

    name: str
    port: int

    def shell(self, script: str) -> str:
        """Run a script of the shell as root on the node and return its output.

        :raises BenchError: it fails
        """
        return command("docker", "exec", self.name, "sh", "-euc", script).strip()

    def put(self, source: Path, target: str) -> None:
        """Copy a file to the node."""
        command("docker", "cp", "--quiet", str(source), f"{self.name}:{target}")

    def bring(self, program: str) -> None:
        """Copy one of the bench's own programs to the node."""
        self.shell(f"mkdir -p {ON_NODE}")
        self.put(BENCH / "on_node" / program, f"{ON_NODE}/{program}")
        self.shell(f"chmod +x {ON_NODE}/{program}")

    def start(self, unit: str, program: str, options: str, *properties: str) -> None:
        """Run one of the bench's own programs as a unit with some properties."""
        self.bring(program)
        given = " ".join(f"--property={value}" for value in properties)
        self.shell(f"systemd-run --quiet --unit={unit} {given} python3 {ON_NODE}/{program} {options}")

    def main_pid(self, unit: str) -> int:
        """Return the pid of a unit's main process."""
        return int(self.shell(f"systemctl show --property=MainPID --value {unit}"))


def command(*words: str) -> str:
    """Run a command and return its output.

    :raises BenchError: it fails
    """
    done = subprocess.run(words, text=True, capture_output=True, check=False)
    if done.returncode:
        raise BenchError(f"`{' '.join(words)}` failed:\n{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@dataclass
class Bed:
    """Some nodes and the inventory that names them; ``common`` are variables that every inventory holds."""

    nodes: list[Node]
    common: dict[str, Any]
    inventory: Path = WORK / "inventory"
    environment: dict[str, str] = field(default_factory=lambda: os.environ | PLAIN)

    def describe(self, hosts: Mapping[str, Mapping[str, Any]] | None = None, **variables: Any) -> None:
        """Write the inventory.

        :param hosts: the variables of each host by its name; by default each node is a host
        :param variables: what all of them have too
        """
        named = hosts or {node.name: {"ansible_port": node.port} for node in self.nodes}
        # Scrape jobs of a group would give way to group_vars.
        group = {"hosts": {name: {**own, **self.common, **variables} for name, own in named.items()}}
        self.inventory.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump({"emr_master": {"children": {"testbed": group}}}, sort_keys=False)
        (self.inventory / "hosts.yml").write_text(text)
        link = self.inventory / "group_vars"
        link.unlink(missing_ok=True)
        link.symlink_to(TESTBED / "group_vars")

    def measure_modules(self) -> None:
        """From now on, note what each module execution on the first node takes."""
        self.nodes[0].bring("measured_python.py")
        self.common["ansible_python_interpreter"] = f"{ON_NODE}/measured_python.py"
        self.describe()

    def executions(self) -> list[dict[str, float]]:
        """Return seconds, and megabytes of the largest process, of each module execution since the last call."""
        notes = f"{ON_NODE}/executions"
        return [json.loads(line) for line in self.nodes[0].shell(f"cat {notes} && rm {notes}").splitlines()]

    def play(self, playbook: str, *options: str) -> Run:
        """Run a playbook of the project and time it.

        :raises BenchError: it fails
        """
        words = ["ansible-playbook", playbook, "-i", str(self.inventory), *options]
        lines: list[tuple[float, str]] = []
        began, start = time.time(), time.monotonic()
        with subprocess.Popen(
            words, cwd=PROJECT, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            try:
                lines += [(time.monotonic(), line.rstrip("\n")) for line in process.stdout or ()]
            except BaseException:
                process.terminate()
                raise
        seconds = time.monotonic() - start
        output = "\n".join(line for _, line in lines)
        if process.returncode:
            raise BenchError(f"`{' '.join(words)}` failed:\n{output[-3000:]}")
        return Run(began, seconds, output, task_seconds(lines))

    def site(self, *options: str) -> Run:
        """Run the whole job."""
        return self.play("site.yml", *options)

    def unchanged(self, *options: str) -> Run:
        """Run the whole job, which must not change anything.

        :raises BenchError: it does
        """
        run = self.site(*options)
        if counts(run.output).changed:
            raise BenchError(f"A run that was to change nothing changed something:\n{run.output[-3000:]}")
        return run

    def floor(self, *options: str) -> Run:
        """Run what no run can be faster than: a play without facts and one ping."""
        return self.play("bench/floor.yml", *options)


@contextmanager
def bed(count: int = 1, **variables: Any) -> Iterator[Bed]:
    """Make nodes, which are removed in the end.

    :param count: how many
    :param variables: what every inventory says of all of them
    """
    names = ["emr-bench"] if count == 1 else [f"emr-bench-{number}" for number in range(1, count + 1)]
    nodes = [Node(name, FIRST_PORT + number) for number, name in enumerate(names)]
    testbed = [sys.executable, str(TESTBED / "testbed.py")]
    with ExitStack() as stack:
        for node in nodes:
            # What an interrupted bench left would not be bare.
            command(*testbed, "destroy", node.name)
            stack.callback(command, *testbed, "destroy", node.name)
            command(*testbed, "create", node.name, f"--ssh-port={node.port}")
        made = Bed(nodes, {"verify_targets_must_be_up": False, **variables})
        made.describe()
        # Opens the connections, which then stay.
        made.floor()
        yield made
