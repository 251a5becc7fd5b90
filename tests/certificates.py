"""Certificates for the tests: good ones, and ones that a service must not be given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    parsed: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey

    @property
    def certificate(self) -> str:
        """The certificate alone as PEM text."""
        return self.parsed.public_bytes(Encoding.PEM).decode()

    @property
    def key(self) -> str:
        """The key as PEM text."""
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def encrypted_key(self) -> str:
        """The key as PEM text, encrypted with a passphrase."""
        encryption = BestAvailableEncryption(b"a passphrase")
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def sign(
    *names: str,
    common_name: str = "",
    issuer: Pair | None = None,
    authority: bool = False,
    days: tuple[float, float] = (-1, 90),
    usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
) -> Pair:
    """Make a key and a certificate for some DNS names.

    :param common_name: names the certificate, so that others can be issued by it; random where it is empty
    :param issuer: who signs it; without one it signs itself
    :param authority: whether it may sign others
    :param days: when it begins and ends to be valid, in days from now
    :param usages: what it may be used for; any use where there are none
    """
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or f"test {serial}")])
    begin, end = (datetime.now(UTC) + timedelta(days=day) for day in days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.parsed.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    if usages and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return Pair(builder.sign(issuer.private_key if issuer else key, hashes.SHA256()), key)


@cache
def root() -> Pair:
    """Return the authority that clients trust."""
    return sign(authority=True)


@cache
def intermediate() -> Pair:
    """Return the authority that signs; the root signed its certificate."""
    return sign(issuer=root(), authority=True)


def chain(service: Pair) -> str:
    """Return what a server shows to clients that trust the root, as PEM text."""
    return service.certificate + intermediate().certificate
