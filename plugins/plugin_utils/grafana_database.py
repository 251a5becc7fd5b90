"""The gate of Grafana's database where it is PostgreSQL, which can stand on another host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.certificates import certificate_chain
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import LOST_SPACE, Written, loses_space

VARIABLE = "grafana_database"
KEYS = ("host", "name", "user", "password", "ssl_mode", "ca")
NEEDED = ("host", "user", "password")
DEFAULTS = {"name": "grafana", "ssl_mode": "verify-full", "ca": ""}
SSL_MODES = ("verify-full", "verify-ca", "require", "disable")
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
LOOPBACK = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?")
PASSWORD = "database_password"  # noqa: S105  # a name
# Not below tls/, which root alone reads.
CA = "database-ca.pem"
CREDENTIALS = "/run/credentials/grafana-server.service"


def grafana_database_files(written: Any, config_dir: str, ini: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Check where Grafana keeps its data, and return what has it do so.

    :param written: what the user wrote into ``grafana_database``; nothing is SQLite on the node
    :param config_dir: path of the folder of Grafana's configuration on the node
    :param ini: sections of the user's own
    :returns: ``ini``, the role's sections; ``files`` by their path below ``config_dir``; and ``problems``, a list of
        sentences, which show no password
    """
    gate = Written()
    given = gate.mapping(VARIABLE, written, secret=True)
    if not given:
        return {"ini": {}, "files": {}, "problems": gate.problems}
    for key in sorted(map(str, given.keys() - set(KEYS))):
        gate.problems.append(f"{VARIABLE}.{key} is not known: it has {', '.join(KEYS)}.")
    database = DEFAULTS | {key: str(gate.text(f"{VARIABLE}.{key}", given[key])) for key in KEYS if key in given}
    gate.problems += _problems(database)
    authority = certificate_chain(database["ca"])
    if "database" in ini:
        gate.problems.append(f"grafana_ini.database and {VARIABLE} say both where the data are: keep one of them.")
    files = {PASSWORD: database.get("password", "")} | ({CA: authority} if authority else {})
    settings = {
        "type": "postgres",
        "host": database.get("host"),
        "name": database["name"],
        "user": database.get("user"),
        # The credential that systemd loads for the unit.
        "password": f"$__file{{{CREDENTIALS}/{PASSWORD}}}",
        "ssl_mode": database["ssl_mode"],
    } | ({"ca_cert_path": f"{config_dir}/{CA}"} if authority else {})
    return {"ini": {"database": settings}, "files": files, "problems": gate.problems}


def _problems(database: Mapping[str, str]) -> list[str]:
    missing = [key for key in NEEDED if not database.get(key)]
    if missing:
        return [f"{VARIABLE} has no {' and no '.join(missing)}: Grafana's PostgreSQL needs {', '.join(NEEDED)}."]
    problems = []
    host, mode = database["host"], database["ssl_mode"]
    if not HOST.fullmatch(host):
        problems.append(f"{VARIABLE}.host is {host!r}: write a name or an address, and a port where it is not 5432.")
    if mode not in SSL_MODES:
        problems.append(f"{VARIABLE}.ssl_mode is {mode!r}: write one of {', '.join(SSL_MODES)}.")
    elif not mode.startswith("verify") and not LOOPBACK.fullmatch(host):
        problems.append(
            f"{VARIABLE}.ssl_mode is {mode!r}, and {VARIABLE}.host is not this node: whoever stands between could read "
            "or change all that Grafana keeps. Use verify-full, with the authority of the server's certificate in "
            f"{VARIABLE}.ca where the node does not know it."
        )
    if re.search(r"[\x00-\x1f\x7f]", database["password"]):
        problems.append(f"{VARIABLE}.password holds a line break or the like. Choose another one.")
    elif loses_space(database["password"]):
        problems.append(f"{VARIABLE}.password {LOST_SPACE}")
    for key in ("name", "user"):
        if re.search(r"[\s$%;#'\"\\]", database[key]):
            problems.append(f"{VARIABLE}.{key} is {database[key]!r}: it can hold no space and none of $ % ; # ' \" \\.")
    if database["ca"] and not certificate_chain(database["ca"]):
        problems.append(f"{VARIABLE}.ca is no certificate: write the PEM text of the authority.")
    return problems
