"""One service, one transaction: its files stay live only if the service works with them."""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.grafana_admin import Administrator
from ansible_collections.emr.monitoring.plugins.module_utils.remote_change import Remote
from ansible_collections.emr.monitoring.plugins.module_utils.tree import Task, TreeError
from ansible_collections.emr.monitoring.plugins.module_utils.tree_apply import NotProvedError
from ansible_collections.emr.monitoring.plugins.module_utils.tree_diff import Plan
from ansible_collections.emr.monitoring.plugins.module_utils.tree_manifest import LINKS
from ansible_collections.emr.monitoring.plugins.module_utils.tree_undo import Undo, kept_file
from ansible_collections.emr.monitoring.plugins.module_utils.trial import Trial, rehearse
from ansible_collections.emr.monitoring.plugins.module_utils.unit import Service
from ansible_collections.emr.monitoring.plugins.module_utils.unit_check import check_dropins
from ansible_collections.emr.monitoring.plugins.module_utils.unit_state import State, UnitError

RUNNING = ("active", "activating", "reloading")
# What SQLite keeps beside a database.
SQLITE_FILES = ("", "-wal", "-shm", "-journal")
COPY = ".before-upgrade"
# Its arguments are the paths of a database and of its copy; what a journal holds is in the copy, too.
COPY_SQLITE = (
    "import sqlite3, sys; source, target = map(sqlite3.connect, sys.argv[1:]); source.backup(target); target.close()"
)


def _runs_since_before(remembered: Mapping[str, Any], state: State) -> bool:
    """Tell whether the process runs that ran before the change, which has only to load what is put back.

    What an older version of this project kept does not say.
    """
    return state.active == "active" and not state.job and state.process == remembered.get("process")


class Transaction:
    """What a service adds to the change of its files; see `tree_apply.Proof`."""

    def __init__(
        self,
        unit: Service,
        on_change: Mapping[str, str],
        installed_at: float,
        *,
        trial: Trial | None = None,
        database: str | None = None,
        administrator: Administrator | None = None,
        not_taken: Callable[[], str] = str,
        hints: Mapping[str, str] | None = None,
        remote: Remote | None = None,
    ) -> None:
        """
        :param unit: the unit, with what it is asked
        :param on_change: name of a tree -> "restart", "reload" or "nothing", which a change of it calls for
        :param installed_at: when the release was unpacked, in seconds since the epoch
        :param trial: how to try a start before the old service stops
        :param database: path of the SQLite database that another release migrates when it first starts
        :param administrator: whom Grafana is made to let in
        :param hints: what a line of the journal means, by a regular expression for it
        :param not_taken: returns what the service, which has just started, did not take of what it was given
        :param remote: what Prometheus sends, and where to
        """
        self.unit = unit
        self.on_change = on_change
        self.installed_at = installed_at
        self.trial = trial
        self.database = database
        self.administrator = administrator
        self.not_taken = not_taken
        self.hints = hints or {}
        self.remote = remote
        self.notes = {"ready_url": unit.ready_url, **({"metrics_url": unit.loaded["url"]} if unit.loaded else {})}

    def due(self, report: Mapping[str, Any]) -> None:
        """Tell the unit what the files call for: `report` says since when each tree is live."""
        since: dict[str, list[float]] = {"restart": [report["links"]["live_at"], self.installed_at], "reload": [0.0]}
        for name, tree in report["trees"].items():
            since.setdefault(self.on_change.get(name, "nothing"), []).append(tree["live_at"])
        if self.administrator:
            self.administrator.renewed = bool(report["trees"][self.administrator.tree]["changed"])
        self.unit.restart_after, self.unit.reload_after = max(since["restart"]), max(since["reload"])

    def examine(self, task: Task, stages: Mapping[str, str], plan: Plan, notes: Mapping[str, Any]) -> None:
        """Have systemd judge what is added to the unit, and see that nothing is lost that is to be sent."""
        check_dropins(task, stages, self.unit.name)
        if self.remote:
            state = self.unit.state()
            url = self._metrics(notes) if state.active == "active" else ""
            stops = self._stops(plan) or state.started < self.installed_at
            self.remote.examine(task, stages, plan, stops, url)

    def _metrics(self, notes: Mapping[str, Any]) -> str:
        return str(notes.get("metrics_url", self.notes["metrics_url"]))

    def may_recover(self, undo: Undo, notes: Mapping[str, Any]) -> None:
        """Raise TreeError where putting back would lose what the service has not sent yet."""
        state = self.unit.state()
        if self.remote and state.active == "active":
            stops = not _runs_since_before(undo.service, state)
            self.remote.may_recover(self._metrics(notes), stops, kept_file(undo, self.remote.config))

    def _stops(self, plan: Plan) -> bool:
        """Tell whether a service that runs would have to stop."""
        return LINKS in plan.touched or any(self.on_change.get(name) == "restart" for name in plan.touched)

    def rehearse(self, task: Task, stages: Mapping[str, str], plan: Plan) -> None:
        """Try a start where the old service would have to stop."""
        if self.trial and self._stops(plan) and self.unit.state().active == "active":
            rehearse(self.trial, task, stages, self.unit.timeout)

    def remember(self, plan: Plan, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the old service needs to run again; `notes` are those of its files."""
        state = self.unit.state()
        known = state.load not in ("not-found", "")
        migrates = bool(self.database) and LINKS in plan.touched and known and os.path.exists(str(self.database))
        if migrates:
            self._refuse_full_disk(str(self.database))
        return {
            "known": known,
            "enabled": state.file == "enabled",
            "active": state.active in RUNNING,
            "process": state.process,
            "ready_url": notes.get("ready_url"),
            "database": self.database if migrates else None,
        }

    @staticmethod
    def _refuse_full_disk(database: str) -> None:
        needed = sum(os.path.getsize(path) for path in map(database.__add__, SQLITE_FILES) if os.path.exists(path))
        disk = os.statvfs(os.path.dirname(database))
        free = disk.f_bavail * disk.f_frsize
        if free < needed:
            raise TreeError(
                f"{database} has {needed >> 20} MB, and {free >> 20} MB are free beside it: another release "
                "migrates it, so a copy is kept until that works. Free space there"
            )

    def begin(self, remembered: Mapping[str, Any]) -> None:
        """Keep the database that another release will migrate, while nobody writes to it."""
        database = remembered["database"]
        if database:
            self.unit.act("stop")
            part = f"{database}{COPY}.part"
            self._as_owner([sys.executable, "-c", COPY_SQLITE, database, part])
            self._as_owner(["chmod", f"--reference={database}", "--", part])
            self._as_owner(["mv", "--no-target-directory", "--", part, database + COPY])

    def _as_owner(self, command: list[str]) -> None:
        """Run a command as the owner of the data: he may have put links there, which root must not follow."""
        owner = os.stat(os.path.dirname(str(self.database))).st_uid
        words = ["runuser", f"--user={pwd.getpwuid(owner).pw_name}", "--", *command]
        code, _, error = self.unit.run(words)
        if code:
            raise UnitError(f"has a database that cannot be kept for a way back: {error.strip()}")

    def prove(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Bring the unit to the state that the files call for; raise NotProvedError with the journal if that fails."""
        self.due(report)
        try:
            found = self.unit.converge()
            if {"start", "restart"} & set(self.unit.actions) and (said := self.not_taken()):
                raise UnitError(f"works, but not with all that it was given: {said.rstrip('.')}")
            return found
        except UnitError as error:
            said = self.unit.report(error)
            meant = [meaning for pattern, meaning in self.hints.items() if re.search(pattern, said)]
            raise NotProvedError("\n".join([said, *meant])) from error

    def put_back(self, remembered: Mapping[str, Any], restore: Callable[[], None]) -> str:
        """Put the old files and the old database back, and have the old service run as it did.

        Returns how that went. Raises TreeError where something cannot be put back.
        """
        unit = self.unit
        try:
            if not remembered["known"]:
                return self._leave_nothing(restore)
            if remembered["database"]:
                unit.act("stop")
                self._restore_database(remembered["database"])
            restore()
            if not remembered["active"]:
                for action in ("daemon-reload", "stop", "enable" if remembered["enabled"] else "disable"):
                    unit.act(action)
                return "What was live before was put back; the service did not run then, and does not now."
            reload = _runs_since_before(remembered, unit.state())
            took = unit.run_again(remembered["ready_url"], remembered["enabled"], reload)
        except UnitError as error:
            return f"What was live before was put back, but {unit.report(error)}"
        return f"What was live before was put back and runs again; it was ready after {took:.1f} s."

    def _leave_nothing(self, restore: Callable[[], None]) -> str:
        unit = self.unit
        if unit.state().load not in ("not-found", ""):
            unit.leave()
        restore()
        unit.act("daemon-reload")
        if unit.state().active == "failed":
            unit.act("reset-failed")
        return "It was never live before, so nothing of it is left enabled or running; the next run starts anew."

    def _restore_database(self, database: str) -> None:
        if os.path.exists(database + COPY):
            # The copy is one file, which holds what these held.
            self._as_owner(["rm", "--force", "--", *(database + suffix for suffix in SQLITE_FILES[1:])])
            self._as_owner(["mv", "--force", "--no-target-directory", "--", database + COPY, database])

    def tidy(self) -> None:
        """Remove what only a way back needed."""
        for path in (f"{self.database}{COPY}", f"{self.database}{COPY}.part"):
            if self.database and os.path.lexists(path):
                self._as_owner(["rm", "--force", "--", path])
