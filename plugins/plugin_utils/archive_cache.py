"""Keep archives on the controller, for nodes that have no network."""

from __future__ import annotations

import fcntl
import os
import urllib.parse

from ansible_collections.emr.monitoring.plugins.module_utils.release import (
    Progress,
    Release,
    ReleaseError,
    digest,
    local_path,
    mismatch,
    no_progress,
    shown,
)
from ansible_collections.emr.monitoring.plugins.module_utils.release_download import download


def cached_archive(release: Release, progress: Progress = no_progress) -> str:
    """Return the path on the controller of the archive of a release, downloading it when it is not there.

    `progress` is told how far the download is. The file is complete and has the right checksum. Raises ReleaseError.
    """
    local = local_path(release.url)
    kept = local or os.path.join(release.cache_dir, _base_name(release.url))
    try:
        if local is None:
            os.makedirs(release.cache_dir, exist_ok=True)
            # Ansible's forks want the same archive for many nodes at once: one downloads it, the others wait.
            with open(os.path.join(release.cache_dir, ".lock"), "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not os.path.exists(kept) or digest(kept) != release.sha256:
                    _download(release, kept, progress)
        elif (got := digest(kept)) != release.sha256:
            raise mismatch(release, got)
    except OSError as error:
        option = release.variable("url" if local else "cache_dir")
        raise ReleaseError(
            f"{option} is {local or release.cache_dir!r}, which the controller cannot use: {error}. "
            f"Set {option} to a path that the user who runs Ansible can {'read' if local else 'write'}."
        ) from error
    return kept


def _base_name(url: str) -> str:
    return os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path))


def _download(release: Release, kept: str, progress: Progress) -> None:
    part = f"{kept}.{release.sha256[:12]}.part"
    remedy = (
        f"Set {release.variable('url')} to a mirror that the controller reaches, "
        f"or download the archive elsewhere and put it on the controller as {kept}."
    )
    download(release, part, remedy, progress=progress)
    os.replace(part, kept)


def check_cache(release: Release) -> None:
    """Raise ReleaseError where the controller has no place for the archive of a release."""
    if not release.cache_dir:
        raise ReleaseError(
            "cache_dir is not set, but fetch=controller needs it. "
            "Set it to a directory on the controller that keeps the downloaded archives."
        )
    if _base_name(release.url) in ("", ".", ".."):
        raise ReleaseError(
            f"url is {shown(release.url)!r}, but with fetch=controller it must end with a "
            "file name, under which the archive is kept in cache_dir."
        )
