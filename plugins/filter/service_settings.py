"""The gate of what the services have in common: releases, logins, addresses, limits, flags."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.listen import is_loopback, served_path
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import LOST_SPACE, Written, loses_space
from ansible_collections.emr.monitoring.plugins.test.systemd import systemd_memory_limit

URL = re.compile(r"(https?://[^/?#\s]+(/[^?#\s]*)?)?")
# One that a service itself takes away.
PATH = re.compile(r"(/(?!\.\.?(/|$))[A-Za-z0-9._~-]+)*")
LOGIN = r"(%[0-9A-Fa-f]{2}|[^\s@:/?#%\x00-\x1f\x7f-\U0010ffff])*"
PROXY = re.compile(rf"http://({LOGIN}(:{LOGIN})?@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{{1,5}})?/?")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# The flags of Prometheus and Alertmanager that the roles write.
OWN_FLAGS = {
    "--web.listen-address": "{0}_listen_address and {0}_port",
    "--web.external-url": "{0}_external_url",
    "--web.route-prefix": "{0}_external_url, and monitoring_proxy_keeps_path where no proxy removes its path",
    "--config.file": "{0}_config",
    "--web.config.file": "{0}_username, {0}_password, tls_certificate and tls_key",
    "--storage.tsdb.path": "prometheus_data_dir",
    "--storage.tsdb.retention.time": "prometheus_retention_time",
    "--storage.tsdb.retention.size": "prometheus_retention_size",
    "--storage.path": "alertmanager_data_dir",
    "--cluster.listen-address": "alertmanager_peers and alertmanager_peers_port",
    "--cluster.peer": "alertmanager_peers",
    "--cluster.tls-config": "alertmanager_peers",
    "--collector.systemd.unit-include": "node_exporter_units",
    "--collector.textfile.directory": "node_exporter_textfile_dir",
}
# Flags that nothing is to take the place of.
REFUSED_FLAGS = {
    "--agent": "with which there are no rules, no alerts and nothing that Grafana could ask, for a tenth of the memory",
    "--web.enable-admin-api": "with which whoever can read the metrics can delete them",
    "--storage.remote.flush-deadline": "which the role sets to 5s: with more, a dead endpoint keeps a stop or a reload "
    "waiting, and nothing is scraped meanwhile",
}


def service_problems(settings: Mapping[str, Any], service: str) -> list[str]:
    """Say all that is wrong with those variables of a service that the others have, too.

    :param settings: values by the names of the variables without the service's; one that is not there is not looked at
    :param service: what the names of the variables begin with, without the underscore
    :returns: sentences that name a variable and the remedy and show no password
    """
    problems = [
        *_release_problems(settings, service),
        *_login_problems(settings, service),
        *_flag_problems(settings.get("flags"), service),
    ]
    if not systemd_memory_limit(settings["memory_max"]):
        problems.append(
            f"{service}_memory_max is '{settings['memory_max']}': write it like 1G, 256M or 5%, and 32M or more."
        )
    url = _text(settings.get("external_url"))
    if not URL.fullmatch(url):
        port = {"prometheus": 9090, "alertmanager": 9093, "grafana": 3000}[service]
        problems.append(
            f"{service}_external_url is '{url}'. Write it like https://monitoring.example.com:{port}/, without a query."
        )
    elif not PATH.fullmatch(served_path(url, settings.get("proxy_keeps_path"))):
        problems.append(
            f"{service}_external_url is '{url}', and monitoring_proxy_keeps_path has the service serve below its path: "
            "write that with letters, digits and . _ ~ - alone, as in https://monitoring.example.com/" + service + "/."
        )
    return problems


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _release_problems(settings: Mapping[str, Any], service: str) -> list[str]:
    version, architecture, checksums = settings["version"], settings["architecture"], settings["checksums"] or {}
    known = checksums.get(version)
    if isinstance(known, Mapping) and known.get(architecture):
        return []
    return [
        f"{service}_version is {version}, but {service}_checksums has no sha256 of its {architecture} archive. Add it "
        f"from the sha256sums.txt or the page of that release, or choose one of {', '.join(map(str, checksums))}."
    ]


def _login_problems(settings: Mapping[str, Any], service: str) -> list[str]:
    if "password" not in settings:
        return []
    password, listen = _text(settings["password"]), _text(settings["listen_address"])
    problems = []
    if not password and not is_loopback(listen) and not settings["allow_unauthenticated"]:
        does = {"prometheus": "read the metrics", "alertmanager": "silence the alerts"}[service]
        problems.append(
            f"{service}_password is empty and {service}_listen_address is {listen}: everyone who reaches the node "
            f"could {does}. Set {service}_password, or listen on 127.0.0.1, or allow it with "
            f"{service}_allow_unauthenticated."
        )
    if password and (len(password) < 12 or len(_text(settings["password_salt"])) < 22):
        problems.append(
            f"{service}_password needs 12 characters or more, and {service}_password_salt 22 random letters and digits."
        )
    if password != password.strip() or CONTROL.search(password):
        problems.append(
            f"{service}_password begins or ends with a space, or holds a line break or the like. Choose another one."
        )
    if not re.fullmatch(r"[^:\s]+", _text(settings["username"])):
        problems.append(f"{service}_username is '{settings['username']}': it can hold no colon and no space.")
    return problems


def _flag_problems(flags: Any, service: str) -> list[str]:
    problems = []
    for flag in Written().sequence(f"{service}_flags", flags):
        name = str(flag).partition("=")[0]
        if re.search("[{}]", str(flag)):
            problems.append(f"{service}_flags holds {name}, which has a {{ or }}: no flag can hold one.")
        elif name in OWN_FLAGS:
            instead = OWN_FLAGS[name].format(service)
            problems.append(f"{service}_flags holds {name}, which the role writes: use {instead}.")
        elif name.replace("--no-", "--", 1) in REFUSED_FLAGS:
            why = REFUSED_FLAGS[name.replace("--no-", "--", 1)]
            problems.append(f"{service}_flags holds {name}, {why}: leave it out.")
    return problems


def download_proxy_problems(proxy: Any) -> list[str]:
    """Say what is wrong with the address of the proxy for the downloads; it may hold a login, and is not shown."""
    if _text(proxy) == "" or PROXY.fullmatch(_text(proxy)):
        return []
    return [
        "monitoring_download_proxy is no address of a proxy, and not shown, for it may hold a password: write it like "
        "http://proxy.example.com:3128, with user:password@ before the host where it wants a login, in which "
        "@ : / ? # % are written %40 and the like. A proxy that speaks https or SOCKS itself cannot be used."
    ]


def grafana_login_problems(settings: Mapping[str, Any]) -> list[str]:
    """Say which names and passwords Grafana could not take, or are too short.

    :param settings: values by the names of the variables without ``grafana_``; those of the metrics count where
        ``metrics`` is true
    """
    logins = {
        "admin_password": "admin_user",
        **({"metrics_password": "metrics_username"} if settings["metrics"] else {}),
    }
    problems = []
    for password, user in logins.items():
        value = _text(settings[password])
        if len(value) < 12:
            problems.append(f"grafana_{password} has fewer than 12 characters. Choose a longer one.")
        if CONTROL.search(value):
            problems.append(f"grafana_{password} holds a line break or the like. Choose another one.")
        elif loses_space(value):
            problems.append(f"grafana_{password} {LOST_SPACE}")
        if not re.fullmatch(r"[^:\s$%]+", _text(settings[user])):
            problems.append(f"grafana_{user} is '{settings[user]}': it can hold no space and none of : $ %.")
    return problems


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {
            "download_proxy_problems": download_proxy_problems,
            "grafana_login_problems": grafana_login_problems,
            "service_problems": service_problems,
        }
