"""Bring a node's files to what a task wants: checked together, live together, and only if the service works."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from ansible_collections.emr.monitoring.plugins.module_utils import tree_undo
from ansible_collections.emr.monitoring.plugins.module_utils.tree import Task, TreeError, parse
from ansible_collections.emr.monitoring.plugins.module_utils.tree_adopt import copies_folder, keep_copies
from ansible_collections.emr.monitoring.plugins.module_utils.tree_check import run_checks
from ansible_collections.emr.monitoring.plugins.module_utils.tree_diff import Plan, compare
from ansible_collections.emr.monitoring.plugins.module_utils.tree_live import (
    Relabel,
    journal,
    make_live,
    outcome,
    remove_kept,
    report,
)
from ansible_collections.emr.monitoring.plugins.module_utils.tree_manifest import Manifest, forget, load, lock, save
from ansible_collections.emr.monitoring.plugins.module_utils.tree_stage import staged, sweep
from ansible_collections.emr.monitoring.plugins.module_utils.tree_undo import Undo


class Proof(Protocol):
    """What a service adds to the change of its files: it must work with them, or they are put back."""

    # What the manifest remembers of the service with the files, for the run that puts them back.
    notes: dict[str, Any]

    def examine(self, task: Task, stages: Mapping[str, str], plan: Plan, notes: Mapping[str, Any]) -> None:
        """Judge what is staged (folders by tree name), in check mode too; raise TreeError to have nothing changed.

        `notes` are those of what is live.
        """

    def may_recover(self, undo: Undo, notes: Mapping[str, Any]) -> None:
        """Judge whether what a run replaced that was cut off may be put back; raise TreeError to have nothing changed.

        `notes` are those of what is live.
        """

    def rehearse(self, task: Task, stages: Mapping[str, str], plan: Plan) -> None:
        """Try what is staged (folders by tree name) without a trace; raise TreeError to have nothing changed."""

    def remember(self, plan: Plan, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `put_back` needs, as JSON holds it; `notes` are those of what is live."""

    def begin(self, remembered: Mapping[str, Any]) -> None:
        """Do what has to be done before the files go live. Whatever it raises puts all back."""

    def prove(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Have the service work with what is live; return what the report gains. Whatever it raises puts all back."""

    def put_back(self, remembered: Mapping[str, Any], restore: Callable[[], None]) -> str:
        """Call `restore`, which puts the files back, and have the service work with them; return how that went."""

    def tidy(self) -> None:
        """Remove what only a way back needed; called where there is nothing to be put back."""


class NotProvedError(Exception):
    """The service does not work with what is live; where something went live for it, that was put back."""


def recover(state_dir: str, name: str, proof: Proof | None) -> list[str]:
    """Put back what a run replaced that was killed before its service had worked; return what to tell the user."""
    tree_undo.sweep(state_dir, name)
    undo = tree_undo.load(state_dir, name)
    if undo is None:
        if proof:
            proof.tidy()
        return []
    if proof:
        proof.may_recover(undo, load(f"{state_dir}/{name}.json").notes)
    said = put_back(undo, state_dir, name, proof)
    return [f"{name}: an earlier run was cut off before the service had worked with what it changed. {said}"]


def put_back(undo: Undo, state_dir: str, name: str, proof: Proof | None) -> str:
    """Put back what was live before a change, and have the service work with it; return how that went.

    Raises TreeError where that fails; the next run tries again.
    """

    def restore() -> None:
        tree_undo.restore(undo, state_dir, name)

    if proof:
        said = proof.put_back(undo.service, restore)
    else:
        restore()
        said = "What was live before was put back."
    # The manifest that was put back does not know all of these.
    sweep({dest for dest, _, _ in undo.files}, name)
    tree_undo.forget(undo, state_dir, name)
    return said


@dataclass(frozen=True)
class Change:
    """What is about to go live: the task, what is live, and the way back, if there is one."""

    task: Task
    old: Manifest
    plan: Plan
    state_dir: str
    proof: Proof | None

    @property
    def manifest(self) -> str:
        """Path of the manifest."""
        return f"{self.state_dir}/{self.task.name}.json"

    def adopt(self, check: bool) -> list[str]:
        """Keep copies of what somebody else put where this goes, for good; return what to tell the user."""
        if not self.plan.foreign:
            return []
        folder = copies_folder(self.task.name)
        kept_in = folder if check else keep_copies(self.plan.foreign, folder)
        taken = "would be taken over" if check else "taken over"
        return [f"{self.task.name}: {taken}, with copies in {kept_in}: {', '.join(self.plan.foreign)}."]

    def prepare(self, stages: Mapping[str, str]) -> tuple[Undo | None, Manifest]:
        """Keep what will be replaced, and note that a change is under way; return the way back and that note."""
        undo = None
        try:
            if self.proof:
                self.proof.rehearse(self.task, stages, self.plan)
                remembered = self.proof.remember(self.plan, self.old.notes)
                undo = tree_undo.keep(self.task, self.plan, self.state_dir, remembered)
            before = journal(self.task, self.old, self.plan)
            save(self.manifest, before)
        except TreeError:
            if undo:
                tree_undo.forget(undo, self.state_dir, self.task.name)
            raise
        return undo, before

    def go_live(self, stages: Mapping[str, str], before: Manifest, relabel: Relabel) -> dict[str, Any]:
        """Make all of it live and have the service work with it; return the report."""
        folders = make_live(self.task, stages, before.folders, self.plan, relabel)
        now = time.time()
        if self.task.trees or self.task.links:
            made = outcome(self.task, self.old, self.plan, folders, now)
            save(self.manifest, made._replace(notes=self.proof.notes if self.proof else {}))
        else:
            forget(self.state_dir, self.task.name)
        done = report(self.task, self.plan, self.old.live_at, now)
        proved = self.proof.prove(done) if self.proof else {}
        remove_kept(self.task, self.plan)
        return {**done, **proved}


def apply(
    payload: Mapping[str, Any],
    state_dir: str,
    check: bool = False,
    relabel: Relabel = bool,
    proof: Proof | None = None,
    *,
    adopt: bool = False,
) -> dict[str, Any]:
    """Bring the node to what the payload says, or in check mode only say what would change.

    `relabel` is called with each path that went live, and `proof` as its methods say. `adopt` is whether what somebody
    else put there is taken over. Raises TreeError with a message
    for the user, before anything was changed on the node unless it says otherwise; and NotProvedError where the service
    did not work with what went live.
    """
    name = payload["name"]
    with ExitStack() as stack:
        try:
            task = parse(payload, check)
            stack.enter_context(lock(state_dir, name, check))
            warnings = [] if check else recover(state_dir, name, proof)
            old = load(f"{state_dir}/{name}.json")
            change = Change(task, old, _compared(task, old, check, adopt), state_dir, proof)
            result = report(task, change.plan, old.live_at, time.time()) | {"warnings": warnings}
            if not change.plan.touched:
                if not check and not (task.trees or task.links):
                    forget(state_dir, name)
                return {**result, **(proof.prove(result) if proof and not check else {})}
            stages = stack.enter_context(staged(task, change.plan.changed))
            warnings += run_checks(task, stages, check)
            if proof:
                proof.examine(task, stages, change.plan, old.notes)
            warnings += change.adopt(check)
            if check:
                return result
            undo, before = change.prepare(stages)
        except TreeError as err:
            raise TreeError(f"{name}: {err}; nothing was changed on the node.", err.detail) from err
        try:
            if proof and undo:
                proof.begin(undo.service)
            done = change.go_live(stages, before, relabel)
        except Exception as err:
            if undo:
                raise NotProvedError(f"{err}\n{_put_back_or_say(undo, state_dir, name, proof)}") from err
            if isinstance(err, TreeError):
                raise TreeError(f"{name}: {err}; stopped half way, the next run does the rest.") from err
            raise
        if proof and undo:
            tree_undo.forget(undo, state_dir, name)
            proof.tidy()
        return {**done, "warnings": warnings}


def _compared(task: Task, old: Manifest, check: bool, adopt: bool) -> Plan:
    if not check:
        dests = {tree.dest for tree in task.trees} | {entry.dest for entry in old.files.values()}
        sweep(dests.union(task.links, old.links), task.name)
    return compare(task, old, adopt)


def _put_back_or_say(undo: Undo, state_dir: str, name: str, proof: Proof | None) -> str:
    try:
        return put_back(undo, state_dir, name, proof)
    except TreeError as err:
        return f"What was live before could not be put back: {err}. The next run tries again."
