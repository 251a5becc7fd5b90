"""An entry of remote_write with each secret in a file, whose name does not change with it.

What Prometheus 3.13 does follows from its storage/remote/write.go: a queue is known by the entry as it is written, but
for what its configuration takes for a secret. Another entry is another queue, which begins at that moment: what the old
one had not sent is never sent. A file is read at each request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

# Below the folder of the configuration, a folder for each entry.
FOLDER = "remote-write"
# The AWS SDK reads it once, so that another key is due for a reload.
AWS_FILE = "aws-credentials"
# Where an option holds a secret, or what belongs to one, for which another one of its name and _file names a file.
IN_FILES = (
    ("basic_auth", "password"),
    ("authorization", "credentials"),
    ("bearer_token",),
    ("oauth2", "client_secret"),
    ("oauth2", "client_certificate_key"),
    *((*above, "tls_config", option) for above in ((), ("oauth2",)) for option in ("ca", "cert", "key")),
)
# Files that Prometheus does not look for beside its configuration.
ABSOLUTE = (
    ("google_iam", "credentials_file"),
    ("azuread", "certificate", "certificate_path"),
    ("azuread", "certificate", "certificate_key_path"),
)


def in_files(
    entry: Mapping[str, Any], config_dir: str, files: dict[str, str], keys: dict[str, tuple[str, str]]
) -> dict[str, Any]:
    """Return an entry with its secrets in files.

    :param entry: an entry with a ``name`` and a ``url`` that is an address
    :param config_dir: the folder of the configuration on the node
    :param files: gains the files, path below ``FOLDER`` -> text
    :param keys: gains the keys of AWS, by the name of their profile
    """
    secrets: dict[str, str] = {}
    moved = _with_secrets_in_files(_with_login_of_url(entry), secrets)
    moved = _with_absolute_paths(_with_headers_in_files(moved, secrets), config_dir)
    files.update({f"{entry['name']}/{file}": text for file, text in secrets.items()})
    return _with_profile(moved, keys)


def at(entry: Any, path: Iterable[str]) -> Any:
    """Return what stands at a path of an entry, None where there is nothing."""
    for key in path:
        entry = entry.get(key) if isinstance(entry, Mapping) else None
    return entry


def _replaced(
    entry: Mapping[str, Any], path: tuple[str, ...], change: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Return an entry in which the mapping at a path is another one."""
    copy = {**entry}
    if path:
        copy[path[0]] = _replaced(copy[path[0]], path[1:], change)
    else:
        change(copy)
    return copy


def _with_secrets_in_files(entry: Mapping[str, Any], files: dict[str, str]) -> dict[str, Any]:
    moved = {**entry}
    for path in IN_FILES:
        above = at(moved, path[:-1])
        if isinstance(above, Mapping) and above.get(path[-1]) is not None:
            name, option = ".".join(path), path[-1]
            files[name] = str(above[option])

            def change(part: dict[str, Any], name: str = name, option: str = option) -> None:
                del part[option]
                part[f"{option}_file"] = f"{FOLDER}/{entry['name']}/{name}"

            moved = _replaced(moved, path[:-1], change)
    return moved


def _with_login_of_url(entry: Mapping[str, Any]) -> dict[str, Any]:
    parts = urlsplit(entry["url"])
    if parts.username is None:
        return {**entry}
    login = {"username": unquote(parts.username), "password": unquote(parts.password or "")}
    return {**entry, "url": urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), "basic_auth": login}


def _with_headers_in_files(entry: Mapping[str, Any], files: dict[str, str]) -> dict[str, Any]:
    """Return an entry whose headers are in files: their values may be secrets, and none is part of the queue's name."""
    moved = {key: value for key, value in entry.items() if key != "headers"}
    headers: dict[str, Any] = {}
    plain = {name: {"secrets": [value]} for name, value in (entry.get("headers") or {}).items()}
    for name, header in {**(entry.get("http_headers") or {}), **plain}.items():
        named = list(header.get("files") or [])
        for number, secret in enumerate(header.get("secrets") or [], 1):
            file = f"header.{name}.{number}"
            files[file] = str(secret)
            named.append(f"{FOLDER}/{entry['name']}/{file}")
        headers[name] = {key: value for key, value in header.items() if key not in ("secrets", "files")}
        if named:
            headers[name]["files"] = named
    return {**moved, "http_headers": headers} if headers else moved


def _with_absolute_paths(entry: dict[str, Any], folder: str) -> dict[str, Any]:
    for path in ABSOLUTE:
        if file := at(entry, path):

            def change(part: dict[str, Any], option: str = path[-1], file: str = str(file)) -> None:
                part[option] = file if file.startswith("/") else f"{folder}/{file}"

            entry = _replaced(entry, path[:-1], change)
    return entry


def _with_profile(entry: dict[str, Any], keys: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Return an entry that names a profile in place of keys of AWS; these are added to `keys`."""
    sigv4 = entry.get("sigv4", {})
    if not sigv4.get("access_key"):
        return entry
    keys[entry["name"]] = (str(sigv4["access_key"]), str(sigv4["secret_key"]))
    without = {key: value for key, value in sigv4.items() if key not in ("access_key", "secret_key")}
    return {**entry, "sigv4": {**without, "profile": entry["name"]}}


def aws_credentials(keys: Mapping[str, tuple[str, str]]) -> str:
    """Return the file of the AWS SDK that holds keys, by the name of their profile."""
    return "".join(
        f"[{name}]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"
        for name, (access, secret) in keys.items()
    )
