"""The files of Alertmanager's configuration, made of what the role's variables say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.systemd import systemd_arguments
from ansible_collections.emr.monitoring.plugins.filter.yaml_file import yaml_file
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_input import alertmanager_input
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_peers import (
    KEY,
    alertmanager_peers,
    grouped_by_node,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_sections import (
    alertmanager_sections,
    message_texts,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.collected import collected
from ansible_collections.emr.monitoring.plugins.plugin_utils.named_files import (
    below_config,
    certificate_file_problems,
    missing_files,
    pattern_problems,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.service_files import service_files
from ansible_collections.emr.monitoring.plugins.plugin_utils.unit_options import unit_options
from ansible_collections.emr.monitoring.plugins.plugin_utils.web_configuration import web_files

# What of alertmanager.yml is no secret, and is shown.
HARMLESS = ["route.*", "inhibit_rules.*", "time_intervals.*", "receivers.name", "receivers.*_configs.send_resolved"]


def alertmanager_configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Make all files of the configuration, or say all that is wrong with what was written.

    :param settings: ``written``, see ``alertmanager_input``; ``config_dir``, the folder of all this on the node;
        ``amtool``, the program's path there; ``watchdog_route``, see ``alertmanager_sections``; ``files``, see
        ``service_files``; ``unit``, see ``unit_options``; ``arguments`` of the program; ``peers``, the arguments of
        ``alertmanager_peers`` but for that folder; ``username``, ``password``, ``password_salt``, ``certificate`` and
        ``key``, see ``web_files``
    :returns: ``problems``, a list of sentences; ``files``, path below the configuration's folder -> text, or what
        ``yaml_file`` returns; ``message_checks``, the commands that make each message once, with ``{config}`` for that
        folder; ``secret``, those of a user that no diff shows; ``unit_files``, what is added to the unit;
        ``command_line``, the arguments as systemd reads them; and ``others``, with how many others this Alertmanager
        is a cluster. Where there are problems the files are not whole.
    """
    folder = settings["config_dir"]
    meant = alertmanager_input(settings["written"], f"{folder}/secrets")
    brought = service_files(settings["files"], "alertmanager_files")
    unit = unit_options(**settings["unit"])
    peers = alertmanager_peers(**settings["peers"], config_dir=folder)
    if peers["others"]:
        meant["route"] = grouped_by_node({**meant["route"], "group_by": meant["route"].get("group_by") or ["node"]})
    sections = {**meant["config"], "receivers": meant["receivers"]}
    files = {**meant["secret_files"], **brought["files"]}
    patterns = meant["config"].get("templates") or []
    problems = [
        *(problem for part in (meant, brought, unit, peers) for problem in part["problems"]),
        *pattern_problems("alertmanager_config.templates", patterns, files, folder),
        *certificate_file_problems(sections, files, folder, "alertmanager_files"),
        *_missing(sections, files, folder),
    ]
    return {
        "files": {
            **files,
            **peers["files"],
            "alertmanager.yml": yaml_file(alertmanager_sections(meant, settings["watchdog_route"]), HARMLESS),
            **collected(problems, lambda: web_files(settings, "alertmanager_password"), {}),
        },
        "command_line": collected(
            problems, lambda: systemd_arguments([*settings["arguments"], *peers["arguments"]]), ""
        ),
        "message_checks": _message_checks(settings["amtool"], meant["receivers"], patterns, folder),
        "secret": [*brought["secret"], KEY],
        "others": peers["others"],
        "unit_files": unit["files"],
        "problems": problems,
    }


def _missing(sections: Mapping[str, Any], files: Mapping[str, str], folder: str) -> Iterator[str]:
    for where, path in missing_files(sections, files, folder):
        kind, _, name = path.partition("/")
        if kind == "secrets":
            remedy = f"alertmanager_secrets has no value for {name}: add it there"
        else:
            remedy = "alertmanager_files does not bring it: add it there, as NAME, and write files/NAME"
        yield f"{where} is {folder}/{path}, and {remedy}."


def _message_checks(amtool: str, receivers: Any, patterns: Sequence[str], folder: str) -> list[list[str]]:
    """Return the commands that make each message once: Alertmanager parses none before there is something to tell."""
    staged = [
        f"{{config}}/{below_config(pattern, folder)}" if below_config(pattern, folder) else pattern
        for pattern in patterns
    ]
    # amtool asks for a pattern where there is none, too.
    globs = [f"--template.glob={path}" for path in staged or ["/dev/null"]]
    return [
        [amtool, "template", "render", *globs, f"--template.type={kind}", f"--template.text={text}"]
        for kind, text in message_texts(receivers)
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"alertmanager_configuration": alertmanager_configuration}
