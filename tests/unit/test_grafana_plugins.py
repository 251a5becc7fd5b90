"""Grafana's plugins: whole, pinned and Grafana's own word for it, or refused."""

from __future__ import annotations

import contextlib
import io
import json
import re
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils import release, release_install, service
from ansible_collections.emr.monitoring.plugins.module_utils.questions_grafana import Grafana
from ansible_collections.emr.monitoring.plugins.module_utils.service import ServiceRun
from ansible_collections.emr.monitoring.plugins.module_utils.tree import unpack
from ansible_collections.emr.monitoring.plugins.module_utils.tree_apply import NotProvedError
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_plugins import grafana_plugins, path_problems
from ansible_collections.emr.monitoring.plugins.plugin_utils.rendered_trees import pack

from tests.unit.test_release import PROGRAM, Node, sha256
from tests.unit.test_release import pack as pack_tar

NAME, VERSION = "acme-note-panel", "1.2.0"
Member = tuple[str, bytes, int]
REGULAR, LINK = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777


def about(name: str = NAME, version: str = VERSION) -> bytes:
    return json.dumps({"id": name, "info": {"version": version}}).encode()


def zipped(*members: Member) -> bytes:
    """Return a .zip of members: name, content and mode."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return buffer.getvalue()


SOUND = zipped(("acme-note-panel/plugin.json", about(), REGULAR), ("acme-note-panel/a/b.js", b"b", REGULAR))


def wanted(node: Node, data: bytes, **plugin: str) -> dict[str, str]:
    """Return a plugin whose archive lies on the node."""
    archive = node.folder / f"{sha256(data)[:8]}.zip"
    archive.write_bytes(data)
    return {"name": NAME, "version": VERSION, "url": archive.as_uri(), "sha256": sha256(data), **plugin}


def install(node: Node, data: bytes, **plugin: str) -> Path:
    """Install a plugin as the release of one, and return its folder."""
    node.root.mkdir(exist_ok=True)
    _, found = release.parse_all(
        node.options(pack_tar(PROGRAM), root=str(node.root / "releases")), [wanted(node, data, **plugin)]
    )
    release_install.install(found)
    return Path(found.path)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_it_lies_beside_the_releases_and_nobody_elses_file_is_in_its_folder(node: Node) -> None:
    folder = install(node, SOUND)
    assert folder == node.root / f"plugins/{NAME}/{VERSION}"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        ".release.json",
        "acme-note-panel/plugin.json",
        "acme-note-panel/a/b.js",
    }


def test_a_tar_is_a_plugin_too(node: Node) -> None:
    folder = install(node, pack_tar([("top/plugin.json", b"0", about())]))
    assert json.loads((folder / "plugin.json").read_text())["id"] == NAME


@pytest.mark.parametrize(
    ("name", "mode", "executable"),
    [
        ("acme-note-panel/gpx_note_linux_amd64", REGULAR, True),
        ("acme-note-panel/gpx_note_linux_arm64", 0, True),
        ("acme-note-panel/gpx_note_darwin_amd64", REGULAR, False),
        ("acme-note-panel/run.sh", stat.S_IFREG | 0o4777, True),
        ("acme-note-panel/run.sh", 0, False),
    ],
)
def test_the_servers_half_can_be_run(node: Node, name: str, mode: int, executable: bool) -> None:
    folder = install(node, zipped(("acme-note-panel/plugin.json", about(), REGULAR), (name, b"#!", mode)))
    assert stat.S_IMODE((folder / name).stat().st_mode) == (0o755 if executable else 0o644)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("../x", b"", REGULAR)], "is not a path inside"),
        ([("a/../../x", b"", REGULAR)], "is not a path inside"),
        ([("/etc/x", b"", REGULAR)], "is not a path inside"),
        ([("a/l", b"../../x", LINK)], "leaves the release"),
        ([("a/l", b"/etc", LINK)], "absolute path"),
        ([("a/l", b"..", LINK), ("a/l/l/x", b"", REGULAR)], "not a directory"),
        ([("a/fifo", b"", stat.S_IFIFO)], "of a kind that no plugin needs"),
        ([("a/x.js", b"", REGULAR)], "holds no plugin of Grafana"),
        ([("a/plugin.json", b"{", REGULAR)], "holds no plugin of Grafana"),
        ([("a/plugin.json", b"[]", REGULAR)], "holds no plugin of Grafana"),
        ([("a/plugin.json", about("other-panel"), REGULAR)], f"other-panel {VERSION}, and {NAME} {VERSION} is wanted"),
        ([("a/plugin.json", about(version="1.3.0"), REGULAR)], "1.3.0, and"),
    ],
)
def test_what_is_none_is_refused_and_leaves_nothing(node: Node, members: list[Member], said: str) -> None:
    with pytest.raises(release.ReleaseError, match=said):
        install(node, zipped(*members))
    assert [path.name for path in (node.root / f"plugins/{NAME}").iterdir()] == [".lock"]


@pytest.mark.parametrize("length", [10, len(SOUND) // 2, len(SOUND) - 1])
def test_a_damaged_archive_is_refused(node: Node, length: int) -> None:
    with pytest.raises(release.ReleaseError, match="cannot be read"):
        install(node, SOUND[:length])


def test_another_checksum_names_the_plugin(node: Node) -> None:
    with pytest.raises(release.ReleaseError, match=f"Correct sha256 of {NAME} in tool_plugins"):
        install(node, SOUND, sha256="0" * 64)


# A run of the module, without a unit


class Run(ServiceRun):
    """A run whose service needs no systemd: what it has of releases."""

    def __init__(self, node: Node, plugins: list[dict[str, str]], check: bool = False, **options: Any) -> None:
        program = node.options(pack_tar(PROGRAM), root=str(node.root / "releases"), **options)
        self.params = {
            "name": program.pop("name"),
            "archives": {},
            "job": None,
            "adopt": False,
            "state_dir": str(node.folder / "state"),
        }
        self.payload = unpack(pack({"release": program, "plugins": plugins}))
        self.check = check
        self.relabel = lambda path: None

    def installed(self) -> dict[str, Any]:
        """Install until the module asks for something, or all is there."""
        missing = [each for each in self._releases() if not release_install.is_installed(each)]
        return self._install(missing) if missing else {}

    def present(self) -> dict[str, Any]:
        """Go on with the next release, as the module does."""
        return self.installed()


def names(node: Node) -> list[str]:
    return sorted(path.name for path in (node.root / "plugins").glob("*"))


def test_one_trip_brings_the_program_and_all_plugins_and_the_next_takes_away_what_is_not_wanted(node: Node) -> None:
    second = zipped(("x/plugin.json", about("other-panel"), REGULAR))
    run = Run(node, [wanted(node, SOUND), wanted(node, second, name="other-panel")])
    assert run.installed() == {}
    assert names(node) == [NAME, "other-panel"]
    mine = node.root / "plugins/mine"
    mine.mkdir()
    assert Run(node, [], check=True)._remove_plugins({"", NAME}) == ["other-panel"]
    assert names(node) == [NAME, "mine", "other-panel"]
    assert run._remove_plugins({"", NAME}) == ["other-panel"]
    assert names(node) == [NAME, "mine"]
    assert run._remove_plugins({""}) == [NAME]
    assert names(node) == ["mine"]


class Applied(Run):
    """One that gets as far as bringing the files, and does what it is told there."""

    remote = administrator = None

    @property
    def actions(self) -> list[str]:
        """Tell of nothing: there is no unit."""
        return []

    def present(self) -> dict[str, Any]:
        """Do what the module does."""
        return ServiceRun.present(self)

    def _transaction(self, installed: float) -> Any:
        return installed

    def _found(self) -> dict[str, Any]:
        return {}


def test_what_ran_stays_until_the_new_one_has_proved_itself(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin, too, whatever was tried since and however few are kept."""

    def run(version: str, works: bool) -> None:
        def apply(*_: Any, **__: Any) -> dict[str, Any]:
            if not works:
                raise NotProvedError("refused")
            return {"changed": True, "warnings": []}

        monkeypatch.setattr(service, "apply", apply)
        data = zipped(("x/plugin.json", about(NAME, version), REGULAR))
        wants = Applied(node, [wanted(node, data, version=version)], version=version, keep=1)
        with contextlib.suppress(NotProvedError):
            wants.present()

    def kept() -> list[set[str]]:
        return [
            set(release_install.versions(str(folder), name))
            for folder, name in ((node.root / "releases", "tool"), (node.root / "plugins" / NAME, NAME))
        ]

    run("1.0", works=True)
    run("2.0", works=False)
    run("3.0", works=False)
    assert kept() == [{"1.0", "2.0", "3.0"}] * 2
    run("1.0", works=True)
    assert kept() == [{"1.0"}] * 2


def test_the_controller_is_asked_for_each_archive_in_turn(node: Node) -> None:
    run = Run(node, [wanted(node, SOUND)], fetch="controller")
    assert run.installed() == {"changed": False, "wanted": "tool"}
    archives = {"tool": next(node.folder.glob("*.tar.gz")), NAME: next(node.folder.glob("*.zip"))}
    run.params = {**run.params, "archives": {"tool": str(archives["tool"])}}
    assert run.installed() == {"changed": False, "wanted": NAME}
    run.params = {**run.params, "archives": {label: str(path) for label, path in archives.items()}}
    assert run.installed() == {}
    assert names(node) == [NAME]


def test_the_job_of_a_release_is_not_taken_for_that_of_the_next(node: Node) -> None:
    run = Run(node, [wanted(node, SOUND)])
    run.params = {**run.params, "job": f"tool {'0' * 32}"}
    release_install.install(run._releases()[0])
    assert run.installed() == {}
    assert names(node) == [NAME]


# What a user writes

GOOD = {"name": NAME, "version": VERSION, "url": "https://mirror.example.com/note.zip", "sha256": "a" * 64}


def test_grafana_is_told_where_each_lies() -> None:
    found = grafana_plugins([GOOD], "/mnt/grafana/plugins")
    assert found == {
        "plugins": [GOOD],
        "ini": {f"plugin.{NAME}": {"path": f"/mnt/grafana/plugins/{NAME}/{VERSION}"}},
        "problems": [],
    }
    assert grafana_plugins(None, "/")["plugins"] == []
    assert grafana_plugins(GOOD, "/mnt/grafana/plugins") == found


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("acme-note-panel", r"\[1\] is a text: write a mapping"),
        ({**GOOD, "version": 1.1}, r"\[1\].version is a number: YAML has read it as something else"),
        ({**GOOD, "sha256": None}, r"\[1\] lacks sha256: a plugin has name, version, url, sha256"),
        ({"name": NAME}, r"\[1\] lacks version and url and sha256"),
        ({**GOOD, "checksum": "a"}, r"\[1\].checksum is not known"),
        ({**GOOD, "name": "Note"}, r"\[1\].name is 'Note': write the id"),
        ({**GOOD, "name": "a-b]\n[c"}, r"\[1\].name is a text of several lines: write the id"),
        (
            {**GOOD, "sha256": "abc"},
            r"^sha256 of acme-note-panel in grafana_plugins is 'abc', but it must be the 64 hexadecimal",
        ),
        (
            {**GOOD, "url": "s3://user:secret@bucket/a.zip"},
            r"^url of acme-note-panel in grafana_plugins is 's3://bucket/a.zip', but it must start",
        ),
        (
            {**GOOD, "version": "../1"},
            r"^version of acme-note-panel in grafana_plugins is '../1', but it must be a plain directory",
        ),
        ([GOOD, {**GOOD, "version": "2"}], r"\[2\].name is 'acme-note-panel', as that of another one is"),
    ],
)
def test_what_is_wrong_is_said(written: Any, said: str) -> None:
    (problem,) = grafana_plugins(written, "/")["problems"]
    assert "grafana_plugins" in problem
    assert re.search(said, problem), problem
    assert "secret" not in problem


def test_another_place_for_one_of_them_is_refused() -> None:
    own = grafana_plugins([GOOD], "/p")["ini"]
    (problem,) = path_problems(own, {f"plugin.{NAME}": {"path": "/x"}, "plugin.other": {"path": "/y"}})
    assert problem.startswith(f"grafana_ini.plugin.{NAME}.path would have another copy")


# What Grafana says: seen on 12.4


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (200, {"id": NAME, "info": {"version": VERSION}}, ""),
        (
            500,
            {"message": "Plugin signature is missing"},
            "did not take the plugin acme-note-panel: Plugin signature is",
        ),
        (404, {"message": "Plugin not found, no installed plugin with that id"}, "Plugin not found"),
        (
            200,
            {"id": NAME, "info": {"version": "1.1.0"}},
            "runs version 1.1.0 of the plugin acme-note-panel, and not 1.2.0",
        ),
    ],
)
def test_what_grafana_did_not_take_is_said(status: int, answer: dict[str, Any], said: str) -> None:
    grafana = Grafana("http://g", "admin", {}, "/etc/dashboards", [], plugins={NAME: VERSION})
    assert grafana.plugin_urls() == {f"plugin {NAME}": f"http://g/api/plugins/{NAME}/settings"}
    problems = grafana.plugin_problems({f"plugin {NAME}": {"status": status, "json": answer, "error": ""}})
    assert len(problems) == bool(said)
    assert said in "".join(problems)
