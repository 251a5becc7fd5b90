"""Whether what Prometheus sends arrives, by what it counts itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ansible_collections.emr.monitoring.plugins.module_utils.questions import shown
from ansible_collections.emr.monitoring.plugins.module_utils.remote_queues import Counters, counters, started
from ansible_collections.emr.monitoring.plugins.module_utils.text import logfmt

# After a change: a scrape, the 5 s that a queue takes to look at what was scraped, and those that a batch waits.
FIRST = 40.0
# Where some samples were refused before, a second look tells whether they still are.
SECOND = 15.0
# What is sent is older than that only where something does not go on.
RECENT = 60.0
# How what Prometheus says begins where an endpoint refuses, samples or what describes them.
NON_RECOVERABLE = "non-recoverable error"
ACCEPTED, REFUSED, AWAY, NOTHING, OPEN = "accepted", "refused", "not reachable", "nothing to be seen yet", ""


@dataclass
class Remotes:
    """What is known of the endpoints of remote_write, from one question to the next.

    :ivar names: the endpoints
    :ivar folder: where the files lie that they name
    :ivar journal: returns the lines that Prometheus wrote, the last one first
    :ivar first: what was counted of each at the first look, and when that was
    """

    names: Sequence[str]
    folder: str
    journal: Callable[[], list[str]] = list
    first: dict[str, tuple[float, Counters]] = field(default_factory=dict)
    agreed: set[str] = field(default_factory=set)
    pending: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)

    def judge(self, page: str, loaded: float, late: bool) -> None:
        """Say of each endpoint whether it takes what it is sent: in `lines`, `failing` and, if still open, `pending`.

        :param page: Prometheus' metrics
        :param loaded: when it loaded its configuration, in seconds since the epoch
        :param late: whether this is the last look
        """
        self.pending, self.lines, self.failing = {}, [], []
        found, now = counters(page), time.time()
        changed = max(loaded, _newest(self.folder))
        for name in self.names:
            count = found.get(name, Counters())
            since, before = self.first.setdefault(name, (now, count))
            if count.attempts < before.attempts:
                # Another queue, which begins at 0.
                since, before = self.first[name] = now, Counters()
            word, said = _verdict(count, before, now - since, changed)
            if word == ACCEPTED and now - changed < FIRST and name not in self.agreed:
                # What is counted is not read in one moment: what does not change again, is so.
                self.agreed.add(name)
                word = OPEN
            until = max(changed + FIRST, since + SECOND if count.failed else 0) - now
            if word == OPEN and until > 0:
                self.pending[f"{name} is to take what it is sent"] = until
            if word == OPEN and (late or until <= 0):
                word, said = _last_word(count, before, now - started(page))
            if word != OPEN:
                self.lines.append(f"{name}: {word}{said}")
            if word in (REFUSED, AWAY):
                reason = self._reason(name, word == REFUSED)
                self.lines[-1] += reason
                self.failing.append(f"prometheus_remote_write: {name} is {word}{said}{reason}.")

    def _reason(self, name: str, refused: bool) -> str:
        """Return what Prometheus wrote of an endpoint last, and when: it does for one of several once a minute."""
        for line in self.journal():
            said = logfmt(line)
            # Whoever refuses may also close the connection, which is another error.
            about = said.get("remote_name") == name and (not refused or said.get("msg", "").startswith(NON_RECOVERABLE))
            if about and "err" in said:
                at = f"at {said['time'][11:19]} UTC: " if said.get("time", "").endswith("Z") else ""
                return f" ({at}{shown(said['err'])})"
        return ""


def _verdict(count: Counters, before: Counters, seconds: float, changed: float) -> tuple[str, str]:
    """Return a word on an endpoint, and more.

    :param count: what is counted now
    :param before: what was counted so many `seconds` ago
    :param changed: when what is sent, or how, was changed, in seconds since the epoch
    """
    if count.failed > before.failed:
        return REFUSED, f", {count.failed - before.failed:,.0f} samples in {seconds:.0f} s"
    if count.sent > before.sent and count.sent > changed:
        taken = count.attempts - before.attempts - (count.retried - before.retried)
        return ACCEPTED, f", {taken:,.0f} samples in {seconds:.0f} s"
    behind = time.time() - count.sent
    if count.sent > changed and behind < RECENT and not count.failed:
        return ACCEPTED, f", the last sample of {behind:.0f} s ago"
    if count.sent and behind >= RECENT and count.waiting and time.time() - changed > FIRST:
        return _last_word(count, before, 0)
    return OPEN, ""


def _last_word(count: Counters, before: Counters, age: float) -> tuple[str, str]:
    """Return a word on an endpoint of which nothing else is known; `age` is that of the process."""
    if count.waiting and count.sent <= before.sent:
        behind = time.time() - count.sent if count.sent else age
        return AWAY, f" since {behind / 60:.0f} min, {count.waiting:,.0f} samples wait"
    return NOTHING, ""


def _newest(folder: str) -> float:
    """Return when the last file in a folder went live, in seconds since the epoch."""
    newest = 0.0
    for parent, _, names in os.walk(folder):
        for name in names:
            # By rename, which changes this time alone.
            with suppress(OSError):
                newest = max(newest, os.stat(os.path.join(parent, name)).st_ctime)
    return newest
