"""The gate of what a user adds to a service's unit: its environment and a drop-in, as they are live or refused."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

UNIT_FOLDER = "/etc/systemd/system"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DIRECTIVE = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# systemd.exec(5): what it tells a process. What a file of an environment holds would win.
SYSTEMDS_OWN = re.compile(
    "MAINPID|MANAGERPID|NOTIFY_SOCKET|LISTEN_.*|WATCHDOG_.*|CREDENTIALS_DIRECTORY|INVOCATION_ID|JOURNAL_STREAM|"
    "SYSTEMD_.*|SERVICE_RESULT|EXIT_CODE|EXIT_STATUS|MONITOR_.*|MEMORY_PRESSURE_.*|FDSTORE"
)
ROLES = "the role's own, on which its questions and its way back rely: leave it out"
# What of a unit is not a user's to say, and what to use instead.
OWN_DIRECTIVES = {
    "Unit": {"RefuseManualStart": ROLES, "RefuseManualStop": ROLES},
    "Service": {
        **dict.fromkeys(
            ("Type", "ExitType", "RemainAfterExit", "PIDFile", "BusName", "User", "Group", "DynamicUser"), ROLES
        ),
        **dict.fromkeys(("ExecStart", "ExecReload"), "the role's own: use {0}_flags for a flag"),
        **dict.fromkeys(("RootDirectory", "RootImage", "WorkingDirectory"), ROLES),
        **dict.fromkeys(("MemoryMax", "MemoryLimit"), "what another variable says: use {0}_memory_max"),
        "Environment": "readable by everyone on the node: use {0}_environment",
        **dict.fromkeys(
            ("SetCredential", "SetCredentialEncrypted"), "readable by everyone on the node: use LoadCredential"
        ),
    },
}
# Lists to which the role's unit adds, too: nothing in one of them would take that away.
OWN_LISTS = {"EnvironmentFile", "LoadCredential", "ReadWritePaths", "ExecStartPre", "RequiresMountsFor"}
# The directives whose value is no secret, and is shown.
HARMLESS = (
    *("After", "Before", "Wants", "Requires*", "BindsTo", "PartOf", "Description", "Documentation"),
    *("CPU*", "IO*", "Limit*", "Memory*", "Tasks*", "OOM*", "Nice", "Slice", "Restart*", "Timeout*", "RuntimeMaxSec"),
    *("Protect*", "Private*", "Restrict*", "SystemCall*", "*Capabilit*", "ReadOnlyPaths", "ReadWritePaths"),
    *("InaccessiblePaths", "IPAddress*", "SupplementaryGroups", "NoNewPrivileges", "UMask", "EnvironmentFile"),
)
HIDDEN = "(not shown)"


def unit_options(service: str, unit: str, environment: Any, dropin: Any) -> dict[str, Any]:
    """Check what a user adds to a unit, and return its files.

    :param service: what the names of the variables begin with, without the underscore
    :param unit: the unit, with its suffix
    :param environment: name -> text, the process' environment
    :param dropin: section -> directive -> value, or a list of values, in systemd's own syntax
    :returns: ``files``, path below the folder of the units -> ``content`` and ``shown``, what a diff may show of it;
        and ``problems``, a list of sentences
    """
    gate = Written()
    variables = _environment(gate, service, environment)
    sections = _sections(gate, service, dropin)
    folder = f"{unit}.d"
    file = f"{folder}/emr-monitoring.environment"
    lines = [("[Service]", "[Service]"), *[(f"EnvironmentFile={UNIT_FOLDER}/{file}",) * 2]] if variables else []
    for section, directives in sections.items():
        lines.append((f"[{section}]",) * 2)
        for directive, value in directives:
            known = any(fnmatch.fnmatchcase(directive, pattern) for pattern in HARMLESS)
            lines.append((f"{directive}={value}", f"{directive}={value if known else HIDDEN}"))
    files = {f"{folder}/emr-monitoring.conf": _file(lines)} if lines else {}
    if variables:
        files[file] = _environment_file(variables)
    return {"files": files, "problems": gate.problems}


def _file(lines: list[tuple[str, str]]) -> dict[str, str]:
    header = "# Ansible managed"
    return {
        "content": "\n".join([header, *(line for line, _ in lines), ""]),
        "shown": "\n".join([header, *(shown for _, shown in lines), ""]),
    }


def _environment_file(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the file as systemd reads it: within double quotes a line break is itself (systemd.exec(5))."""
    lines = []
    for name, value in variables.items():
        quoted = re.sub(r'(["\\`$])', r"\\\1", value)
        first, *more = f'{name}="{quoted}"'.split("\n")
        lines += [(first, f"{name}={HIDDEN}"), *((line, HIDDEN) for line in more)]
    return _file(lines)


def _environment(gate: Written, service: str, value: Any) -> dict[str, str]:
    variable = f"{service}_environment"
    found = {}
    for name, item in gate.mapping(variable, value, secret=True).items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            gate.problems.append(
                f"{variable} holds {str(name)!r}, which can be no name: write letters, digits and _, no digit first, "
                "in quotes where YAML takes it for something else (on, yes)."
            )
        elif SYSTEMDS_OWN.fullmatch(name):
            gate.problems.append(f"{variable} holds {name}, which systemd itself sets: leave it out.")
        elif service == "grafana" and name.startswith("GF_"):
            gate.problems.append(
                f"{variable} holds {name}, which would overrule the configuration: use grafana_ini, whose values no "
                "diff shows either."
            )
        else:
            text = gate.text(f"{variable}.{name}", item)
            if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
                gate.problems.append(f"{variable}.{name} holds what is no text: no environment can hold it.")
            found[str(name)] = str(text)
    return found


def _sections(gate: Written, service: str, value: Any) -> dict[str, list[tuple[str, str]]]:
    variable = f"{service}_unit_dropin"
    found: dict[str, list[tuple[str, str]]] = {}
    for section, directives in gate.mapping(variable, value, secret=True).items():
        if section not in OWN_DIRECTIVES:
            gate.problems.append(f"{variable} holds the section {str(section)!r}: it can hold Unit and Service alone.")
            continue
        where = f"{variable}.{section}"
        lines = [
            (str(directive), text)
            for directive, item in gate.mapping(where, directives, secret=True).items()
            for text in _directive(gate, service, str(section), directive, item)
        ]
        if lines:
            found[str(section)] = lines
    return found


def _directive(gate: Written, service: str, section: str, directive: Any, value: Any) -> Iterator[str]:
    """Yield what is to stand behind a directive, once for each line; nothing takes away what stood there before."""
    variable = f"{service}_unit_dropin.{section}"
    where = f"{variable}.{directive}"
    if not isinstance(directive, str) or not DIRECTIVE.fullmatch(directive):
        gate.problems.append(f"{variable} holds {str(directive)!r}, which is no directive: write letters alone.")
        return
    own = OWN_DIRECTIVES[section].get(directive)
    if own:
        # Grafana takes no flags.
        own = ROLES if service == "grafana" and "_flags" in own else own
        gate.problems.append(f"{where} is {own.format(service)}.")
        return
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, bool):
            yield "yes" if item else "no"
            continue
        if isinstance(item, Mapping | list | tuple):
            gate.refuse(where, item, "write one text, or a list of them", secret=True)
            continue
        text = "" if item is None else str(gate.scalar(where, item)).strip()
        if not text and directive in OWN_LISTS:
            gate.problems.append(f"{where} is empty, which would take away what the role's unit needs: leave it out.")
        elif not text.isprintable() or text.endswith("\\"):
            gate.problems.append(f"{where} holds a line break, or goes on in the next line: write it on one line.")
        else:
            yield text
