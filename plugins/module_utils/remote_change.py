"""Before a change of remote_write goes live: nothing unsent may be lost by it, and its endpoints have to answer."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.http_client import Answer, Fetch, no_answer
from ansible_collections.emr.monitoring.plugins.module_utils.remote_probe import (
    ACCEPTED,
    NOT_ASKED,
    REFUSED,
    Endpoint,
)
from ansible_collections.emr.monitoring.plugins.module_utils.remote_queues import changed, queues, unsent
from ansible_collections.emr.monitoring.plugins.module_utils.tree import Task, TreeError, join
from ansible_collections.emr.monitoring.plugins.module_utils.tree_check import mask
from ansible_collections.emr.monitoring.plugins.module_utils.tree_diff import Plan

# For how long to wait for what is about to be sent: a batch waits for 5 s, and what comes meanwhile for the next one.
SENDING = 12.0


@dataclass(frozen=True)
class Remote:
    """What a run does about remote_write.

    :ivar config: path of Prometheus' configuration, whose tree the files belong to that it names
    :ivar entries: its entries as they are rendered
    :ivar environment: what is set for the process
    :ivar must_be_accepted: whether one that cannot be reached is refused
    :ivar lose_unsent: whether what is not sent may be lost
    :ivar fetches: how the service that runs is asked: with the login that it is to have, and with the one that it has
    :ivar warnings: what to tell the user
    """

    config: str
    entries: Sequence[Mapping[str, Any]]
    environment: Mapping[str, str]
    must_be_accepted: bool
    lose_unsent: bool
    fetches: Sequence[Fetch] = ()
    warnings: list[str] = field(default_factory=list)

    def examine(self, task: Task, stages: Mapping[str, str], plan: Plan, stops: bool, url: str) -> None:
        """Raise TreeError where the change would lose samples, or where an endpoint does not take what it is sent.

        :param stops: whether the running service would have to stop
        :param url: the page of metrics of the service that runs; empty where none does
        """
        old, new = queues(_text(self.config)), queues(_text(self._place(task, stages, self.config)))
        others = changed(old, new)
        if url and old and (stops or others) and not self.lose_unsent:
            does = "This run would restart Prometheus" if stops else "This run would give it another queue"
            self._refuse_loss(url, self._page(url), None if stops else others, does, " (other changes go through)")
        for entry in self.entries:
            name = entry["name"]
            if old.get(name) != new.get(name) or self._reads_another(entry, task, plan):
                self._ask(entry, task, stages)

    def may_recover(self, url: str, stops: bool, kept: str | None) -> None:
        """Raise TreeError where it would lose samples to put back what was cut off.

        :param url: the page of metrics of the service that runs
        :param stops: whether the service would have to stop
        :param kept: where the configuration is that would be put back; None where there was none
        """
        live = queues(_text(self.config))
        others = changed(live, queues(_text(kept) if kept else ""))
        if not live or not (stops or others) or self.lose_unsent:
            return
        answer = self._page(url)
        # One that does not answer has scraped nothing, and may need what is put back to answer.
        if 0 < answer.status < 500:
            does = "An earlier run was cut off, and what it replaced has to be put back, with "
            does += "a restart of Prometheus" if stops else "another queue for it"
            self._refuse_loss(url, answer, None if stops else others, does)

    def _page(self, url: str) -> Answer:
        """Return the page of metrics, whose text is empty where it cannot be read."""
        answer = Answer(0)
        for fetch in self.fetches:
            answer = fetch(url)
            if answer.status != 401:
                break
        return answer if answer.status == 200 else answer._replace(body="")

    def _refuse_loss(
        self, url: str, answer: Answer, names: Collection[str] | None, does: str, besides: str = ""
    ) -> None:
        """Raise TreeError where an endpoint has not been sent what there is.

        :param url: the page of metrics of the service that runs
        :param answer: what it says
        :param names: whose queues to look at; None is all of them
        :param does: why that matters
        :param besides: what else may be done until then
        """
        if answer.status != 200:
            raise TreeError(
                f"prometheus_remote_write: nobody knows whether all has been sent: {no_answer(url, answer)}. {does}. "
                "Have Prometheus answer first, or lose what has not been with prometheus_remote_write_lose_unsent: true"
            )
        behind = unsent(answer.body, lambda: self._page(url).body, names, SENDING)
        if behind:
            told = ", ".join(f"{name} the last {seconds / 60:.1f} minutes" for name, seconds in behind.items())
            raise TreeError(
                f"prometheus_remote_write: not sent yet: {told}. {does}, after which only what comes then is sent: "
                f"there, these minutes would be missing for good. Have them taken first{besides}, or lose them with "
                "prometheus_remote_write_lose_unsent: true"
            )

    def _ask(self, entry: Mapping[str, Any], task: Task, stages: Mapping[str, str]) -> None:
        folder = os.path.dirname(self.config)

        def place(file: str) -> str:
            return self._place(task, stages, os.path.join(folder, file))

        verdict = Endpoint(entry, self.environment, place, lambda words: mask(words, task.trees)).ask()
        if verdict.word == ACCEPTED:
            return
        said = f"prometheus_remote_write: {entry['name']} {verdict.said}"
        if verdict.word == REFUSED:
            raise TreeError(said)
        if verdict.word != NOT_ASKED and self.must_be_accepted:
            raise TreeError(
                f"{said}. Where it is away for a while, go on with prometheus_remote_write_must_be_accepted: false"
            )
        self.warnings.append(said)

    @staticmethod
    def _place(task: Task, stages: Mapping[str, str], path: str) -> str:
        """Return where a file lies before it is live: in the stage of its tree, or where it is."""
        for tree in task.trees:
            for rel in tree.files:
                if join(tree.dest, rel) == path:
                    return join(stages[tree.name], rel)
        return path

    def _reads_another(self, entry: Mapping[str, Any], task: Task, plan: Plan) -> bool:
        """Tell whether a file changes that an entry names, or what is set for the process of Prometheus."""
        folder = os.path.dirname(self.config)
        named = {os.path.join(folder, file) for file in _files(entry)}
        uses = {"sigv4": ("aws-credentials", ".environment"), "proxy_from_environment": (".environment",)}
        ends = tuple(end for option, found in uses.items() if entry.get(option) for end in found)
        return any(
            join(tree.dest, rel) in named or (bool(ends) and rel.endswith(ends))
            for tree in task.trees
            for rel in plan.changed[tree.name]
        )


def _files(part: Any, key: str = "") -> Iterator[str]:
    """Yield the files that an entry names."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _files(value, str(name))
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _files(value, key)
    elif isinstance(part, str) and (key == "files" or key.endswith(("_file", "_path"))):
        yield part


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        return ""
