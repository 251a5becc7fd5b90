"""An archive of the user's choice takes the place of what the test bed would install, or is refused by name."""

import gzip
import importlib
import io
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import jinja2
import pytest

TESTBED = Path(__file__).parents[2] / "molecule/testbed"
ELF = b"\x7fELF" + bytes(14)
MACHINES = {"amd64": b"\x3e\x00", "arm64": b"\xb7\x00"}
FILES = {
    "prometheus": ("prometheus", "promtool"),
    "alertmanager": ("alertmanager", "amtool"),
    "grafana": ("bin/grafana", "conf/defaults.ini", "public/build/app.js"),
    "node_exporter": ("node_exporter", "LICENSE"),
}


@pytest.fixture
def archives(monkeypatch: pytest.MonkeyPatch) -> Any:
    sys.path.insert(0, str(TESTBED))
    module: Any = importlib.import_module("archives")
    sys.path.remove(str(TESTBED))
    # What a machine with neither internet nor Docker has.
    monkeypatch.setattr(module, "_upstream", lambda *_: None)
    monkeypatch.setattr(module, "_debian", debian)
    for role in FILES:
        monkeypatch.delenv(f"TESTBED_{role.upper()}_ARCHIVE", raising=False)
    return module


def debian(role: str, suite: str, folder: Path, *_: object) -> Path:
    version = {"trixie": "2.53.3", "sid": "3.5.0"}[suite]
    return pack(folder / f"{role}-{version}.linux-{architecture()}.tar.gz", f"{role}-{version}", *FILES[role])


def architecture() -> str:
    return {"x86_64": "amd64"}.get(os.uname().machine, "arm64")


def pack(path: Path, top: str, *names: str, content: bytes = b"#!/bin/sh\n") -> Path:
    # The same bytes each time: gzip would write down when it was.
    with gzip.GzipFile(path, "wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name in names:
            member = tarfile.TarInfo(f"{top}/{name}" if top else name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def address(variables: dict[str, Any], role: str, version: str) -> str:
    """Return the address from which a node gets a version."""
    url = jinja2.Template(variables[f"{role}_url"])
    return str(url.render({f"{role}_version": version})).removeprefix("http://archives/")


@pytest.mark.parametrize("role", FILES)
@pytest.mark.parametrize(
    "case",
    [
        ("{}-3.99.1", "3.99.1"),
        ("{}-v4.0.0-rc.1", "4.0.0-rc.1"),
        ("./{}-13.0.1+security-01", "13.0.1+security-01"),
        ("{}-3.5.0.linux-amd64", "3.5.0"),
    ],
)
def test_the_chosen_archive_is_installed_with_its_own_version_and_checksum(
    archives: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, case: tuple[str, str]
) -> None:
    top, version = case
    given = pack(tmp_path / "my build.tgz", top.format(role), *FILES[role])
    folder = tmp_path / "archives"
    said: list[str] = []
    others = {other: archives.ensure(folder, "image", said.append)[f"{other}_version"] for other in FILES}
    variable = f"TESTBED_{role.upper()}_ARCHIVE"
    monkeypatch.setenv(variable, str(given))
    variables = archives.ensure(folder, "image", said.append)
    assert variables[f"{role}_version"] == version
    served = folder / address(variables, role, version)
    assert served.read_bytes() == given.read_bytes()
    assert served == folder / variables["testbed_archives"][role]
    assert variables[f"{role}_checksums"][version] == {architecture(): archives._sha256(given)}
    assert variables["testbed_chosen_archives"] == {variable: str(given)}
    assert f"{role} {version} is my build.tgz, as {variable} says" in said
    assert {o: variables[f"{o}_version"] for o in FILES if o != role} == {o: v for o, v in others.items() if o != role}


def test_the_older_prometheus_is_still_there_to_upgrade_from(
    archives: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = pack(tmp_path / "new.tar.gz", "prometheus-3.99.1", *FILES["prometheus"])
    monkeypatch.setenv("TESTBED_PROMETHEUS_ARCHIVE", str(given))
    variables = archives.ensure(tmp_path / "archives", "image", print)
    assert list(variables["prometheus_checksums"]) == ["3.99.1", "2.53.3"]
    for version, checksum in variables["prometheus_checksums"].items():
        served = tmp_path / "archives" / address(variables, "prometheus", version)
        assert checksum == {architecture(): archives._sha256(served)}


def test_a_choice_leaves_the_archive_of_the_same_version_as_it_is(
    archives: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = archives.ensure(tmp_path / "archives", "image", print)
    given = pack(tmp_path / "x.tar.gz", "prometheus-3.5.0", *FILES["prometheus"], content=b"mine")
    monkeypatch.setenv("TESTBED_PROMETHEUS_ARCHIVE", str(given))
    chosen = archives.ensure(tmp_path / "archives", "image", print)
    assert (tmp_path / "promtool").read_bytes() == b"mine"
    monkeypatch.delenv("TESTBED_PROMETHEUS_ARCHIVE")
    assert archives.ensure(tmp_path / "archives", "image", print) == before != chosen
    assert (tmp_path / "promtool").read_bytes() != b"mine"


def test_another_file_in_the_same_place_is_taken_up(
    archives: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = pack(tmp_path / "x.tar.gz", "grafana-v1.0", *FILES["grafana"])
    monkeypatch.setenv("TESTBED_GRAFANA_ARCHIVE", str(given))
    first = archives.ensure(tmp_path / "archives", "image", print)
    pack(given, "grafana-v1.0", *FILES["grafana"], content=b"built anew")
    second = archives.ensure(tmp_path / "archives", "image", print)
    assert first["grafana_checksums"] != second["grafana_checksums"]
    assert second["grafana_checksums"]["1.0"] == {architecture(): archives._sha256(given)}


@pytest.mark.parametrize("role", FILES)
def test_what_is_no_such_archive_is_refused_with_its_variable_value_and_remedy(
    archives: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    program, *rest = FILES[role]
    other = "arm64" if architecture() == "amd64" else "amd64"
    (tmp_path / "text").write_text("no archive")
    (tmp_path / "cut").write_bytes(pack(tmp_path / "whole", f"{role}-1.0", *FILES[role]).read_bytes()[:-20])
    with tarfile.open(tmp_path / "empty", "w:gz"):
        pass
    foreign = ELF + MACHINES[other]
    pack(tmp_path / "foreign", f"{role}-1.0", *FILES[role], content=foreign)
    pack(tmp_path / "without-folder", "", *FILES[role])
    pack(tmp_path / "other-program", "loki-1.0", *FILES[role])
    pack(tmp_path / "without-program", f"{role}-1.0", *rest)
    pack(tmp_path / "without-the-rest", f"{role}-1.0", program)
    variable = f"TESTBED_{role.upper()}_ARCHIVE"
    wrong = ["missing", ".", "text", "cut", "empty", "foreign", "without-folder", "other-program", "without-program"]
    for name in [*wrong, "without-the-rest"]:
        monkeypatch.setenv(variable, str(tmp_path / name))
        with pytest.raises(archives.ArchiveError) as error:
            archives.ensure(tmp_path / "archives", "image", print)
        assert str(error.value).startswith(f"{variable} is '{tmp_path / name}': "), name
        assert "or unset it" in str(error.value)
    assert not list((tmp_path / "archives").rglob("*chosen*/*"))


def test_a_relative_path_begins_at_the_projects_folder(
    archives: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = pack(tmp_path / "x.tar.gz", "grafana-v1.0", *FILES["grafana"])
    monkeypatch.setenv("TESTBED_GRAFANA_ARCHIVE", os.path.relpath(given, TESTBED.parents[1]))
    # Ansible's tasks run elsewhere.
    monkeypatch.chdir("/")
    assert archives.ensure(tmp_path / "archives", "image", print)["grafana_version"] == "1.0"
