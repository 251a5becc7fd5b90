"""The files of Alertmanager's configuration, made of what the role's variables say."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.systemd import systemd_arguments
from ansible_collections.emr.monitoring.plugins.filter.yaml_file import yaml_file
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_input import URL, alertmanager_input
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_peers import (
    KEY,
    alertmanager_peers,
    alertmanager_targets,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_sections import (
    alertmanager_sections,
    message_texts,
    without_route,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.collected import collected
from ansible_collections.emr.monitoring.plugins.plugin_utils.named_files import (
    below_config,
    certificate_file_problems,
    elsewhere_problems,
    file_checks,
    files_elsewhere,
    lies_elsewhere,
    missing_files,
    named_files,
    pattern_problems,
    whole_paths,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.service_files import service_files
from ansible_collections.emr.monitoring.plugins.plugin_utils.unit_options import unit_options
from ansible_collections.emr.monitoring.plugins.plugin_utils.web_configuration import pair_files, web_files

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
        ``yaml_file`` returns; ``checks``, those of the module ``service`` that files are there and that each message
        can be made; ``secret``, those of a user that no diff shows; ``unit_files``, what is added to the unit;
        ``command_line``, the arguments as systemd reads them; ``others``, with how many others this Alertmanager is a
        cluster; and ``without_route``, the receivers that nothing leads to. Where there are problems the files are not
        whole.
    """
    folder = settings["config_dir"]
    meant = alertmanager_input(settings["written"], f"{folder}/secrets")
    brought = service_files(settings["files"], "alertmanager_files")
    unit = unit_options(**settings["unit"])
    # By itself Alertmanager looks for most of them in the folder that it was started in.
    meant |= {part: whole_paths(meant[part], folder) for part in ("receivers", "config")}
    peers = alertmanager_peers(**settings["peers"], config_dir=folder)
    sections = {**meant["config"], "receivers": meant["receivers"]}
    whole = alertmanager_sections(meant, settings["watchdog_route"])
    files = {**meant["secret_files"], **brought["files"], **pair_files(settings)}
    patterns = meant["config"].get("templates") or []
    elsewhere = [*files_elsewhere(sections, folder)]
    templates = [("alertmanager_config.templates", str(path)) for path in patterns if lies_elsewhere(path, folder)]
    problems = [
        *elsewhere_problems([*elsewhere, *templates], "alertmanager", settings["unit"]["dropin"]),
        *(problem for part in (meant, brought, unit, peers) for problem in part["problems"]),
        *pattern_problems("alertmanager_config.templates", patterns, files, folder),
        *certificate_file_problems(sections, files, folder, "alertmanager_files"),
        *_missing(sections, files, folder),
        *_wrong_addresses(sections, files, folder),
    ]
    return {
        "files": {
            **files,
            **peers["files"],
            "alertmanager.yml": yaml_file(whole, HARMLESS),
            **collected(problems, lambda: web_files(settings, "alertmanager_password"), {}),
        },
        "command_line": collected(
            problems, lambda: systemd_arguments([*settings["arguments"], *peers["arguments"]]), ""
        ),
        "checks": [
            *file_checks(elsewhere, "alertmanager", settings["unit"]["dropin"]),
            *_message_checks(settings["amtool"], meant["receivers"], patterns, folder),
        ],
        "secret": [*brought["secret"], KEY],
        "others": peers["others"],
        "without_route": without_route(whole),
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


def _wrong_addresses(sections: Mapping[str, Any], files: Mapping[str, str], folder: str) -> Iterator[str]:
    """Say which files hold no address where one is read; what they hold may be a secret."""
    for where, path in named_files(sections, folder):
        if where.endswith("url_file") and path in files and not URL.match(files[path].strip()):
            yield f"{where} is {folder}/{path}, which holds no address: begin it with http:// or https://."


def _message_checks(
    amtool: str, receivers: Any, patterns: Sequence[str], folder: str
) -> list[dict[str, list[str] | str]]:
    """Return the checks that make each message once: Alertmanager parses none before there is something to tell.

    What a function says of amtool's own alert, such as that it is too short, it need not say of another one.
    """
    staged = [
        f"{{config}}/{below}" if (below := below_config(pattern, folder)) else posixpath.join(folder, pattern)
        for pattern in patterns
    ]
    # amtool asks for a pattern where there is none, too.
    globs = [f"--template.glob={path}" for path in staged or ["/dev/null"]]
    return [
        {
            "command": [amtool, "template", "render", *globs, f"--template.type={kind}", f"--template.text={text}"],
            "about": f"alertmanager_receivers, {where} is a message that Alertmanager could not make",
            "tolerated": "error calling ",
        }
        for where, kind, text in message_texts(receivers)
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"alertmanager_configuration": alertmanager_configuration, "alertmanager_targets": alertmanager_targets}
