"""What a service is asked, and what follows from its answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils import questions
from ansible_collections.emr.monitoring.plugins.module_utils.grafana_login import Login
from ansible_collections.emr.monitoring.plugins.module_utils.questions import Found, ask_until_settled, shown
from ansible_collections.emr.monitoring.plugins.module_utils.questions_alertmanager import Alertmanager
from ansible_collections.emr.monitoring.plugins.module_utils.questions_grafana import CACHED, Grafana
from ansible_collections.emr.monitoring.plugins.module_utils.questions_prometheus import (
    Prometheus,
    down,
    duration,
    seconds,
    table,
)

NEVER = "0001-01-01T00:00:00Z"
JOBS = {"ingest": [{"address": "localhost:8000", "labels": {"service": "a", "__metrics_path__": "/secret"}}]}


def at(seconds_ago: float, offset: int = 0) -> str:
    """Return a time in the past as Prometheus writes it, in a zone that is some hours from UTC."""
    moment = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return moment.astimezone(timezone(timedelta(hours=offset))).isoformat()


def target(health: str = "up", job: str = "ingest", error: str = "", **fields: Any) -> dict[str, Any]:
    labels = {"job": job, "__address__": "localhost:8000", "service": "a", **fields.pop("labels", {})}
    return {
        "health": health,
        "scrapePool": job,
        "scrapeUrl": f"http://localhost/{job}",
        "lastError": error,
        "lastScrape": at(0),
        "scrapeInterval": "15s",
        "scrapeTimeout": "10s",
        "discoveredLabels": labels,
        **fields,
    }


def answers(
    active: list[dict[str, Any]],
    dropped: list[dict[str, Any]] | None = None,
    *,
    loaded: str = "",
    pools: list[str] | None = None,
    alertmanagers: tuple[list[str], list[str]] = ([], []),
    counts: dict[str, int] | None = None,
) -> dict[str, Any]:
    dropped = dropped or []
    data = {
        "runtime": {"lastConfigTime": loaded or at(3)},
        "pools": {"scrapePools": ["ingest"] if pools is None else pools},
        "targets": {"activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": counts or {}},
        "alertmanagers": {
            f"{kind}Alertmanagers": [{"url": url} for url in urls]
            for kind, urls in zip(("active", "dropped"), alertmanagers, strict=True)
        },
    }
    return {name: {"status": 200, "json": {"data": found}, "error": ""} for name, found in data.items()}


def prometheus(**fields: Any) -> Prometheus:
    return Prometheus(**{"api": "http://x", "jobs": JOBS, "sends_alerts": False, **fields})


@pytest.mark.parametrize(
    ("said", "pending"),
    [
        (lambda: answers([target()]), []),
        (lambda: answers([], [target()]), []),
        (lambda: answers([]), ["ingest at localhost:8000 is to come"]),
        (lambda: answers([target(labels={"service": "b"})]), ["ingest at localhost:8000 is to come"]),
        (lambda: answers([target(), target(job="gone")], pools=["ingest", "gone"]), ["the job gone is to go"]),
        (lambda: answers([], pools=[]), ["the job ingest is to come", "ingest at localhost:8000 is to come"]),
        (lambda: answers([target("unknown", lastScrape=NEVER)]), ["http://localhost/ingest is to be scraped"]),
        (lambda: answers([target("down")]), []),
        (lambda: answers([target("down", lastScrape=at(9))]), ["http://localhost/ingest is to be scraped"]),
        (lambda: answers([target(lastScrape=at(9))]), []),
        # Not all that was dropped is listed (keep_dropped_targets).
        (lambda: answers([], counts={"ingest": 1}), []),
        # What is not taken up long after is not waited for in each run.
        (lambda: answers([], loaded=at(3600)), []),
    ],
    ids=[
        "settled", "dropped by relabelling", "to come", "with other labels", "to go", "a job to come", "not yet",
        "down", "down before", "up before", "dropped and not listed", "never taken up",
    ],
)  # fmt: skip
def test_targets_are_pending_until_they_are_those_of_the_configuration(
    said: Callable[[], dict[str, Any]], pending: list[str]
) -> None:
    assert list(prometheus().judge(said(), late=False).pending) == pending


@pytest.mark.parametrize("offset", [-8, 0, 5])
@pytest.mark.parametrize(("scraped", "is_pending"), [(20, True), (0, False)])
def test_times_are_compared_as_times_wherever_the_node_is(offset: int, scraped: int, is_pending: bool) -> None:
    said = answers([target("down", lastScrape=at(scraped, offset))], loaded=at(10))
    assert bool(prometheus().judge(said, late=False).pending) is is_pending


@pytest.mark.parametrize(("ready", "is_pending"), [(2, True), (100, False)])
def test_a_failure_from_before_a_target_was_restarted_is_no_verdict(ready: int, is_pending: bool) -> None:
    said = answers([target("down", lastScrape=at(4))], loaded=at(200))
    found = prometheus(ready_at=time.time() - ready).judge(said, late=False)
    assert bool(found.pending) is is_pending


@pytest.mark.parametrize(("interval", "least", "most"), [("15s", 15, 50), ("1h", 3600, 3640), ("1m30s", 90, 125)])
def test_a_first_scrape_may_take_as_long_as_its_job_says(interval: str, least: int, most: int) -> None:
    said = answers([target("unknown", lastScrape=NEVER, scrapeInterval=interval)], loaded=at(1))
    (due,) = prometheus().judge(said, late=False).pending.values()
    assert least <= due <= most


def test_what_comes_later_is_not_waited_for() -> None:
    said = answers([target("unknown", lastScrape=NEVER, scrapeInterval="1h")], loaded=at(1))
    began = time.monotonic()
    found = ask_until_settled(lambda: said, prometheus(), 60)
    assert time.monotonic() - began < 5
    assert list(found.pending) == ["http://localhost/ingest is to be scraped"]
    assert found.lines == ["UNKNOWN ingest http://localhost/ingest  not scraped yet"]


def test_what_comes_in_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "INTERVAL", 0.001)
    later = iter([answers([]), answers([target("unknown", lastScrape=NEVER)]), answers([target()])])
    found = ask_until_settled(lambda: next(later), prometheus(), 60)
    assert found == Found(lines=["UP      ingest http://localhost/ingest"])
    assert next(later, None) is None


def test_without_a_wait_one_question_is_enough() -> None:
    asked = []
    found = ask_until_settled(lambda: asked.append(1) or answers([]), prometheus(), 0)  # type: ignore[func-returns-value]
    assert asked == [1]
    assert found.pending


@pytest.mark.parametrize(
    ("found", "loaded", "problem", "pending"),
    [
        ((["http://a"], []), 3, "", []),
        (([], []), 3, "", ["the Alertmanagers are to be found"]),
        (([], []), 300, "It leaves out what it cannot find", []),
        ((["http://a"], ["http://u:secret@b"]), 3, "It leaves out http://b", []),
    ],
)
def test_alerts_go_to_all_of_the_alertmanagers(
    found: tuple[list[str], list[str]], loaded: int, problem: str, pending: list[str]
) -> None:
    said = answers([target()], loaded=at(loaded), alertmanagers=found)
    verdict = prometheus(sends_alerts=True).judge(said, late=False)
    assert list(verdict.pending) == pending
    assert problem in "".join(verdict.problems)
    assert bool(verdict.problems) is bool(problem)
    assert [line for line in verdict.lines if "Alerts" in line] == [f"Alerts go to {url}" for url in found[0]]


@pytest.mark.parametrize("missing", ["runtime", "pools", "targets", "alertmanagers"])
def test_a_prometheus_that_does_not_answer_is_a_problem(missing: str) -> None:
    said = answers([]) | {missing: {"status": 401, "json": None, "error": ""}}
    (problem,) = prometheus().judge(said, late=False).problems
    assert "HTTP 401. A 401 means that prometheus_username" in problem


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-22T16:00:05Z", 1795363205.0),
        ("2026-11-22T18:00:05.25+02:00", 1795363205.25),
        ("2026-11-22T08:30:05.123456789-07:30", 1795363205.123456789),
        (NEVER, -62135596800.0),
    ],
)
def test_a_time_is_read_as_prometheus_writes_it(text: str, wanted: float) -> None:
    assert seconds(text) == pytest.approx(wanted)


def test_a_duration_is_read_as_prometheus_writes_it() -> None:
    assert [duration(text) for text in ("15s", "1m30s", "500ms", "1h", "1d")] == [15, 90, 0.5, 3600, 86400]


def test_the_table_of_targets_shows_the_error_of_what_is_down() -> None:
    assert table([target("up", "ingest"), target("down", "docproc", "connection refused")], {}) == [
        "DOWN    docproc http://localhost/docproc  connection refused",
        "UP      ingest  http://localhost/ingest",
    ]


# As Prometheus 3.13.2 wrote them, the last one first.
DISCOVERY = [
    r'time=2026-11-26T13:25:53.3Z level=ERROR source=refresh.go:72 msg="Unable to refresh target groups" '
    r'component="discovery manager scrape" discovery=http config=by-http '
    r'err="Get \"http://user:***@localhost:1/x?token=abc\": dial tcp 127.0.0.1:1: connect: connection refused"',
    'time=2026-11-26T13:24:53.3Z level=ERROR source=refresh.go:72 msg="Unable to refresh target groups" '
    'component="discovery manager scrape" discovery=http config=by-http err="an older one"',
    'time=2026-11-26T13:24:52.2Z level=ERROR source=file.go:233 msg="Error adding file watch" '
    'component="discovery manager scrape" discovery=file config=by-file path=/etc/none/ '
    'err="no such file or directory"',
    'time=2026-11-26T13:24:52.2Z level=INFO source=main.go:1723 msg="Completed loading of configuration file"',
]


@pytest.mark.parametrize(
    ("job", "said", "reason"),
    [
        ("by-file", answers([]), "/etc/none/: no such file or directory"),
        ("by-http", answers([]), 'Get "http://localhost:1/x?…": dial tcp 127.0.0.1:1: connect: connection refused'),
        ("by-dns", answers([]), "there is none in its static_configs, and no discovery has one"),
        ("by-ec2", answers([], counts={"by-ec2": 7}), "its relabel_configs drop all of the 7 that it has"),
        ("by-ec2", answers([], [target(job="by-ec2")]), "its relabel_configs drop all of the 1 that it has"),
    ],
    ids=["an error", "its last error", "no error", "dropped", "dropped by a version that does not count"],
)
def test_a_job_without_a_target_is_told_with_the_reason(job: str, said: dict[str, Any], reason: str) -> None:
    # It asks so seldom that what it said last counts still.
    asked = prometheus(jobs={job: []}, journal=lambda: DISCOVERY, discovers={job: time.time()})
    found = asked.judge(said | answers([], loaded=at(60), pools=[job]) | {"targets": said["targets"]}, late=False)
    assert found.lines == [f"NONE    {job} no target  {reason}"]
    assert found.down == [f"{job} has found no target: {reason}."]
    assert not found.pending


@pytest.mark.parametrize("discovers", [{}, {"by-http": 30.0}])
def test_what_another_job_of_the_name_said_before_is_no_reason(discovers: dict[str, float]) -> None:
    asked = prometheus(jobs={"by-http": []}, journal=lambda: DISCOVERY, discovers=discovers)
    found = asked.judge(answers([], loaded=at(60), pools=["by-http"]), late=True)
    assert found.down == ["by-http has found no target: there is none in its static_configs, and no discovery has one."]


def test_a_file_that_prometheus_cannot_read_has_a_remedy_of_its_own() -> None:
    (said,) = down([target("down", error="unable to read basic auth password: open /opt/p: permission denied")])
    assert "may its user, prometheus, read it?" in said


POOL = (
    'time=2026-11-27T04:20:00.1Z level=ERROR source=manager.go:285 msg="error creating new scrape pool" '
    'component="scrape manager" err="error creating HTTP client: tls: failed to find any PEM data" scrape_pool=ingest'
)


@pytest.mark.parametrize(
    ("journal", "reason"),
    [([POOL], "error creating HTTP client: tls: failed to find any PEM data"), ([], "its journal says why")],
)
def test_a_job_that_prometheus_cannot_make_is_a_problem(journal: list[str], reason: str) -> None:
    read: list[list[str]] = []

    def lines() -> list[str]:
        read.append(journal)
        return journal

    asked = prometheus(journal=lines)
    found = asked.judge(answers([], loaded=at(3600), pools=[]), late=False)
    assert found.problems == [f"Prometheus has loaded its configuration, and cannot make ingest of it: {reason}."]
    assert len(read) == 1
    assert asked.judge(answers([target()], loaded=at(3600)), late=False).problems == []
    # It has some time to come.
    assert asked.judge(answers([], pools=[]), late=False).problems == []


def test_a_discovery_has_some_time_to_find_a_target() -> None:
    asked = prometheus(jobs={"by-file": []}, journal=lambda: pytest.fail("asked too early"))
    found = asked.judge(answers([], pools=["by-file"]), late=False)
    assert list(found.pending) == ["the job by-file is to find a target"]
    assert not found.down


def ec2_error(seconds_ago: float, why: str = "UnauthorizedOperation: You are not authorized") -> str:
    """Return what Prometheus writes where EC2 does not tell it the instances."""
    return (
        f'time={at(seconds_ago)} level=ERROR source=refresh.go:72 msg="Unable to refresh target groups" '
        f'component="discovery manager scrape" discovery=ec2 config=ingest err="could not describe instances: {why}"'
    )


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([(30,)], "ec2:DescribeInstances"),
        ([(30, "connection refused")], "connection refused"),
        # Since then it has been asked again, and had nothing to say.
        ([(900,)], ""),
        ([], ""),
    ],
    ids=["no right", "not reached", "over", "well"],
)
def test_a_discovery_that_fails_is_told_beside_a_static_target(errors: list[Any], expected: str) -> None:
    # Now: parameters are as old as the whole run.
    written = [ec2_error(*error) for error in errors]
    asked = prometheus(discovers={"ingest": 60.0}, journal=lambda: written)
    found = asked.judge(answers([target()], loaded=at(3600)), late=False)
    assert [expected in sentence and sentence.startswith("ingest lacks targets") for sentence in found.down] == [
        True
    ] * bool(expected)


def test_a_discovery_has_some_time_beside_a_static_target_until_it_finds_one_or_fails() -> None:
    asked = prometheus(discovers={"ingest": 60.0})
    assert list(asked.judge(answers([target()]), late=False).pending) == ["the job ingest is to find a target"]
    assert not asked.judge(answers([target(), target()]), late=False).pending
    assert not asked.judge(answers([target()], loaded=at(30)), late=False).pending
    failed = prometheus(discovers={"ingest": 60.0}, journal=lambda: [ec2_error(0)])
    found = failed.judge(answers([target()]), late=False)
    assert (list(found.pending), len(found.down)) == ([], 1)


def silent(name: str, value: str, component: str) -> dict[str, Any]:
    return {
        "metric": {"__name__": name, "job": "hdfs", "instance": "ip-1", "component": component},
        "value": [1, value],
    }


def test_a_daemon_that_tells_nothing_is_told_from_one_that_is_still_starting() -> None:
    asked = prometheus(jobs={"hdfs": []})
    assert "silent" in asked.urls()
    assert "silent" not in prometheus().urls()
    series = [
        silent("scrape_samples_scraped", "0", "nodemanager"),
        silent("startup_progress_percent_complete", "0.37", "namenode"),
    ]
    said = answers([target(job="hdfs")], loaded=at(3600), pools=["hdfs"])
    said["silent"] = {"status": 200, "json": {"data": {"result": series}}, "error": ""}
    starting, empty = sorted(asked.judge(said, late=False).down)
    assert starting.startswith("The namenode on ip-1 is still starting (37% of it)")
    assert empty.startswith("The nodemanager on ip-1 answers, and with nothing")


# As Prometheus 3.13.2 says it.
@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            'received unsupported Content-Type "text/html" and no fallback_scrape_protocol specified for target',
            "no page of",
        ),
        ("server returned HTTP status 404 Not Found", "hadoop.prometheus.endpoint.enabled"),
        ("server returned HTTP status 401 PseudoAuth", "set params in emr_cluster_hadoop"),
        ("server returned HTTP status 401 Unauthorized", "does not speak Kerberos"),
        (
            'Get "https://i-1:9871/prom": tls: failed to verify certificate: x509: certificate signed by unknown',
            "Is ca in",
        ),
        ('Get "https://i-1:9870/prom": http: server gave HTTP response to HTTPS client', "is scheme in"),
        ('Get "https://i-1:9870/prom": tls: first record does not look like a TLS handshake', "is scheme in"),
        # The name of a host is no status.
        (
            'Get "http://i-0ab4041401234567a:9870/prom": dial tcp 10.0.0.1:9870: connect: connection refused',
            "Does the daemon",
        ),
        ("dial tcp 127.0.0.1:9870: connect: connection refused", "Does the daemon run"),
    ],
)
def test_what_hadoop_does_instead_of_metrics_has_a_remedy_of_its_own(error: str, remedy: str) -> None:
    (sentence,) = down([target("down", "hdfs", error, scrapeUrl="http://ip-1:9870/prom?user.name=x")])
    assert remedy in sentence


def test_a_host_that_is_down_is_looked_at_on_that_host() -> None:
    (sentence,) = down([target("down", "node", "connection refused")])
    assert "/mnt/var/log/bootstrap-actions/emr-monitoring/node_exporter.log" in sentence
    for error in ("server returned HTTP status 401 Unauthorized", "tls: failed to verify certificate: x509: unknown"):
        (sentence,) = down([target("down", "node", error)])
        assert "keeps what was in the bundle" in sentence


def test_a_long_name_moves_no_other_row() -> None:
    assert table([target("up", "x" * 100), target("up", "y")], {}) == [
        f"UP      {'x' * 100} http://localhost/{'x' * 100}",
        f"UP      y{' ' * 39} http://localhost/y",
    ]


def test_what_is_down_comes_with_what_to_look_at() -> None:
    (sentence,) = down([target("up", "ingest"), target("down", "docproc", "connection refused")])
    assert "docproc is DOWN at http://localhost/docproc (connection refused)" in sentence
    assert "Is the service running?" in sentence


def test_what_wants_a_login_says_where_one_comes_from() -> None:
    refused, gone = down(
        [target("down", "self", "server returned HTTP status 401 Unauthorized"), target("down", "x", "refused")]
    )
    assert "give its job a basic_auth" in refused
    assert "all targets of a job are localhost" in refused
    assert "login" not in gone


@pytest.mark.parametrize(
    ("said", "harmless"),
    [
        ("http://me:secret@host:1/metrics", "http://host:1/metrics"),
        ("https://host/probe?target=x&token=secret", "https://host/probe?…"),
        ('Get "http://h/p?token=secret": dial tcp 10.0.0.1:80', 'Get "http://h/p?…": dial tcp 10.0.0.1:80'),
        ("two http://a:secret@b and https://c?secret", "two http://b and https://c?…"),
        ("why? because", "why? because"),
    ],
)
def test_no_login_and_no_query_of_an_address_is_shown(said: str, harmless: str) -> None:
    assert shown(said) == harmless
    (row,) = table([target("down", "x", said)], {})
    assert "secret" not in row


GRAFANA = Grafana("http://g", "admin", {"a": "Page A", "b": "Page B"}, "/etc/dashboards", ["prom", "a/b"])


def grafana_answers(*uids: str, health: dict[str, Any] | None = None) -> dict[str, Any]:
    good = {"status": 200, "json": {"status": "OK"}, "error": ""}
    sources = {"health of prom": good, "health of a/b": health or good}
    alive = {"status": 200, "json": {"database": "ok"}, "error": ""}
    return {"health": alive, "search": {"status": 200, "json": [{"uid": uid} for uid in uids], "error": ""}, **sources}


def test_the_name_of_a_data_source_is_quoted_in_its_address() -> None:
    assert GRAFANA.urls()["health of a/b"] == "http://g/api/datasources/uid/a%2Fb/health"
    assert list(GRAFANA.urls())[:2] == ["health", "login"]


def test_dashboards_are_waited_for_and_then_missed() -> None:
    early, late = (GRAFANA.judge(grafana_answers("b"), late=late) for late in (False, True))
    assert (list(early.pending), early.problems) == (["Page A"], [])
    assert late.problems == ["Grafana has not taken up Page A from /etc/dashboards."]
    assert GRAFANA.judge(grafana_answers("a", "b", "c"), late=True) == Found(lines=["Page A: /d/a", "Page B: /d/b"])


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        ({"status": 400, "json": {"status": "ERROR", "message": "http://u:s@x lost"}, "error": ""}, "http://x lost"),
        ({"status": 500, "json": None, "error": ""}, "status 500"),
        ({"status": 0, "json": None, "error": "timed out"}, "timed out"),
        ({"status": 200, "json": [], "error": ""}, "status 200"),
    ],
)  # fmt: skip
def test_a_data_source_that_does_not_work_is_named_with_the_reason(health: dict[str, Any], reason: str) -> None:
    (sentence,) = GRAFANA.judge(grafana_answers("a", "b", health=health), late=True).down
    assert sentence == (f"The data source a/b does not work: {reason}. Does its url answer on the node?")


@pytest.mark.parametrize(("ago", "pending"), [(0.0, True), (CACHED - 1, True), (CACHED, False), (3600.0, False)])
def test_a_data_source_is_judged_once_grafana_asks_with_what_it_has_loaded(ago: float, pending: bool) -> None:
    asked = replace(GRAFANA, reloaded=time.time() - ago)
    found = asked.judge(grafana_answers("a", "b"), late=False)
    assert ("the data sources" in found.pending) == pending
    assert replace(asked, datasources=[]).judge(grafana_answers("a", "b"), late=False).pending == {}


@pytest.mark.parametrize(("status", "message"), [(500, "plugin.unavailable"), (404, "plugin.notImplemented")])
def test_a_data_source_that_cannot_be_asked_is_said_and_no_failure(status: int, message: str) -> None:
    health = {"status": status, "json": {"messageId": message, "message": "no"}, "error": ""}
    found = GRAFANA.judge(grafana_answers("a", "b", health=health), late=True)
    assert found.down == []
    assert "The data source a/b cannot be asked whether it works" in found.lines[-1]


def test_a_grafana_that_refuses_the_login_says_whether_somebody_else_is_to_blame() -> None:
    said = grafana_answers() | {"search": {"status": 401, "json": None, "error": ""}}
    (problem,) = GRAFANA.judge(said, late=False).problems
    assert problem.endswith("HTTP 401. A 401 means that grafana_admin_password is not the one that site.yml last set.")
    locked = Grafana(**{**GRAFANA.__dict__, "look": lambda: Login("admin", "right", 40, ("10.0.0.9",))})
    (problem,) = locked.judge(said, late=False).problems
    assert "tried wrong passwords, from 10.0.0.9: it refuses the right one, too, for another 40 s" in problem


@pytest.mark.parametrize(
    ("health", "said"),
    [
        ((503, ""), "Grafana does not reach its database, and refuses every login until it does."),
        ((0, "timed out"), "http://g/api/health: timed out. It hangs where its database does."),
    ],
)
def test_a_login_is_not_blamed_for_a_database_that_is_away(health: tuple[int, str], said: str) -> None:
    lost = {"status": 401, "json": None, "error": ""}
    away = {"health": {"status": health[0], "json": {"database": "failing"}, "error": health[1]}, "search": lost}
    assert GRAFANA.judge(grafana_answers() | away, late=False).problems == [said]


def test_a_login_is_not_looked_up_where_grafana_answers() -> None:
    def look() -> Login:
        raise AssertionError("that hashes a password")

    asked = Grafana(**{**GRAFANA.__dict__, "look": look})
    assert asked.judge(grafana_answers("a", "b"), late=True).problems == []


def test_answers_that_are_not_waited_for_are_judged_once() -> None:
    judged: list[bool] = []

    class Counted(Grafana):
        def judge(self, answers: Any, late: bool) -> Found:
            judged.append(late)
            return super().judge(answers, late)

    found = ask_until_settled(lambda: grafana_answers("a"), Counted(**GRAFANA.__dict__), 0)
    assert judged == [True]
    assert found.problems == ["Grafana has not taken up Page B from /etc/dashboards."]


def test_alertmanager_says_whom_it_tells() -> None:
    kind = Alertmanager("http://m", ["nowhere"])
    said = {"receivers": {"status": 200, "json": [{"name": "nowhere"}, {"name": "team"}, {"name": "b"}], "error": ""}}
    assert kind.judge(said, late=True) == Found(lines=["Alertmanager tells team, b"])
    kind = Alertmanager("http://m", ["nowhere"], ["b"])
    (line,) = kind.judge(said, late=True).lines
    assert line == "Alertmanager tells team, and not b: no route of alertmanager_route leads there"
    (problem,) = kind.judge({"receivers": {"status": 0, "json": None, "error": "refused"}}, late=True).problems
    assert problem.startswith("http://m/api/v2/receivers: refused.")


def cluster_answers(peers: int, ran: float) -> dict[str, dict[str, Any]]:
    started = datetime.fromtimestamp(time.time() - ran, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    status = {"uptime": started, "cluster": {"status": "ready", "peers": [{"name": str(n)} for n in range(peers)]}}
    return {
        "receivers": {"status": 200, "json": [{"name": "team"}], "error": ""},
        "status": {"status": 200, "json": status, "error": ""},
    }


def test_a_cluster_of_alertmanagers_is_whole_or_it_is_said() -> None:
    kind = Alertmanager("http://m", ["nowhere"], others=2)
    assert kind.judge(cluster_answers(3, 1), late=False) == Found(
        lines=["Alertmanager tells team, once for all 3 Alertmanagers"]
    )
    young = kind.judge(cluster_answers(1, 1), late=False)
    assert 0 < young.pending["the other Alertmanagers"] < 20
    _, sentence = kind.judge(cluster_answers(2, 1), late=True).lines
    assert sentence.startswith("It has found 1 of 2 others")
    # One that has run for long waits for nobody.
    assert kind.judge(cluster_answers(2, 60), late=False).pending["the other Alertmanagers"] < 0
