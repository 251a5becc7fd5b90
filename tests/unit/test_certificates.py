"""What is said of a certificate and its key before a service gets them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.emr.monitoring.plugins.filter.certificates import (
    certificate_chain,
    certificate_problems,
    certificate_server_name,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from tests.certificates import chain, intermediate, sign

GOOD = sign("monitoring.example.com", issuer=intermediate())
CHAIN = chain(GOOD)
EXPIRED = sign("monitoring.example.com", days=(-90, -1))
EARLY = sign("monitoring.example.com", days=(1, 90))
NAMELESS = sign()
OTHER = sign("other.example.com")
CLIENT = sign("monitoring.example.com", usages=[ExtendedKeyUsageOID.CLIENT_AUTH])


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        ("", ""),
        (GOOD.certificate, GOOD.key),
        (CHAIN, GOOD.key),
        (f"Issued for the monitoring\n{CHAIN}", f"Bag Attributes\n{GOOD.key}"),
        (GOOD.certificate.rstrip(), GOOD.key.rstrip()),
        (GOOD.certificate.replace("\n", "\r\n"), GOOD.key.replace("\n", "\r\n")),
    ],
    ids=["none", "one", "chain", "with comments", "without the last line break", "from Windows"],
)
def test_nothing_is_said_of_a_good_pair(certificate: str, key: str) -> None:
    assert certificate_problems(certificate, key) == []


@pytest.mark.parametrize("usages", [[], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]])
def test_a_certificate_for_any_use_is_good(usages: list[x509.ObjectIdentifier]) -> None:
    pair = sign("monitoring.example.com", usages=usages)
    assert certificate_problems(pair.certificate, pair.key) == []


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        (GOOD.certificate, "", ["tls_certificate is set and tls_key is not", "plain HTTP"]),
        ("", GOOD.key, ["tls_key is set and tls_certificate is not"]),
        ("certificate.pem", GOOD.key, ["tls_certificate is no certificate in PEM form", "BEGIN CERTIFICATE", "lookup"]),
        (GOOD.certificate[:200], GOOD.key, ["tls_certificate is no certificate"]),
        (GOOD.key, GOOD.key, ["tls_certificate is no certificate"]),
        (GOOD.certificate, "key.pem", ["tls_key is no private key in PEM form", "BEGIN PRIVATE KEY", "lookup"]),
        (GOOD.certificate, GOOD.key[:60], ["tls_key is no private key"]),
        (GOOD.certificate, GOOD.certificate, ["tls_key is no private key"]),
        (GOOD.certificate, GOOD.encrypted_key, ["tls_key is encrypted with a passphrase", "openssl pkey"]),
        (GOOD.certificate, EARLY.key, ["tls_key does not belong to tls_certificate"]),
        (OTHER.certificate + GOOD.certificate, GOOD.key, ["first certificate in tls_certificate", "own first"]),
        (EXPIRED.certificate, EXPIRED.key, ["tls_certificate expired on", "renew it"]),
        (EARLY.certificate, EARLY.key, ["tls_certificate is not valid before", "clock"]),
        (NAMELESS.certificate, NAMELESS.key, ["tls_certificate names no host", "subject alternative names"]),
        (CLIENT.certificate, CLIENT.key, ["tls_certificate is not meant for servers", "serverAuth"]),
    ],
)
def test_what_would_not_work_is_said_with_the_remedy(certificate: str, key: str, said: list[str]) -> None:
    (problem,) = certificate_problems(certificate, key)
    assert [words for words in said if words not in problem] == []
    secrets = [line for line in (GOOD.key + GOOD.encrypted_key + EARLY.key).splitlines() if "-----" not in line]
    assert not any(secret in problem for secret in secrets)


def test_the_day_of_the_end_is_said() -> None:
    (problem,) = certificate_problems(EXPIRED.certificate, EXPIRED.key)
    assert f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}" in problem


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(certificate_problems(EXPIRED.certificate, "key.pem")) == 2


def test_the_variables_can_have_other_names() -> None:
    (problem,) = certificate_problems(GOOD.certificate, EARLY.key, "grafana_tls_")
    assert problem.startswith("grafana_tls_key does not belong to grafana_tls_certificate")


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_keys_of_another_kind_are_keys_too(form: PrivateFormat) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    assert "does not belong" in "".join(certificate_problems(GOOD.certificate, text))


def test_ed25519_is_a_key_too() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert "does not belong" in "".join(certificate_problems(GOOD.certificate, text))


@given(st.text(), st.text())
def test_no_text_raises(certificate: str, key: str) -> None:
    assert isinstance(certificate_problems(certificate, key), list)


@given(st.binary(), st.integers(0, GOOD.certificate.index("-----END")), st.integers(0, GOOD.key.index("-----END")))
def test_a_damaged_pair_is_refused(junk: bytes, in_certificate: int, in_key: int) -> None:
    text = f"+{junk.hex()}+"
    certificate = GOOD.certificate[:in_certificate] + text
    key = GOOD.key[:in_key] + text
    problems = " ".join(certificate_problems(certificate, key))
    assert "tls_certificate is no certificate" in problems
    assert "tls_key is no private key" in problems


def test_a_key_beside_the_certificate_goes_no_further() -> None:
    assert certificate_chain(f"{GOOD.key}a comment\n{CHAIN}") == CHAIN


def test_there_is_no_chain_without_a_certificate() -> None:
    assert certificate_chain("") == ""


@pytest.mark.parametrize(
    ("names", "server_name"),
    [
        (("monitoring.example.com", "localhost"), "monitoring.example.com"),
        (("*.example.com",), "any.example.com"),
    ],
)
def test_the_server_name_is_one_that_the_certificate_is_valid_for(names: tuple[str, ...], server_name: str) -> None:
    assert certificate_server_name(chain(sign(*names))) == server_name


@pytest.mark.parametrize(
    "text", ["", "/path/on/the/node", "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_has_no_server_name(text: str) -> None:
    assert certificate_server_name(text) == ""
