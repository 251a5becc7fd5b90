#!/usr/bin/python
"""Install one upstream release archive, wholly or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import fnmatch
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import stat
import string
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, Callable, NamedTuple

from ansible.module_utils import urls
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: release
short_description: Install one upstream release archive, wholly or not at all
description:
  - Unpacks a C(.tar.gz) whose checksum is pinned into C({root}/{version}/), without the archive's top folder.
  - The directory appears by one rename, after its content is complete and on the disk. What a killed run left
    behind is removed by the next one, and two runs at once wait for one another.
  - A release that is already there costs one trip to the node and no download.
  - The link that says which version is in use is not touched. It is switched by whoever checked the
    configuration against the new release.
  - Only content below the archive's top folder is accepted. Absolute paths, C(..), links that leave the tree
    and devices are refused; owners, setuid bits and group or world write permissions are dropped.
options:
  name:
    description:
      - Name of the program. Errors name the role's variables by it, as in C(<name>_url) and C(<name>_checksums).
    type: str
    required: true
  state:
    description:
      - V(absent) removes all versions of O(name) below O(root), and what interrupted runs left there; then O(root),
        where nothing else is in it. What this module did not make stays.
    type: str
    choices: [present, absent]
    default: present
  version:
    description: Version, which is the name of the directory below O(root). Needed with O(state=present).
    type: str
  url:
    description:
      - Where the archive is. C(http://), C(https://) or C(file://). A redirect from C(https://) leads to
        C(https://), or is refused.
      - C(file://) is a file on the node with O(fetch=node) and on the controller with O(fetch=controller).
      - Credentials and query strings are used, but never shown nor stored, nor sent to the host of a redirect.
      - Needed with O(state=present).
    type: str
  sha256:
    description:
      - SHA-256 of the archive, 64 hexadecimal digits. It is verified on the node before unpacking, and once more of
        the bytes that were unpacked, before they go live. Needed with O(state=present).
    type: str
  root:
    description: Absolute path of the directory that holds the versions of this program and nothing else.
    type: path
    required: true
  current:
    description:
      - Link that says which version is in use. Its target is never pruned; the link itself is not touched.
      - The default is C({root}/current).
    type: path
  exclude:
    description:
      - Shell patterns of what not to unpack, matched against the path inside the archive without its top
        folder. C(*) matches slashes too. A pattern that matches a directory excludes all that is below it.
      - Changing the list installs the release anew.
    type: list
    elements: str
    default: []
  keep:
    description:
      - Number of versions to keep on the disk, including this one. After an install the others are removed.
    type: int
    default: 2
  fetch:
    description:
      - Who downloads the archive. With V(controller), the nodes need no access to the internet.
    type: str
    choices: [node, controller]
    default: node
  cache_dir:
    description:
      - Directory on the controller that keeps the archives of O(fetch=controller), which needs it unless
        O(url) is a file. An archive that lies there under the base name of O(url) and has the right checksum
        is not downloaded.
    type: path
  timeout:
    description: Seconds without a byte after which a download counts as interrupted.
    type: int
    default: 60
  archive:
    description:
      - Internal. Path of the archive on the node, set by the action plugin of the same name; empty asks
        only whether the release is installed.
    type: path
attributes:
  check_mode:
    description: Says whether the release would be installed; downloads and writes nothing.
    support: full
requirements:
  - python >= 3.9 on the node
author:
  - emr-monitoring
"""

EXAMPLES = r"""
- name: Install Prometheus
  emr.monitoring.release:
    name: prometheus
    version: "3.5.0"
    url: https://mirror.example.com/prometheus-3.5.0.linux-amd64.tar.gz
    sha256: "{{ prometheus_sha256 }}"
    root: /opt/prometheus

- name: Install Grafana on a node without internet access
  emr.monitoring.release:
    name: grafana
    version: "12.1.0"
    url: https://mirror.example.com/grafana-12.1.0.linux-amd64.tar.gz
    sha256: "{{ grafana_sha256 }}"
    root: /opt/grafana
    exclude: [docs, "*.js.map"]
    fetch: controller
    cache_dir: "{{ playbook_dir }}/.cache"

- name: Remove what these tasks installed
  emr.monitoring.release:
    name: grafana
    root: /opt/grafana
    state: absent
"""

RETURN = r"""
path:
  description: Directory of the release, C({root}/{version}).
  type: str
  returned: success with state=present
  sample: /opt/prometheus/3.5.0
removed:
  description: Versions that were removed because of O(keep); with O(state=absent) all that was removed.
  type: list
  elements: str
  returned: success
  sample: ["3.3.1"]
left:
  description: With O(state=absent), the paths of what this module did not make.
  type: list
  elements: str
  returned: success with state=absent
  sample: [/opt/prometheus/notes.txt]
sha256:
  description: SHA-256 of the archive.
  type: str
  returned: success
  sample: e811827af26ed5b1e7a4e9a9e0d1b2e8ad0a4a1aa9b3b8ad1b0b3a3e8b9d5a6e
in_use:
  description: Version that the link O(current) points to, which is empty on a bare node.
  type: str
  returned: success
  sample: "3.4.0"
installed_at:
  description:
    - When the release was unpacked, in seconds since the epoch. A process that started earlier runs files that
      are gone, where an archive with another checksum took the place of the same version.
  type: float
  returned: success
  sample: 1795359559.12
"""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "version": {"type": "str"},
    "url": {"type": "str", "no_log": True},
    "sha256": {"type": "str"},
    "root": {"type": "path", "required": True},
    "current": {"type": "path"},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "keep": {"type": "int", "default": 2},
    "fetch": {"type": "str", "choices": ["node", "controller"], "default": "node"},
    "cache_dir": {"type": "path"},
    "timeout": {"type": "int", "default": 60},
    "archive": {"type": "path"},
}
REQUIRED_IF = [("state", "present", ["version", "url", "sha256"])]

MARKER = ".release.json"
STAGING = ".staging-"
DOWNLOAD = ".download-"
LOCK = ".lock"
# What a user may have put there under a name that begins likewise is not ours.
STAGED = re.compile(r"\.staging-[a-z0-9_]{8}")
DOWNLOADED = re.compile(r"\.download-.+-[0-9a-f]{12}\.part")

_BLOCK = 1 << 20
_REDIRECTS = 10
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ReleaseError(Exception):
    """What the user is told: one sentence about what happened and one about what to do."""


class Release(NamedTuple):
    """One release to install; the fields are the module's options."""

    name: str
    version: str
    url: str
    sha256: str
    root: str
    current: str
    exclude: list[str]
    keep: int = 2
    fetch: str = "node"
    cache_dir: str | None = None
    timeout: int = 60
    archive: str | None = None

    @property
    def path(self) -> str:
        """Directory of the release."""
        return os.path.join(self.root, self.version)

    @property
    def identity(self) -> dict[str, Any]:
        """What two installations of the same thing have in common."""
        return {"sha256": self.sha256, "exclude": sorted(set(self.exclude))}


def parse(options: dict[str, Any]) -> Release:
    """Check the options (a dict as the argument spec yields it) and return the release.

    Raises ReleaseError that names the option, its value and the remedy.
    """
    given = {option: value for option, value in options.items() if option != "state"}
    release = Release(**{**given, "sha256": options["sha256"].lower()})
    try:
        url = urllib.parse.urlsplit(release.url)
        sound = re.fullmatch("[!-~]+", release.url) and url.netloc.count("@") <= 1 and (url.port or True)
    except ValueError:
        sound = False
    if not sound:
        # Where the login ends is as unclear as where the host begins.
        raise ReleaseError(
            "url is no URL, and not shown, for it may hold a password. In its login and path, write spaces and the "
            "characters @ : / ? # [ ] % as %40 and the like, and likewise all that is not ASCII."
        )
    if not release.current:
        release = release._replace(current=os.path.join(release.root, "current"))
    rules = (
        (
            "version",
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", release.version),
            "must be a plain directory name: letters, digits and . _ + -, as in 3.5.0",
        ),
        (
            "url",
            url.hostname if url.scheme in ("http", "https") else url.scheme == "file" and url.path,
            "must start with http://, https:// or file:/// and name the .tar.gz archive",
        ),
        (
            "sha256",
            re.fullmatch(r"[0-9a-f]{64}", release.sha256),
            "must be the 64 hexadecimal digits that sha256sum prints for the archive",
        ),
        (
            "root",
            os.path.isabs(release.root) and os.path.normpath(release.root) != "/",
            "must be the absolute path of a directory of the program's own, as in /opt/prometheus",
        ),
        (
            "current",
            os.path.abspath(release.current) != os.path.abspath(release.path),
            "must not be the directory of the release; name the link that will point to it",
        ),
        ("keep", release.keep >= 1, "must be at least 1, because the installed version is kept"),
        ("timeout", release.timeout >= 1, "must be a number of seconds, at least 1"),
    )
    for option, valid, remedy in rules:
        value = getattr(release, option)
        if not valid:
            raise ReleaseError(f"{option} is {shown(value) if option == 'url' else value!r}, but it {remedy}.")
    return release


def shown(url: str) -> str:
    """Return the URL (str) as it may be shown: without credentials, query (signatures) and fragment."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def local_path(url: str) -> str | None:
    """Return the path that a file:// URL (str) names, None for any other URL."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.unquote(parts.path) if parts.scheme == "file" else None


def digest(path: str) -> str:
    """Return the SHA-256 (hexadecimal) of the file at path (str). Raises OSError."""
    result = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK))
    with open(path, "rb", buffering=0) as file:
        while size := file.readinto(block):
            result.update(block[:size])
    return result.hexdigest()


def is_installed(release: Release) -> bool:
    """Tell whether the directory of the release says that it holds exactly this release."""
    try:
        with open(os.path.join(release.path, MARKER), encoding="utf-8") as file:
            marker = json.load(file)
        return {key: marker.get(key) for key in release.identity} == release.identity
    except (OSError, ValueError, AttributeError):
        return False


def _disk_full(folder: str, needed: int | None) -> ReleaseError:
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    disk = os.statvfs(folder)
    size = f"about {needed >> 20} MB are needed" if needed else "more is needed"
    return ReleaseError(
        f"The disk of {folder} is full: {size}, {disk.f_bavail * disk.f_frsize >> 20} MB are free. "
        "Nothing was installed; free space there, or choose a directory on a larger disk."
    )


def _write(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


class _DowngradeError(OSError):
    """A redirect that leads away from https, where the answer could be read or changed by others."""


def download(release: Release, part: str, remedy: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """Download the archive of release to the file part and verify its checksum.

    part (a path) and remedy (a sentence for errors) are str, sleep takes seconds. A part that an interrupted
    download left is resumed, and kept when the network fails; it is removed when its checksum is wrong or the
    disk is full. Raises ReleaseError.
    """
    answered = False
    for attempt in range(1, 6):
        if os.path.exists(part) and digest(part) == release.sha256:
            return
        try:
            _receive(release.url, part, release.timeout)
            break
        except urllib.error.HTTPError as error:
            answered = True
            final = error.code < 500 and error.code not in (408, 416, 429)
            # Not in the server's own words: it could write to the user's terminal.
            reason = f"the server says {error.code} {http.client.responses.get(error.code, '')}".rstrip()
            if error.code == 416 and os.path.exists(part):
                os.unlink(part)
        except (OSError, ValueError, http.client.HTTPException, urls.ConnectionError) as error:
            cause = getattr(error, "reason", error)
            if isinstance(cause, ValueError) and not isinstance(cause, OSError):
                # Its own words can hold the address, and with it a login.
                cause = "the server redirects to what is no URL"
            answered |= os.path.exists(part)
            # A host that cannot be reached is mostly a firewall, which no patience opens.
            final = isinstance(cause, (ssl.SSLCertVerificationError, _DowngradeError)) or (attempt > 1 and not answered)
            reason = str(cause) or type(cause).__name__
        if final or attempt == 5:
            raise ReleaseError(f"Downloading {shown(release.url)} failed: {reason}. {remedy}")
        sleep(2.0 ** (attempt - 1))
    got = digest(part)
    if got != release.sha256:
        os.unlink(part)
        raise mismatch(release, got)


def _open(url: str, headers: dict[str, str], timeout: int) -> Any:
    for _ in range(_REDIRECTS):
        try:
            return urls.open_url(url, headers=headers, timeout=timeout, decompress=False, follow_redirects="none")
        except urllib.error.HTTPError as error:
            if error.code not in (301, 302, 303, 307, 308) or not error.headers["Location"]:
                raise
            url = _redirected(url, error.headers["Location"])
    raise OSError(f"more than {_REDIRECTS} redirects")


def _redirected(url: str, location: str) -> str:
    # What cannot stand in a URL is quoted, as browsers do.
    quoted = urllib.parse.quote(location, safe=string.punctuation, encoding="iso-8859-1")
    source, target = (urllib.parse.urlsplit(each) for each in (url, urllib.parse.urljoin(url, quoted)))
    if target.scheme not in ("https", source.scheme):
        raise _DowngradeError(f"the server redirects to {shown(target.geturl())}, which is not https")
    login, _, host = source.netloc.rpartition("@")
    return target._replace(netloc=source.netloc).geturl() if login and target.netloc == host else target.geturl()


def _receive(url: str, part: str, timeout: int) -> None:
    have = os.path.getsize(part) if os.path.exists(part) else 0
    response = _open(url, {"Range": f"bytes={have}-"} if have else {}, timeout)
    length: int | None = None
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            os.ftruncate(fd, 0)
            raise OSError(f"asked for the bytes from {have}, the server sent others")
        if response.status != 206:
            os.ftruncate(fd, 0)
            have = 0
        if response.headers.get("Content-Length"):
            length = have + int(response.headers["Content-Length"])
        while have != length:
            # Unlike read, read1 keeps what arrived before a timeout.
            data = response.read1(_BLOCK)
            if not data:
                break
            _write(fd, memoryview(data))
            have += len(data)
    except OSError as error:
        if error.errno in _DISK_FULL:
            os.ftruncate(fd, 0)
            os.unlink(part)
            raise _disk_full(os.path.dirname(part), length) from error
        raise
    finally:
        os.close(fd)
        response.close()
    if length is not None and have != length:
        raise OSError(f"the connection broke after {have} of {length} bytes")


def mismatch(release: Release, got: str) -> ReleaseError:
    """Return the error for an archive of release whose SHA-256 is got (str)."""
    return ReleaseError(
        f"The checksum of {shown(release.url)} is wrong: expected sha256 {release.sha256}, got {got}. "
        f"Correct {release.name}_checksums, or point {release.name}_url at the genuine archive."
    )


class _Hashed:
    """A file, and the SHA-256 of what was read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data


def _gunzip(file: _Hashed) -> Iterator[bytes]:
    data = file.read(_BLOCK)
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            block = member.decompress(data, _BLOCK)
            if block:
                yield block
            elif not data:
                raise EOFError("it ends early")
            data = member.unconsumed_tail or file.read(_BLOCK)
        data = (member.unused_data + data).lstrip(b"\0")


class _Stream:
    """The unpacked archive, as a file that tarfile can read.

    It is decompressed one block ahead in a thread: zlib gives up the GIL, so both cores of a small node work.
    """

    def __init__(self, file: _Hashed, pool: ThreadPoolExecutor) -> None:
        self._blocks = _gunzip(file)
        self._pool = pool
        self._ahead = pool.submit(next, self._blocks, b"")
        self._block = memoryview(b"")
        self._position = 0
        self.last_read = b""

    def pieces(self, size: int) -> Iterator[memoryview]:
        if size < 0:
            raise EOFError("a member has an impossible size")
        while size:
            if not self._block:
                self._block = memoryview(self._ahead.result())
                if not self._block:
                    return
                self._ahead = self._pool.submit(next, self._blocks, b"")
            piece, self._block = self._block[:size], self._block[size:]
            size -= len(piece)
            self._position += len(piece)
            yield piece

    def read(self, size: int) -> bytes:
        if size > _BLOCK:
            raise EOFError("a header has an impossible size")
        self.last_read = b"".join(self.pieces(size))
        return self.last_read

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        for _ in self.pieces(position - self._position):
            pass


class _Tree:
    """A directory that only this process writes to, and only inside."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.links: list[str] = []
        # Made by this process, hence not links that the archive planted: writing below them stays inside.
        self._directories = {""}

    def _make(self, path: str, make: Callable[[str], int | None]) -> int:
        self.directory(path.rpartition("/")[0])
        target = f"{self.root}/{path}"
        try:
            return make(target) or 0
        except FileExistsError:
            if path in self._directories:
                raise ReleaseError("it replaces a directory") from None
            os.unlink(target)
            return make(target) or 0

    def directory(self, path: str) -> None:
        if path in self._directories:
            return
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            step = "/".join(parts[:depth])
            if step not in self._directories:
                try:
                    os.mkdir(f"{self.root}/{step}", 0o755)
                except FileExistsError:
                    raise ReleaseError(f"{step} is a link or a file, not a directory") from None
                self._directories.add(step)

    def file(self, path: str, executable: bool, pieces: Iterable[memoryview]) -> None:
        fd = self._make(path, lambda target: os.open(target, _CREATE, 0o755 if executable else 0o644))
        try:
            for piece in pieces:
                _write(fd, piece)
        finally:
            os.close(fd)

    def symlink(self, path: str, to: str) -> None:
        if to.startswith("/"):
            raise ReleaseError(f"it links to the absolute path {to}")
        self._make(path, lambda target: os.symlink(to, target))
        self.links.append(path)

    def hardlink(self, path: str, to: str) -> None:
        source = f"{self.root}/{to}"
        if to.rpartition("/")[0] not in self._directories or not os.path.lexists(source):
            raise ReleaseError(f"it links to {to}, which is not unpacked")
        if not stat.S_ISREG(os.lstat(source).st_mode):
            raise ReleaseError(f"it links to {to}, which is not a file")
        self._make(path, lambda target: os.link(source, target, follow_symlinks=False))

    def check_links(self) -> None:
        # Last, on the complete tree: a chain of links can leave it although no single one seems to.
        root = os.path.realpath(self.root) + "/"
        for link in self.links:
            if not (os.path.realpath(f"{root}{link}") + "/").startswith(root):
                raise ReleaseError(f"{link!r} is a link that leaves the release")


def _inside(name: str) -> str:
    """Return the path below the archive's top folder, "" for that folder itself."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise ReleaseError(f"{name!r} is not a path inside the release")
    return "/".join(parts[1:])


def unpack(archive: str, into: str, exclude: Iterable[str] = ()) -> str:
    """Unpack a .tar.gz into an empty directory, without its top folder, and return the SHA-256 of what was read.

    Nothing is ever written outside.

    archive and into are paths (str), exclude shell patterns (str) over the path without the top folder. The
    caller sets a umask of 022. Raises ReleaseError for an archive that is damaged or hostile, else OSError.
    """
    patterns = [form for pattern in exclude for form in (pattern.rstrip("/"), pattern.rstrip("/") + "/*")]
    excluded = re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)").match
    tree = _Tree(into)
    # A bare ValueError comes from tarfile for numbers, and from os for names, that cannot be.
    damage = (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError)
    with open(archive, "rb", buffering=0) as raw, ThreadPoolExecutor(1) as pool:
        file = _Hashed(raw)
        stream = _Stream(file, pool)
        member: tarfile.TarInfo | None = None
        try:
            tar = tarfile.TarFile(fileobj=stream, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
            while member := tar.next():
                tar.members.clear()  # type: ignore[attr-defined]  # else it grows with the archive
                path = _inside(member.name)
                if path and not excluded(path):
                    _place(tree, path, member, stream)
                elif not path and not member.isdir():
                    raise ReleaseError("it lies beside the top folder, which every release archive has")
            # tarfile takes a header that it cannot read for the end of the archive.
            if stream.last_read != tarfile.NUL * tarfile.BLOCKSIZE:
                raise EOFError("it ends early, or is damaged")
            # To gzip's own checksum, which lies behind the last member.
            stream.seek(sys.maxsize)
            while file.read(_BLOCK):
                pass
            tree.check_links()
        except damage as error:
            raise ReleaseError(
                f"The archive {archive} cannot be read: {error}. Point url at a sound .tar.gz."
            ) from error
        except ReleaseError as error:
            at = f" at {member.name!r}" if member else ""
            raise ReleaseError(
                f"The archive {archive} is refused{at}: {error}. Use upstream's archive, or exclude the path."
            ) from error
    return file.sha256.hexdigest()


def _place(tree: _Tree, path: str, member: tarfile.TarInfo, stream: _Stream) -> None:
    if member.isdir():
        tree.directory(path)
    elif member.isreg() and not member.issparse():
        tree.file(path, bool(member.mode & 0o111), stream.pieces(member.size))
    elif member.issym():
        tree.symlink(path, member.linkname)
    elif member.islnk():
        tree.hardlink(path, _inside(member.linkname))
    else:
        raise ReleaseError("it is a device, a fifo or of another kind that no release needs")


def _sync(folder: str) -> None:
    """Write what the file system of folder holds in memory to the disk: one call instead of one per file."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(fd):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
    finally:
        os.close(fd)


def _remove_leftovers(root: str, pattern: re.Pattern[str]) -> None:
    for name in os.listdir(root):
        path = os.path.join(root, name)
        if pattern.fullmatch(name):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def _discard(path: str, root: str) -> None:
    # Renamed first: a removal that is cut off must not leave half a version that looks complete.
    gone = tempfile.mkdtemp(prefix=STAGING, dir=root)
    os.rename(path, os.path.join(gone, "old"))
    shutil.rmtree(gone, ignore_errors=True)


def in_use(release: Release) -> str:
    """Return the version that the link release.current points to, "" when there is none."""
    return os.path.basename(os.path.realpath(release.current)) if os.path.exists(release.current) else ""


def installed_at(release: Release) -> float:
    """Return when the release was unpacked (epoch seconds); now, where it is not yet."""
    try:
        return os.stat(os.path.join(release.path, MARKER)).st_mtime
    except OSError:
        return time.time()


def versions(root: str, name: str) -> dict[str, float]:
    """Return when each version below root (a path) was unpacked, by its name.

    Only a directory that bears this module's marker with the program's name (str) counts. Raises OSError.
    """
    ages: dict[str, float] = {}
    for entry in os.scandir(root):
        marker = os.path.join(entry.path, MARKER)
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            with contextlib.suppress(OSError, ValueError, AttributeError), open(marker, encoding="utf-8") as file:
                if json.load(file).get("name") == name:
                    ages[entry.name] = os.fstat(file.fileno()).st_mtime
    return ages


def remove(name: str, root: str, dry: bool) -> tuple[list[str], list[str]]:
    """Remove all that this module made for the program name (str) below root (a path), and root if that was all.

    With dry (bool) nothing is removed. Returns the names of what goes and the paths of what stays. Raises OSError.
    """
    if not os.path.isdir(root):
        return [], []
    ours = versions(root, name)
    everything = sorted(os.listdir(root))
    gone = [
        each
        for each in everything
        if each in ours or each == LOCK or STAGED.fullmatch(each) or DOWNLOADED.fullmatch(each)
    ]
    if not dry:
        for each in gone:
            path = os.path.join(root, each)
            if each in ours:
                _discard(path, root)
            elif os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        if gone == everything and not os.path.islink(root) and not os.path.ismount(root):
            os.rmdir(root)
    return gone, [os.path.join(root, each) for each in everything if each not in gone]


def prune(release: Release) -> list[str]:
    """Remove the oldest versions until release.keep are left, but neither this one nor the one in use.

    Returns their names. Raises OSError.
    """
    ages = versions(release.root, release.name)
    ages.pop(release.version, None)
    in_use = os.path.realpath(release.current) + "/"
    removed = []
    for version in sorted(ages, key=lambda version: -ages[version])[release.keep - 1 :]:
        path = os.path.join(release.root, version)
        if not in_use.startswith(os.path.realpath(path) + "/"):
            _discard(path, release.root)
            removed.append(version)
    return removed


def _verified_archive(release: Release) -> str:
    given = release.archive or local_path(release.url)
    if given is None:
        part = f"{DOWNLOAD}{release.name}-{release.version}-{release.sha256[:12]}.part".replace("/", "_")
        path = os.path.join(release.root, part)
        remedy = (
            f"Set {release.name}_url to a mirror, a bucket or a file:// path that the node reaches, or set "
            f"{release.name}_fetch to controller to download on the controller and copy the archive to the node."
        )
        download(release, path, remedy)
        return path
    try:
        got = digest(given)
    except OSError as error:
        raise ReleaseError(
            f"The archive {given} cannot be read: {error.strerror}. Put it there, or change {release.name}_url."
        ) from error
    if got != release.sha256:
        raise mismatch(release, got)
    return given


def _swap_in(staging: str, release: Release) -> None:
    if not os.path.lexists(release.path):
        os.rename(staging, release.path)
        return
    old = tempfile.mkdtemp(prefix=STAGING, dir=release.root)
    os.rename(release.path, os.path.join(old, "old"))
    try:
        os.rename(staging, release.path)
    except OSError:
        os.rename(os.path.join(old, "old"), release.path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _build(release: Release, archive: str, staging: str) -> None:
    # Without this, a setgid root directory would hand its group down.
    os.chown(staging, os.geteuid(), os.getegid())
    os.chmod(staging, 0o755)  # noqa: S103 - services read it under their own users
    try:
        # Whoever may write the file could have changed it since it was verified.
        if (got := unpack(archive, staging, release.exclude)) != release.sha256:
            raise mismatch(release, got)
        marker = {
            "name": release.name,
            "version": release.version,
            "url": shown(release.url),
            **release.identity,
        }
        content = json.dumps(marker, indent=2) + "\n"
        _Tree(staging).file(MARKER, False, [memoryview(content.encode())])
        _sync(staging)
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        # gzip ends with the size of what it holds, modulo 4 GiB.
        with open(archive, "rb") as file:
            file.seek(-4, os.SEEK_END)
            needed = int.from_bytes(file.read(4), "little")
        shutil.rmtree(staging, ignore_errors=True)
        raise _disk_full(release.root, needed) from error


def install(release: Release) -> list[str] | None:
    """Install the release unless it is there, and return the versions pruned; None when it was there.

    Either all of it is there afterwards, or the disk is as before but for a partial download. Raises
    ReleaseError.
    """
    if is_installed(release):
        return None
    umask = os.umask(0o022)
    try:
        os.makedirs(release.root, exist_ok=True)
        with open(os.path.join(release.root, LOCK), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _remove_leftovers(release.root, STAGED)
            return None if is_installed(release) else _install(release)
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise _disk_full(release.root, None) from error
        raise ReleaseError(
            f"Installing {release.name} {release.version} in {release.path} failed: {error}. "
            "Run the task with become, and set root to a directory on a writable disk."
        ) from error
    finally:
        os.umask(umask)


def _install(release: Release) -> list[str]:
    marker = os.path.join(release.path, MARKER)
    if os.path.lexists(release.path) and (os.path.islink(release.path) or not os.path.lexists(marker)):
        raise ReleaseError(
            f"{release.path} exists but was not installed by this module, so it is not replaced. "
            f"Move it away, or set root to a directory of {release.name}'s own."
        )
    archive = _verified_archive(release)
    staging = tempfile.mkdtemp(prefix=STAGING, dir=release.root)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, staging, ignore_errors=True)
        _build(release, archive, staging)
        _swap_in(staging, release)
    _remove_leftovers(release.root, DOWNLOADED)
    removed = prune(release)
    _sync(release.root)
    return removed


def _remove(module: AnsibleModule) -> None:
    """Run the module with state=absent."""
    try:
        gone, left = remove(module.params["name"], module.params["root"], module.check_mode)
    except OSError as error:
        module.fail_json(msg=f"{error.filename} cannot be removed: {error.strerror}. Run the task with become.")
    module.exit_json(changed=bool(gone), removed=gone, left=left)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=REQUIRED_IF, supports_check_mode=True)
    if module.params["state"] == "absent":
        _remove(module)
    if module.params["url"] == shown(module.params["url"]):
        # It holds no login and no signature: errors and the most talkative run show it.
        module.no_log_values.discard(module.params["url"])
    try:
        release = parse(module.params)
        removed: list[str] = []
        changed = not is_installed(release)
        if changed and not module.check_mode and release.archive != "":
            if release.fetch == "controller" and release.archive is None:
                raise ReleaseError(
                    "fetch=controller is the work of the action plugin of the same name, which did not run. "
                    "Add its directory to action_plugins in ansible.cfg, or set fetch=node."
                )
            pruned = install(release)
            changed, removed = pruned is not None, pruned or []
        module.exit_json(
            changed=changed,
            path=release.path,
            removed=removed,
            sha256=release.sha256,
            in_use=in_use(release),
            installed_at=installed_at(release),
        )
    except ReleaseError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
