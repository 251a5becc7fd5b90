"""Start a program for a moment with what is staged, where it can do no harm."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.emr.monitoring.plugins.module_utils.text import printable
from ansible_collections.emr.monitoring.plugins.module_utils.tree import Task, Tree, TreeError
from ansible_collections.emr.monitoring.plugins.module_utils.tree_check import mask
from ansible_collections.emr.monitoring.plugins.module_utils.tree_stage import ancestors, own
from ansible_collections.emr.monitoring.plugins.module_utils.unit_check import TREE, dropins, read_unit, whole_lines

# What of a unit's [Service] section says how the service is started and kept, rather than in which sandbox.
NOT_THE_SANDBOX = re.compile(
    r"Type|Exec.*|Restart.*|Timeout.*|RuntimeMaxSec|Watchdog.*|Success.*|Kill.*|Send.*|FinalKillSignal|Notify.*|Reload.*|"
    r"LoadCredential.*|WorkingDirectory|Sockets|FileDescriptorStore.*|OOMPolicy|NonBlocking|GuessMainPID|X-.*"
)
LINES_SHOWN = 20


@dataclass(frozen=True)
class Trial:
    """A trial start.

    :ivar command: program and arguments, as it would run but for an address to listen on that only the node has
    :ivar data_dir: the folder of its data, in whose place it gets an empty one
    :ivar ready: what it writes once it is ready
    :ivar unit: name of the unit, whose staged files lie in the tree of the name "unit"
    :ivar omit: ``file`` and the ``section`` of it that the program does not see, since it would need a network
    """

    command: list[str]
    data_dir: str
    ready: str
    unit: str
    omit: Mapping[str, str] = field(default_factory=dict)


def sandbox(unit: str) -> list[str]:
    """Return the lines of a unit's [Service] section that say under which user and limits it runs."""
    section, found = "", []
    for line in whole_lines(unit).splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section == "[Service]" and "=" in line and line[0] not in "#;":
            found.append(line.strip())
    return [line for line in found if not NOT_THE_SANDBOX.fullmatch(line.partition("=")[0].strip())]


def systemd_run(
    trial: Trial, properties: Iterable[str], mounts: Mapping[str, str], name: str, seconds: float
) -> list[str]:
    """Return the command that runs a trial in a network of its own; `mounts` are real folder -> where it is seen."""
    return [
        *("systemd-run", "--quiet", "--collect", "--pipe", "--wait", "--service-type=exec", f"--unit={name}"),
        *(f"--property={line}" for line in properties),
        "--property=PrivateNetwork=yes",
        f"--property=RuntimeMaxSec={int(seconds)}",
        *(f"--property=BindPaths={source}:{seen}" for source, seen in mounts.items()),
        "--",
        *trial.command,
    ]


def rehearse(trial: Trial, task: Task, stages: Mapping[str, str], seconds: float) -> None:
    """Start the program with the staged trees in a network, a sandbox and with data of its own, until it is ready.

    Nothing that it does leaves the trial. Raises TreeError if it is not ready within `seconds`.
    """
    stage = stages[TREE]
    texts = [read_unit(stage, rel) for rel in (trial.unit, *dropins(task, trial.unit))]
    place = next(tree.dest for tree in task.trees if tree.name == TREE)
    # systemd reads that file where it is, whatever the trial sees in its place.
    properties = [
        line.replace(f"EnvironmentFile={place}/", f"EnvironmentFile={stage}/") for line in sandbox("\n".join(texts))
    ]
    user = next(line.partition("=")[2] for line in properties if line.startswith("User="))
    data = tempfile.mkdtemp(prefix=f".{task.name}.trial-", dir=ancestors(trial.data_dir)[0])
    mounts = {data: trial.data_dir}
    try:
        shutil.chown(data, user)
        for tree in task.trees:
            if not tree.shared and os.path.isdir(tree.dest):
                # The service reads its configuration under its own user.
                own(stages[tree.name], tree.dir_mode, tree.uid, tree.gid)
                mounts[stages[tree.name]] = tree.dest
                mounts.update(without_section(trial.omit, tree, stages[tree.name], data))
        name = f"emr-monitoring-trial-{task.name}.service"
        said = _run(systemd_run(trial, properties, mounts, name, seconds), trial.ready, name, seconds)
    finally:
        shutil.rmtree(data, ignore_errors=True)
        for copy in mounts:
            if copy.startswith(f"{data}."):
                os.unlink(copy)
    if said is not None:
        # After its reason a program that does not take its flags says which there are.
        usage = next((place for place, line in enumerate(said.lines) if line.startswith("usage:")), None)
        words = "\n".join(f"  {printable(line)}" for line in said.lines[:usage][-LINES_SHOWN:])
        for tree in task.trees:
            words = words.replace(stages[tree.name], tree.dest)
        raise TreeError(f"{trial.unit} would not start: a trial of it {said.end}", mask(words, task.trees))


def without_section(omit: Mapping[str, str], tree: Tree, stage: str, data: str) -> dict[str, str]:
    """Return what the program sees in place of a staged file of which it is not to see a section; none elsewhere."""
    folder, rel = os.path.split(omit.get("file", ""))
    if folder != tree.dest or rel not in tree.files:
        return {}
    copy = f"{data}.{rel}"
    shutil.copy2(f"{stage}/{rel}", copy)
    with open(copy, "r+", encoding="utf-8") as stream:
        text = re.sub(rf"(?ms)^{omit['section']}:.*?(?=^\w|\Z)", "", stream.read())
        stream.seek(0)
        stream.truncate()
        stream.write(text)
    file = tree.files[rel]
    own(copy, file.mode, file.uid, file.gid)
    return {copy: omit["file"]}


@dataclass(frozen=True)
class _Refusal:
    """Why a trial is none: how it ended, and what the program said."""

    end: str
    lines: list[str]


def _run(command: list[str], ready: str, unit: str, seconds: float) -> _Refusal | None:
    """Run until the program says that it is ready, and kill it; return why it never does."""
    lines: list[str] = []
    began = time.monotonic()
    with subprocess.Popen(  # noqa: S603  # the playbook's author chose the command
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C"},
        text=True,
        errors="replace",
    ) as process:
        was_ready = False
        assert process.stdout  # noqa: S101  # as PIPE says
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if ready in line and not was_ready:
                was_ready = True
                # Not stopped: it might take its time to send what it cannot send from there.
                subprocess.run(["systemctl", "kill", "--signal=KILL", unit], capture_output=True, check=False)  # noqa: S603, S607
    late = time.monotonic() - began >= seconds
    end = f"was not ready after {seconds:g} s" if late else "ended before it was ready"
    return None if was_ready else _Refusal(end, lines)
