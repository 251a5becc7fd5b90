"""Download an archive, resuming what an interrupted download left."""

from __future__ import annotations

import http.client
import os
import ssl
import string
import time
import urllib.error
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

from ansible.module_utils import urls
from ansible_collections.emr.monitoring.plugins.module_utils.release import (
    BLOCK,
    DISK_FULL,
    Progress,
    Release,
    ReleaseError,
    digest,
    disk_full,
    mismatch,
    no_progress,
    shown,
    write_all,
)
from ansible_collections.emr.monitoring.plugins.module_utils.text import printable

_REDIRECTS = 10


class _DowngradeError(OSError):
    """A redirect that leads away from https, where the answer could be read or changed by others."""


def download(
    release: Release,
    part: str,
    remedy: str,
    sleep: Callable[[float], None] = time.sleep,
    progress: Progress = no_progress,
) -> None:
    """Download the archive of release to the file part and verify its checksum.

    part (a path) and remedy (a sentence for errors) are str, sleep takes seconds, progress is told how far it is. A
    part that an interrupted download left is resumed, and kept when the network fails; it is removed when its
    checksum is wrong or the disk is full. Raises ReleaseError.
    """
    answered = False
    for attempt in range(1, 6):
        if os.path.exists(part) and digest(part) == release.sha256:
            return
        try:
            with _through_proxy(release):
                _receive(release.url, part, release.timeout, progress)
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
            # A proxy's own words are among them.
            reason = printable(str(cause)) or type(cause).__name__
        if final or attempt == 5:
            raise ReleaseError(f"Downloading {shown(release.url)} failed: {reason}. {remedy}")
        sleep(2.0 ** (attempt - 1))
    got = digest(part)
    if got != release.sha256:
        os.unlink(part)
        raise mismatch(release, got)


@contextmanager
def _through_proxy(release: Release) -> Iterator[None]:
    """Have what is opened go through the proxy of the release, if it has one."""
    wanted = {"http_proxy": release.proxy, "https_proxy": release.proxy, "no_proxy": ",".join(release.no_proxy or [])}
    # No function of Ansible takes a proxy. Written small, these win over what was there.
    before = {name: os.environ.get(name) for name in wanted}
    if release.proxy:
        os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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


def _receive(url: str, part: str, timeout: int, progress: Progress) -> None:
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
            data = response.read1(BLOCK)
            if not data:
                break
            write_all(fd, memoryview(data))
            have += len(data)
            progress("downloading", have, length or 0)
    except OSError as error:
        if error.errno in DISK_FULL:
            os.ftruncate(fd, 0)
            os.unlink(part)
            raise disk_full(os.path.dirname(part), length) from error
        raise
    finally:
        os.close(fd)
        response.close()
    if length is not None and have != length:
        raise OSError(f"the connection broke after {have} of {length} bytes")
