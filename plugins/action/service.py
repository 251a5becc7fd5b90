"""The controller's half of service: render the files, bring the archive along, and say how far long work is."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.emr.monitoring.plugins.module_utils.release import Release, ReleaseError, local_path, parse_all
from ansible_collections.emr.monitoring.plugins.modules.service import (
    ARGUMENTS,
    INTERNAL,
    PACKED,
    REQUIRED_IF,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.archive_cache import cached_archive, check_cache
from ansible_collections.emr.monitoring.plugins.plugin_utils.rendered_trees import Renderer, pack, texts
from ansible_collections.emr.monitoring.plugins.plugin_utils.yaml_places import with_places

# Seconds between two lines about work that goes on.
SAID_EVERY = 8.0


@contextmanager
def telling(line: Callable[[], str], every: float = SAID_EVERY) -> Iterator[None]:
    """Print a line at intervals (seconds) while something takes its time."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(every):
            Display().display(line())

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def amount(done: int, total: int) -> str:
    """Return how many bytes of how many are done, in MB."""
    return f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB" if total else f"{done / 1e6:,.0f} MB"


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module of the same name for the documentation."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module on the node, again as long as it has to be told something or has not ended its work."""
        super().run(tmp, task_vars)
        spec = {name: option for name, option in ARGUMENTS.items() if name not in INTERNAL}
        _, options = self.validate_argument_spec(spec, required_if=REQUIRED_IF)
        arguments = {name: value for name, value in self._task.args.items() if name not in PACKED}
        present = options["state"] == "present"
        payload = Renderer(self, task_vars or {}).payload(self._task.args) if present else {}
        # What a module is invoked with is logged on the node and shown by a talkative run, and these may hold a login.
        payload |= {name: options[name] for name in ("release", "plugins", "questions", "remote_write")}
        arguments["payload"] = pack(payload)
        try:
            wanted = options["release"] if present else None
            releases = parse_all({**wanted, "name": options["name"]}, options["plugins"]) if wanted else []
            for release in releases:
                if release.fetch == "controller" and local_path(release.url) is None:
                    check_cache(release)
            answer = self._converge(arguments, {release.label: release for release in releases}, task_vars)
        except ReleaseError as error:
            raise AnsibleActionFail(str(error)) from error
        if answer.get("failed"):
            answer["msg"] = with_places(str(answer.get("msg", "")), texts(payload.get("trees", {})))
        return answer

    def _converge(
        self, arguments: dict[str, Any], releases: Mapping[str, Release], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        host = (task_vars or {}).get("inventory_hostname", "the node")
        archives: dict[str, str] = {}
        answer = self._module(arguments, task_vars)
        while "wanted" in answer or "pending" in answer:
            if "wanted" in answer:
                release = releases[answer["wanted"]]
                archives[release.label] = self._transfer(release, self._archive(release), host)
                job = None
            else:
                pending = answer["pending"]
                release, job = releases[pending["label"]], pending["job"]
                done = amount(pending["done"], pending["total"]) if pending["done"] else ""
                Display().display(f"[{host}] {release.label} {release.version}: {pending['doing']} {done}".rstrip())
            answer = self._module({**arguments, "archives": archives, "job": job}, task_vars)
        answer.pop("invocation", None)
        return answer

    def _module(self, arguments: Mapping[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name="emr.monitoring.service", module_args=dict(arguments), task_vars=task_vars
        )
        return result

    @staticmethod
    def _archive(release: Release) -> str:
        """Return the path on the controller of the release's archive."""
        state = {"done": 0, "total": 0}

        def progress(_: str, done: int, total: int) -> None:
            state.update(done=done, total=total)

        def line() -> str:
            doing = f"downloading {amount(**state)}" if state["done"] else "waiting for its download"
            return f"{release.label} {release.version}, on the controller: {doing}"

        with telling(line):
            return cached_archive(release, progress)

    def _transfer(self, release: Release, archive: str, host: str) -> str:
        """Bring an archive to the node and return its path there."""
        shell = self._connection._shell
        # Ansible removes this directory when the action is over, however it ends.
        if shell.tmpdir is None:
            self._make_tmp_path()
        remote: str = shell.join_path(shell.tmpdir, f"{release.label}.archive")
        began, size = time.monotonic(), os.path.getsize(archive)
        what = f"[{host}] {release.label} {release.version}: copying {amount(size, 0)} to the node"
        with telling(lambda: f"{what} since {time.monotonic() - began:.0f} s"):
            self._transfer_file(archive, remote)
        self._fixup_perms2((shell.tmpdir, remote))
        return remote
