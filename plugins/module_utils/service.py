"""One run of the module service: the release, the transaction, the questions."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.emr.monitoring.plugins.module_utils.grafana_admin import Administrator
from ansible_collections.emr.monitoring.plugins.module_utils.grafana_login import Login, stored_login
from ansible_collections.emr.monitoring.plugins.module_utils.http_client import Fetch, fetcher
from ansible_collections.emr.monitoring.plugins.module_utils.questions import Kind, ask_until_settled
from ansible_collections.emr.monitoring.plugins.module_utils.questions_alertmanager import Alertmanager
from ansible_collections.emr.monitoring.plugins.module_utils.questions_grafana import Grafana
from ansible_collections.emr.monitoring.plugins.module_utils.questions_prometheus import Prometheus
from ansible_collections.emr.monitoring.plugins.module_utils.questions_remote import Remotes
from ansible_collections.emr.monitoring.plugins.module_utils.release import (
    Release,
    ReleaseError,
    parse_all,
    plugins_root,
)
from ansible_collections.emr.monitoring.plugins.module_utils.release_background import installed_within, sweep
from ansible_collections.emr.monitoring.plugins.module_utils.release_install import (
    LOCK,
    in_use,
    installed_at,
    is_installed,
    prune,
    remove,
    removing,
)
from ansible_collections.emr.monitoring.plugins.module_utils.remote_change import Remote
from ansible_collections.emr.monitoring.plugins.module_utils.transaction import Transaction
from ansible_collections.emr.monitoring.plugins.module_utils.tree import unpack
from ansible_collections.emr.monitoring.plugins.module_utils.tree_apply import apply
from ansible_collections.emr.monitoring.plugins.module_utils.trial import Trial
from ansible_collections.emr.monitoring.plugins.module_utils.unit import Run, Service
from ansible_collections.emr.monitoring.plugins.module_utils.unit_journal import recent_lines
from ansible_collections.emr.monitoring.plugins.module_utils.unit_state import last_reload

# Seconds that one trip waits for an installation; then another one says how far it is.
PATIENCE = 8.0


class ServiceRun:
    """What the module does for each of its states."""

    def __init__(self, params: Mapping[str, Any], run: Run, check: bool, relabel: Callable[[str], Any]) -> None:
        """
        :param params: the module's options
        :param run: runs a command; returns exit code, stdout and stderr
        :param check: whether nothing may be changed
        :param relabel: is called with each path that went live
        """
        self.params = params
        self.run = run
        self.payload = unpack(params["payload"])
        self.check = check
        self.relabel = relabel
        admin, user, password = params["admin"] or {}, params["url_username"], params["url_password"]
        database = admin.get("database")
        self.look: Callable[[], Login] | None = (
            partial(stored_login, database, admin["attempts"], user, password) if database else None
        )
        fetch = fetcher(self.look().name if self.look else user, password, params["certificate_path"])
        self.administrator = (
            Administrator(
                user,
                password,
                admin["url"],
                fetch,
                self.look or (lambda: Login(user)),
                run,
                admin["reset"],
                admin["tree"],
            )
            if admin
            else None
        )
        self.remote = self._remote(fetch)
        admit = self.administrator.admit if self.administrator else None
        self.unit = Service(
            {**params, "name": params["unit"], "restart_after": 0, "reload_after": 0}, run, fetch, self.look, admit
        )

    @property
    def actions(self) -> list[str]:
        """Return what systemd and the service were told to do, or would be."""
        return self.unit.actions

    def present(self) -> dict[str, Any]:
        """Bring the service to the node; raise ReleaseError, TreeError, NotProvedError or UnitError."""
        releases = self._releases()
        for release in releases:
            refuse_unreadable(release)
        missing = [release for release in releases if not is_installed(release)]
        if missing and not self.check:
            return self._install(missing)
        transaction = self._transaction(max(map(installed_at, releases), default=0))
        result = apply(
            self.payload,
            self.params["state_dir"],
            self.check,
            self.relabel,
            transaction,
            adopt=self.params["adopt"],
        )
        if self.check:
            transaction.due(result)
            result.update(self.unit.preview())
        # Not before: what ran until now is the way back.
        with removing():
            removed = [version for release in releases for version in prune(release, self.check)]
            removed += self._remove_plugins({each.plugin for each in releases}) if releases else []
        result["changed"] = bool(result["changed"] or self.actions or missing or removed)
        if self.administrator and self.administrator.waited:
            result["warnings"].append(self.administrator.waited)
        if self.remote:
            result["warnings"] += self.remote.warnings
        asks_in_check = not (self.check and self.params["admin"])
        return {**result, "actions": self.actions, **(self._found() if asks_in_check else {})}

    def _install(self, missing: Sequence[Release]) -> dict[str, Any]:
        """Install a release, and go on with the rest once it is there; say what is lacking or how far it is."""
        release = missing[0]
        if release.fetch == "controller" and not release.archive:
            return {"changed": False, "wanted": release.label}
        # The one that an earlier trip began may have ended since, and the next one be due.
        label, _, job = (self.params["job"] or "").partition(" ")
        began = job if label == release.label else ""
        pending = installed_within(release, self.params["state_dir"], PATIENCE, began)
        if pending:
            job = f"{release.label} {pending['job']}"
            return {"changed": False, "pending": {**pending, "job": job, "label": release.label}}
        return self.present()

    def _remove_plugins(self, wanted: Collection[str]) -> list[str]:
        """Remove the plugins that are not wanted, unless nothing may be changed; return their names."""
        folder = plugins_root(self.payload["release"]["root"])
        # What no installation has locked is somebody else's.
        ours = [os.path.basename(os.path.dirname(lock)) for lock in glob.glob(f"{glob.escape(folder)}/*/{LOCK}")]
        gone = sorted(set(ours) - set(wanted))
        for name in gone:
            remove(name, os.path.join(folder, name), self.check)
        if gone and not self.check:
            with contextlib.suppress(OSError):  # others are in it
                os.rmdir(folder)
        return gone

    def asked(self) -> dict[str, Any]:
        """Say what is due, and ask the service; nothing is changed."""
        results = self.unit.preview()
        found = self._found()
        unit, problems = self.params["unit"], []
        if self.actions:
            problems.append(f"{unit} is not as site.yml leaves it; due: {', '.join(self.actions)}.")
        elif results["refused"]:
            problems.append(f"{unit} refused its configuration when it last read it, and runs an older one.")
        else:
            problems += found["found"]["problems"]
        more = f"journalctl -u {unit.partition('.')[0]} on the node says more; another run of site.yml restores it."
        found["found"]["problems"] = [f"{problem} {more}" for problem in problems]
        return {"changed": False, "actions": self.actions, **results, **found}

    def absent(self) -> dict[str, Any]:
        """Take the service away, all but its data."""
        payload = {"name": self.params["name"], "trees": {}, "links": {}, "checks": [], "check_timeout": 60}
        state = self.unit.state()
        # A unit of that name that this module did not make is somebody else's.
        ours = any(
            os.path.exists(f"{self.params['state_dir']}/{self.params['name']}{end}") for end in (".json", ".undo.json")
        )
        if ours and state.load not in ("not-found", "") and not self.check:
            self.unit.leave()
        if not self.check:
            sweep(self.params["state_dir"])
        result = apply(payload, self.params["state_dir"], self.check, self.relabel)
        if ours and not self.check:
            self.unit.act("daemon-reload")
            if self.unit.state().active == "failed":
                self.unit.act("reset-failed")
        with removing():
            gone, left = remove(self.params["name"], self.payload["release"]["root"], self.check)
            gone += self._remove_plugins(())
        left += [path for tree in result["trees"].values() for path in tree["left"]]
        return {
            **result,
            "changed": bool(result["changed"] or gone),
            "left": sorted(set(left)),
            "actions": self.actions,
        }

    def _releases(self) -> list[Release]:
        """Return the releases as they are wanted, that of the service first."""
        options = self.payload.get("release")
        if not options:
            return []
        found = parse_all({**options, "name": self.params["name"]}, self.payload["plugins"])
        return [each._replace(archive=self.params["archives"].get(each.label)) for each in found]

    def _transaction(self, installed: float) -> Transaction:
        trial = self.params["trial"]
        return Transaction(
            self.unit,
            self.payload["on_change"],
            installed,
            trial=Trial(**trial, unit=self.params["unit"]) if trial else None,
            database=self.params["database"],
            administrator=self.administrator,
            not_taken=self._not_taken,
            hints=self.params["hints"],
            remote=self.remote,
        )

    def _remote(self, fetch: Fetch) -> Remote | None:
        """Return what the run does about remote_write."""
        options = self.payload.get("remote_write")
        if not options:
            return None
        files, params = dict(options), self.params
        try:
            former = Path(files.pop("password_path")).read_text(encoding="utf-8")
        except OSError:
            return Remote(**files, fetches=[fetch])
        return Remote(**files, fetches=[fetch, fetcher(params["url_username"], former, params["certificate_path"])])

    def _found(self) -> dict[str, Any]:
        """Return what the answers to the questions say."""
        questions = self.payload.get("questions")
        if not questions:
            return {}
        kind = self._kind(questions["kind"], questions["about"])
        return {"found": asdict(ask_until_settled(partial(self.unit.ask, kind.urls()), kind, questions["wait"]))}

    def _not_taken(self) -> str:
        """Return what a service that has just started did not take, empty where there is nothing."""
        questions = self.payload.get("questions")
        if not questions or not questions["about"].get("plugins"):
            return ""
        grafana = Grafana(**questions["about"])
        return " ".join(grafana.plugin_problems(self.unit.ask(grafana.plugin_urls())))

    def _kind(self, kind: str, about: Mapping[str, Any]) -> Kind:
        if kind == "grafana":
            return Grafana(**about, look=self.look, reloaded=last_reload(self.params["unit"]))
        if kind == "prometheus":
            journal = partial(recent_lines, self.run, self.params["unit"])
            fields = {name: value for name, value in about.items() if not name.startswith("remotes")}
            remotes = Remotes(about["remotes"], about["remotes_dir"], journal) if about["remotes"] else None
            return Prometheus(**fields, journal=journal, remotes=remotes)
        return Alertmanager(**about)


def refuse_unreadable(release: Release) -> None:
    """Raise ReleaseError where the release cannot read the data that the one in use has written."""
    readers, used = release.readers, in_use(release)
    if not readers or not used or LooseVersion(used) < LooseVersion(readers["written_by"]):
        return
    if LooseVersion(release.version) < LooseVersion(readers["read_by"]):
        raise ReleaseError(
            f"{release.name}_version is {release.version}, but {readers['data']} was written by {used}, which only "
            f"{readers['read_by']} and newer can read. Choose {readers['read_by']} or newer, or another "
            f"{release.name}_data_dir."
        )
