"""Whether the node has secrets that the controller does not know."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

# Where a node that provisions itself keeps its secrets, each in a file with the name of its variable.
SELF_PROVISIONED = "/etc/emr-monitoring/secrets"
# What the role backup has there from the beginning of a restore to its end.
RESTORING = Path("/var/lib/emr-monitoring-backup/restoring")


def secret_on_node(
    secret: dict[str, Any], self_provisioned: str, read: Callable[[str], bytes | None]
) -> tuple[str, bytes]:
    """Return the file on the node that holds a secret, and its content; both are empty where there is none.

    What is in use wins over what was used last, and that over what a node made when it provisioned itself: since then
    a run from outside may have replaced it.

    `secret` is an element of the modules' option, `self_provisioned` the folder of a node that provisioned itself, and
    `read` returns what a file of the node holds, None where there is none.
    """
    places = (secret["path"], secret.get("kept"), os.path.join(self_provisioned, secret["variable"]))
    for path in filter(None, places):
        content = read(path)
        if content and content.strip():
            return str(path), content
    return "", b""


def _content(path: str) -> bytes | None:
    with suppress(OSError):
        return Path(path).read_bytes()
    return None


TAKE_OVER = (
    "To go on with those of the node, run site.yml once with -e monitoring_secrets_from_node=true (without --check)"
)


# Grafana's own default stands in its conf/defaults.ini.
BY_HAND = (
    " For a Grafana that is taken over, set grafana_secret_key to the secret_key of its grafana.ini "
    "(SW2YcwTIb9zpOOhoPsMm where nobody has set it), and grafana_admin_password to a password of your choice."
)


def secret_problems(params: dict[str, Any]) -> list[str]:
    """Return what would take the place of a secret that the node has. `params` are the module's options."""
    wanted = [secret for secret in params["secrets"] if secret["needed"]]
    names = [secret["variable"] for secret in params["secrets"]]
    problems = [
        f"monitoring_secrets_replace names {name!r}: the secrets are {', '.join(names)}."
        for name in params["secrets_replaced"]
        if name not in names
    ]
    held: dict[str, str] = {}
    lost: dict[str, str] = {}
    for secret in wanted:
        name = secret["variable"]
        if name in params["secrets_replaced"]:
            continue
        path, content = secret_on_node(secret, params["self_provisioned"], _content)
        if not secret["known"] and path:
            held[name] = path
        elif not secret["known"] and secret.get("used_by") and os.path.exists(secret["used_by"]):
            lost[name] = secret["used_by"]
        elif secret["known"] and secret.get("sha256") and path and not _is_digest_of(secret["sha256"], content):
            problems.append(_other_key(name, path, params["secrets_dir"]))
    snapshot = _content(str(RESTORING))
    if snapshot is not None and (held or lost):
        return [
            *problems,
            "a restore was cut off here, which brings the secrets that are missing: run playbooks/restore.yml again, "
            f"with -e backup_snapshot={snapshot.decode(errors='replace')}, and it goes on where it was",
        ]
    if held:
        problems.append(
            f"{params['secrets_dir']} holds no {', '.join(held)}, and the node has what is missing there, such as "
            f"{next(iter(held.values()))}: it was provisioned by another controller or with another folder, and new "
            f"ones would lock out everybody who uses those. {TAKE_OVER}. {_on_purpose(held)}"
        )
    if lost:
        problems.append(
            f"{params['secrets_dir']} holds no {', '.join(lost)}, and {', '.join(dict.fromkeys(lost.values()))} on the "
            "node was made with it, of which the node has no copy: copy the file from the controller that provisioned "
            f"the node.{BY_HAND if params['adopt'] else ''} {_on_purpose(lost)}"
        )
    return problems


def _is_digest_of(digest: str, content: bytes) -> bool:
    # A file that somebody wrote by hand ends with a line break.
    return digest in {hashlib.sha256(text).hexdigest() for text in (content, content.rstrip())}


def _other_key(name: str, path: str, folder: str) -> str:
    return (
        f"{name}, which the inventory sets or {folder} holds, is not the key of the node in {path}, which encrypts "
        f"what users stored in Grafana. {TAKE_OVER}; where the inventory sets {name}, set it to the node's instead. "
        f"{_on_purpose([name])}"
    )


def _on_purpose(names: Iterable[str]) -> str:
    loss = ""
    if "grafana_secret_key" in names:
        loss = (
            " Then Grafana can no longer decrypt the passwords of the data sources that users made: they have to enter "
            "them again."
        )
    return f"For others on purpose, add -e monitoring_secrets_replace={','.join(names)}.{loss}"
