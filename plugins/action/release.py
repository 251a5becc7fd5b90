"""Controller side of the release module: brings the archive to a node that has no network."""

from __future__ import annotations

import fcntl
import os
import urllib.parse
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.emr.monitoring.plugins.module_utils.release import (
    Release,
    ReleaseError,
    digest,
    local_path,
    mismatch,
    parse,
    shown,
)
from ansible_collections.emr.monitoring.plugins.module_utils.release_download import download
from ansible_collections.emr.monitoring.plugins.modules.release import ARGUMENTS, REQUIRED_IF


def cached_archive(release: Release) -> str:
    """Return the path on the controller of the archive of a release, downloading it when it is not there.

    The file is complete and has the right checksum. Raises ReleaseError.
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
                    _download(release, kept)
        elif (got := digest(kept)) != release.sha256:
            raise mismatch(release, got)
    except OSError as error:
        option = f"{release.name}_{'url' if local else 'cache_dir'}"
        raise ReleaseError(
            f"{option} is {local or release.cache_dir!r}, which the controller cannot use: {error}. "
            f"Set {option} to a path that the user who runs Ansible can {'read' if local else 'write'}."
        ) from error
    return kept


def _base_name(url: str) -> str:
    return os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path))


def _download(release: Release, kept: str) -> None:
    part = f"{kept}.{release.sha256[:12]}.part"
    remedy = (
        f"Set {release.name}_url to a mirror that the controller reaches, "
        f"or download the archive elsewhere and put it on the controller as {kept}."
    )
    download(release, part, remedy)
    os.replace(part, kept)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Check the options before the first trip to the node, and bring the archive along if asked to."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module on the node; with fetch=controller, first ask, then transfer."""
        super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(ARGUMENTS, required_if=REQUIRED_IF)
        if options["state"] == "absent":
            return self._module(task_vars)
        try:
            release = parse(options)
            if release.fetch == "node" or release.archive is not None:
                return self._module(task_vars)
            if local_path(release.url) is None:
                _check_cache(release)
            answer = self._module(task_vars, archive="")
            if answer.get("failed") or not answer.get("changed") or self._task.check_mode:
                return answer
            return self._module(task_vars, archive=self._transfer(cached_archive(release)))
        except ReleaseError as error:
            raise AnsibleActionFail(str(error)) from error

    def _module(self, task_vars: dict[str, Any] | None, **options: str) -> dict[str, Any]:
        arguments = {**self._task.args, **options}
        result: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        return result

    def _transfer(self, archive: str) -> str:
        shell = self._connection._shell
        # Ansible removes this directory when the action is over, however it ends.
        if shell.tmpdir is None:
            self._make_tmp_path()
        remote: str = shell.join_path(shell.tmpdir, "release.tar.gz")
        self._transfer_file(archive, remote)
        self._fixup_perms2((shell.tmpdir, remote))
        return remote


def _check_cache(release: Release) -> None:
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
