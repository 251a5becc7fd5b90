"""What a service is asked once it runs, and what follows from its answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.emr.monitoring.plugins.module_utils.text import printable

INTERVAL = 0.5
# How many characters of a name or an error a table can take.
SHOWN = 300
Answers = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Found:
    """What the answers of a service say.

    :ivar problems: sentences on why the service is not as a run leaves it
    :ivar pending: what it has yet to do by itself, such as a first scrape -> in how many seconds that is over at the
        latest; below 0 where it is late
    :ivar lines: what to show to the user
    :ivar down: sentences on what the service works with that does not work, such as a target
    :ivar not_sent: sentences on what does not take what the service sends
    """

    problems: list[str] = field(default_factory=list)
    pending: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    down: list[str] = field(default_factory=list)
    not_sent: list[str] = field(default_factory=list)


class Kind(Protocol):
    """What one kind of service is asked."""

    def urls(self) -> dict[str, str]:
        """Return the addresses to ask, by name."""

    def judge(self, answers: Answers, late: bool) -> Found:
        """Return what the answers (by name: status, json and error) say; `late` is whether they are the last ones."""


def ask_until_settled(ask: Callable[[], Answers], kind: Kind, wait: float) -> Found:
    """Ask until nothing is pending that will be over within `wait` seconds; return what the last answers say."""
    deadline = time.monotonic() + wait
    while True:
        answers = ask()
        left = deadline - time.monotonic()
        found = kind.judge(answers, late=left <= 0)
        if found.problems or left <= 0:
            return found
        if all(due > left for due in found.pending.values()):
            return kind.judge(answers, late=True)
        time.sleep(INTERVAL)


def shown(text: str) -> str:
    """Return what a service said so that it can be shown: without logins, tokens and commands to a terminal."""
    plain = printable(text)
    return plain[:SHOWN] + "…" * (len(plain) > SHOWN)


def failure(url: str, answer: Mapping[str, Any], login: str) -> str:
    """Return why an answer is none, empty where it is one.

    :param login: what to say where the login is to blame
    """
    if answer["status"] == 200:
        return ""
    reason = answer["error"] or f"HTTP {answer['status']}"
    refused = answer["status"] == 401 or reason.startswith("not asked")
    return f"{url}: {reason}." + (f" {login}" if refused else "")
