"""What the release module promises: wholly there or not at all, and never a byte outside its directory."""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import io
import json
import os
import signal
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils import (
    release,
    release_download,
    release_install,
)
from ansible_collections.emr.monitoring.plugins.modules import service as module
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import systemd_standin

PROJECT = Path(__file__).parents[2]
Member = tuple[str, bytes, str | bytes]
PROGRAM: list[Member] = [
    ("top/bin/tool", tarfile.REGTYPE, b"#!/bin/sh\n"),
    ("top/etc/a.yml", tarfile.REGTYPE, b"a"),
]


def pack(members: Sequence[Member], mode: int = 0o777) -> bytes:
    """Return a .tar.gz of members: (name, tar type, content or link target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid = kind, mode, 4711
            if isinstance(content, str):
                info.linkname = content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Node:
    """A directory that stands for the node's disk, and the archives laid down beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "opt"

    def options(self, data: bytes, **options: Any) -> dict[str, Any]:
        archive = self.folder / f"{sha256(data)[:8]}.tar.gz"
        archive.write_bytes(data)
        defaults = {name: spec.get("default") for name, spec in module.RELEASE.items()}
        source = {"url": archive.as_uri(), "sha256": sha256(data), "root": str(self.root)}
        return {**defaults, "name": "tool", "version": "1.0", **source, **options}

    def install(self, data: bytes, **options: Any) -> bool:
        return release_install.install(release.parse(self.options(data, **options)))

    def tree(self) -> dict[str, str]:
        """Everything below the root but the lock: path → content, link target or "/" for a directory."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            elif name != ".lock":
                found[name] = "/" if path.is_dir() else path.read_text(errors="replace")
        return found

    def refuses(self, members: list[Member], match: str) -> None:
        with pytest.raises(release.ReleaseError, match=match):
            self.install(pack(members))
        assert self.tree() == {}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


# What is installed


def test_the_version_in_use_is_told(node: Node) -> None:
    wanted = release.parse(node.options(pack(PROGRAM)))
    assert release_install.in_use(wanted) == ""
    release_install.install(wanted)
    (node.root / "current").symlink_to("1.0")
    assert release_install.in_use(wanted) == "1.0"


def test_unpacking_the_same_version_anew_is_told_from_the_first_time(node: Node) -> None:
    node.install(pack(PROGRAM))
    first = release_install.installed_at(release.parse(node.options(b"")))
    node.install(pack([*PROGRAM, ("tool/more", tarfile.REGTYPE, b"")]))
    assert first < release_install.installed_at(release.parse(node.options(b""))) <= time.time()


@pytest.mark.parametrize("top", ["top", "./top", "grafana-v12.1.0", "./a b"])
def test_the_top_folder_is_stripped_whatever_its_name(node: Node, top: str) -> None:
    node.install(pack([(f"{top}/", tarfile.DIRTYPE, ""), (f"{top}/bin/tool", tarfile.REGTYPE, b"run")]))
    assert node.tree().keys() == {"1.0", "1.0/bin", "1.0/bin/tool", "1.0/.release.json"}


def test_owner_and_modes_are_sane(node: Node) -> None:
    umask = os.umask(0o077)
    try:
        node.install(pack([("t/d", tarfile.DIRTYPE, ""), ("t/d/x", tarfile.REGTYPE, b"")], mode=0o7777))
    finally:
        os.umask(umask)
    node.install(pack([("t/d", tarfile.DIRTYPE, ""), ("t/d/x", tarfile.REGTYPE, b"")], mode=0o600), version="2")
    modes = {name: oct((node.root / name).stat().st_mode & 0o7777) for name in ("1.0", "1.0/d", "1.0/d/x", "2/d/x")}
    assert modes == {"1.0": "0o755", "1.0/d": "0o755", "1.0/d/x": "0o755", "2/d/x": "0o644"}
    assert (node.root / "1.0/d/x").stat().st_uid == os.geteuid()


def test_links_inside_and_replaced_members_are_kept(node: Node) -> None:
    links: list[Member] = [
        ("top/lib/v", tarfile.SYMTYPE, "../bin/tool"),
        ("top/h", tarfile.LNKTYPE, "top/bin/tool"),
    ]
    node.install(pack([*PROGRAM, *links, ("top/etc/a.yml", tarfile.REGTYPE, b"later wins")]))
    assert node.tree()["1.0/lib/v"] == "-> ../bin/tool"
    assert (node.root / "1.0/h").samefile(node.root / "1.0/lib/v")
    assert node.tree()["1.0/etc/a.yml"] == "later wins"


@pytest.mark.parametrize("pattern", ["docs", "docs/", "docs/*", "*.md", "d?cs/[r]*"])
def test_exclude(node: Node, pattern: str) -> None:
    node.install(pack([*PROGRAM, ("top/docs/readme.md", tarfile.REGTYPE, b"")]), exclude=[pattern])
    assert "1.0/docs/readme.md" not in node.tree()
    assert "1.0/bin/tool" in node.tree()


def test_a_large_file_arrives_whole(node: Node) -> None:
    content = os.urandom(3 << 20) + bytes(5 << 20) + b"end"
    node.install(pack([("top/big", tarfile.REGTYPE, content), *PROGRAM]))
    assert (node.root / "1.0/big").read_bytes() == content


def test_an_archive_of_several_gzip_members(node: Node) -> None:
    tar = gzip.decompress(pack(PROGRAM))
    node.install(gzip.compress(tar[:700]) + gzip.compress(tar[700:]))
    assert node.tree()["1.0/etc/a.yml"] == "a"


def test_already_installed_does_nothing(node: Node) -> None:
    assert node.install(pack(PROGRAM))
    before = (node.root / "1.0").stat()
    assert not node.install(pack(PROGRAM))
    assert (node.root / "1.0").stat() == before


@pytest.mark.parametrize("change", ["sha256", "exclude", "marker"])
def test_another_archive_of_the_same_version_is_swapped_in(node: Node, change: str) -> None:
    node.install(pack(PROGRAM))
    if change == "marker":
        (node.root / "1.0/.release.json").write_text("")
    new = pack([*PROGRAM, ("top/new", tarfile.REGTYPE, b"")]) if change == "sha256" else pack(PROGRAM)
    assert node.install(new, exclude=["etc"] if change == "exclude" else [])
    assert ("1.0/new" in node.tree()) == (change == "sha256")
    assert ("1.0/etc/a.yml" in node.tree()) == (change != "exclude")
    assert not [name for name in node.tree() if name.startswith(".")]


def test_a_directory_of_someone_else_is_not_replaced(node: Node) -> None:
    (node.root / "1.0").mkdir(parents=True)
    with pytest.raises(release.ReleaseError, match="was not installed by this module"):
        node.install(pack(PROGRAM))
    assert node.tree() == {"1.0": "/"}


def test_prune_keeps_the_newest_and_the_one_that_is_wanted(node: Node) -> None:
    for age, version in enumerate(("1", "2", "3", "4")):
        node.install(pack(PROGRAM), version=version)
        os.utime(node.root / version / ".release.json", (age, age))
    (node.root / "foreign").mkdir()
    (node.root / "current").symlink_to("2/bin")
    (node.folder / "outside").mkdir()
    (node.folder / "outside/.release.json").write_text('{"name": "tool"}')
    (node.root / "link").symlink_to(node.folder / "outside")
    wanted = release.parse(node.options(pack(PROGRAM), version="2", keep=2))
    before = node.tree()
    assert release_install.prune(wanted, dry=True) == ["3", "1"]
    assert node.tree() == before
    assert release_install.prune(wanted, dry=False) == ["3", "1"]
    assert {path.name for path in node.root.iterdir()} == {".lock", "foreign", "current", "link", "4", "2"}
    assert (node.folder / "outside/.release.json").exists()
    assert release_install.prune(wanted, dry=False) == []


def test_an_installation_takes_nothing_away(node: Node) -> None:
    """What is in use may be any of them, and is the way back."""
    for version in ("1", "2", "3"):
        node.install(pack(PROGRAM), version=version, keep=1)
    assert release_install.versions(str(node.root), "tool").keys() == {"1", "2", "3"}


# What is removed

FOREIGN = [
    "notes.txt",
    "2.0/mine",
    ".staging-area/mine",
    ".staging-UPPERCAS/mine",
    ".download-list",
    ".download-tool-1.0-012345678.part",
    ".lock.mine",
    "3.0/.release.json/mine",
]


def lay(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")


def interrupted(node: Node) -> None:
    lay(node.root / ".staging-x_1abcde/bin/tool")
    lay(node.root / f".download-tool-1.0-{'0' * 12}.part")


def test_all_that_was_installed_is_removed_with_its_folder(node: Node) -> None:
    for version in ("1.0", "1.1"):
        node.install(pack(PROGRAM), version=version)
    interrupted(node)
    gone, left = release_install.remove("tool", str(node.root), dry=False)
    assert {"1.0", "1.1"} < set(gone)
    assert left == []
    assert not node.root.exists()
    assert release_install.remove("tool", str(node.root), dry=False) == ([], [])


@pytest.mark.parametrize("mine", FOREIGN)
def test_what_a_user_put_there_stays_whatever_its_name(node: Node, mine: str) -> None:
    node.install(pack(PROGRAM))
    interrupted(node)
    lay(node.root / mine)
    assert release_install.remove("tool", str(node.root), dry=False)[1] == [
        f"{node.root}/{mine.split('/', maxsplit=1)[0]}"
    ]
    assert [path for path in node.root.rglob("*") if path.is_file()] == [node.root / mine]


@pytest.mark.parametrize("mine", FOREIGN)
def test_an_installation_clears_away_nothing_of_a_user(node: Node, mine: str) -> None:
    lay(node.root / mine)
    interrupted(node)
    for version in ("1.0", "1.1", "1.2"):
        node.install(pack(PROGRAM), version=version, keep=1)
    assert (node.root / mine).read_text() == "mine"
    assert not list(node.root.glob(".staging-x*"))
    assert not list(node.root.glob("*.part")) or mine.endswith(".part")


def test_what_another_program_installed_there_stays(node: Node) -> None:
    node.install(pack(PROGRAM), name="other", version="9.0")
    for version in ("1.0", "1.1", "1.2"):
        node.install(pack(PROGRAM), version=version, keep=1)
    assert release_install.versions(str(node.root), "other").keys() == {"9.0"}
    assert release_install.remove("tool", str(node.root), dry=False)[1] == [f"{node.root}/9.0"]
    assert (node.root / "9.0/bin/tool").exists()


def test_a_link_to_a_release_elsewhere_stays_and_so_does_the_release(node: Node) -> None:
    node.install(pack(PROGRAM))
    (node.root / "1.0").rename(node.folder / "elsewhere")
    (node.root / "1.0").symlink_to(node.folder / "elsewhere")
    assert release_install.remove("tool", str(node.root), dry=False)[1] == [f"{node.root}/1.0"]
    assert (node.folder / "elsewhere/bin/tool").exists()


# What is refused


@pytest.mark.parametrize("name", ["top/../../evil", "../evil", "top/a/../../../evil", "..", "/etc/evil", "//evil"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
def test_paths_that_leave_the_release(node: Node, name: str, kind: bytes) -> None:
    node.refuses([(name, kind, "x" if kind == tarfile.SYMTYPE else b"")], "is not a path inside the release")
    assert not (node.folder / "evil").exists()


@pytest.mark.parametrize("target", ["../../outside", "../x", "a/../../x"])
def test_symlinks_that_leave_the_release(node: Node, target: str) -> None:
    node.refuses([("top/link", tarfile.SYMTYPE, target)], "leaves the release")


def test_absolute_symlinks(node: Node) -> None:
    node.refuses([("top/link", tarfile.SYMTYPE, "/etc/passwd")], "links to the absolute path /etc/passwd")


def test_a_chain_of_symlinks_that_leaves_the_release(node: Node) -> None:
    chain: list[Member] = [
        ("top/x/y/", tarfile.DIRTYPE, ""),
        ("top/x/y/up", tarfile.SYMTYPE, ".."),
        ("top/far", tarfile.SYMTYPE, "x/y/up/../.."),
    ]
    node.refuses(chain, "leaves the release")


@pytest.mark.parametrize("target", ["/etc/passwd", "top/../../secret", "top/link"])
def test_hardlinks_that_leave_the_release(node: Node, target: str) -> None:
    (node.folder / "secret").write_text("secret")
    members: list[Member] = [("top/a", tarfile.REGTYPE, b""), ("top/link", tarfile.SYMTYPE, "a")]
    node.refuses([*members, ("top/hard", tarfile.LNKTYPE, target)], "not a path inside|which is not a file")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_writing_through_a_symlink_of_the_archive(node: Node, kind: bytes) -> None:
    content: str | bytes = b"x" if kind == tarfile.REGTYPE else "top/a"
    members: list[Member] = [
        ("top/a", tarfile.REGTYPE, b"a"),
        ("top/dir/", tarfile.DIRTYPE, ""),
        ("top/link", tarfile.SYMTYPE, "dir"),
        ("top/link/evil", kind, content),
    ]
    node.refuses(members, "link is a link or a file, not a directory")


def test_hardlink_read_through_a_symlink_of_the_archive(node: Node) -> None:
    members: list[Member] = [("top/l", tarfile.SYMTYPE, "../.."), ("top/h", tarfile.LNKTYPE, "top/l/secret")]
    (node.folder / "secret").write_text("secret")
    node.refuses(members, "which is not unpacked")


def test_the_marker_is_not_written_through_a_symlink_of_the_archive(node: Node) -> None:
    node.install(pack([*PROGRAM, ("top/.release.json", tarfile.SYMTYPE, "etc/a.yml")]))
    assert node.tree()["1.0/etc/a.yml"] == "a"
    assert json.loads(node.tree()["1.0/.release.json"])["version"] == "1.0"


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_and_unknown_kinds(node: Node, kind: bytes) -> None:
    node.refuses([*PROGRAM, ("top/dev", kind, "")], "device" if kind != b"Z" else "refused|cannot be read")


@pytest.mark.parametrize(
    "planted",
    [
        [("top/d/", tarfile.DIRTYPE, ""), ("top/d", tarfile.SYMTYPE, "../..")],
        [("top/d/", tarfile.DIRTYPE, ""), ("top/d", tarfile.REGTYPE, b"")],
        [("top/d/x", tarfile.REGTYPE, b""), ("top/d", tarfile.LNKTYPE, "top/d/x")],
        [("top/d", tarfile.SYMTYPE, "."), ("top/d/", tarfile.DIRTYPE, "")],
    ],
    ids=["by a symlink", "by a file", "by a hardlink", "a symlink by a directory"],
)
def test_a_directory_that_is_replaced_midway(node: Node, planted: list[Member]) -> None:
    node.refuses([*planted, ("top/d/evil", tarfile.REGTYPE, b"")], "replaces a directory|is a link or a file")


def test_a_symlink_that_a_file_replaces_is_not_followed(node: Node) -> None:
    victim = node.folder / "victim"
    victim.write_text("untouched")
    node.install(pack([("top/l", tarfile.SYMTYPE, "../../../victim"), ("top/l", tarfile.REGTYPE, b"mine")]))
    assert node.tree()["1.0/l"] == "mine"
    assert victim.read_text() == "untouched"


def test_a_name_arrives_as_it_is(node: Node) -> None:
    names = ["a\nb", "$(touch x)", "{{ 7*7 }}", "\u202eabc", "\x1b[2J"]
    node.install(pack([(f"top/{name}", tarfile.REGTYPE, b"") for name in names]))
    assert set(os.listdir(node.root / "1.0")) == {*names, ".release.json"}


def header(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return the header of a member that says what Python does not write: any size."""
    info = tarfile.TarInfo("top/a")
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" + size.to_bytes(11, "big", signed=True) if size < 0 else b"\x80" + size.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        (-1, tarfile.REGTYPE),
        (-1024, tarfile.REGTYPE),
        (1 << 62, tarfile.REGTYPE),
        (1 << 40, tarfile.GNUTYPE_LONGNAME),
        (1 << 40, tarfile.XHDTYPE),
        (-1, tarfile.XHDTYPE),
    ],
)
def test_sizes_that_cannot_be(node: Node, size: int, kind: bytes) -> None:
    # The header twice: a size that leads backwards must not lead to it for ever.
    data = gzip.compress(header(size, kind) * 2 + bytes(1024))
    with pytest.raises(release.ReleaseError, match="cannot be read"):
        node.install(data)
    assert node.tree() == {}


def test_sparse_files(node: Node) -> None:
    info = tarfile.TarInfo("top/a")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 60)}
    info.size = 512
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"1\n0\n0\n".ljust(512, b"\0")))
    with pytest.raises(release.ReleaseError, match="of another kind that no release needs"):
        node.install(buffer.getvalue())
    assert node.tree() == {}


def test_a_file_beside_the_top_folder(node: Node) -> None:
    node.refuses([*PROGRAM, ("README", tarfile.REGTYPE, b"")], "beside the top folder")


@pytest.mark.parametrize("cut", [30, 200, 100_000, -3])
def test_a_truncated_archive(node: Node, cut: int) -> None:
    with pytest.raises(release.ReleaseError, match=r"cannot be read: .*Point url at"):
        node.install(pack([*PROGRAM, ("top/big", tarfile.REGTYPE, os.urandom(200_000))])[:cut])
    assert node.tree() == {}


@pytest.mark.parametrize("cut", [100, 512, 800, 1024, 1536])
def test_a_truncated_tar_inside_a_sound_gzip(node: Node, cut: int) -> None:
    with pytest.raises(release.ReleaseError, match="cannot be read"):
        node.install(gzip.compress(gzip.decompress(pack(PROGRAM))[:cut]))
    assert node.tree() == {}


def test_a_damaged_header_is_not_taken_for_the_end(node: Node) -> None:
    tar = bytearray(gzip.decompress(pack(PROGRAM)))
    tar[1024 + 150] ^= 1
    with pytest.raises(release.ReleaseError, match="cannot be read"):
        node.install(gzip.compress(bytes(tar)))


def test_something_that_is_no_archive(node: Node) -> None:
    with pytest.raises(release.ReleaseError, match="cannot be read"):
        node.install(b"<html>404</html>")


def test_an_archive_that_changes_after_it_was_verified(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = release.parse(node.options(pack(PROGRAM)))
    other = pack([*PROGRAM, ("top/evil", tarfile.REGTYPE, b"")])

    def verified_then_changed(path: str) -> str:
        Path(path).write_bytes(other)
        return wanted.sha256

    monkeypatch.setattr(release_install, "digest", verified_then_changed)
    with pytest.raises(release.ReleaseError, match=f"expected sha256 {wanted.sha256}, got {sha256(other)}"):
        release_install.install(wanted)
    assert node.tree() == {}


def test_a_wrong_checksum_is_found_before_unpacking(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_install, "unpack", lambda *_: pytest.fail("unpacked an unverified archive"))
    data = pack(PROGRAM)
    with pytest.raises(release.ReleaseError, match=f"expected sha256 {'0' * 64}, got {sha256(data)}"):
        node.install(data, sha256="0" * 64)
    assert node.tree() == {}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("version", "../1"),
        ("version", ".hidden"),
        ("version", ""),
        ("url", "ftp://host/x"),
        ("url", "/x.tar.gz"),
        ("sha256", "abc"),
        ("root", "opt"),
        ("root", "/"),
        ("keep", 0),
        ("timeout", 0),
    ],
)
def test_wrong_options_are_named(node: Node, option: str, value: Any) -> None:
    named = {"sha256": "tool_checksums", "keep": "tool_releases_kept", "timeout": "timeout"}.get(
        option, f"tool_{option}"
    )
    named = "version is missing" if value == "" else f"{named} is "
    with pytest.raises(release.ReleaseError, match=f"^{named}.*{value!s}"):
        release.parse(node.options(b"", **{option: value}))


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@[host/x.tar.gz",
        "https://user:hun@ter2@host/x.tar.gz",
        "https://user:hunter2/3@host/x.tar.gz",
        "https://user:hunter2#3@host/x.tar.gz",
        "https://user:hunter2@host:port/x.tar.gz",
        "https://user:hunter2@host/a b.tar.gz",
        "https://user:hunter2@host/ñ.tar.gz",
        "https://user:hunter2@host/x\n.tar.gz",
    ],
)
def test_a_url_that_is_none_is_not_shown(node: Node, url: str) -> None:
    with pytest.raises(release.ReleaseError, match=r"^tool_url is no URL, and not shown.* as %40") as caught:
        release.parse(node.options(b"", url=url))
    assert "ter2" not in str(caught.value)


SAFE_OUTSIDE = st.sampled_from(["top", "..", ".", "", "a", "b", "evil", "\0", "é", "\udcff", "x" * 300, "*"])
FUZZED_NAME = st.one_of(
    st.text(max_size=30),
    st.lists(SAFE_OUTSIDE, max_size=6).map("/".join),
    st.sampled_from(["/a", "top/l/../a"]),
)
FUZZED_KIND = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(FUZZED_NAME, FUZZED_KIND, FUZZED_NAME), max_size=6))
def test_no_archive_writes_or_points_outside(members: list[tuple[str, bytes, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder))
        try:
            data = pack([(name, kind, b"" if kind == tarfile.REGTYPE else link) for name, kind, link in members])
        except (ValueError, UnicodeError):
            return
        (node.folder / "evil").write_text("untouched")
        try:
            node.install(data)
        except release.ReleaseError:
            assert node.tree() == {}
        assert {path.name for path in node.folder.iterdir()} <= {"evil", "opt", f"{sha256(data)[:8]}.tar.gz"}
        assert (node.folder / "evil").read_text() == "untouched"
        assert (node.folder / "evil").stat().st_nlink == 1
        assert {path.name for path in node.root.iterdir()} <= {".lock", "1.0"}
        for path in node.root.rglob("*"):
            assert path.parent.resolve().is_relative_to(node.root.resolve())
            assert not path.is_symlink() or Path(os.path.realpath(path)).is_relative_to(node.root / "1.0")


SOUND = gzip.decompress(
    pack(
        [
            *PROGRAM,
            (f"top/{'long' * 30}", tarfile.REGTYPE, b"x"),
            ("top/lib/v", tarfile.SYMTYPE, "../bin/tool"),
            ("top/h", tarfile.LNKTYPE, "top/bin/tool"),
        ]
    )
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_archive_is_refused_or_stays_inside(damage: list[tuple[int, int]]) -> None:
    tar = bytearray(SOUND)
    for position, byte in damage:
        tar[position] = byte
        # With a checksum that fits, or tarfile would look at nothing else.
        start = position // 512 * 512
        block = tar[start : start + 148] + b" " * 8 + tar[start + 156 : start + 512]
        tar[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder))
        data = gzip.compress(bytes(tar), 1)
        try:
            node.install(data)
        except release.ReleaseError:
            assert node.tree() == {}
        assert {path.name for path in node.folder.iterdir()} <= {"opt", f"{sha256(data)[:8]}.tar.gz"}
        assert {path.name for path in node.root.iterdir()} <= {".lock", "1.0"}


# What a failure leaves


def in_process(node: Node, data: bytes, **options: Any) -> subprocess.Popen[str]:
    code = "import sys, json; sys.path.insert(0, 'collections'); "
    code += "from ansible_collections.emr.monitoring.plugins.module_utils import release, release_install; "
    code += "print(release_install.install(release.parse(json.load(sys.stdin))))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    assert process.stdin
    process.stdin.write(json.dumps(node.options(data, **options)))
    process.stdin.close()
    return process


def test_the_run_after_a_killed_one_heals(node: Node) -> None:
    members: list[Member] = [(f"top/{n}", tarfile.REGTYPE, bytes(500)) for n in range(6_000)]
    data = pack([*members, *PROGRAM])
    node.root.mkdir()
    with in_process(node, data) as process:
        while not list(node.root.glob(".staging-*/1*")):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert list(node.root.glob(".staging-*/1*"))
    assert not (node.root / "1.0").exists()
    assert node.install(data)
    assert {path.name for path in node.root.iterdir()} == {".lock", "1.0"}
    assert len(list((node.root / "1.0").iterdir())) == 6_003


@pytest.mark.parametrize("moment", ["rename", "_sync", "unpack"])
def test_a_crash_while_swapping_leaves_the_old_or_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    node.install(pack(PROGRAM))
    new = pack([*PROGRAM, ("top/new", tarfile.REGTYPE, b"")])

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os if moment == "rename" else release_install, moment, crash)
        with pytest.raises(KeyboardInterrupt):
            node.install(new)
    assert "1.0/new" not in node.tree()
    assert "1.0/bin/tool" in node.tree()
    assert node.install(new)
    assert "1.0/new" in node.tree()


def test_a_rename_that_fails_brings_the_old_version_back(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.install(pack(PROGRAM))
    before, rename, calls = node.tree(), os.rename, iter([False, True, False])

    def second_fails(source: str, target: str) -> None:
        if next(calls):
            raise OSError(errno.EIO, "I/O error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(release.ReleaseError, match="I/O error"):
        node.install(pack([*PROGRAM, ("top/new", tarfile.REGTYPE, b"")]))
    assert {name: what for name, what in node.tree().items() if not name.startswith(".")} == before


def test_two_runs_at_once_install_once(node: Node) -> None:
    data = pack([(f"top/{n}", tarfile.REGTYPE, bytes(500)) for n in range(3000)])
    with in_process(node, data) as one, in_process(node, data) as two:
        answers = sorted(process.stdout.read().strip() for process in (one, two) if process.stdout)
    assert answers == ["False", "True"]
    assert len(list((node.root / "1.0").iterdir())) == 3001


@pytest.mark.parametrize("call", ["write", "mkdir", "open"])
def test_a_full_disk_while_unpacking(node: Node, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    node.install(pack(PROGRAM))
    before = node.tree()
    real = getattr(os, call)

    def full(first: Any, *rest: Any, **named: Any) -> Any:
        if call == "write" or (".staging-" in str(first) and "/bin" in str(first)):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(first, *rest, **named)

    monkeypatch.setattr(os, call, full)
    data = pack([*PROGRAM, ("top/big", tarfile.REGTYPE, bytes(7 << 20))])
    with pytest.raises(release.ReleaseError, match=f"The disk of {node.root} is full: about 7 MB are needed"):
        node.install(data, version="2.0")
    monkeypatch.undo()
    assert node.tree() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_really_full_disk(node: Node) -> None:
    node.root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(node.root)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no mounts")
    try:
        node.install(pack(PROGRAM))
        before = node.tree()
        with pytest.raises(release.ReleaseError, match=r"is full: about 3 MB are needed, 0 MB are free"):
            node.install(pack([("top/big", tarfile.REGTYPE, bytes(3 << 20))]), version="2.0")
        assert node.tree() == before
    finally:
        subprocess.run(["umount", str(node.root)], check=True)


# The download

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


class Server:
    """Answers each request with the next of its answers, the last one for ever."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.data = b""
        self.answers: list[Answer] = []
        self.ranges: list[str | None] = []
        self.logins: list[str | None] = []
        # What was asked for as of a proxy, and with which login.
        self.proxied: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.ranges.append(self.headers["Range"])
                outer.logins.append(self.headers["Authorization"])
                if not self.path.startswith("/"):
                    outer.proxied.append((self.path, self.headers["Proxy-Authorization"]))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                answer(self, outer.data)

            def do_CONNECT(self) -> None:
                outer.proxied.append((self.path, self.headers["Proxy-Authorization"]))
                self.send_error(407, "\x1b[2J")

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.http.server_port}"
        self.url = f"http{'s' if certificate else ''}://{self.host}/tool.tar.gz"
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)

    @contextmanager
    def running(self) -> Iterator[Server]:
        thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        thread.start()
        yield self
        self.http.shutdown()
        thread.join()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server().running() as running:
        yield running


@pytest.fixture
def tls_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose certificate is trusted."""
    certificate = tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "1", "-subj", "/CN=test"]
    options = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(certificate)]
    done = subprocess.run([*command, *options], check=True, capture_output=True)
    with certificate.open("ab") as file:
        file.write(done.stdout)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Server(certificate).running() as running:
        yield running


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: object) -> None:
    handler.send_response(status)
    for name, value in {"Content_Length": len(body), **headers}.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    send(handler, 200, data)


def ranged(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
    send(handler, 206, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")


def dropped(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    send(handler, 200, data[: len(data) // 2], Content_Length=len(data))


def chunked_and_dropped(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n" % len(data) + data[: len(data) // 2])
    handler.close_connection = True


def past_the_end(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    if handler.headers["Range"]:
        send(handler, 416, b"")
    else:
        whole(handler, data)


def hanging(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    send(handler, 200, data[:10], Content_Length=len(data))
    handler.wfile.flush()
    handler.rfile.read(1)


def status(code: int) -> Answer:
    return lambda handler, _: send(handler, code, b"")


def redirect(to: str, code: int = 302) -> Answer:
    return lambda handler, _: send(handler, code, b"", Location=to)


def talkative(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 404 \x1b[2J{{ 7*7 }}\r\nContent-Length: 0\r\n\r\n")


def challenge(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    if handler.headers["Authorization"]:
        whole(handler, data)
    else:
        send(handler, 401, b"", WWW_Authenticate='Basic realm="mirror"')


def wanted(url: str, digest: str, timeout: int) -> release.Release:
    return release.Release(
        name="tool", version="1", url=url, sha256=digest, root="/", current="/current", exclude=[], timeout=timeout
    )


@pytest.fixture
def get(node: Node, server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """Download through the server's answers; returns the pauses taken."""
    server.data = os.urandom(100_000)
    node.root.mkdir()

    def run(*answers: Answer, url: str = server.url, digest: str = "", timeout: int = 5) -> list[float]:
        server.answers = list(answers)
        pauses: list[float] = []
        release_download.download(
            wanted(url, digest or sha256(server.data), timeout), str(node.root / "part"), "Do this.", pauses.append
        )
        assert (node.root / "part").read_bytes() == server.data
        return pauses

    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return run


Get = Callable[..., list[float]]


def test_download(get: Get, server: Server) -> None:
    assert get(whole) == []
    assert server.ranges == [None]


@pytest.mark.parametrize("cut", [dropped, chunked_and_dropped])
def test_a_dropped_download_is_resumed(get: Get, server: Server, cut: Answer) -> None:
    assert get(cut, ranged) == [1]
    assert server.ranges == [None, "bytes=50000-"]


def test_a_server_that_ignores_ranges(get: Get, server: Server) -> None:
    assert get(dropped, dropped, whole) == [1, 2]
    assert server.ranges == [None, "bytes=50000-", "bytes=50000-"]


def test_a_server_that_sends_another_range(get: Get) -> None:
    other: Answer = lambda handler, data: send(handler, 206, data, Content_Range="bytes 0-99999/100000")  # noqa: E731
    assert get(dropped, other, whole) == [1, 2]


def test_a_part_that_is_too_long_is_dropped(get: Get, node: Node) -> None:
    (node.root / "part").write_bytes(bytes(200_000))
    assert get(past_the_end) == [1]


def test_a_part_that_is_complete_needs_no_network(get: Get, node: Node, server: Server) -> None:
    (node.root / "part").write_bytes(server.data)
    assert get(whole) == []
    assert server.ranges == []


@pytest.mark.parametrize("code", [500, 503, 429, 408])
def test_a_passing_error_is_retried(get: Get, code: int) -> None:
    assert get(status(code), whole) == [1]


def test_a_hanging_server_runs_into_the_timeout(get: Get, server: Server) -> None:
    start = time.monotonic()
    assert get(hanging, ranged, timeout=1) == [1]
    assert time.monotonic() - start < 4
    assert server.ranges[1] == "bytes=10-"


@pytest.mark.parametrize(("answer", "requests"), [(status(404), 1), (status(403), 1), (status(502), 5)])
def test_the_final_error_tells_url_reason_and_remedy(get: Get, server: Server, answer: Answer, requests: int) -> None:
    with pytest.raises(release.ReleaseError, match=r"Downloading http://\S+/tool.tar.gz failed: .*40|50. .*Do this"):
        get(answer)
    assert len(server.ranges) == requests


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(get: Get, code: int) -> None:
    assert get(redirect("/else where?x", code), whole) == []


def test_a_redirect_from_http_to_https_is_followed(get: Get, server: Server, tls_server: Server) -> None:
    tls_server.data, tls_server.answers = server.data, [whole]
    assert get(redirect(tls_server.url)) == []


@pytest.mark.parametrize("to", ["http://mirror.example/x?Signature=hunter2", "file:///etc/passwd", "ftp://mirror/x"])
def test_a_redirect_from_https_to_anything_else_is_refused(get: Get, tls_server: Server, to: str) -> None:
    tls_server.answers = [redirect(to)]
    with pytest.raises(release.ReleaseError, match=r"redirects to (http|file|ftp)://.*, which is not https. Do this"):
        get(url=tls_server.url)
    with pytest.raises(release.ReleaseError) as caught:
        get(url=tls_server.url)
    assert "hunter2" not in str(caught.value)
    assert len(tls_server.ranges) == 2


@pytest.mark.parametrize("to", ["file:///etc/passwd", "http://[x"])
def test_a_redirect_of_a_mirror_to_what_is_no_web_server_is_refused(get: Get, to: str) -> None:
    with pytest.raises(release.ReleaseError, match=r"the server redirects to .*Do this"):
        get(redirect(to))


def test_redirects_end(get: Get, server: Server) -> None:
    with pytest.raises(release.ReleaseError, match="more than 10 redirects"):
        get(redirect("/again"))
    assert len(server.ranges) == 2 * 10


def test_the_login_goes_to_its_own_host_alone(get: Get, server: Server) -> None:
    with Server().running() as other:
        other.data, other.answers = server.data, [challenge]
        own = server.url.replace("://", "://user:hunter2@")
        with pytest.raises(release.ReleaseError, match="the server says 401"):
            get(redirect(other.url), url=own)
        assert set(other.logins) == {None}
        assert get(redirect(server.url), challenge, url=own) == []
    assert server.logins[-1] == "Basic dXNlcjpodW50ZXIy"


def test_the_error_of_a_proxy_does_not_show_its_login(
    get: Get, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.replace("://", "://user:hunter2@"))
    with pytest.raises(release.ReleaseError, match="the server says 407") as caught:
        get(status(407), url="http://user:hunter2@mirror.example/x.tar.gz?Signature=hunter2")
    assert "hunter2" not in str(caught.value)


def test_an_error_is_not_in_the_servers_own_words(get: Get) -> None:
    with pytest.raises(release.ReleaseError, match=r"failed: the server says 404 Not Found\. Do this"):
        get(talkative)


def test_an_unreachable_host_is_given_up_soon(node: Node, server: Server) -> None:
    server.http.server_close()
    pauses: list[float] = []
    with pytest.raises(release.ReleaseError, match=r"failed: .*refused.*Do this"):
        release_download.download(wanted(server.url, "0" * 64, 1), str(node.root), "Do this.", pauses.append)
    assert pauses == [1]


def test_the_part_stays_when_the_network_fails(get: Get, node: Node) -> None:
    with pytest.raises(release.ReleaseError, match="broke after 50000 of 100000 bytes"):
        get(dropped)
    assert (node.root / "part").stat().st_size == 50_000


def test_the_part_goes_when_the_checksum_is_wrong(get: Get, node: Node) -> None:
    with pytest.raises(release.ReleaseError, match="checksum"):
        get(whole, digest="0" * 64)
    assert not (node.root / "part").exists()


def test_the_part_goes_when_the_disk_is_full(get: Get, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(release_download, "write_all", full)
    with pytest.raises(release.ReleaseError, match="is full"):
        get(whole)
    assert not (node.root / "part").exists()


def test_credentials_and_signatures_are_not_shown() -> None:
    assert release.shown("https://user:pass@host:8/a.tar.gz?X-Amz-Signature=s#f") == "https://host:8/a.tar.gz"


def test_a_download_is_installed_and_its_part_removed(node: Node, server: Server) -> None:
    server.data, server.answers = pack(PROGRAM), [whole]
    assert node.install(server.data, url=server.url)
    assert not list(node.root.glob(".download-*"))
    assert not node.install(server.data, url=server.url)
    assert len(server.ranges) == 1


# The whole, as Ansible runs it


def output(node: Node, *flags: str, **options: Any) -> str:
    environment = {
        "PATH": f"{systemd_standin.install(node.folder / 'bin')}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(node.folder / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections"),
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline",
        "ANSIBLE_PIPELINING": "1",
    }
    unused = ("name", "readers")
    release = {name: value for name, value in options.items() if value is not None and name not in unused}
    given = {"name": "tool", "unit": "tool.service", "state_dir": str(node.folder / "state"), "watch": 0}
    given |= {"state": release.pop("state", "present"), "release": release}
    command = ["ansible", "localhost", "-m", "emr.monitoring.service", "-a", json.dumps(given), *flags]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=node.folder, check=False)
    assert "{" in done.stdout, done.stdout + done.stderr
    assert not list((node.folder / "home/.ansible/tmp").glob("*")), "left behind in the remote tmp"
    return done.stdout + done.stderr


def ansible(node: Node, *flags: str, **options: Any) -> dict[str, Any]:
    said = output(node, *flags, **options)
    result, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    return dict(result)


@pytest.mark.parametrize("fetch", ["node", "controller"])
def test_ansible_installs_once_and_check_mode_writes_nothing(node: Node, server: Server, fetch: str) -> None:
    server.data, server.answers = pack(PROGRAM), [whole]
    cache = node.folder / "cache"
    options = node.options(server.data, url=server.url, fetch=fetch, cache_dir=str(cache))
    assert ansible(node, "--check", **options)["changed"] is True
    assert not node.root.exists()
    assert not cache.exists()
    assert server.ranges == []
    assert ansible(node, **options)["changed"] is True
    assert node.tree()["1.0/etc/a.yml"] == "a"
    assert ansible(node, **options)["changed"] is False
    assert len(server.ranges) == 1
    if fetch == "controller":
        assert (cache / "tool.tar.gz").read_bytes() == server.data
        assert (cache / "tool.tar.gz").stat().st_mode & 0o777 == 0o600


def test_ansible_removes_once_and_check_mode_removes_nothing(node: Node) -> None:
    node.install(pack(PROGRAM))
    lay(node.root / "mine")
    before = node.tree()
    options = {"root": str(node.root), "state": "absent"}
    assert ansible(node, "--check", **options)["changed"] is True
    assert node.tree() == before
    result = ansible(node, **options)
    assert (result["changed"], result["left"]) == (True, [f"{node.root}/mine"])
    assert ansible(node, **options)["changed"] is False
    assert node.tree() == {"mine": "mine"}


def test_ansible_takes_the_archive_from_the_cache_or_a_file(node: Node) -> None:
    data = pack(PROGRAM)
    (node.folder / "tool.tar.gz").write_bytes(data)
    options = node.options(data, fetch="controller", cache_dir=str(node.folder))
    assert ansible(node, **{**options, "url": "http://127.0.0.1:9/tool.tar.gz"})["changed"] is True
    assert ansible(node, **{**options, "cache_dir": None, "version": "2"})["changed"] is True


def test_ansible_says_what_is_wrong_before_the_first_trip(node: Node) -> None:
    options = node.options(pack(PROGRAM), fetch="controller", url="https://host/tool.tar.gz", cache_dir=None)
    assert "cache_dir is not set" in ansible(node, **options)["msg"]
    assert "version is '../x'" in ansible(node, **{**options, "version": "../x"})["msg"]
    wrong = node.options(pack(PROGRAM), fetch="controller", sha256="0" * 64)
    assert f"got {sha256(pack(PROGRAM))}" in ansible(node, **wrong)["msg"]
    assert not node.root.exists()


def test_ansible_shows_no_login_however_talkative_it_is(node: Node, server: Server) -> None:
    server.answers = [status(404)]
    url = server.url.replace("://", "://user:hunter2@") + "?Signature=hunter2"
    for fetch in ("node", "controller"):
        options = node.options(b"", url=url, fetch=fetch, cache_dir=str(node.folder))
        said = output(node, "-vvvv", **options)
        assert f"Downloading http://{server.host}/tool.tar.gz failed" in said
        assert "hunter2" not in said


# What a proxy gets


LOGIN = f"Basic {base64.b64encode(b'user:p@ss word').decode()}"


def through(server: Server) -> str:
    return f"http://user:p%40ss%20word@{server.host}"


def test_a_download_goes_through_the_proxy_with_its_login_and_leaves_the_environment_alone(
    node: Node, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("http_proxy", raising=False)
    server.data, server.answers = pack(PROGRAM), [whole]
    url = "http://archives.invalid/tool.tar.gz"
    node.install(server.data, url=url, proxy=through(server))
    assert server.proxied == [(url, LOGIN)]
    assert os.environ["no_proxy"] == "*"
    assert "http_proxy" not in os.environ


def test_a_host_that_needs_no_proxy_is_asked_itself(node: Node, server: Server) -> None:
    server.data, server.answers = pack(PROGRAM), [whole]
    node.install(server.data, url=server.url, proxy="http://proxy.invalid:1", no_proxy=["example.com", "127.0.0.1"])
    assert server.proxied == []


def test_what_a_proxy_refuses_is_said_without_its_login_and_its_words(
    node: Node, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(release.ReleaseError, match="Tunnel connection failed: 407") as refused:
        node.install(b"", url="https://archives.invalid/tool.tar.gz", proxy=through(server))
    assert server.proxied[0] == ("archives.invalid:443", LOGIN)
    assert "p%40ss" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert "monitoring_download_proxy" in str(refused.value)
