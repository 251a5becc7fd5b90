"""The generated secrets: none is replaced in silence, the node hands them over, and questions write none."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.certificates import sign
from tests.integration.node import Api, Playbook, contents, refused

SECRETS = ("prometheus_password", "prometheus_password_salt", "grafana_admin_password", "grafana_secret_key")
CERTIFICATE = "tls_self_signed.pem"


@pytest.fixture
def folder(variables: dict[str, Any]) -> Path:
    """Return the folder of the node's secrets."""
    return Path(str(variables["testbed_cache"])) / "secrets" / str(variables["inventory_hostname"])


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return the folder of a controller that does not know the node."""
    return tmp_path / "clone"


def read(folder: Path) -> dict[str, str]:
    """Return the secrets in a folder, and fail where one is missing."""
    return {name: (folder / name).read_text().rstrip() for name in SECRETS}


def copy(folder: Path, clone: Path) -> None:
    """Put the secrets into the folder of another controller."""
    clone.mkdir()
    for name in SECRETS:
        shutil.copy(folder / name, clone)


def shows(output: str, values: list[str]) -> list[str]:
    """Return which values an output shows, as they are or as they travel."""
    return [value for value in values if value in output or base64.b64encode(value.encode()).decode() in output]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("options", [[], ["--check"]], ids=["a run", "check mode"])
def test_a_controller_without_the_secrets_is_refused_before_it_makes_any(
    playbook: Playbook, clone: Path, options: list[str]
) -> None:
    done = playbook("site.yml", *options, monitoring_secrets_dir=str(clone))
    refused(
        done, *SECRETS, "-e monitoring_secrets_from_node=true", "-e monitoring_secrets_replace=", "enter them again"
    )
    assert not clone.exists()


@pytest.mark.usefixtures("unchanged")
def test_one_flag_takes_them_over_unseen_and_changes_nothing_on_the_node(
    playbook: Playbook, clone: Path, folder: Path
) -> None:
    done = playbook("site.yml", "-vvvv", "--diff", monitoring_secrets_dir=str(clone), monitoring_secrets_from_node=True)
    assert done.returncode == 0, done.stdout
    assert "changed=1 " in done.stdout
    assert read(clone) == read(folder)
    assert {path.stat().st_mode & 0o777 for path in clone.iterdir()} == {0o600}
    assert clone.stat().st_mode & 0o777 == 0o700
    assert shows(done.stdout, list(read(folder).values())) == []
    again = playbook("site.yml", monitoring_secrets_dir=str(clone))
    assert "changed=0 " in again.stdout, again.stdout


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("where", ["the folder", "the inventory"])
def test_another_key_is_refused_wherever_it_comes_from(
    playbook: Playbook, clone: Path, folder: Path, where: str
) -> None:
    copy(folder, clone)
    key = "another-key-for-the-database-of-grafana"
    extra = {"grafana_secret_key": key}
    if where == "the folder":
        (clone / "grafana_secret_key").write_text(key)
        extra = {}
    before = contents(clone)
    done = playbook("site.yml", "-vvvv", "--diff", monitoring_secrets_dir=str(clone), **extra)
    refused(done, "grafana_secret_key, which the inventory sets or", "is not the key of the node")
    assert shows(done.stdout, [key, read(folder)["grafana_secret_key"]]) == []
    assert contents(clone) == before


@pytest.mark.usefixtures("unchanged")
def test_a_key_that_gives_way_to_that_of_the_node_is_kept(playbook: Playbook, clone: Path, folder: Path) -> None:
    copy(folder, clone)
    (clone / "grafana_secret_key").write_text("a-key-of-another-node-perhaps")
    done = playbook("site.yml", monitoring_secrets_dir=str(clone), monitoring_secrets_from_node=True)
    assert done.returncode == 0, done.stdout
    assert read(clone) == read(folder)
    assert (clone / "grafana_secret_key.previous").read_text() == "a-key-of-another-node-perhaps"


@pytest.mark.usefixtures("unchanged")
def test_a_password_that_the_inventory_sets_is_asked_of_no_file(
    playbook: Playbook, clone: Path, folder: Path, variables: dict[str, Any]
) -> None:
    copy(folder, clone)
    mine = ("grafana_admin_password", "prometheus_password")
    for name in mine:
        (clone / name).unlink()
    done = playbook("site.yml", monitoring_secrets_dir=str(clone), **{name: variables[name] for name in mine})
    assert "changed=0 " in done.stdout, done.stdout
    assert {path.name for path in clone.iterdir()} == set(SECRETS) - set(mine)


def test_the_key_is_replaced_on_purpose_at_once_and_back(
    host: Host, playbook: Playbook, grafana: Api, clone: Path, folder: Path
) -> None:
    copy(folder, clone)
    (clone / "grafana_secret_key").unlink()
    replaced = {"monitoring_secrets_dir": str(clone), "monitoring_secrets_replace": "grafana_secret_key"}
    done = playbook("site.yml", **replaced)
    assert done.returncode == 0, done.stdout
    new = read(clone)["grafana_secret_key"]
    assert new != read(folder)["grafana_secret_key"]
    running = "sudo cat /run/credentials/grafana-server.service/secret_key"
    assert host.check_output(running) == new
    assert grafana.data("/api/datasources/uid/prometheus/health")["status"] == "OK"
    back = playbook("site.yml", monitoring_secrets_replace="grafana_secret_key")
    assert back.returncode == 0, back.stdout
    assert host.check_output(running) == read(folder)["grafana_secret_key"]
    assert grafana.data("/api/datasources/uid/prometheus/health")["status"] == "OK"


def test_a_database_without_its_key_on_either_side_is_refused(
    host: Host, playbook: Playbook, clone: Path, folder: Path
) -> None:
    copy(folder, clone)
    (clone / "grafana_secret_key").unlink()
    credentials = "/etc/grafana/credentials/secret_key"
    host.check_output(f"sudo mv {credentials} {credentials}.away")
    try:
        done = playbook("site.yml", monitoring_secrets_dir=str(clone))
    finally:
        host.check_output(f"sudo mv {credentials}.away {credentials}")
    refused(done, "grafana.db on the node was made with it", "copy the file from the controller")


def test_a_node_of_an_older_version_is_no_stranger(host: Host, playbook: Playbook) -> None:
    host.check_output("sudo rm -r /etc/prometheus/credentials")
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout
    assert host.check_output("sudo ls /etc/prometheus/credentials").split() == ["password", "password_salt"]


ELSEWHERE = {"tls_self_signed": True, "monitoring_address": "elsewhere.example.com"}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("days", [None, (-1, 20), (-9, -1)], ids=["none yet", "in its last month", "expired"])
def test_a_check_writes_nothing_on_this_machine(
    playbook: Playbook, clone: Path, folder: Path, tmp_path: Path, days: tuple[int, int] | None
) -> None:
    copy(folder, clone)
    if days:
        pair = sign("node.example.com", days=days)
        (clone / CERTIFICATE).write_text(pair.key + pair.certificate)
    caches = {f"{role}_cache_dir": str(tmp_path / "cache") for role in ("prometheus", "grafana")}
    fetches = {f"{role}_fetch": "controller" for role in ("prometheus", "grafana")}
    before = contents(tmp_path)
    done = playbook(
        "site.yml", "--check", "--diff", monitoring_secrets_dir=str(clone), **ELSEWHERE, **caches, **fetches
    )
    assert done.returncode == 0, done.stdout
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("unchanged")
def test_a_verification_writes_nothing_on_this_machine(
    playbook: Playbook, clone: Path, folder: Path, tmp_path: Path
) -> None:
    copy(folder, clone)
    pair = sign("node.example.com", days=(-1, 20))
    (clone / CERTIFICATE).write_text(pair.key + pair.certificate)
    before = contents(tmp_path)
    # The node speaks HTTP, thus this can only fail; the question is what it leaves.
    done = playbook("playbooks/verify.yml", monitoring_secrets_dir=str(clone), **ELSEWHERE)
    refused(done, "https://", "/api/v1/status/runtimeinfo")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("missing", ["grafana_admin_password", CERTIFICATE])
def test_a_verification_of_what_has_not_been_made_says_who_makes_it(
    playbook: Playbook, clone: Path, folder: Path, missing: str
) -> None:
    copy(folder, clone)
    (clone / missing).unlink(missing_ok=True)
    before = contents(clone)
    extra = ELSEWHERE if missing == CERTIFICATE else {}
    done = playbook("playbooks/verify.yml", monitoring_secrets_dir=str(clone), **extra)
    refused(done, str(clone), "run site.yml")
    assert contents(clone) == before
