"""Have systemd judge what is added to a staged unit, before anything goes live."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping

from ansible_collections.emr.monitoring.plugins.module_utils.tree import Task, TreeError
from ansible_collections.emr.monitoring.plugins.module_utils.tree_check import OUTPUT_LIMIT, mask, run_check

TREE = "unit"
# Another name than the unit's: that would also bring in what is live.
CHECKED = "emr-monitoring-check-"
CONTINUED = re.compile(r"\\\n\s*")
# Its programs may not be on the node yet.
COMMAND = re.compile(r"^(Exec\w*)=.*$", re.MULTILINE)


def dropins(task: Task, unit: str) -> list[str]:
    """Return the relative paths of the drop-ins that the task brings for a unit."""
    files: Iterable[str] = next((tree.files for tree in task.trees if tree.name == TREE), ())
    return sorted(rel for rel in files if os.path.dirname(rel) == f"{unit}.d" and rel.endswith(".conf"))


def whole_lines(unit: str) -> str:
    """Return a unit's text with each line whole."""
    return CONTINUED.sub(" ", unit)


def read_unit(stage: str, rel: str) -> str:
    """Return the text of a unit or a drop-in in a staged folder."""
    with open(f"{stage}/{rel}", encoding="utf-8") as stream:
        return stream.read()


def check_dropins(task: Task, stages: Mapping[str, str], unit: str) -> None:
    """Raise TreeError with systemd's own words for a drop-in of which systemd would ignore a line."""
    found = dropins(task, unit)
    if not found:
        return
    with tempfile.TemporaryDirectory(prefix="emr-monitoring-") as folder:
        name = f"{CHECKED}{unit}"
        with open(f"{folder}/{name}", "w", encoding="utf-8") as stream:
            stream.write(COMMAND.sub(r"\1=/bin/true", whole_lines(read_unit(stages[TREE], unit))))
        os.mkdir(f"{folder}/{name}.d")
        for rel in found:
            os.symlink(f"{stages[TREE]}/{rel}", f"{folder}/{name}.d/{os.path.basename(rel)}")
        words = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"{folder}/{name}"]
        try:
            status, output = run_check(words, folder, task.check_timeout)
        except OSError as err:
            raise TreeError(f"cannot run `{' '.join(words[:2])}`: {err.strerror}") from err
        output = output.replace(f"{folder}/{name}", f"/etc/systemd/system/{unit}")
        if status != 0:
            raise TreeError(
                f"what is added to {unit} is refused by `systemd-analyze verify`",
                mask(output.replace(name, unit), task.trees)[-OUTPUT_LIMIT:].strip(),
            )
