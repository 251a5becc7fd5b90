"""The gate of files that a service reads beside its configuration: what a user wrote is what goes live."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

PART = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
NAME = re.compile(rf"{PART}(/{PART})*")
REMEDY = "write a path below the folder of letters, digits and . _ -, such as templates/mail.tmpl"
ALERTING = "alerting/"
ALERTING_FILE = re.compile(r"[^/]+\.(ya?ml|json)")
# What the role itself provisions.
ELSEWHERE = {
    "provisioning": "alerting/NAME for alerting, and the variables of data sources, dashboards and plugins for those",
    "datasources": "grafana_further_datasources",
    "plugins": "grafana_plugins",
}
# Grafana complains at each start where there is no file in that folder, so that the role has one.
TAKEN = {"provisioning/alerting/alerting.yml"}


def service_files(value: Any, variable: str) -> dict[str, Any]:
    """Check the files that a user brings, and return them as they go live.

    :param value: path below the folder -> text, or ``content`` with ``secret: false`` for a text that may be shown; or
        a folder on the controller, of which every file is taken but hidden ones
    :param variable: the name of the variable, for errors
    :returns: ``files``, path below the service's configuration -> text; ``secret``, those of the paths that no diff
        shows; and ``problems``, a list of sentences
    """
    gate = Written()
    files: dict[str, str] = {}
    shown: set[str] = set()
    for name, item in _given(gate, variable, value):
        where = f"{variable}.{name}"
        meant = item if isinstance(item, Mapping) else {"content": item}
        if set(meant) - {"content", "secret"} or "content" not in meant:
            gate.refuse(where, item, "write its text, or content with secret: false", secret=True)
            continue
        if "secret" in meant:
            gate.truth(f"{where}.secret", meant["secret"])
        path = _path(variable, name)
        if variable == "grafana_files":
            gate.problems += _unread(name)
        if path in TAKEN:
            gate.problems.append(f"{variable} holds {name}, which the role writes: choose another name.")
        files[path] = gate.text(where, meant["content"])
        # What says neither was refused above.
        if not boolean(meant.get("secret", True), strict=False):
            shown.add(path)
    return {"files": files, "secret": sorted(files.keys() - shown), "problems": gate.problems}


def _unread(name: str) -> Iterator[str]:
    """Say of a file of Grafana's provisioning that Grafana would not read it there."""
    folder, _, rest = name.partition("/")
    if folder in ELSEWHERE and rest:
        yield f"grafana_files holds {name}, which Grafana would not read: use {ELSEWHERE[folder]}."
    elif folder == "alerting" and rest and not ALERTING_FILE.fullmatch(rest):
        yield (
            f"grafana_files holds {name}, which Grafana would not read: write alerting/NAME.yml, .yaml or .json, "
            "without a subfolder."
        )


def _path(variable: str, name: str) -> str:
    """Return where a file lies: what Grafana is to alert about is found in one place alone."""
    alerting = variable == "grafana_files" and name.startswith(ALERTING)
    return f"provisioning/{name}" if alerting else f"files/{name}"


def _given(gate: Written, variable: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each file's path below the folder, and what was written of it."""
    folder = isinstance(value, str) and value != ""
    for name, item in _in_folder(gate, variable, Path(value)) if folder else gate.mapping(variable, value).items():
        if isinstance(name, str) and NAME.fullmatch(name):
            yield str(name), item
        else:
            gate.problems.append(f"{variable} holds {str(name)!r}, which can be no file: {REMEDY}.")


def _in_folder(gate: Written, variable: str, folder: Path) -> Iterator[tuple[str, str]]:
    folder = folder.expanduser()
    found = 0
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if path.is_dir() or any(part.startswith(".") for part in below.parts):
            continue
        found += 1
        try:
            # Not read_text: it would change the line ends.
            yield str(below), path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            gate.problems.append(f"{variable}: {path} cannot be read ({error}): make it a readable file in UTF-8.")
    if not found:
        gate.problems.append(f"{variable} is {str(folder)!r}, which is no folder with a file in it: add one.")
