"""Make a self-signed certificate once, and keep it on the controller."""

from __future__ import annotations

import fcntl
import functools
import ipaddress
import os
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.lookup import LookupBase
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOCUMENTATION = """
name: self_signed_certificate
author: EMR monitoring
version_added: "1.0.0"
short_description: A self-signed certificate that is made once and kept in a file
description:
  - Returns the certificate and the private key in a file on the controller. Writes it only with O(renew), and never in
    check mode.
  - A pair has an ECDSA key on the curve P-256.
options:
  _terms:
    description: Paths of the files. Whoever can read one can pretend to be the service; it is made with mode 0600.
    required: true
  names:
    description:
      - DNS names and IP addresses of the service. The certificate is valid for these alone.
    type: list
    elements: str
    required: true
  renew:
    description:
      - Whether a pair is made where there is none, where it has less than 30 days left or where O(names) have changed.
        Else what is there is returned as it is.
      - In check mode the new pair is one for show alone, which is nowhere kept. Where there is none at all, check mode
        shows one in any case.
    type: bool
    default: false
  days:
    description: For how long a new pair is valid. Browsers take no more than 397 days.
    type: int
    default: 397
"""

EXAMPLES = """
- name: Show the certificate
  ansible.builtin.debug:
    msg: "{{ pair.certificate }}"
  vars:
    pair: "{{ lookup('emr.monitoring.self_signed_certificate', 'secrets/tls.pem', names=['node.example.com'],
      renew=true) }}"
"""

RETURN = """
_raw:
  description: For each path a dictionary with two PEM texts, C(certificate) and C(key).
  type: list
  elements: dict
"""

DAYS = 397
RENEWED_BEFORE = timedelta(days=30)
_MARK = "-----BEGIN CERTIFICATE-----"
_DNS_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Any = None, **options: Any) -> list[dict[str, str]]:
        """Return the pair of each path.

        :raises AnsibleLookupError: a name is none, or a file cannot be read or written, or must not be made
        """
        self.set_options(var_options=variables, direct=options)
        names = tuple(subject_names(self.get_option("names")))
        may_write = not boolean((variables or {}).get("ansible_check_mode", False))
        return [self._pair(Path(self._loader.path_dwim(term)), names, may_write) for term in terms]

    def _pair(self, path: Path, names: tuple[x509.GeneralName, ...], may_write: bool) -> dict[str, str]:
        renew = self.get_option("renew")
        try:
            if renew and may_write:
                text = kept(path, names, self.get_option("days"))
            elif not path.exists() and may_write:
                raise AnsibleLookupError(f"There is no {path} yet: run site.yml, which makes it.")
            else:
                text = seen(path, names, renew)
            key, mark, certificate = text.partition(_MARK)
        except (ValueError, x509.ExtensionNotFound) as error:
            raise AnsibleLookupError(
                f"{path} holds no certificate and key that can be read: remove it, and a new pair is made."
            ) from error
        except OSError as error:
            raise AnsibleLookupError(
                f"The self-signed certificate cannot be kept in {path}: {error.strerror}."
            ) from error
        return {"certificate": mark + certificate, "key": key}


def subject_names(names: Sequence[str]) -> list[x509.GeneralName]:
    """Return DNS names and IP addresses as a certificate holds them, each once.

    :raises AnsibleLookupError: there are none, or one is neither
    """
    if not names:
        raise AnsibleLookupError("tls_self_signed_names is empty: a certificate is valid for the names in it alone.")
    return [_subject_name(name) for name in dict.fromkeys(names)]


def _subject_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not _DNS_NAME.fullmatch(name):
            raise AnsibleLookupError(
                f"tls_self_signed_names holds {name!r}, which is neither a DNS name nor an IP address."
            ) from None
    return x509.DNSName(name)


def kept(path: Path, names: Sequence[x509.GeneralName], days: int = DAYS) -> str:
    """Return the key and the certificate in a file, which is made first where it is missing or no longer of use.

    Two runs at once get the same pair. `days` is for how long a new one is valid.

    :raises OSError: the file cannot be read or written
    :raises ValueError: it holds no key and certificate
    :raises ExtensionNotFound: it holds another certificate
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists() or not is_current(path.read_bytes(), names):
            _write(path, make(names, days))
        return path.read_text("ascii")


def seen(path: Path, names: tuple[x509.GeneralName, ...], renew: bool) -> str:
    """Return the key and the certificate in a file without a change to it, or a pair for show in its place.

    :param renew: whether a pair that a run would make anew gives way to one for show, not a missing one alone
    :raises OSError: the file cannot be read
    :raises ValueError: it holds no key and certificate
    :raises ExtensionNotFound: it holds another certificate
    """
    if not path.exists():
        return for_show(path, names)
    text = path.read_text("ascii")
    return text if is_current(text.encode(), names) or not renew else for_show(path, names)


@functools.cache
def for_show(path: Path, names: tuple[x509.GeneralName, ...]) -> str:
    """Return a pair that stands for the one of a path: the same for each part of one task."""
    return make(names)


def is_current(pem: bytes, names: Sequence[x509.GeneralName]) -> bool:
    """Tell whether a certificate is for exactly these names and has 30 days left.

    :raises ValueError: it or its key cannot be read
    :raises ExtensionNotFound: it is for no names at all
    """
    load_pem_private_key(pem, password=None)
    certificate = x509.load_pem_x509_certificate(pem)
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return list(found) == list(names) and certificate.not_valid_after_utc - datetime.now(UTC) > RENEWED_BEFORE


def make(names: Sequence[x509.GeneralName], days: int = DAYS) -> str:
    """Return a new key and a certificate for it that is valid for so many days, both in PEM form.

    Services that share a pair know each other by it from both sides.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "EMR monitoring, self-signed")])
    # The clock of the node or of a browser may be late.
    begin = datetime.now(UTC) - timedelta(hours=1)
    usage = {
        "digital_signature": True,
        "content_commitment": False,
        "key_encipherment": False,
        "data_encipherment": False,
        "key_agreement": False,
        "key_cert_sign": False,
        "crl_sign": False,
        "encipher_only": False,
        "decipher_only": False,
    }
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (private + certificate.public_bytes(Encoding.PEM)).decode()


def _write(path: Path, text: str) -> None:
    """Replace a file in one step, with mode 0600."""
    descriptor, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise
