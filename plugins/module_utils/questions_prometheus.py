"""What Prometheus is asked, and what follows from its answers."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any
from urllib.parse import quote

from ansible_collections.emr.monitoring.plugins.module_utils.questions import Answers, Found, failure, shown
from ansible_collections.emr.monitoring.plugins.module_utils.questions_cluster import (
    HADOOP_JOBS,
    HADOOP_SILENT,
    cluster_remedy,
    missing_right,
    silent,
)
from ansible_collections.emr.monitoring.plugins.module_utils.questions_remote import Remotes
from ansible_collections.emr.monitoring.plugins.module_utils.text import logfmt

# How wide the column of the names becomes at most; a longer one moves what follows it in its own row alone.
COLUMN = 40
# Discovery hands over new targets every 5 s, and the scrape manager takes them up as often. Twice that on a busy node.
DISCOVERY = 20.0
# For how long after a load what is not taken up yet is waited for.
SETTLING = 60.0
# What to look at where a target is down.
UNREADABLE = "Prometheus cannot read the file that its job names: may its user, prometheus, read it?"
NOT_THERE = "Is the service running? Is its port in prometheus_scrape_configs right?"
REFUSED = (
    "It wants a login: give its job a basic_auth or an authorization. This node's own Prometheus gets its login by "
    "itself where all targets of a job are localhost and prometheus_port."
)
REMEDIES = (("401", REFUSED), ("unable to read", UNREADABLE))
LOGIN = "A 401 means that prometheus_username or prometheus_password is not the one that site.yml last set."
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")
DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
# Returns what `_job_errors` does.
Errors = Callable[[], Mapping[str, tuple[float, str]]]
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


@dataclass(frozen=True)
class Prometheus:
    """What a Prometheus is asked.

    :ivar api: its address, without a final slash
    :ivar jobs: its scrape configs: name of the job -> its static targets, each an address and its labels
    :ivar sends_alerts: whether it is to have found Alertmanagers
    :ivar ready_at: when the last of the targets that were restarted was ready again, in seconds since the epoch
    :ivar discovers: jobs with a discovery -> the seconds between two of its questions
    :ivar journal: returns the lines that Prometheus wrote, the last one first
    :ivar remotes: the endpoints to which it sends, None where there is none
    """

    api: str
    jobs: dict[str, list[dict[str, Any]]]
    sends_alerts: bool
    ready_at: float = 0
    discovers: dict[str, float] = field(default_factory=dict)
    journal: Callable[[], list[str]] = list
    remotes: Remotes | None = None

    def urls(self) -> dict[str, str]:
        """Return the addresses to ask, by name."""
        urls = {
            "runtime": f"{self.api}/api/v1/status/runtimeinfo",
            "pools": f"{self.api}/api/v1/scrape_pools",
            "targets": f"{self.api}/api/v1/targets",
            "alertmanagers": f"{self.api}/api/v1/alertmanagers",
            **({"metrics": f"{self.api}/metrics"} if self.remotes else {}),
        }
        if HADOOP_JOBS & self.jobs.keys():
            urls["silent"] = f"{self.api}/api/v1/query?query={quote(HADOOP_SILENT)}"
        return urls

    def judge(self, answers: Answers, late: bool) -> Found:
        """Return what the answers say; `late` is whether they are the last ones."""
        for name, url in self.urls().items():
            if reason := failure(url, answers[name], LOGIN):
                return Found(problems=[reason])
        data = {name: answer["json"]["data"] for name, answer in answers.items() if name != "metrics"}
        # The journal is read once at most, and by none where nothing is wrong.
        errors = cache(lambda: _job_errors(self.journal()))
        pending = self._pending(data, errors)
        loaded = seconds(data["runtime"]["lastConfigTime"])
        if self.remotes:
            self.remotes.judge(answers["metrics"]["text"], loaded, late)
            pending.update(self.remotes.pending)
        active, dropped = (data["alertmanagers"][f"{kind}Alertmanagers"] for kind in ("active", "dropped"))
        problems = []
        if self.sends_alerts and (not active or dropped):
            left = loaded + SETTLING - time.time()
            if left > 0 and not dropped:
                pending["the Alertmanagers are to be found"] = left
            else:
                left_out = ", ".join(shown(each["url"]) for each in dropped) or "what it cannot find"
                problems.append(
                    f"Prometheus does not send its alerts to all of prometheus_alertmanagers. It leaves out {left_out}"
                    ": do its static_configs and relabel_configs say what they should?"
                )
        if late or not pending:
            problems += self._not_taken_up(data, errors)
        targets = data["targets"]["activeTargets"]
        without = self._without_target(data["targets"], loaded, errors) if late or not pending else {}
        lines = [*table(targets, without), *(f"Alerts go to {shown(each['url'])}" for each in active)]
        nothing = [f"{shown(job)} has found no target: {why}." for job, why in without.items()]
        failing = self._failing(loaded, errors) if late or not pending else []
        failing += silent(data["silent"]["result"]) if "silent" in data else []
        if self.remotes:
            lines += self.remotes.lines
        not_sent = self.remotes.failing if self.remotes else []
        return Found(problems, pending, lines, down(targets) + nothing + failing, not_sent)

    def _not_taken_up(self, data: Mapping[str, Any], errors: Errors) -> list[str]:
        """Say of the jobs that Prometheus has not made, since it cannot, why."""
        missing = self.jobs.keys() - set(data["pools"]["scrapePools"] or [])
        return [
            f"Prometheus has loaded its configuration, and cannot make {shown(job)} of it: "
            f"{shown(errors()[job][1]) if job in errors() else 'its journal says why'}."
            for job in sorted(missing)
        ]

    def _failing(self, loaded: float, errors: Errors) -> list[str]:
        """Say of the jobs that have targets, such as static ones, whose discovery fails now."""
        others = {job: refresh for job, refresh in self.discovers.items() if self.jobs[job]}
        sentences = []
        for job, refresh in sorted(others.items()):
            when, why = errors().get(job, (0, ""))
            # It says so each time, and nothing where it is well again.
            if when >= max(int(loaded), time.time() - 2 * refresh - DISCOVERY):
                sentence = f"{shown(job)} lacks targets, since its discovery fails: {shown(why)}. {missing_right(why)}"
                sentences.append(sentence.rstrip())
        return sentences

    def _without_target(self, targets: Mapping[str, Any], loaded: float, errors: Errors) -> dict[str, str]:
        """Return the jobs that scrape nothing, each with the reason."""
        jobs = self.jobs.keys() - {target["scrapePool"] for target in targets["activeTargets"]}
        dropped = _dropped(targets)
        reasons = {}
        for job in sorted(jobs):
            reasons[job] = "there is none in its static_configs, and no discovery has one"
            if job in dropped:
                reasons[job] = f"its relabel_configs drop all of the {dropped[job]} that it has"
            elif job in self.discovers:
                when, why = errors().get(job, (0, ""))
                # Of another job that had this name before, there may be a line, too.
                if why and when >= min(int(loaded), time.time() - 2 * self.discovers[job] - DISCOVERY):
                    reasons[job] = shown(why)
        return reasons

    def _pending(self, data: Mapping[str, Any], errors: Errors) -> dict[str, float]:
        """Return what Prometheus has yet to do after it loaded its configuration, and within how many seconds."""
        loaded, now = seconds(data["runtime"]["lastConfigTime"]), time.time()
        pending = {}
        if now - loaded < SETTLING:
            pending = dict.fromkeys(self._missing(data), loaded + DISCOVERY - now)
        if now - loaded < DISCOVERY:
            found = {target["scrapePool"] for target in data["targets"]["activeTargets"]} | set(
                _dropped(data["targets"])
            )
            discovers = sorted(job for job, targets in self.jobs.items() if not targets and job not in found)
            # A static target says nothing of those that are to be discovered.
            counts = Counter(target["scrapePool"] for target in data["targets"]["activeTargets"])
            discovers += [
                job
                for job in sorted(self.discovers)
                if 0 < len(self.jobs[job]) >= counts[job] + _dropped(data["targets"]).get(job, 0)
                and errors().get(job, (0, ""))[0] < int(loaded)
            ]
            waited = [f"the job {shown(job)} is to find a target" for job in discovers]
            pending.update(dict.fromkeys(waited, loaded + DISCOVERY - now))
        # A failure from before is no verdict on what was loaded or started since. To the second, which `loaded` has.
        since = max(loaded, int(self.ready_at))
        for target in data["targets"]["activeTargets"]:
            if target["health"] != "up" and int(seconds(target["lastScrape"])) <= since:
                scrape = duration(target["scrapeInterval"]) + duration(target["scrapeTimeout"])
                pending[f"{shown(target['scrapeUrl'])} is to be scraped"] = since + DISCOVERY + scrape - now
        return pending

    def _missing(self, data: Mapping[str, Any]) -> Iterator[str]:
        """Yield what Prometheus has not taken up yet, or not given up."""
        pools = set(data["pools"]["scrapePools"] or [])
        yield from (f"the job {shown(job)} is to come" for job in sorted(set(self.jobs) - pools))
        yield from (f"the job {shown(job)} is to go" for job in sorted(pools - set(self.jobs)))
        known = defaultdict(list)
        for target in (*data["targets"]["droppedTargets"], *data["targets"]["activeTargets"]):
            labels = target["discoveredLabels"]
            known[labels["job"], labels["__address__"]].append(labels)
        listed, dropped = _listed(data["targets"]), data["targets"].get("droppedTargetCounts") or {}
        for job, targets in self.jobs.items():
            # Of what keep_dropped_targets leaves out, nobody knows whether it was taken up.
            if dropped.get(job, 0) <= listed[job]:
                yield from (
                    f"{shown(job)} at {shown(target['address'])} is to come"
                    for target in targets
                    if not any(_has(labels, target["labels"]) for labels in known[job, target["address"]])
                )


def _has(labels: Mapping[str, str], wanted: Mapping[str, Any]) -> bool:
    # Those with __ steer the scrape, hold its parameters, and are not told.
    return all(labels.get(name) == str(value) for name, value in wanted.items() if not name.startswith("__"))


def _listed(targets: Mapping[str, Any]) -> Counter[str]:
    """Return how many of the targets that the relabelling of each job drops are listed."""
    return Counter(target.get("scrapePool", target["discoveredLabels"]["job"]) for target in targets["droppedTargets"])


def _dropped(targets: Mapping[str, Any]) -> dict[str, int]:
    """Return how many targets the relabelling of each job drops; those without are left out."""
    counted = {**_listed(targets), **(targets.get("droppedTargetCounts") or {})}
    return {job: count for job, count in counted.items() if count}


def _job_errors(lines: list[str]) -> dict[str, tuple[float, str]]:
    """Return the last error of each job's discovery, or in making it, and when it was, in seconds since the epoch.

    :param lines: what Prometheus wrote in logfmt, the last line first
    """
    errors: dict[str, tuple[float, str]] = {}
    for line in lines:
        if 'component="discovery manager scrape"' in line and " err=" in line:
            said = logfmt(line)
            reason = ": ".join(said[key] for key in ("path", "err") if key in said)
            errors.setdefault(said.get("config", ""), (seconds(said["time"]), reason))
        elif "error creating new scrape pool" in line:
            said = logfmt(line)
            errors.setdefault(said.get("scrape_pool", ""), (seconds(said["time"]), said.get("err", "")))
    return errors


def seconds(text: str) -> float:
    """Return the seconds since the epoch of a time as Prometheus writes it (RFC 3339, nanoseconds, any offset)."""
    found = TIME.match(text)
    if not found:
        raise ValueError(f"{text!r} is no time")
    if found[3] == "Z":
        offset = timedelta()
    else:
        offset = timedelta(hours=int(found[3][1:3]), minutes=int(found[3][4:])) * (-1 if found[3][0] == "-" else 1)
    moment = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone(offset))
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds() + float(found[2] or 0)


def duration(text: str) -> float:
    """Return the seconds of a duration as Prometheus writes it, such as 1m30s."""
    return sum(int(number) * SECONDS[unit] for number, unit in DURATION.findall(text))


def table(targets: list[Mapping[str, Any]], without: Mapping[str, str]) -> list[str]:
    """Describe each of the active targets on a line, the ones that are not up with their error.

    :param without: the jobs that have no target -> why
    """
    rows = sorted(
        [(t["health"].upper(), shown(t["scrapePool"]), shown(t["scrapeUrl"]), shown(t["lastError"])) for t in targets]
        + [("NONE", shown(job), "no target", why) for job, why in without.items()]
    )
    width = min(max((len(job) for _, job, _, _ in rows), default=0), COLUMN)
    return [
        f"{health:7} {job:{width}} {url}" + (f"  {error or 'not scraped yet'}" if health != "UP" else "")
        for health, job, url, error in rows
    ]


def down(targets: list[Mapping[str, Any]]) -> list[str]:
    """Say for each of the active targets that is not up what to look at."""
    return [
        f"{shown(t['scrapePool'])} is {t['health'].upper()} at {shown(t['scrapeUrl'])} "
        f"({shown(t['lastError']) or 'not scraped yet'}). "
        + (
            cluster_remedy(t["scrapePool"], t["scrapeUrl"], t["lastError"])
            or next((remedy for word, remedy in REMEDIES if word in t["lastError"]), NOT_THERE)
        )
        for t in targets
        if t["health"] != "up"
    ]
