"""A certificate or a key that would not work: the error says why, and the node stays as it was."""

from __future__ import annotations

from typing import Any

import pytest
from testinfra.host import Host

from tests.certificates import sign
from tests.integration.node import Playbook, refused
from tests.integration.tls.pairs import NAME, given, put, secret_part

GOOD, EXPIRED = sign(NAME), sign(NAME, days=(-90, -1))
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a key of another certificate": (
        given(GOOD.certificate, EXPIRED.key),
        ["tls_key does not belong to tls_certificate", "give the key"],
    ),
    "an expired certificate": (given(EXPIRED.certificate, EXPIRED.key), ["tls_certificate expired on", "renew it"]),
    "a certificate without its key": (given(GOOD.certificate, ""), ["tls_certificate is set and tls_key is not"]),
    "an encrypted key": (given(GOOD.certificate, GOOD.encrypted_key), ["tls_key is encrypted", "openssl pkey"]),
    "a key in place of the certificate": (
        given(GOOD.key, GOOD.key),
        ["tls_certificate is no certificate in PEM form", "ansible.builtin.file"],
    ),
    "a path where no file is": (
        given("/nowhere/certificate.pem", GOOD.key),
        ["tls_certificate is /nowhere/certificate.pem", "no such file on the node"],
    ),
    "a certificate of one's own and a self-signed one": (
        given(GOOD.certificate, GOOD.key) | {"tls_self_signed": True},
        ["tls_self_signed is true, and tls_certificate or tls_key is set too", "Drop"],
    ),
    "a name that is none": ({"tls_self_signed_names": ["the node"]}, ["tls_self_signed_names holds 'the node'"]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("unchanged")
def test_it_is_refused_and_the_key_is_not_shown(playbook: Playbook, case: str) -> None:
    extra_vars, words = CASES[case]
    done = playbook("site.yml", "-vvvv", "--diff", **extra_vars)
    refused(done, *words)
    for key in (GOOD.key, GOOD.encrypted_key, EXPIRED.key):
        assert secret_part(key) not in done.stdout


@pytest.mark.parametrize("mode", ["0604", "0660"])
@pytest.mark.usefixtures("unchanged")
def test_a_key_that_others_can_read_or_replace_is_refused(host: Host, playbook: Playbook, mode: str) -> None:
    certificate, key = put(host, GOOD.certificate, GOOD.key, mode)
    done = playbook("site.yml", **given(certificate, key))
    refused(done, f"tls_key is {key}, whose mode on the node is {mode}", "Set the mode to 0600")
