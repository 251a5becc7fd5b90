"""The files of Grafana's configuration and provisioning, made of what the role's variables say."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from ansible.utils.vars import merge_hash
from ansible_collections.emr.monitoring.plugins.filter.yaml_file import yaml_file
from ansible_collections.emr.monitoring.plugins.plugin_utils.collected import collected
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_dashboards import grafana_dashboards
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_database import PASSWORD, grafana_database_files
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_ini import grafana_ini_file
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_ini_files import (
    grafana_files_elsewhere,
    grafana_ini_file_problems,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_input import (
    ATTEMPTS,
    grafana_input,
    ini_sections,
    is_boolean,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_plugins import grafana_plugins, path_problems
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_sources import grafana_sources
from ansible_collections.emr.monitoring.plugins.plugin_utils.named_files import (
    elsewhere_problems,
    presence_checks,
    reading_checks,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.service_files import service_files
from ansible_collections.emr.monitoring.plugins.plugin_utils.unit_options import unit_options
from ansible_collections.emr.monitoring.plugins.plugin_utils.web_configuration import KEY, pair_files
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

# What of the data sources is no secret, and is shown: an address can hold a token, and jsonData anything.
HARMLESS_SOURCES = [
    *("apiVersion", "prune"),
    *(f"datasources.{key}" for key in ("name", "uid", "type", "access", "isDefault", "basicAuth")),
]
METRICS_PASSWORD = "metrics_password"  # noqa: S105  # a name


def grafana_configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Make all files of the configuration and the provisioning, or say all that is wrong with what was written.

    :param settings: ``written``, see ``grafana_input`` and ``grafana_sources``; ``ini``, the role's own sections;
        ``providers`` of dashboards; ``dashboards``, the keywords of ``grafana_dashboards``; ``files``, see
        ``service_files``; ``plugins``, the arguments of ``grafana_plugins``; ``database``, see
        ``grafana_database_files``, and ``config_dir``, the folder of all this on the node; ``unit``, see
        ``unit_options``; ``certificate`` and ``key``, PEM text or empty; ``metrics_password``, empty where Grafana's
        own metrics are off
    :returns: ``problems``, a list of sentences; ``files`` and ``datasources``, path below their folder -> text, or what
        ``yaml_file`` returns; ``secret``, those of ``files`` that no diff shows; ``unit_files``, what is added to the
        unit; ``dashboards``, see ``grafana_dashboards``; ``source_uids``; ``ini_keys``, see ``ignored_settings``;
        ``plugins``, and ``plugin_versions`` by their names; ``checks`` of the module ``service``, that files are
        there; and ``attempts``, with how many wrong passwords Grafana locks a user. Where there are problems the files
        are not whole.
    """
    written = settings["written"]
    meant = grafana_input(written)
    sources = grafana_sources(written)
    brought = service_files(settings["files"], "grafana_files")
    unit = unit_options(**settings["unit"])
    plugins = grafana_plugins(settings["plugins"]["written"], settings["plugins"]["folder"])
    database = grafana_database_files(settings["database"], settings["config_dir"], meant["ini"])
    elsewhere = [*grafana_files_elsewhere(meant["ini"], settings["config_dir"])]
    read = [*grafana_files_elsewhere(meant["ini"], settings["config_dir"], read=True)]
    problems = [
        *elsewhere_problems(read, "grafana", settings["unit"]["dropin"]),
        *(problem for part in (meant, sources, brought, unit, plugins, database) for problem in part["problems"]),
        *path_problems(plugins["ini"], meant["ini"]),
    ]
    dashboards: dict[str, Any] = collected(
        problems,
        lambda: grafana_dashboards(meant["dashboards_dirs"], sources["sources"], **settings["dashboards"]),
        {"files": {}, "folders": {}, "uids": {}, "notes": []},
    )
    pages = [f"dashboards/{name}" for name in dashboards["files"]]
    problems += grafana_ini_file_problems(meant["ini"], brought["files"], pages, settings["config_dir"])
    own = {**settings["ini"], **database["ini"], **plugins["ini"]}
    ini = merge_hash(own, meant["ini"])
    section, _, attempts = ATTEMPTS.partition(".")
    # Not beside the other credentials: another password restarts the service, as all of the configuration does.
    password = {METRICS_PASSWORD: settings["metrics_password"]} if settings["metrics_password"] else {}
    return {
        "files": {
            **brought["files"],
            **collected(problems, lambda: {"grafana.ini": grafana_ini_file(ini, own)}, {}),
            "provisioning/dashboards/dashboards.yml": yaml_file(settings["providers"], ["*"]),
            # Grafana complains at each start where these folders are missing.
            "provisioning/alerting/alerting.yml": yaml_file({"apiVersion": 1}, ["*"]),
            "provisioning/plugins/plugins.yml": yaml_file({"apiVersion": 1}, ["*"]),
            **pair_files(settings),
            **password,
            **database["files"],
        },
        "secret": [KEY, METRICS_PASSWORD, PASSWORD, *brought["secret"]],
        "unit_files": unit["files"],
        "datasources": {
            "datasources.yml": yaml_file(
                {"apiVersion": 1, "prune": True, "datasources": sources["sources"]}, HARMLESS_SOURCES
            )
        },
        "dashboards": dashboards,
        "source_uids": [source.get("uid") for source in sources["sources"]],
        "ini_keys": {
            section: {key: is_boolean(value) for key, value in keys.items()} for section, keys in meant["ini"].items()
        },
        "plugins": plugins["plugins"],
        "plugin_versions": {plugin["name"]: plugin["version"] for plugin in plugins["plugins"]},
        "checks": [*presence_checks(elsewhere), *reading_checks(read, "grafana", settings["unit"]["dropin"])],
        "attempts": meant["ini"].get(section, {}).get(attempts, 5),
        "problems": problems,
    }


def grafana_database(ini: Any, data_dir: str, elsewhere: Any) -> str:
    """Return the path of Grafana's SQLite database, empty where it has another one.

    :param ini: what the user wrote into ``grafana_ini``, right or wrong
    :param elsewhere: what he wrote into ``grafana_database``
    """
    if elsewhere:
        return ""
    database = ini_sections(Written(), ini).get("database", {})
    if database.get("type", "sqlite3") != "sqlite3" or "url" in database:
        return ""
    return posixpath.join(data_dir, str(database.get("path", "grafana.db")))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"grafana_configuration": grafana_configuration, "grafana_database": grafana_database}
