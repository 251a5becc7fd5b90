"""The files of Alertmanager's configuration, made of what the role's variables say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.systemd import systemd_arguments
from ansible_collections.emr.monitoring.plugins.filter.yaml_file import yaml_file
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_input import alertmanager_input
from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_sections import alertmanager_sections
from ansible_collections.emr.monitoring.plugins.plugin_utils.collected import collected
from ansible_collections.emr.monitoring.plugins.plugin_utils.service_files import service_files
from ansible_collections.emr.monitoring.plugins.plugin_utils.unit_options import unit_options
from ansible_collections.emr.monitoring.plugins.plugin_utils.web_configuration import web_files

# What of alertmanager.yml is no secret, and is shown.
HARMLESS = ["route.*", "inhibit_rules.*", "time_intervals.*", "receivers.name", "receivers.*_configs.send_resolved"]


def alertmanager_configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Make all files of the configuration, or say all that is wrong with what was written.

    :param settings: ``written`` and the folder ``secrets_dir``, see ``alertmanager_input``; ``watchdog_route``, see
        ``alertmanager_sections``; ``files``, see ``service_files``; ``unit``, see ``unit_options``; ``arguments`` of
        the program; ``username``, ``password``, ``password_salt``, ``certificate`` and ``key``, see ``web_files``
    :returns: ``problems``, a list of sentences; ``files``, path below the configuration's folder -> text, or what
        ``yaml_file`` returns; ``secret``, those of a user that no diff shows; ``unit_files``, what is added to the
        unit; and ``command_line``, the arguments as systemd reads them. Where there are problems the files are not
        whole.
    """
    meant = alertmanager_input(settings["written"], settings["secrets_dir"])
    brought = service_files(settings["files"], "alertmanager_files")
    unit = unit_options(**settings["unit"])
    problems = [*meant["problems"], *brought["problems"], *unit["problems"]]
    return {
        "files": {
            **meant["secret_files"],
            **brought["files"],
            "alertmanager.yml": yaml_file(alertmanager_sections(meant, settings["watchdog_route"]), HARMLESS),
            **collected(problems, lambda: web_files(settings, "alertmanager_password"), {}),
        },
        "command_line": collected(problems, lambda: systemd_arguments(settings["arguments"]), ""),
        "secret": brought["secret"],
        "unit_files": unit["files"],
        "problems": problems,
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"alertmanager_configuration": alertmanager_configuration}
