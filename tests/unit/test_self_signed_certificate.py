"""The self-signed certificate: made once, kept by its file, made anew in time, and only where that is asked for."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible_collections.emr.monitoring.plugins.filter.certificates import certificate_problems, certificate_server_name
from ansible_collections.emr.monitoring.plugins.lookup import self_signed_certificate
from ansible_collections.emr.monitoring.plugins.lookup.self_signed_certificate import kept, subject_names
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certificates import sign

PLUGINS = Path(self_signed_certificate.__file__).parent
NAMES = ["node.example.com", "localhost", "127.0.0.1", "::1"]
Lookup = Callable[..., dict[str, str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "tls.pem"


@pytest.fixture
def lookup(path: Path) -> Lookup:
    """Return a function that does what a template does, in a run of site.yml unless it is told otherwise."""
    lookup_loader.add_directory(str(PLUGINS))

    def run(*names: str, renew: bool = True, check: bool = False) -> dict[str, str]:
        plugin = lookup_loader.get("self_signed_certificate", loader=DataLoader())
        (pair,) = plugin.run([str(path)], {"ansible_check_mode": check}, names=list(names), renew=renew)
        return dict(pair)

    return run


def parse(pair: dict[str, str]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair["certificate"].encode())


def test_a_service_can_use_it(lookup: Lookup) -> None:
    pair = lookup(*NAMES)
    assert certificate_problems(pair["certificate"], pair["key"]) == []
    assert certificate_server_name(pair["certificate"]) == "node.example.com"


def test_it_is_what_browsers_ask_for(lookup: Lookup) -> None:
    certificate = parse(lookup(*NAMES))
    extensions = certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    ]
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES[:2]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == NAMES[2:]
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= timedelta(days=397)
    public_key = certificate.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    assert isinstance(public_key.curve, ec.SECP256R1)


def test_one_that_no_browser_sees_can_be_valid_for_longer(path: Path) -> None:
    certificate = x509.load_pem_x509_certificate(kept(path, subject_names(["node-exporter"]), 3650).encode())
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=3650)


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_knows_it_trusts_it_by_each_of_its_names(lookup: Lookup, tmp_path: Path, name: str) -> None:
    pair = lookup(*NAMES)
    (tmp_path / "pair.pem").write_text(pair["key"] + pair["certificate"])
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "pair.pem")
    trusting = ssl.create_default_context(cadata=pair["certificate"])
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    assert handshake(served, trusting, name) == ""
    assert "mismatch" in handshake(served, trusting, "other.example.com")


def handshake(served: ssl.SSLContext, trusting: ssl.SSLContext, name: str) -> str:
    """Let a client meet a server in memory; return why the client goes away, if it does."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = served.wrap_bio(to_server, to_client, server_side=True)
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    return ""


def test_it_stays_and_only_its_owner_can_read_it(lookup: Lookup, path: Path) -> None:
    assert lookup(*NAMES) == lookup(*NAMES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("days_left", "stays"), [(31, True), (29, False), (-1, False)])
def test_it_is_made_anew_a_month_before_its_end(path: Path, days_left: int, stays: bool) -> None:
    names = subject_names(["localhost"])
    path.parent.mkdir()
    old = sign("localhost", days=(-1, days_left))
    path.write_text(old.key + old.certificate)
    assert (kept(path, names) == old.key + old.certificate) == stays
    assert kept(path, names) == kept(path, names)


@pytest.mark.parametrize("names", [["localhost"], ["localhost", "127.0.0.1", "10.0.0.1"], ["127.0.0.1", "localhost"]])
def test_it_is_made_anew_for_other_names(lookup: Lookup, path: Path, names: list[str]) -> None:
    before = lookup("localhost", "127.0.0.1")
    after = lookup(*names)
    assert after != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert lookup(*names) == after


def test_a_name_that_comes_twice_is_in_it_once(lookup: Lookup) -> None:
    names = parse(lookup("127.0.0.1", "localhost", "127.0.0.1")).extensions
    assert len(list(names.get_extension_for_class(x509.SubjectAlternativeName).value)) == 2


def test_runs_at_the_same_time_get_the_same(path: Path) -> None:
    with ProcessPoolExecutor(8) as pool:
        runs = [pool.submit(kept, path, subject_names(NAMES)) for _ in range(8)]
    assert len({run.result() for run in runs}) == 1
    assert {found.name for found in path.parent.iterdir()} == {"tls.pem", ".tls.pem.lock"}


WRITES_NOTHING = pytest.mark.parametrize(
    "how", [{"renew": False}, {"check": True}, {"renew": False, "check": True}], ids=["a question", "a check", "both"]
)


@WRITES_NOTHING
@pytest.mark.parametrize("days_left", [100, 29, -1])
def test_a_question_and_a_check_leave_the_file_and_its_folder_alone(
    lookup: Lookup, path: Path, how: dict[str, bool], days_left: int
) -> None:
    path.parent.mkdir()
    old = sign("localhost", days=(-2, days_left))
    path.write_text(old.key + old.certificate)
    before = (path.read_bytes(), path.stat(), path.parent.stat().st_mtime_ns)
    pair = lookup("other.example.com", **how)
    assert certificate_problems(pair["certificate"], pair["key"]) == [] or days_left < 0
    # What a run would make anew is shown as new; a question is told what is there.
    assert (pair == {"certificate": old.certificate, "key": old.key}) == (how.get("renew") is False)
    after = (path.read_bytes(), path.stat(), path.parent.stat().st_mtime_ns)
    assert after[0] == before[0]
    assert after[1].st_mtime_ns == before[1].st_mtime_ns
    assert after[2] == before[2]
    assert [found.name for found in path.parent.iterdir()] == ["tls.pem"]


def test_a_check_shows_one_pair_for_each_part_of_a_task_and_makes_no_folder(lookup: Lookup, path: Path) -> None:
    first, second = lookup(*NAMES, check=True), lookup(*NAMES, check=True)
    assert first == second
    assert certificate_problems(first["certificate"], second["key"]) == []
    assert not path.parent.exists()


def test_a_question_where_there_is_none_says_what_makes_it(lookup: Lookup, path: Path) -> None:
    with pytest.raises(AnsibleError, match=f"There is no {path} yet: run site.yml"):
        lookup(*NAMES, renew=False)
    assert not path.parent.exists()


@pytest.mark.parametrize("names", [[], [""], ["two words"], ["https://node"], ["node\n"], ["10.0.0.0/8"], ["nöde"]])
def test_what_is_no_name_is_refused(lookup: Lookup, path: Path, names: list[str]) -> None:
    with pytest.raises(AnsibleError, match="tls_self_signed_names"):
        lookup(*names)
    assert not path.exists()


NAMED, NAMELESS = sign("localhost"), sign()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "something else",
        NAMED.key,
        NAMED.certificate,
        NAMED.key + NAMED.certificate[:80],
        NAMELESS.key + NAMELESS.certificate,
    ],
)
def test_a_file_with_something_else_is_named_and_left(lookup: Lookup, path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(AnsibleError, match=rf"{path}.*remove it"):
        lookup(*NAMES)
    assert path.read_text() == text


def test_a_folder_that_cannot_be_made_is_named(lookup: Lookup, path: Path) -> None:
    path.parent.write_text("a file")
    with pytest.raises(AnsibleError, match=f"cannot be kept in {path}: "):
        lookup(*NAMES)
