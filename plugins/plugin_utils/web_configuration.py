"""The web configuration of Prometheus and Alertmanager: who may ask them, and by which protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.yaml_file import yaml_file
from ansible_collections.emr.monitoring.plugins.plugin_utils.bcrypt_hash import bcrypt_hash

CERTIFICATE, KEY = "tls/certificate.pem", "tls/key.pem"
HARMLESS = ["http_server_config.*", "tls_server_config.*"]


def web_files(settings: Mapping[str, Any], variable: str) -> dict[str, Any]:
    """Return the files of a web configuration, which the program reads at each request, as it does the certificate.

    There is no Strict-Transport-Security: it would count for every port of the node, and EMR's own pages speak HTTP.

    :param settings: ``username``, ``password`` (empty: no login) and ``password_salt``; ``certificate`` and ``key``,
        PEM text or empty
    :param variable: name of the password's variable, for errors
    :returns: path below the configuration's folder -> text, or what ``yaml_file`` returns
    :raises AnsibleFilterError: the password cannot be hashed
    """
    web: dict[str, Any] = {
        "http_server_config": {"headers": {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "deny"}}
    }
    if password := settings["password"]:
        hashed = bcrypt_hash(password, settings["password_salt"], variable)
        web["basic_auth_users"] = {settings["username"]: hashed}
    if settings["certificate"]:
        web["tls_server_config"] = {"cert_file": CERTIFICATE, "key_file": KEY, "min_version": "TLS12"}
    return {"web.yml": yaml_file(web, HARMLESS), **pair_files(settings)}


def pair_files(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a service's certificate and key; none where ``certificate`` is empty."""
    return {CERTIFICATE: settings["certificate"], KEY: settings["key"]} if settings["certificate"] else {}
