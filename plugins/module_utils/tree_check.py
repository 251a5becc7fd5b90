"""Have a service's own checker judge staged trees."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from ansible_collections.emr.monitoring.plugins.module_utils.tree import File, Task, Tree, TreeError

OUTPUT_LIMIT = 10_000
NOT_FOUND = 127  # what timeout(1), env(1) and the shell return for a program that is not there


# The dashes of a list's item, and what is long enough to be told from a word of the checker's own.
ITEM = re.compile(r"^\s*(?:- )*")
LONG = re.compile(r".{4}")


def hidden_parts(file: File) -> Iterator[str]:
    """What of a secret file no output may show: its lines, the values in them, and the pieces of an address."""
    content = file.content.decode("utf-8", "replace")
    lines = content.split("\n")
    shown_as = file.shown.split("\n") if file.shown is not None else []
    harmless = {line for line, whole in zip(shown_as, lines) if line == whole} if len(shown_as) == len(lines) else ()
    for line in lines:
        if line not in harmless:
            item = ITEM.sub("", line).strip(" \t\r")
            for part in [item, *re.split("[:=]", item, maxsplit=1)[1:]]:
                value = unquoted(part.strip(" \t\r"))
                yield value
                # Whoever cannot parse an address quotes the piece at which he stopped.
                yield from filter(LONG.match, re.split(r"[/:@?&=#]", value) if "://" in value else [])


def unquoted(scalar: str) -> str:
    """The value that a scalar of a YAML file stands for."""
    if scalar.startswith('"'):
        with suppress(ValueError):
            return str(json.loads(scalar))
    return scalar[1:-1].replace("''", "'") if scalar.startswith("'") else scalar


def mask(output: str, trees: Sequence[Tree]) -> str:
    """Take what secret files hold out of a check's output.

    YAML parsers quote a value's first 7 characters and "...", so these go too. What is short goes as a whole word,
    and what is shorter than 4 characters only where it is quoted: it would take half of the output with it.
    """
    names = {name for tree in trees for rel in tree.files for name in (rel, f"{tree.dest}/{rel}")}
    parts = {
        part
        for tree in trees
        for file in tree.files.values()
        if file.secret
        for text in hidden_parts(file)
        for part in text.split("\n")
        # A configuration names what comes along with it.
        if part not in names
    }
    for part in sorted(filter(None, parts), key=len, reverse=True):
        word = re.escape(part)
        if len(part) > 7:
            pattern = f"{word}|{re.escape(part[:7])}\\.\\.\\."
        else:
            pattern = rf"(?<![\w-]){word}(?![\w-])" if len(part) > 3 else rf"(?<=[`\"']){word}(?=[`\"'])"
        output = re.sub(pattern, "[secret]", output)
    return output


def run_check(words: Sequence[str], cwd: str, timeout: float) -> tuple[int | None, str]:
    """Run a command; returns its status, None if it took more than `timeout` seconds, and its output.

    Raises OSError if it cannot be started.
    """
    with subprocess.Popen(  # noqa: S603  # the playbook's author chose the command
        words,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            output, status = process.communicate(timeout=timeout)[0], process.returncode
        except subprocess.TimeoutExpired:
            # Its children too: one that keeps the pipe open would make us wait for ever.
            os.killpg(process.pid, signal.SIGKILL)
            output, status = process.communicate()[0], None
    return status, output.decode("utf-8", "replace")


def run_checks(task: Task, stages: Mapping[str, str], check: bool) -> list[str]:
    """Run the task's checks on the staged trees; returns warnings. Raises TreeError if one fails."""
    warnings = []
    for command, about, tolerated in task.checks:
        words, meant = list(command), " ".join(command)
        for tree in task.trees:
            words = [word.replace(f"{{{tree.name}}}", stages[tree.name]) for word in words]
            meant = meant.replace(f"{{{tree.name}}}", tree.dest)
        try:
            status, output = run_check(words, stages[task.trees[0].name], task.check_timeout)
        except OSError as err:
            if not (check and isinstance(err, FileNotFoundError)):
                raise TreeError(f"cannot run `{meant}`: {err.strerror}") from err
            status = NOT_FOUND
        if check and status == NOT_FOUND:
            warnings.append(f"{task.name}: `{meant}` was skipped: its program is not on the node yet")
        elif status != 0 and not (tolerated and re.search(tolerated, output)):
            for tree in task.trees:
                output = output.replace(stages[tree.name], tree.dest)
            why = "" if status is not None else f" (it took more than {task.check_timeout} seconds)"
            raise TreeError(
                f"{about or f'refused by `{meant}`'}{why}", mask(output, task.trees)[-OUTPUT_LIMIT:].strip()
            )
    return warnings
