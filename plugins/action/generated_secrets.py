"""Keep the generated secrets of a node in a folder of the controller."""

from __future__ import annotations

import base64
import itertools
import os
import re
import secrets
import string
import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.emr.monitoring.plugins.module_utils.node_secrets import SELF_PROVISIONED, secret_on_node
from cryptography import x509

ARGUMENTS: dict[str, dict[str, Any]] = {
    "folder": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "from_node", "absent"], "default": "present"},
    "secrets": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "variable": {"type": "str", "required": True},
            "length": {"type": "int", "default": 32},
            "known": {"type": "bool", "default": True},
            "needed": {"type": "bool", "default": True},
            "path": {"type": "str"},
            "kept": {"type": "str"},
            "used_by": {"type": "str"},
            "sha256": {"type": "str", "no_log": True},
        },
    },
    "services": {"type": "list", "elements": "str", "default": []},
    "replaced": {"type": "list", "elements": "str", "default": []},
    "certificate": {"type": "bool", "default": False},
    "self_provisioned": {"type": "str", "default": SELF_PROVISIONED},
}
CERTIFICATE = "tls_self_signed.pem"
# Certificates, with their keys, whose names begin with that of their service.
PAIRS = ("node_exporter_tls.pem",)
# Whose secrets another service has, too, and asks with: on the node they are among those of that one.
ASKED_BY = {"node_exporter": "prometheus"}
# The key first, as the lookup self_signed_certificate writes them.
CERTIFICATE_ON_NODE = ("/etc/prometheus/tls/key.pem", "/etc/prometheus/tls/certificate.pem")
ALPHABET = string.ascii_letters + string.digits

Read = Callable[[str], "bytes | None"]


def create(path: Path, text: str) -> bool:
    """Write a secret unless its file exists; no one ever sees half of it.

    :returns: whether it was written
    :raises OSError: it cannot be
    """
    new = _staged(path, text)
    try:
        os.link(new, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(new)
    return True


def replace(path: Path, text: str) -> bool:
    """Write a secret in place of what is there, which is kept under another name.

    :returns: whether it was written; it is not where the file holds it already
    :raises OSError: it cannot be
    """
    if path.exists():
        if path.read_bytes().rstrip() == text.encode().rstrip():
            return False
        _keep(path)
    os.replace(_staged(path, text), path)
    return True


def _keep(path: Path) -> None:
    """Give a file another name too, one that nothing has: what is kept there may be the key of another node."""
    for number in itertools.count(1):
        with suppress(FileExistsError):
            os.link(path, path.with_name(f"{path.name}.previous" + (f".{number}" if number > 1 else "")))
            return


def _staged(path: Path, text: str) -> str:
    """Write a text to a file of its own beside a path, with mode 0600; return its name."""
    umask = os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    finally:
        os.umask(umask)
    descriptor, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return new


def generate(length: int) -> str:
    """Return random letters and digits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def files_of(folder: Path, names: Collection[str]) -> list[Path]:
    """Return the files in a folder that are secrets of these names, or what a run or the lookups left beside them."""
    alternatives = "|".join(map(re.escape, names))
    ours = re.compile(rf"({alternatives})(\.previous(\.[0-9]+)?)?|\.({alternatives})\.([a-z0-9_]{{8}}|lock)")
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if ours.fullmatch(path.name) and not path.is_dir())


def remove(
    folder: Path, names: Collection[str], everything: Collection[str], *, certificate: bool, dry: bool
) -> tuple[list[str], list[str]]:
    """Remove the files of some secrets, and the folder when it is empty.

    :param everything: the names of all secrets that the project keeps in the folder
    :param certificate: whether the certificate goes too, if no secret is left: its users may have none in the folder
    :param dry: only say what would go
    :returns: the names of the files that went, and the paths of those that are not the project's
    :raises OSError: one cannot be removed
    """
    gone = files_of(folder, names)
    if certificate and not set(files_of(folder, everything)) - set(gone):
        gone += files_of(folder, [CERTIFICATE])
    present = set(folder.iterdir()) if folder.is_dir() else set()
    foreign = present - set(gone) - set(files_of(folder, [*everything, CERTIFICATE]))
    if not dry:
        for path in gone:
            path.unlink(missing_ok=True)
        # A folder that a user chose may be a link: it is not this project's.
        if gone and present == set(gone) and not folder.is_symlink():
            folder.rmdir()
    return [path.name for path in gone], sorted(map(str, foreign))


def names_of(services: Collection[str], secrets: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names of the files that belong to some services, and those of all that the project keeps.

    :param secrets: the names of all secrets
    """
    everything = [*secrets, *PAIRS]
    gone = {*services} - ASKED_BY.keys() | {name for name, other in ASKED_BY.items() if other in services}
    own = tuple(f"{service}_" for service in gone)
    return [name for name in everything if name.startswith(own)], everything


def text_of(path: str, content: bytes) -> str:
    """Return the secret that a file on the node holds, empty where it holds none.

    :raises AnsibleActionFail: it is no secret
    """
    text = content.decode("utf-8", "replace").rstrip()
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise AnsibleActionFail(f"{path} on the node holds more than one line, thus no secret: look at it.")
    return text


def certificate_on_node(self_provisioned: str, read: Read) -> str | None:
    """Return the self-signed certificate that the node uses, after its key; None where it has none, or another one."""
    parts = [read(path) for path in CERTIFICATE_ON_NODE]
    pem = b"".join(part for part in parts if part) if all(parts) else read(f"{self_provisioned}/{CERTIFICATE}")
    try:
        certificate = x509.load_pem_x509_certificate(pem or b"")
    except ValueError:
        return None
    return (pem or b"").decode() if certificate.issuer == certificate.subject else None


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module of the same name for the documentation."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do what the state says; without from_node all of it happens on the controller."""
        super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(ARGUMENTS)
        folder = Path(self._loader.path_dwim(options["folder"]))
        needed = [secret for secret in options["secrets"] if secret["needed"]]
        left: list[str] = []
        try:
            if options["state"] == "absent":
                names, everything = names_of(options["services"], [each["variable"] for each in options["secrets"]])
                done, left = remove(
                    folder, names, everything, certificate=options["certificate"], dry=self._task.check_mode
                )
            elif options["state"] == "from_node":
                done = self._take_over(folder, needed, options, task_vars)
            else:
                done = self._generate(folder, needed)
        except OSError as error:
            raise AnsibleActionFail(
                f"The secrets in {folder} cannot be changed: {error.strerror} ({error.filename}). Set "
                "monitoring_secrets_dir to a folder that the user who runs Ansible can write."
            ) from error
        return {"changed": bool(done), "secrets": done, "left": left}

    def _generate(self, folder: Path, wanted: list[dict[str, Any]]) -> list[str]:
        missing = [secret for secret in wanted if not secret["known"]]
        return [
            secret["variable"]
            for secret in missing
            if self._task.check_mode or create(folder / secret["variable"], generate(secret["length"]))
        ]

    def _take_over(
        self, folder: Path, wanted: list[dict[str, Any]], options: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> list[str]:
        # What is known without a file is set in the inventory, which a file would not change.
        files = [
            secret
            for secret in wanted
            if secret["variable"] not in options["replaced"]
            and (not secret["known"] or (folder / secret["variable"]).exists())
        ]
        if self._task.check_mode:
            return []

        def read(path: str) -> bytes | None:
            return self._read(path, task_vars)

        found: dict[str, str | None] = {
            secret["variable"]: text_of(*secret_on_node(secret, options["self_provisioned"], read)) for secret in files
        }
        if options["certificate"]:
            found[CERTIFICATE] = certificate_on_node(options["self_provisioned"], read)
        return [name for name, text in found.items() if text and replace(folder / name, text)]

    def _read(self, path: str, task_vars: dict[str, Any] | None) -> bytes | None:
        """Return the content of a file on the node, None where there is none; no output ever shows it."""
        # As no_log does, which would hide errors and the names of the secrets too.
        context = self._connection._play_context
        talkative, context.no_log = context.no_log, True
        try:
            answer = self._execute_module("ansible.builtin.slurp", {"src": path}, task_vars=task_vars)
        finally:
            context.no_log = talkative
        if not answer.get("failed"):
            return base64.b64decode(answer["content"])
        if str(answer.get("msg", "")).startswith("File not found"):
            return None
        raise AnsibleActionFail(f"{path} on the node cannot be read: {answer.get('msg')}")
