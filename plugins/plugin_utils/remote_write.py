"""The gate of remote_write: where metrics are sent to, as it was written, or all that is wrong with it."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ansible_collections.emr.monitoring.plugins.filter.listen import is_loopback
from ansible_collections.emr.monitoring.plugins.plugin_utils.remote_files import (
    AWS_FILE,
    IN_FILES,
    at,
    aws_credentials,
    in_files,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.scrape_jobs import is_local
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import LOST_SPACE, Written, kind, loses_space

VARIABLE = "prometheus_remote_write"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
HEADER = re.compile(r"[A-Za-z0-9._-]+")
TEXT = {
    "url", "token_url", "proxy_url", "no_proxy", "server_name", "ca", "cert", "key", "client_certificate_key",
    "access_key", "secret_key", "profile", "role_arn", "external_id", "tenant_id", "certificate_password", "scope",
}  # fmt: skip
TEXT_BELOW = {"http_headers", "proxy_connect_header", "endpoint_params", "scopes"}
LOGIN_MAPPINGS = ("basic_auth", "authorization", "oauth2", "sigv4", "azuread", "google_iam")
LOGINS = (*LOGIN_MAPPINGS, "bearer_token", "bearer_token_file")
MAPPINGS = (*LOGIN_MAPPINGS, "tls_config", "queue_config", "metadata_config")
CLEAR = "Use https, or allow it with prometheus_remote_write_allow_http where the network is your own."
SHARDS = ("min_shards", "max_shards")


def remote_write(
    entries: Iterable[Mapping[str, Any]],
    settings: Mapping[str, Any],
    labels: Mapping[str, Any],
    jobs: Mapping[str, Any],
) -> dict[str, Any]:
    """Check where metrics are sent to, and return it as it is rendered.

    :param entries: what ``written_entries`` returns
    :param settings: ``defaults``, what an entry has that it does not say otherwise; ``allow_http``, whether a login may
        go over the network as everybody can read it; ``config_dir``, the folder of the configuration on the node;
        ``environment``, what is set for the process
    :param labels: the external labels
    :param jobs: the static targets by job, see ``static_targets``
    :returns: ``entries``; ``files``, path below the folder ``remote-write`` -> text, which Prometheus reads at each
        request; ``config_files``, path below the configuration -> text, which it reads when it loads that; and
        ``problems``
    """
    problems = [*_label_problems(labels, jobs)] if entries else []
    files: dict[str, str] = {}
    keys: dict[str, tuple[str, str]] = {}
    made = []
    for entry in entries:
        where = f"{VARIABLE}, {entry['name']}"
        merged = _merged(settings["defaults"], entry)
        wrong = [*_entry_problems(where, merged, settings["allow_http"])]
        problems += wrong
        if not wrong:
            made.append(in_files(merged, settings["config_dir"], files, keys))
    if keys and "AWS_SHARED_CREDENTIALS_FILE" in (settings["environment"] or {}):
        problems.append(
            f"{VARIABLE} holds keys of AWS, and prometheus_environment sets AWS_SHARED_CREDENTIALS_FILE, the file into "
            "which they would go: name a profile of that file in sigv4, or leave the variable out."
        )
    config_files = {AWS_FILE: aws_credentials(keys)} if keys else {}
    return {"entries": made, "files": files, "config_files": config_files, "problems": problems}


def written_entries(gate: Written, value: Any, meant: Callable[..., Any]) -> list[dict[str, Any]]:
    """Return the entries that have a name of their own and an address, with what is meant as text as text.

    :param meant: returns a structure of Prometheus' configuration as it is meant; gets the gate, where it stands, its
        key and the structure
    """
    found = []
    for number, entry in enumerate(gate.sequence(VARIABLE, value), 1):
        where = f"{VARIABLE}[{number}]"
        if not isinstance(entry, Mapping):
            gate.refuse(where, entry, "write where to send metrics to, a mapping with name and url", secret=True)
            continue
        name = gate.text(f"{where}.name", entry.get("name"))
        if not NAME.fullmatch(name):
            gate.problems.append(
                f"{where} has {f'the name {name!r}' if name else 'no name'}: give it one of its own, of letters, "
                "digits and . _ -, by which metrics and alerts tell it from others, and which stays."
            )
            continue
        gate.problems += [
            f"{VARIABLE}, {name}.{login} is empty: fill it in, or leave it out to send without it."
            for login in LOGINS
            if login in entry and entry[login] is None
        ]
        parts = {key: meant(gate, f"{VARIABLE}, {name}.{key}", key, item) for key, item in _said(entry).items()}
        found.append({"name": name, "url": "", **{key: item for key, item in parts.items() if key != "name"}})
    names = collections.Counter(entry["name"] for entry in found)
    if twice := [name for name, count in names.items() if count > 1]:
        gate.problems.append(
            f"Every entry in {VARIABLE} needs a name of its own, and there are several named {', '.join(twice)}: "
            "rename or merge them."
        )
    return found


def _said(entry: Any) -> Any:
    """Return an entry without the options that are left empty, which Prometheus takes for not there."""
    if not isinstance(entry, Mapping):
        return entry
    return {key: _said(value) for key, value in entry.items() if value is not None}


def _label_problems(labels: Mapping[str, Any], jobs: Mapping[str, Any]) -> Iterator[str]:
    if not labels.get("cluster"):
        yield (
            f"{VARIABLE} is set, and prometheus_external_labels has no cluster: there, the metrics of this cluster "
            "could not be told from those of others. Give it one, such as the id of the EMR cluster."
        )
    local = [job for job, targets in jobs.items() if any(is_local(target["address"]) for target in targets)]
    if "__replica__" in labels and local:
        yield (
            f"prometheus_external_labels holds __replica__, and the job {local[0]!r} scrapes this node alone: while "
            "another replica is chosen there, what this one sends is dropped. Use the label node in its place."
        )


def _merged(defaults: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with what it does not say, in the mappings of its first level, too."""
    merged = {**entry}
    for key, value in defaults.items():
        own = entry.get(key)
        if isinstance(value, Mapping) and isinstance(own, Mapping | None):
            merged[key] = {**value, **(own or {})}
        elif key not in entry:
            merged[key] = value
    own = entry.get("queue_config")
    said = [own[key] for key in SHARDS if key in own] if isinstance(own, Mapping) else []
    if len(said) == 1:
        merged["queue_config"] |= dict.fromkeys(SHARDS, said[0])
    return merged


def _entry_problems(where: str, entry: Mapping[str, Any], allow_http: bool) -> Iterator[str]:
    parts = _split(entry["url"])
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        # It may hold a login.
        yield f"{where} has a url that is no address: write it like https://metrics.example.com/api/v1/write."
        return
    if _is_clear(parts) and not allow_http:
        yield (
            f"{where} has the url of {parts.hostname} over http: everybody on the way could read its login and the "
            f"metrics. {CLEAR}"
        )
    if wrong := [option for option in MAPPINGS if not isinstance(entry.get(option, {}), Mapping)]:
        yield from (f"{where}.{option} is {kind(entry[option])}: write a mapping, name: value." for option in wrong)
        return
    if parts.username is not None and (others := [login for login in LOGINS if login in entry]):
        yield f"{where} has a login in its url, and {others[0]}: leave one of them out."
    least, most = (at(entry, ("queue_config", key)) for key in SHARDS)
    if str(least) != str(most):
        yield (
            f"{where}.queue_config has min_shards: {least} and max_shards: {most}: whenever Prometheus changes the "
            "number, what does not arrive within 5 s is lost there. Write one of the two, or the same number twice."
        )
    yield from _login_problems(where, entry, allow_http)
    yield from _header_problems(where, entry)


def _login_problems(where: str, entry: Mapping[str, Any], allow_http: bool) -> Iterator[str]:
    yield from _token_problems(f"{where}.oauth2.token_url", at(entry, ("oauth2", "token_url")), allow_http)
    if lacking := [key for key in ("client_id", "token_url") if "oauth2" in entry and not at(entry, ("oauth2", key))]:
        yield f"{where}.oauth2 has no {' and no '.join(lacking)}, without which it gets no token: write it."
    sigv4 = entry.get("sigv4", {})
    if "sigv4" in entry and not at(entry, ("sigv4", "region")):
        yield (
            f"{where}.sigv4 has no region: write the one of the workspace, which Prometheus takes from nowhere else, "
            "such as sigv4: {region: eu-central-1}."
        )
    elif bool(sigv4.get("access_key")) != bool(sigv4.get("secret_key")):
        yield f"{where}.sigv4 has but one of access_key and secret_key: write both, or none where the node has a role."
    elif sigv4.get("access_key") and entry["name"] == "default":
        yield f"{where} has keys of AWS, and by this name all entries without any would sign with them: rename it."
    elif sigv4.get("access_key") and sigv4.get("profile"):
        yield f"{where}.sigv4 has a profile and keys of its own: leave one of them out."
    for path in (*IN_FILES, ("sigv4", "access_key"), ("sigv4", "secret_key")):
        above, secret = at(entry, path[:-1]), at(entry, path)
        if isinstance(secret, str) and "-----BEGIN" not in secret and loses_space(secret):
            yield f"{where}.{'.'.join(path)} {LOST_SPACE}"
        if not isinstance(secret, str | None):
            yield f"{where}.{'.'.join(path)} is {kind(secret)}: write one text."
        if isinstance(above, Mapping) and path[-1] in above and f"{path[-1]}_file" in above:
            named = ".".join(path)
            yield f"{where} has {named} and {named}_file: leave one of them out."


def _token_problems(where: str, url: Any, allow_http: bool) -> Iterator[str]:
    parts = _split(url or "")
    if parts is None:
        yield f"{where} is no address: write it like https://login.example.com/token."
        return
    if "@" in parts.netloc:
        yield f"{where} holds a login: write it into client_id and client_secret."
    if _is_clear(parts) and not allow_http:
        yield f"{where} is that of {parts.hostname} over http: everybody on the way could read client_secret. {CLEAR}"


def _split(url: Any) -> SplitResult | None:
    """Return the parts of an address, None where it is none."""
    try:
        return urlsplit(str(url))
    except ValueError:
        return None


def _is_clear(address: SplitResult) -> bool:
    """Tell whether everybody on the way to an address could read what is sent there."""
    return address.scheme == "http" and not is_loopback(address.hostname or "")


def _header_problems(where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    found = []
    for option in ("headers", "http_headers"):
        headers = entry.get(option)
        if not isinstance(headers, Mapping | None):
            yield f"{where}.{option} is no mapping: write the name of a header and its value."
            continue
        for name, value in (headers or {}).items():
            found.append(str(name).lower())
            if not HEADER.fullmatch(str(name)):
                yield f"{where}.{option} holds {str(name)!r}, which is no name of a header."
            parts = value.values() if isinstance(value, Mapping) else [[value]]
            texts = all(isinstance(part, list) and all(isinstance(text, str) for text in part) for part in parts)
            if texts and any(loses_space(text) for part in parts for text in part):
                yield f"{where}.{option}.{name} {LOST_SPACE}"
            if isinstance(value, Mapping) != (option == "http_headers") or not texts:
                yield (
                    f"{where}.{option}.{name} is not as Prometheus has it: headers: {{NAME: value}}, or http_headers: "
                    + ("{NAME: {values: [value]}}.")
                )
    if twice := [name for name, count in collections.Counter(found).items() if count > 1]:
        yield f"{where} has the header {', '.join(twice)} several times: leave all but one out."
