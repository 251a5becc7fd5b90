"""What Prometheus' own metrics and configuration say of its queues of remote_write."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

INTERVAL = 0.5
# The address of an endpoint may hold a brace.
LINE = re.compile(r'^prometheus_remote_storage_(\w+)\{.*?\bremote_name="([^"]*)".*\}[ \t]+(\S+)', re.MULTILINE)
NEWEST, STARTED = "prometheus_remote_storage_highest_timestamp_in_seconds", "process_start_time_seconds"
PLAIN = re.compile(rf"^({NEWEST}|{STARTED})[ \t]+(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Counters:
    """What Prometheus counts of one endpoint since its queue is there; times are seconds since the epoch.

    :ivar sent: the time of the newest sample that was sent, or refused; 0 where there is none
    :ivar newest: the time of the newest sample that is to be sent
    :ivar attempts: samples that were sent, with those that were refused or are sent once more
    :ivar failed: samples that were refused, and never will be sent
    :ivar retried: samples that are sent once more
    :ivar waiting: samples that wait
    """

    sent: float = 0
    newest: float = 0
    attempts: float = 0
    failed: float = 0
    retried: float = 0
    waiting: float = 0


# The field of each metric; histograms are samples, too.
FIELDS = {
    "queue_highest_sent_timestamp_seconds": "sent",
    "queue_highest_timestamp_seconds": "newest",
    **{
        f"{kind}_{end}": field
        for kind in ("samples", "histograms")
        for end, field in (
            ("total", "attempts"),
            ("failed_total", "failed"),
            ("retried_total", "retried"),
            ("pending", "waiting"),
        )
    },
}


def counters(page: str) -> dict[str, Counters]:
    """Return what a page of Prometheus' metrics says of each endpoint, by its name."""
    plain = {name: float(value) for name, value in PLAIN.findall(page)}
    newest = plain.get(NEWEST, 0.0)
    found: dict[str, dict[str, float]] = {}
    for metric, name, value in LINE.findall(page):
        fields = found.setdefault(name, {"newest": newest})
        field = FIELDS.get(metric)
        if field in ("sent", "newest"):
            fields[field] = max(fields.get(field, 0.0), float(value))
        elif field:
            fields[field] = fields.get(field, 0.0) + float(value)
    return {name: Counters(**fields) for name, fields in found.items()}


def started(page: str) -> float:
    """Return when the process started, in seconds since the epoch."""
    return float(dict(PLAIN.findall(page)).get(STARTED, 0))


def unsent(page: str, look: Callable[[], str], names: Iterable[str] | None, wait: float) -> dict[str, float]:
    """Return the endpoints that have not been sent what there was when this was asked, each with its seconds behind.

    :param page: of metrics, at the beginning
    :param look: returns another one, empty where it cannot be had at that moment
    :param names: whose queues to look at; None is all of them
    :param wait: for how many seconds to wait for what is about to be sent
    """
    deadline = time.monotonic() + wait
    asked = counters(page)
    began, left = started(page), {name for name in asked if names is None or name in set(names)}
    now = asked
    while left:
        left = {name for name in left if name in now and now[name].waiting and now[name].sent < asked[name].newest}
        if not left or time.monotonic() >= deadline:
            break
        time.sleep(INTERVAL)
        # Who does not answer has not sent it.
        now = counters(look()) or now
    return {name: time.time() - (now[name].sent or began) for name in sorted(left)}


def queues(config: str) -> dict[str, str]:
    """Return what each queue is known by: the text of its entry, and of the labels that all get.

    :param config: prometheus.yml as `yaml_file` writes it, each entry beginning with its name
    """
    section = re.search(r"^remote_write:\n(.*?)(?=^\w|\Z)", config, re.DOTALL | re.MULTILINE)
    labels = re.search(r"^  external_labels:.*?(?=^ {0,2}\w|\Z)", config, re.DOTALL | re.MULTILINE)
    shared = labels.group() if labels else ""
    entries = re.findall(r"^- .*?(?=^- |\Z)", section.group(1), re.DOTALL | re.MULTILINE) if section else []
    named = ((re.match(r"- name: (\S+)$", entry, re.MULTILINE), entry) for entry in entries)
    return {name.group(1).strip("'\"") if name else entry: entry + shared for name, entry in named}


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> set[str]:
    """Return the names of the queues of `old` that are other ones in `new`, or none."""
    return {name for name, text in old.items() if new.get(name) != text}
