"""A change is refused that would lose what is not sent yet, or that leads to an endpoint that refuses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.filter.yaml_file import yaml_file
from ansible_collections.emr.monitoring.plugins.module_utils import remote_queues
from ansible_collections.emr.monitoring.plugins.module_utils.http_client import Answer
from ansible_collections.emr.monitoring.plugins.module_utils.remote_change import Remote
from ansible_collections.emr.monitoring.plugins.module_utils.remote_queues import changed, counters, queues, unsent
from ansible_collections.emr.monitoring.plugins.module_utils.tree import File, Task, Tree, TreeError
from ansible_collections.emr.monitoring.plugins.module_utils.tree_diff import Plan

from tests.unit.endpoints import Endpoint, listening

STARTED = 1_795_000_000.0


def page(**remotes: tuple[float, float, float]) -> str:
    """Return metrics as Prometheus 3.13 has them: by endpoint the newest sample sent, the newest, how many wait."""
    lines = [f"process_start_time_seconds {STARTED}"]
    for name, (sent, newest, waiting) in remotes.items():
        labels = f'{{remote_name="{name}",url="https://x/?a={{b}}"}}'
        lines += [
            f"prometheus_remote_storage_queue_highest_sent_timestamp_seconds{labels} {sent:.12e}",
            f"prometheus_remote_storage_queue_highest_timestamp_seconds{labels} {newest:.12e}",
            f"prometheus_remote_storage_samples_pending{labels} {waiting}",
            f"prometheus_remote_storage_histograms_pending{labels} 1",
            f"prometheus_remote_storage_samples_total{labels} 1.5e+03",
            f"prometheus_remote_storage_shards{labels} 1",
        ]
    newest = max((values[1] for values in remotes.values()), default=0)
    return "\n".join([*lines, f"prometheus_remote_storage_highest_timestamp_in_seconds {newest:.12e}", ""])


def test_the_metrics_of_each_endpoint_are_told_apart() -> None:
    found = counters(page(a=(10, 20, 3), b=(20, 20, 0)))
    assert (found["a"].sent, found["a"].newest, found["a"].waiting, found["a"].attempts) == (10, 20, 4, 1500)
    assert found["b"].sent == 20
    assert counters("up 1\n") == {}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_queues, "INTERVAL", 0.001)


def looking(*pages: str) -> Callable[[], str]:
    """Return a function that returns one page after the other, and then the last one again."""
    left = list(pages)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


NOW = time.time()


@pytest.mark.parametrize(
    ("pages", "behind"),
    [
        # All is sent, or it was before the time was up.
        ([page(a=(NOW, NOW, -1))], []),
        ([page(a=(NOW - 9, NOW, 5)), page(a=(NOW, NOW + 9, 5))], []),
        # What a relabelling drops never is: nothing waits.
        ([page(a=(NOW - 900, NOW, -1))], []),
        # Nothing goes on, or it goes on and there is much of it.
        ([page(a=(NOW - 720, NOW, 13_999))], ["a"]),
        ([page(a=(NOW - 720, NOW, 999)), page(a=(NOW - 700, NOW + 1, 999))], ["a"]),
        ([page(a=(NOW - 720, NOW, 9), b=(NOW, NOW, 5))], ["a"]),
        # Never since the start.
        ([page(a=(0, NOW, 9))], ["a"]),
        # There is none, or nobody answers any more.
        ([page()], []),
        ([page(a=(NOW - 720, NOW, 9)), ""], ["a"]),
    ],
)
def test_who_is_behind(pages: list[str], behind: list[str]) -> None:
    assert list(unsent(pages[0], looking(*pages[1:] or pages), None, 0.05)) == behind


def test_for_how_long_an_endpoint_is_behind_and_whose_queue_is_looked_at() -> None:
    pages = page(a=(NOW - 720, NOW, 9), b=(0, NOW, 9))
    found = unsent(pages, looking(pages), None, 0)
    assert found["a"] == pytest.approx(time.time() - NOW + 720, abs=5)
    assert found["b"] == pytest.approx(time.time() - STARTED, abs=5)
    assert list(unsent(pages, looking(pages), ["a", "gone"], 0)) == ["a"]


def config(entries: list[dict[str, Any]], **labels: str) -> str:
    sections = {"scrape_interval": "15s", **({"external_labels": labels} if labels else {}), "sample_limit": 5}
    jobs = [{"job_name": "x", "static_configs": [{"targets": ["a:1"]}]}]
    whole = {"global": sections, "scrape_configs": jobs, "remote_write": entries, "storage": {"tsdb": {}}}
    return yaml_file({name: value for name, value in whole.items() if value})["content"]


A = {"name": "a", "url": "https://a/", "write_relabel_configs": [{"action": "drop"}, {"action": "keep"}]}
B = {"name": "1.5", "url": "https://b/"}


def test_a_queue_is_known_by_its_entry_and_the_labels_that_all_get() -> None:
    old = queues(config([A, B], cluster="j-1", other="x"))
    assert list(old) == ["a", "1.5"]
    assert changed(old, queues(config([B, A], cluster="j-1", other="x"))) == set()
    assert changed(old, queues(config([A], cluster="j-1", other="x"))) == {"1.5"}
    assert changed(old, queues(config([{**A, "url": "https://c/"}, B], cluster="j-1", other="x"))) == {"a"}
    assert changed(old, queues(config([A, B], cluster="j-1"))) == {"a", "1.5"}
    assert changed(old, queues(config([A, B, {"name": "c"}], cluster="j-1", other="x"))) == set()
    assert queues(config([])) == {}
    assert queues("") == {}
    # One that somebody else wrote, without a name.
    assert len(changed(queues("remote_write:\n- url: https://a/\n"), old)) == 1


class Node:
    """A folder that stands for the node: its configuration, and what is to take its place."""

    def __init__(self, folder: Path, old: str) -> None:
        self.live, self.stage, self.secrets = folder / "live", folder / "stage", folder / "secrets"
        for path in (self.live, self.stage, self.secrets):
            path.mkdir()
        (self.live / "prometheus.yml").write_text(old)
        self.said: list[str] = []

    def examine(
        self, entries: list[dict[str, Any]], answers: Answer | list[Answer], *, stops: bool = False, **options: Any
    ) -> Remote:
        """Examine a change to some entries; return what was done about it."""
        files = options.pop("files", {})
        text = config(entries, **options.pop("labels", {"cluster": "j-1"}))
        (self.stage / "prometheus.yml").write_text(text)
        for name, content in files.items():
            (self.secrets / name).write_text(content)
        trees = [
            Tree(name, str(dest), 0o700, 0, 0, False, {rel: File(b"", 0o600, 0, 0) for rel in files})
            for name, dest, files in (
                ("config", self.live, ["prometheus.yml", "aws-credentials"]),
                ("remote", self.live / "remote-write", list(files)),
                ("unit", Path("/etc/systemd/system"), []),
            )
        ]
        plan = Plan(
            {"config": [], "remote": list(files), "unit": [], **options.pop("changed", {})},
            [],
            {},
            [],
            [],
            set(),
            [],
            [],
        )
        given = [answers] if isinstance(answers, Answer) else answers
        fetches = [(lambda _, answer=answer: answer) for answer in given]
        settings = {"environment": {}, "must_be_accepted": True, "lose_unsent": False, **options}
        remote = Remote(str(self.live / "prometheus.yml"), entries, **settings, fetches=fetches)
        task = Task("prometheus", trees, {}, [], 60)
        stages = {"config": str(self.stage), "remote": str(self.secrets)}
        remote.examine(task, stages, plan, stops, "http://localhost/metrics")
        return remote


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with listening(Endpoint()) as found:
        yield found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.emr.monitoring.plugins.module_utils.remote_change.SENDING", 0.02)


def entry(server: Endpoint, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "url": f"http://{server.address}/{name}", **more}


BEHIND = Answer(200, page(a=(NOW - 720, NOW, 9)))
SENT = Answer(200, page(a=(NOW, NOW, -1)))


def test_what_does_not_change_is_not_asked_and_goes_through_while_it_is_behind(
    tmp_path: Path, server: Endpoint
) -> None:
    entries = [entry(server)]
    node = Node(tmp_path, config(entries, cluster="j-1"))
    assert node.examine(entries, BEHIND).warnings == []
    assert server.asked == []


@pytest.mark.parametrize(
    ("entries", "options", "does"),
    [
        (["a"], {"stops": True}, "restart Prometheus"),
        (["a?other"], {}, "give it another queue"),
        ([], {}, "give it another queue"),
        (["a"], {"labels": {"cluster": "j-2"}}, "give it another queue"),
    ],
)
def test_what_would_lose_samples_is_refused_and_said_in_minutes(
    tmp_path: Path, server: Endpoint, entries: list[str], options: dict[str, Any], does: str
) -> None:
    node = Node(tmp_path, config([entry(server)], cluster="j-1"))
    wanted = [{"name": "a", "url": f"http://{server.address}/{path}"} for path in entries]
    with pytest.raises(TreeError, match=rf"not sent yet: a the last 1\d\.\d minutes\. This run would {does}"):
        node.examine(wanted, BEHIND, **options)
    # Before anybody was asked.
    assert server.asked == []
    assert node.examine(wanted, BEHIND, lose_unsent=True, **options).warnings == []
    assert node.examine(wanted, SENT, **options).warnings == []


def test_another_endpoint_may_change_while_one_is_behind(tmp_path: Path, server: Endpoint) -> None:
    node = Node(tmp_path, config([entry(server)], cluster="j-1"))
    node.examine([entry(server), entry(server, "b")], BEHIND)
    assert [asked[1] for asked in server.asked] == ["/b"]


def test_it_is_asked_with_the_login_that_it_has_where_another_one_is_to_come(tmp_path: Path, server: Endpoint) -> None:
    node = Node(tmp_path, config([entry(server)], cluster="j-1"))
    with pytest.raises(TreeError, match="not sent yet"):
        node.examine([], [Answer(401), BEHIND])


@pytest.mark.parametrize("answer", [Answer(401), Answer(503), Answer(0)])
def test_where_nobody_knows_what_is_sent_it_is_not_lost(tmp_path: Path, server: Endpoint, answer: Answer) -> None:
    node = Node(tmp_path, config([entry(server)], cluster="j-1"))
    with pytest.raises(TreeError, match=r"nobody knows whether all has been sent: .*lose_unsent: true"):
        node.examine([], [answer, answer])
    assert node.examine([], [answer, answer], lose_unsent=True).warnings == []


NOT_SENT = r"not sent yet: a the last 1\d\.\d minutes\. An earlier run was cut off, .* with "


@pytest.mark.parametrize(
    ("answer", "stops", "kept", "options", "said"),
    [
        (BEHIND, True, "a", {}, f"{NOT_SENT}a restart of Prometheus.* Have them taken first, or"),
        (BEHIND, False, "a?other", {}, f"{NOT_SENT}another queue for it"),
        (BEHIND, False, "", {}, f"{NOT_SENT}another queue for it"),
        (BEHIND, False, None, {}, f"{NOT_SENT}another queue for it"),
        # It only loads again what it sends by already.
        (BEHIND, False, "a", {}, ""),
        (Answer(401), True, "a", {}, "nobody knows whether all has been sent"),
        # What hangs, or dies again and again, is what putting back mends.
        (Answer(0), True, "a", {}, ""),
        (Answer(503), True, "a", {}, ""),
        (BEHIND, True, "a", {"lose_unsent": True}, ""),
        (SENT, True, "a", {}, ""),
    ],
)
def test_what_was_cut_off_is_put_back_once_all_is_sent(
    *,
    tmp_path: Path,
    server: Endpoint,
    answer: Answer,
    stops: bool,
    kept: str | None,
    options: dict[str, Any],
    said: str,
) -> None:
    entries = [entry(server)]
    remote = Node(tmp_path, config(entries, cluster="j-1")).examine(entries, answer, **options)
    former = [{"name": "a", "url": f"http://{server.address}/{kept}"}] if kept else []
    (tmp_path / "kept").write_text(config(former, cluster="j-1"))
    with pytest.raises(TreeError, match=said) if said else nullcontext():
        remote.may_recover("http://localhost/metrics", stops, str(tmp_path / "kept") if kept is not None else None)


def test_where_nothing_is_sent_nothing_keeps_it_from_being_put_back(tmp_path: Path) -> None:
    Node(tmp_path, "").examine([], BEHIND).may_recover("http://localhost/metrics", True, None)


SECRET: dict[str, Any] = {"basic_auth": {"username": "me", "password_file": "remote-write/a.password"}}


def test_another_secret_is_asked_with_before_it_is_live(tmp_path: Path, server: Endpoint) -> None:
    entries = [entry(server, **SECRET), entry(server, "b")]
    node = Node(tmp_path, config(entries, cluster="j-1"))
    node.examine(entries, SENT, files={"a.password": "S3"})
    ((_, path, headers, _),) = server.asked
    assert (path, headers["authorization"]) == ("/a", "Basic bWU6UzM=")
    server.answer = (401, "go away, S3", {})
    with pytest.raises(TreeError, match="prometheus_remote_write: a answers HTTP 401"):
        node.examine(entries, SENT, files={"a.password": "S3"})


ENVIRONMENT = {"unit": ["prometheus.service.d/emr-monitoring.environment"]}


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ({"sigv4": {"region": "r"}}, ENVIRONMENT),
        ({"proxy_from_environment": True}, ENVIRONMENT),
        ({"sigv4": {"region": "r", "profile": "a"}}, {"config": ["aws-credentials"]}),
    ],
)
def test_what_is_set_for_the_process_counts_where_it_is_used(
    tmp_path: Path, server: Endpoint, more: dict[str, Any], changed: dict[str, list[str]]
) -> None:
    entries = [entry(server, **more), entry(server, "b")]
    node = Node(tmp_path, config(entries, cluster="j-1"))
    (node.stage / "aws-credentials").write_text("[a]\naws_access_key_id = A\naws_secret_access_key = S\n")
    file = str(node.live / "aws-credentials")
    environment = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SHARED_CREDENTIALS_FILE": file}
    node.examine(entries, SENT, changed=changed, environment=environment)
    assert [asked[1] for asked in server.asked] == ["/a"]


@pytest.mark.parametrize(
    ("status", "must", "refused"), [(503, True, True), (503, False, False), (403, False, True), (400, True, False)]
)
def test_one_that_is_away_is_refused_or_said(
    tmp_path: Path, server: Endpoint, status: int, must: bool, refused: bool
) -> None:
    server.answer = (status, "", {})
    node = Node(tmp_path, config([]))
    if refused:
        with pytest.raises(TreeError, match=f"prometheus_remote_write: a answers HTTP {status}"):
            node.examine([entry(server)], SENT, must_be_accepted=must)
    else:
        remote = node.examine([entry(server)], SENT, must_be_accepted=must)
        assert f"prometheus_remote_write: a answers HTTP {status}" in remote.warnings[0]
