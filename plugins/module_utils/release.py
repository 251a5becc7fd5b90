"""A release as it is wanted, and what its files are called in errors."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

BLOCK = 1 << 20
# What the variable of a role is called that is not called as the option.
OTHERWISE_NAMED = {"sha256": "checksums", "keep": "releases_kept"}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# Is told what is being done, and how many bytes of how many are; 0 is an unknown number.
Progress = Callable[[str, int, int], None]


def no_progress(doing: str, done: int, total: int) -> None:
    """Tell nobody."""


class ReleaseError(Exception):
    """What the user is told: one sentence about what happened and one about what to do."""


class Release(NamedTuple):
    """One release to install; the fields are the module's options.

    That of a plugin has the name of the program, too.
    """

    name: str
    version: str
    url: str
    sha256: str
    root: str
    current: str
    exclude: list[str]
    keep: int = 2
    fetch: str = "node"
    cache_dir: str = ""
    timeout: int = 60
    archive: str | None = None
    readers: dict[str, str] | None = None
    proxy: str = ""
    no_proxy: list[str] | None = None
    plugin: str = ""

    @property
    def label(self) -> str:
        """What it is called, and what its folder belongs to."""
        return self.plugin or self.name

    @property
    def path(self) -> str:
        """Directory of the release."""
        return os.path.join(self.root, self.version)

    def variable(self, option: str) -> str:
        """Name the variable in which an option of it stands."""
        if self.plugin and option in ("version", "url", "sha256"):
            return f"{option} of {self.plugin} in {self.name}_plugins"
        return f"{self.name}_{OTHERWISE_NAMED.get(option, option)}"

    @property
    def identity(self) -> dict[str, Any]:
        """What two installations of the same thing have in common."""
        return {"sha256": self.sha256, "exclude": sorted(set(self.exclude))}


def parse(options: dict[str, Any]) -> Release:
    """Check the options (a dict as the argument spec yields it) and return the release.

    Raises ReleaseError that names the option, its value and the remedy.
    """
    for option in ("version", "url", "sha256"):
        if not options[option]:
            raise ReleaseError(f"{option} is missing: name the release to run.")
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
            f"{release.variable('url')} is no URL, and not shown, for it may hold a password. In its login and path, "
            "write spaces and the characters @ : / ? # [ ] % as %40 and the like, and likewise all that is not ASCII."
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
            "must start with http://, https:// or file:/// and name the archive",
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
            value = shown(value) if option == "url" else value
            named = option if option in ("current", "timeout") else release.variable(option)
            raise ReleaseError(f"{named} is {value!r}, but it {remedy}.")
    return release


def parse_all(options: dict[str, Any], plugins: Iterable[Mapping[str, str]]) -> list[Release]:
    """Return the release of a program and those of its plugins, which lie beside it.

    :param options: see `parse`
    :param plugins: ``name``, ``version``, ``url`` and ``sha256`` of each
    :raises ReleaseError: one of them cannot be
    """
    own: dict[str, Any] = {"exclude": [], "current": "", "readers": None}
    return [
        parse(options),
        *(
            parse({**options, **own, **plugin, "name": options["name"], "plugin": plugin["name"], "root": folder})
            for plugin in plugins
            for folder in [os.path.join(plugins_root(options["root"]), plugin["name"])]
        ),
    ]


def plugins_root(root: str) -> str:
    """Return the folder of all plugins of a program whose releases lie below `root`."""
    return os.path.join(os.path.dirname(root), "plugins")


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
    block = memoryview(bytearray(BLOCK))
    with open(path, "rb", buffering=0) as file:
        while size := file.readinto(block):
            result.update(block[:size])
    return result.hexdigest()


def disk_full(folder: str, needed: int | None) -> ReleaseError:
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    disk = os.statvfs(folder)
    size = f"about {needed >> 20} MB are needed" if needed else "more is needed"
    return ReleaseError(
        f"The disk of {folder} is full: {size}, {disk.f_bavail * disk.f_frsize >> 20} MB are free. "
        "Nothing was installed; free space there, or choose a directory on a larger disk."
    )


def write_all(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


def mismatch(release: Release, got: str) -> ReleaseError:
    """Return the error for an archive of release whose SHA-256 is got (str)."""
    return ReleaseError(
        f"The checksum of {shown(release.url)} is wrong: expected sha256 {release.sha256}, got {got}. "
        f"Correct {release.variable('sha256')}, or point {release.variable('url')} at the genuine archive."
    )
