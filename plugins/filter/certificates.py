"""Judge a certificate and its private key before a service is given them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_REMEDY = (
    "Give the text that begins with -----BEGIN {}-----; that of a file is lookup('ansible.builtin.file', '<its path>')."
)


def certificate_problems(certificate: str, key: str, prefix: str = "tls_") -> list[str]:
    """Say what keeps a service from using a certificate with a private key, or its clients from trusting them.

    :param certificate: PEM text: the service's certificate, then those of the authorities between it and the root
    :param key: PEM text
    :param prefix: what the names of the two variables begin with: ``<prefix>certificate`` and ``<prefix>key``
    :returns: sentences that name a variable and the remedy and show nothing of the key; none where both are empty
    """
    names = f"{prefix}certificate", f"{prefix}key"
    if bool(certificate) != bool(key):
        given, missing = names if certificate else names[::-1]
        return [f"{given} is set and {missing} is not: set both, or neither for plain HTTP."]
    return [sentence.format(*names) for sentence in _problems(certificate, key)] if certificate else []


def certificate_chain(certificate: str) -> str:
    """Return the certificates in a PEM text and nothing else: a private key beside them would not stay secret.

    :param certificate: PEM text, or an empty one
    """
    return "".join(found.public_bytes(Encoding.PEM).decode() for found in _parse_chain(certificate))


def certificate_server_name(certificate: str) -> str:
    """Return a host name or an IP address that a certificate is valid for.

    Clients that know the certificate check this name in place of that in the URL, which may be ``localhost``.

    :param certificate: PEM text; its first certificate counts
    :returns: empty where it is no certificate or names no host: what is wrong with it, ``certificate_problems`` says
    """
    return next((name for found in _parse_chain(certificate)[:1] for name in _names(found)), "").replace("*", "any", 1)


def pair_problems(certificate: str, key: str, certificate_name: str, key_name: str) -> list[str]:
    """Say what is wrong with a certificate and a key as a pair, whatever they are for.

    :param certificate: PEM text, as `key`
    :param certificate_name: what the sentences call it, as `key_name`
    """
    return [problem.format(certificate_name, key_name) for problem in _pair_problems(_parse_chain(certificate), key)]


def _problems(certificate: str, key: str) -> Iterator[str]:
    """Yield sentences with {0} for the certificate's variable and {1} for the key's."""
    chain = _parse_chain(certificate)
    yield from _pair_problems(chain, key)
    for leaf in chain[:1]:
        yield from _leaf_problems(leaf)


def _pair_problems(chain: list[x509.Certificate], key: str) -> Iterator[str]:
    if not chain:
        yield f"{{0}} is no certificate in PEM form. {_REMEDY.format('CERTIFICATE')}"
    try:
        private_key = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        yield (
            "{1} is encrypted with a passphrase, and nobody enters it when a service starts. Remove it with "
            "openssl pkey -in <the key> -out <another file>, and encrypt the result with Vault."
        )
    except _UNREADABLE:
        yield f"{{1}} is no private key in PEM form. {_REMEDY.format('PRIVATE KEY')}"
    else:
        yield from _mismatch(chain, private_key)


def _parse_chain(text: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text; none where one cannot be read."""
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
        for certificate in chain:
            # Read when they are asked for, and they may be as broken as the rest.
            _ = certificate.extensions, certificate.public_key()
    except _UNREADABLE:
        return []
    return chain


def _mismatch(chain: list[x509.Certificate], private_key: PrivateKeyTypes) -> Iterator[str]:
    wanted = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    found = [c.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for c in chain]
    if wanted in found[1:]:
        yield (
            "{1} does not belong to the first certificate in {0}, but to a later one: "
            "put the service's own first, and those of the authorities after it."
        )
    elif chain and wanted not in found:
        yield (
            "{1} does not belong to {0}: give the key with which this certificate was requested, "
            "or the certificate that was made for this key."
        )


def _leaf_problems(leaf: x509.Certificate) -> Iterator[str]:
    now = datetime.now(UTC)
    if leaf.not_valid_after_utc < now:
        yield f"{{0}} expired on {leaf.not_valid_after_utc:%Y-%m-%d at %H:%M} UTC: renew it."
    if leaf.not_valid_before_utc > now:
        yield (
            f"{{0}} is not valid before {leaf.not_valid_before_utc:%Y-%m-%d at %H:%M} UTC: "
            "give the one that is valid now, or set the clock of this machine."
        )
    if not any(_names(leaf)):
        yield (
            "{0} names no host in its subject alternative names, the only place where clients look: "
            "have one made that names the node there."
        )
    if not _is_for_servers(leaf):
        yield (
            "{0} is not meant for servers (its extended key usage lacks serverAuth): "
            "have one made that is, or give the right one."
        )


def _names(certificate: x509.Certificate) -> Iterator[str]:
    """Yield the host names and IP addresses that a certificate is valid for."""
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            for name in extension.value:
                if isinstance(name, x509.DNSName | x509.IPAddress):
                    yield str(name.value)


def _is_for_servers(certificate: x509.Certificate) -> bool:
    usages = [e.value for e in certificate.extensions if isinstance(e.value, x509.ExtendedKeyUsage)]
    serves = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return all(serves & set(usage) for usage in usages)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {
            "certificate_chain": certificate_chain,
            "certificate_problems": certificate_problems,
            "certificate_server_name": certificate_server_name,
        }
