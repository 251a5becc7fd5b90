"""Scrape jobs as this project writes them: the login of this node's own Prometheus, and passwords in files."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.listen import is_loopback, is_own
from ansible_collections.emr.monitoring.plugins.module_utils.questions_prometheus import duration
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import LOST_SPACE, loses_space

PATH = "__metrics_path__"


def with_self_scrape_settings(
    scrape_configs: Iterable[Mapping[str, Any]], settings: Mapping[str, Any], addresses: Collection[str]
) -> list[Mapping[str, Any]]:
    """Give the jobs that scrape this node's own Prometheus, and nobody else, what that takes.

    What counts is where a job goes to, not how it is called: a login is for the one who issued it.

    :param scrape_configs: jobs in Prometheus' syntax
    :param settings: settings of a job, such as ``basic_auth``; each that the job has itself stays as it is, and a job
        with another kind of login gets none besides
    :param addresses: what ``own_addresses`` returns for this node's own Prometheus
    """
    return [
        {**job, **_lacking(job, settings)} if _goes_to(job, settings, addresses) == {True} else job
        for job in scrape_configs
    ]


def mixed_self_scrapes(
    scrape_configs: Iterable[Mapping[str, Any]], settings: Mapping[str, Any], addresses: Collection[str]
) -> list[str]:
    """Say of each job that scrapes this node's own Prometheus and others why it cannot work, and what to write.

    The parameters are those of ``with_self_scrape_settings``.
    """
    return [
        f"The job {job.get('job_name')!r} in prometheus_scrape_configs scrapes this node's own Prometheus, which takes "
        "its login or its certificate, and others, who must not get them. Write two jobs, one with targets: "
        f'["{_own(job, settings, addresses)}"] alone, and one of another name for the others; or give the job a '
        "basic_auth or an authorization of its own."
        for job in scrape_configs
        if settings and _goes_to(job, settings, addresses) == {True, False} and not _has_login(job)
    ]


def _goes_to(job: Mapping[str, Any], settings: Mapping[str, Any], addresses: Collection[str]) -> set[bool]:
    """Return whether a job goes to this node's own Prometheus, to others, or to both."""
    if _goes_elsewhere(job):
        return {False}
    discovers = any(name.endswith("_sd_configs") for name in job)
    return {is_own(url, addresses) for _, url in _static_targets(job, settings)} | ({False} if discovers else set())


def _goes_elsewhere(job: Mapping[str, Any]) -> bool:
    """Tell whether the address of a target need not be where it is scraped."""
    rules = job.get("relabel_configs") or ()
    labels = [str(rule.get("target_label", "")) for rule in rules]
    moved = any(label == "__address__" or "$" in label for label in labels)
    mapped = any(rule.get("action") == "labelmap" for rule in rules)
    return bool(moved or mapped or job.get("proxy_url") or job.get("proxy_from_environment"))


def _own(job: Mapping[str, Any], settings: Mapping[str, Any], addresses: Collection[str]) -> str:
    return next(target for target, url in _static_targets(job, settings) if is_own(url, addresses))


def _static_targets(job: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the targets of a job with the address below which each of them serves all its pages."""
    path = str({**settings, **job}.get("metrics_path") or "/metrics")
    # One that is made for each target may be any.
    if any(rule.get("target_label") == PATH for rule in job.get("relabel_configs") or ()):
        path = PATH
    for group in job.get("static_configs") or ():
        asked = (group.get("labels") or {}).get(PATH, path)
        yield from ((str(target), f"{target}{asked}".removesuffix("/metrics")) for target in group.get("targets") or ())


def _has_login(job: Mapping[str, Any]) -> bool:
    return not {"basic_auth", "authorization", "oauth2"}.isdisjoint(job)


def with_own_targets(scrape_configs: Iterable[Mapping[str, Any]], port: Any, reached: str) -> list[Mapping[str, Any]]:
    """Have the jobs that scrape this node's own Prometheus by ``localhost`` do so where it listens.

    :param scrape_configs: jobs in Prometheus' syntax
    :param port: its port
    :param reached: ``host:port`` by which the node reaches it
    """
    if reached == f"localhost:{port}":
        return list(scrape_configs)
    local = {f"{host}:{port}" for host in ("localhost", "127.0.0.1", "[::1]")}

    def moved(group: Mapping[str, Any]) -> dict[str, Any]:
        return {**group, "targets": [reached if target in local else target for target in group.get("targets") or ()]}

    return [
        {**job, "static_configs": [moved(group) for group in job["static_configs"]]}
        if job.get("static_configs") and not _goes_elsewhere(job)
        else job
        for job in scrape_configs
    ]


def _lacking(job: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    own = {*job, *(["basic_auth"] if _has_login(job) else [])}
    return {name: value for name, value in settings.items() if name not in own}


def passwords_in_files(config: Any, salt: str) -> dict[str, Any]:
    """Take the passwords of logins out of a configuration, so that it can be shown.

    :param config: a configuration in Prometheus' syntax
    :param salt: random text that goes into the names of the files, so that these give nothing away
    :returns: ``config``, in which each ``basic_auth`` names a file; ``files``, name -> password; and ``problems``, a
        list of sentences
    """
    files: dict[str, str] = {}
    problems: list[str] = []

    def without_passwords(part: Any, name: str = "", where: str = "") -> Any:
        if isinstance(part, Mapping):
            inside = f"job {part['job_name']}" if "job_name" in part else where or name
            shown = in_file(part, inside) if name == "basic_auth" and "password" in part else part
            return {key: without_passwords(value, key, inside) for key, value in shown.items()}
        return [without_passwords(value, name, where) for value in part] if isinstance(part, list | tuple) else part

    def in_file(login: Mapping[str, Any], where: str) -> dict[str, Any]:
        password = str(login["password"])
        if loses_space(password):
            problems.append(f"The password in basic_auth of {where} {LOST_SPACE}")
        # Another password has another name, for the reload to see it.
        file = f"password-{hashlib.sha256(f'{salt}{password}'.encode()).hexdigest()[:8]}"
        files[file] = password
        return {key: value for key, value in login.items() if key != "password"} | {"password_file": file}

    return {"config": without_passwords(config), "files": files, "problems": problems}


def static_targets(scrape_configs: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return what is known beforehand of the targets of each job.

    :param scrape_configs: jobs in Prometheus' syntax
    :returns: name of the job -> its static targets, each ``address`` and ``labels``; none for what is discovered
    """
    return {
        str(job["job_name"]): [
            {
                "address": str(address),
                "labels": {name: str(value) for name, value in (group.get("labels") or {}).items()},
            }
            for group in job.get("static_configs") or []
            for address in group.get("targets") or []
        ]
        for job in scrape_configs
    }


def asks_this_node_alone(job: Mapping[str, Any]) -> bool:
    """Tell whether each node on which a job runs scrapes itself by it, as far as that is known beforehand."""
    (targets,) = static_targets([job]).values()
    discovers = any(str(name).endswith("_sd_configs") for name in job)
    return not discovers and all(is_local(target["address"]) for target in targets)


def is_local(address: str) -> bool:
    """Tell whether the address of a target, ``host`` or ``host:port``, is one by which each node reaches itself."""
    host = address.rpartition(":")[0] or address
    return is_loopback(host.strip("[]"))


def discoveries(scrape_configs: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the jobs that discover targets -> the seconds between two questions, of the one that asks seldom most.

    :param scrape_configs: jobs in Prometheus' syntax
    """
    found = {
        str(job["job_name"]): [
            _refresh(each)
            for name, value in job.items()
            # What is no list of mappings promtool refuses, in its own words.
            if name.endswith("_sd_configs") and isinstance(value, list | tuple)
            for each in value
            if isinstance(each, Mapping)
        ]
        for job in scrape_configs
    }
    return {job: max(refreshes) for job, refreshes in found.items() if refreshes}


def _refresh(discovery: Mapping[str, Any]) -> float:
    return duration(str(discovery.get("refresh_interval") or "60s"))
