"""The generated secrets: written once, read by a lookup that never writes, handed over, and removed by name."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible_collections.emr.monitoring.plugins.action import generated_secrets as action
from ansible_collections.emr.monitoring.plugins.lookup import generated_secret
from ansible_collections.emr.monitoring.plugins.modules import generated_secrets as module

from tests.certificates import sign
from tests.unit.documentation import documents_arguments

Lookup = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "node"


@pytest.fixture
def lookup(folder: Path) -> Lookup:
    """Return a function that does what a template does."""
    lookup_loader.add_directory(str(Path(generated_secret.__file__).parent))

    def run(name: str, check: bool = False, **options: int | bool) -> str:
        variables = {"ansible_check_mode": check}
        if "placeholder" in options:
            variables["generated_secret_placeholder"] = bool(options.pop("placeholder"))
        plugin = lookup_loader.get("generated_secret", loader=DataLoader())
        (secret,) = plugin.run([str(folder / name)], variables, **options)
        return str(secret)

    return run


def fill(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(f"the {name}")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_documentation_lists_the_arguments() -> None:
    assert documents_arguments(module.DOCUMENTATION, action.ARGUMENTS)


# What the lookup says


@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \n\n"])
def test_a_file_that_somebody_wrote_by_hand_is_read_without_its_end(folder: Path, lookup: Lookup, end: str) -> None:
    fill(folder)
    (folder / "password").write_bytes(f"a phrase of mine{end}".encode())
    assert lookup("password") == lookup("password", check=True) == "a phrase of mine"


def test_without_a_file_there_is_no_secret_and_no_trace(folder: Path, lookup: Lookup) -> None:
    assert lookup("password") == lookup("password", check=True, placeholder=False) == ""
    assert not folder.parent.exists()


@pytest.mark.parametrize("length", [22, 32])
def test_a_check_is_told_a_placeholder_of_the_right_kind(folder: Path, lookup: Lookup, length: int) -> None:
    secret = lookup("password", check=True, length=length)
    assert re.fullmatch(f"[A-Za-z0-9]{{{length}}}", secret)
    assert secret == lookup("password", check=True, length=length)
    assert secret != lookup("password_salt", check=True, length=length)
    assert not folder.parent.exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_without_a_secret_is_named_and_left(folder: Path, lookup: Lookup, content: bytes) -> None:
    fill(folder)
    (folder / "password").write_bytes(content)
    # Without the options a node that has one refuses a new one.
    remedy = "remove it.*monitoring_secrets_from_node=true.*monitoring_secrets_replace=password "
    with pytest.raises(AnsibleError, match=f"{folder}/password .*{remedy}"):
        lookup("password")
    assert (folder / "password").read_bytes() == content


def test_a_file_that_cannot_be_read_is_named(folder: Path, lookup: Lookup) -> None:
    (folder / "password").mkdir(parents=True)
    with pytest.raises(AnsibleError, match=f"The secret in {folder}/password cannot be read"):
        lookup("password")


# How they are made


def test_a_secret_is_made_once_for_its_owner_alone(folder: Path, lookup: Lookup) -> None:
    assert action.create(folder / "password", action.generate(32))
    secret = lookup("password")
    assert re.fullmatch("[A-Za-z0-9]{32}", secret)
    assert not action.create(folder / "password", action.generate(32))
    assert lookup("password") == secret
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    # The folder above them says which nodes there are.
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}
    assert names(folder) == {"password"}


def test_two_secrets_differ() -> None:
    assert len({action.generate(22) for _ in range(100)}) == 100


def _create(path: Path) -> str:
    action.create(path, action.generate(32))
    return path.read_text()


def test_runs_at_the_same_time_get_the_same(folder: Path) -> None:
    with ProcessPoolExecutor(8) as pool:
        runs = [pool.submit(_create, folder / "password") for _ in range(32)]
    assert len({run.result() for run in runs}) == 1
    assert names(folder) == {"password"}


# What the node hands over


def test_what_gives_way_to_the_nodes_is_kept(folder: Path) -> None:
    fill(folder, "grafana_secret_key")
    assert action.replace(folder / "grafana_secret_key", "the node's")
    assert (folder / "grafana_secret_key").read_text() == "the node's"
    assert (folder / "grafana_secret_key.previous").read_text() == "the grafana_secret_key"
    assert {stat.S_IMODE((folder / "grafana_secret_key").stat().st_mode)} == {0o600}
    assert names(folder) == {"grafana_secret_key", "grafana_secret_key.previous"}


def test_what_was_kept_once_is_never_lost(folder: Path) -> None:
    fill(folder, "key")
    values = [f"of node {number}" for number in range(4)]
    for value in values:
        assert action.replace(folder / "key", value)
    kept = ("key.previous", "key.previous.2", "key.previous.3", "key.previous.4", "key")
    assert [(folder / name).read_text() for name in kept] == ["the key", *values]
    assert names(folder) == set(kept)
    action.remove(folder, ["key"], ["key"], certificate=True, dry=False)
    assert not folder.exists()


class OnNode(action.ActionModule):
    """The action plugin, with the files of a node."""

    def __init__(self, files: dict[str, str]) -> None:
        self._task = SimpleNamespace(check_mode=False)
        self.files = files

    def _read(self, path: str, task_vars: dict[str, Any] | None) -> bytes | None:
        return self.files[path].encode() if path in self.files else None


def take_over(folder: Path, on_node: dict[str, str], replaced: Sequence[str]) -> list[str]:
    """Take over the secrets of a node; return the names of those that were written."""
    wanted = [
        {"variable": name, "path": f"/credentials/{name}", "kept": None, "known": (folder / name).exists()}
        for name in ("key", "password", "salt")
    ]
    options = {"replaced": replaced, "self_provisioned": "/self", "certificate": False}
    return OnNode(on_node)._take_over(folder, wanted, options, None)


def test_what_is_replaced_on_purpose_is_not_taken_over(folder: Path) -> None:
    fill(folder, "key", "password")
    on_node = {f"/credentials/{name}": f"{name} of the node" for name in ("key", "password", "salt")}
    assert take_over(folder, on_node, ["key", "salt"]) == ["password"]
    assert (folder / "key").read_text() == "the key"
    assert names(folder) == {"key", "password", "password.previous"}
    assert take_over(folder, on_node, []) == ["key", "salt"]


def test_what_is_the_same_is_not_written_again(folder: Path) -> None:
    fill(folder)
    (folder / "password").write_text("the same\n")
    assert not action.replace(folder / "password", "the same")
    assert names(folder) == {"password"}


@pytest.mark.parametrize("content", ["two\nlines", "a\x1b[31mcolour"])
def test_what_is_no_secret_is_named_and_not_shown(content: str) -> None:
    with pytest.raises(AnsibleError, match="/etc/key on the node") as refused:
        action.text_of("/etc/key", content.encode())
    assert content not in str(refused.value)


MADE, GIVEN = sign("node.example.com"), sign("node.example.com", issuer=sign("An authority"))


def test_a_self_signed_certificate_is_taken_over_with_its_key() -> None:
    live = dict(zip(action.CERTIFICATE_ON_NODE, (MADE.key.encode(), MADE.certificate.encode()), strict=True))
    kept = {"/kept/tls_self_signed.pem": (MADE.key + MADE.certificate).encode()}
    assert action.certificate_on_node("/kept", live.get) == MADE.key + MADE.certificate
    assert action.certificate_on_node("/kept", kept.get) == MADE.key + MADE.certificate


def test_a_certificate_that_somebody_signed_is_not() -> None:
    live = dict(zip(action.CERTIFICATE_ON_NODE, (GIVEN.key.encode(), GIVEN.certificate.encode()), strict=True))
    assert action.certificate_on_node("/kept", live.get) is None
    assert action.certificate_on_node("/kept", lambda path: None) is None


# What is removed

GRAFANA = ["grafana_admin_password", "grafana_secret_key"]
OTHERS = ["prometheus_password", "prometheus_password_salt", "alertmanager_password"]
ALL = [*GRAFANA, *OTHERS]
CERTIFICATE = ["tls_self_signed.pem", ".tls_self_signed.pem.lock"]


def test_only_the_files_of_what_was_uninstalled_go(folder: Path) -> None:
    fill(folder, *ALL, *CERTIFICATE, "grafana_secret_key.previous", ".grafana_secret_key.x1_3abcd")
    gone, left = action.remove(folder, GRAFANA, ALL, certificate=True, dry=False)
    assert set(gone) == {*GRAFANA, "grafana_secret_key.previous", ".grafana_secret_key.x1_3abcd"}
    assert left == []
    assert names(folder) == {*OTHERS, *CERTIFICATE}


def test_what_belongs_to_a_service_of_two_words_goes_with_it_and_its_certificate_too() -> None:
    everything = [*ALL, "node_exporter_password", "node_exporter_password_salt"]
    # Prometheus asks with them, and a run would find them with it, and not here.
    assert action.names_of(["node_exporter"], everything)[0] == []
    wanted, known = action.names_of(["prometheus"], everything)
    assert [name for name in wanted if name.startswith("node_exporter_")] == [
        "node_exporter_password", "node_exporter_password_salt", "node_exporter_tls.pem",
    ]  # fmt: skip
    assert known == [*everything, "node_exporter_tls.pem"]
    assert action.names_of(["grafana"], everything)[0] == GRAFANA


def test_the_certificate_of_services_without_a_secret_in_the_folder_stays(folder: Path) -> None:
    fill(folder, *GRAFANA, *CERTIFICATE)
    action.remove(folder, GRAFANA, ALL, certificate=False, dry=False)
    assert names(folder) == set(CERTIFICATE)


def test_the_certificate_and_the_folder_go_with_the_last_of_them(folder: Path) -> None:
    fill(folder, *GRAFANA, *CERTIFICATE)
    action.remove(folder, GRAFANA, ALL, certificate=True, dry=False)
    assert not folder.exists()
    assert folder.parent.exists()


@pytest.mark.parametrize(
    "mine", ["grafana_secret_key.old", "my_grafana_secret_key", ".grafana_secret_key.swp", "notes", ".ssh"]
)
def test_what_is_the_users_stays_and_is_named(folder: Path, mine: str) -> None:
    fill(folder, *ALL, *CERTIFICATE, mine)
    assert action.remove(folder, ALL, ALL, certificate=True, dry=False)[1] == [str(folder / mine)]
    assert names(folder) == {mine}


def test_a_folder_of_the_user_stays_with_all_that_is_in_it(folder: Path) -> None:
    (folder / "grafana_secret_key").mkdir(parents=True)
    assert action.remove(folder, ALL, ALL, certificate=True, dry=False) == ([], [str(folder / "grafana_secret_key")])
    assert names(folder) == {"grafana_secret_key"}


def test_a_link_to_a_folder_stays(folder: Path, tmp_path: Path) -> None:
    fill(tmp_path / "home", *GRAFANA)
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "home")
    action.remove(folder, ALL, ALL, certificate=True, dry=False)
    assert folder.is_symlink()
    assert names(tmp_path / "home") == set()


def test_a_dry_run_removes_nothing_and_says_what_would_go(folder: Path) -> None:
    fill(folder, *GRAFANA, *CERTIFICATE)
    gone, _ = action.remove(folder, GRAFANA, ALL, certificate=True, dry=True)
    assert set(gone) == names(folder) == {*GRAFANA, *CERTIFICATE}


def test_without_a_folder_there_is_nothing_to_remove(folder: Path) -> None:
    assert action.remove(folder, ALL, ALL, certificate=True, dry=False) == ([], [])
