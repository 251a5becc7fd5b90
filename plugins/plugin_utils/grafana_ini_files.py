"""Files that grafana.ini names: Grafana starts without many of them, and what they are for is dead."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.certificates import pair_problems
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_input import YES
from ansible_collections.emr.monitoring.plugins.plugin_utils.named_files import below_config, lies_elsewhere

# Keys whose value, if it is a text, is a file, whatever the section is.
FILE = re.compile(
    r"\w+_file|default_home_dashboard_path|license_path|ca_cert_path|client_(cert|key)_path|tls_client_(cert|key|ca)|ha_redis_tls_\w+_path"
)
PAIRS = (("cert_file", "key_file"), ("tls_client_cert", "tls_client_key"), ("client_cert_path", "client_key_path"))
EXPANDED = re.compile(r"\$__file\{([^}]*)\}")
LDAP = "auth.ldap"
LDAP_FILES = ("root_ca_cert", "client_cert", "client_key")


def grafana_ini_file_problems(
    ini: Mapping[str, Mapping[str, Any]], files: Mapping[str, str], dashboards: Collection[str], config_dir: str
) -> list[str]:
    """Say which of the files that a user's grafana.ini names are not there, or not what they have to be.

    :param ini: section -> key -> value, with Grafana's own default where a section needs a file
    :param files: those that the user brings, path below `config_dir` -> text
    :param dashboards: paths of those that come along, below `config_dir`
    :param config_dir: the folder of Grafana's configuration on the node
    """
    sections = {**ini, LDAP: _ldap(ini.get(LDAP, {}), config_dir)}
    problems = []
    for section, settings in sections.items():
        for key, path in _paths(settings):
            where = f"grafana_ini.{section}.{key}"
            below = below_config(path, config_dir)
            if not path.startswith("/"):
                problems.append(
                    f"{where} is {path!r}, which Grafana looks for in its own folder: write the whole path, such as "
                    f"{config_dir}/files/{posixpath.basename(path)}."
                )
            elif below and not any(name == below or name.startswith(f"{below}/") for name in (*files, *dashboards)):
                problems.append(
                    f"{where} is {path!r}, which is not there: bring it by grafana_files, as NAME, and write "
                    f"{config_dir}/files/NAME."
                )
        for pair in PAIRS:
            certificate, private_key = (files.get(below_config(settings.get(key), config_dir)) for key in pair)
            if certificate is not None and private_key is not None:
                names = [f"grafana_ini.{section}.{key} ({settings[key]} in grafana_files)" for key in pair]
                problems += pair_problems(certificate, private_key, *names)
    text = files.get(below_config(sections[LDAP].get("config_file"), config_dir))
    return problems + (_ldap_problems(text, files, config_dir) if text is not None else [])


def grafana_files_elsewhere(
    ini: Mapping[str, Mapping[str, Any]], config_dir: str, read: bool = False
) -> Iterator[tuple[str, str]]:
    """Yield the keys that name a file elsewhere on the node, with its path.

    :param read: whether to name those alone that Grafana certainly reads
    """
    sections = {**ini, LDAP: _ldap(ini.get(LDAP, {}), config_dir)}
    for section, settings in sections.items():
        for key, path in _paths(settings):
            expanded = path != settings[key]
            used = expanded or str(settings.get("enabled", False)) in YES
            if (FILE.fullmatch(str(key)) or expanded) and lies_elsewhere(path, config_dir) and (used or not read):
                yield f"grafana_ini.{section}.{key}", path


def _ldap(settings: Mapping[str, Any], config_dir: str) -> dict[str, Any]:
    """Return the section of LDAP with the file that Grafana reads; nothing while it is off."""
    on = str(settings.get("enabled", False)) in YES
    return {"config_file": f"{config_dir}/ldap.toml", **settings} if on else {}


def _paths(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys that name files, with these."""
    for key, value in settings.items():
        text = value if isinstance(value, str) else ""
        named = EXPANDED.findall(text)
        if named:
            yield from ((key, path) for path in named)
        elif text and "$" not in text and (FILE.fullmatch(str(key)) or text.startswith("/")):
            yield key, text


def _ldap_problems(text: str, files: Mapping[str, str], config_dir: str) -> list[str]:
    """Say for what Grafana would not read an LDAP configuration, without any value of it.

    It replaces variables in it first, after which it may be TOML though it is none now.
    """
    where = "grafana_ini.auth.ldap.config_file"
    try:
        servers = [
            {key.lower(): value for key, value in server.items()}
            for server in _tables(tomllib.loads(text).get("servers"))
        ]
    except tomllib.TOMLDecodeError as error:
        return [] if "$" in text else [f"{where} is no TOML ({error}): correct it in grafana_files."]
    if not servers:
        return [f"{where} has no [[servers]]: Grafana's LDAP needs one. Add it in grafana_files."]
    problems = []
    for number, server in enumerate(servers, 1):
        lacking = [key for key in ("host", "search_filter", "search_base_dns") if not server.get(key)]
        if lacking:
            problems.append(f"{where}, server {number}, has no {', '.join(lacking)}: add it in grafana_files.")
        named = {key: below_config(server.get(key), config_dir) for key in LDAP_FILES}
        for key in (key for key, below in named.items() if below and "$" not in below and below not in files):
            problems.append(f"{where}, server {number}, names with {key} a file that is not there: bring it, too.")
        groups = _tables(server.get("group_mappings"))
        if any(not group.get("org_role") and "grafana_admin" not in group for group in groups):
            problems.append(f"{where}, server {number}, has group_mappings without org_role or grafana_admin: add one.")
    return problems


def _tables(value: Any) -> list[Mapping[str, Any]]:
    """Return the tables of an array of TOML; what is none is left to Grafana, which says so."""
    return [table for table in value if isinstance(table, Mapping)] if isinstance(value, list) else []
