"""Whether what is sent arrives is told by what Prometheus counts: at once where nothing changed, else within 40 s."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils.questions_remote import Remotes

LONG_AGO = 600.0


def page(
    *, sent: float = 0, attempts: int = 0, failed: int = 0, retried: int = 0, waiting: int = 0, name: str = "amp"
) -> str:
    """Return Prometheus' metrics of an endpoint; `sent` is how many seconds ago, 0 is never."""
    labels = f'{{remote_name="{name}",url="https://x/"}}'
    newest = time.time() - sent if sent else 0
    return f"""process_start_time_seconds {time.time() - 1800}
prometheus_remote_storage_queue_highest_sent_timestamp_seconds{labels} {newest}
prometheus_remote_storage_samples_total{labels} {attempts}
prometheus_remote_storage_samples_failed_total{labels} {failed}
prometheus_remote_storage_samples_retried_total{labels} {retried}
prometheus_remote_storage_samples_pending{labels} {waiting}
"""


def looks(folder: Path, *pages: str, loaded: float = LONG_AGO, every: float = 0, late: bool = False) -> Remotes:
    """Return what is known of an endpoint after some looks; `loaded` is how many seconds ago."""
    remotes = Remotes(["amp"], str(folder))
    for number, text in enumerate(pages, 1):
        remotes.judge(text, time.time() - loaded, late and number == len(pages))
        remotes.first = {name: (since - every, count) for name, (since, count) in remotes.first.items()}
    return remotes


def test_where_nothing_changed_one_look_tells_of_what_arrives(tmp_path: Path) -> None:
    found = looks(tmp_path, page(sent=4, attempts=90))
    assert (found.lines, found.pending, found.failing) == (["amp: accepted, the last sample of 4 s ago"], {}, [])


def test_where_nothing_changed_one_look_tells_who_is_away_and_since_when(tmp_path: Path) -> None:
    found = looks(tmp_path, page(sent=720, attempts=90, retried=50, waiting=13_999))
    assert found.lines == ["amp: not reachable since 12 min, 13,999 samples wait"]
    assert found.failing == ["prometheus_remote_write: amp is not reachable since 12 min, 13,999 samples wait."]
    assert found.pending == {}


def test_after_a_change_what_was_sent_since_is_counted_and_looked_at_twice(tmp_path: Path) -> None:
    first, second = page(), page(sent=1, attempts=1380)
    waiting = looks(tmp_path, first, second, loaded=5, every=5)
    assert (waiting.lines, list(waiting.pending)) == ([], ["amp is to take what it is sent"])
    found = looks(tmp_path, first, second, second, loaded=5, every=5)
    assert (found.lines, found.pending) == (["amp: accepted, 1,380 samples in 10 s"], {})


def test_what_is_sent_again_is_not_counted_twice(tmp_path: Path) -> None:
    last = page(sent=1, attempts=1500, retried=500)
    found = looks(tmp_path, page(sent=9, attempts=100, retried=100), last, last, loaded=5, every=5)
    assert found.lines == ["amp: accepted, 1,000 samples in 10 s"]


@pytest.mark.parametrize("loaded", [5, LONG_AGO])
def test_what_is_refused_is_counted_though_it_counts_as_sent(tmp_path: Path, loaded: float) -> None:
    found = looks(
        tmp_path, page(sent=9, attempts=20, failed=20), page(sent=1, attempts=90, failed=90), loaded=loaded, every=7
    )
    assert found.lines == ["amp: refused, 70 samples in 7 s"]
    assert found.failing == ["prometheus_remote_write: amp is refused, 70 samples in 7 s."]


def test_where_some_were_refused_before_a_second_look_tells_whether_they_still_are(tmp_path: Path) -> None:
    first = page(sent=4, attempts=90, failed=20)
    assert list(looks(tmp_path, first).pending) == ["amp is to take what it is sent"]
    found = looks(tmp_path, first, page(sent=1, attempts=190, failed=20), every=5)
    assert (found.lines, found.pending) == (["amp: accepted, 100 samples in 5 s"], {})


def test_another_secret_is_a_change_too(tmp_path: Path) -> None:
    (tmp_path / "amp").mkdir()
    (tmp_path / "amp" / "basic_auth.password").write_text("x")
    assert looks(tmp_path, page(sent=4, attempts=90)).lines == []
    assert looks(tmp_path / "other", page(sent=4, attempts=90)).lines != []
    # What was sent after it is a proof.
    proof = page(sent=1e-9, attempts=90)
    assert looks(tmp_path, proof, proof).lines == ["amp: accepted, the last sample of 0 s ago"]


def test_the_last_look_says_what_there_is(tmp_path: Path) -> None:
    away = looks(tmp_path, page(waiting=5), page(waiting=90, retried=50), loaded=30, late=True)
    assert away.lines == ["amp: not reachable since 30 min, 90 samples wait"]
    assert len(away.failing) == 1
    assert looks(tmp_path, page(), loaded=30, late=True).lines == ["amp: nothing to be seen yet"]
    assert looks(tmp_path, "", loaded=30, late=True).lines == ["amp: nothing to be seen yet"]


def test_a_queue_that_begins_anew_is_counted_from_there(tmp_path: Path) -> None:
    last = page(sent=1, attempts=40)
    found = looks(tmp_path, page(sent=9, attempts=900), page(), last, last, loaded=5, every=3)
    assert found.lines == ["amp: accepted, 40 samples in 6 s"]


def test_the_reason_is_what_prometheus_wrote_last_of_it(tmp_path: Path) -> None:
    lines = [
        'level=WARN msg="Failed to send batch, retrying" remote_name=amp url=https://x/ err="broken pipe"',
        'level=ERROR msg="non-recoverable error" remote_name=other url=https://y/ err="of another one"',
        'time=2026-11-27T12:37:17.735Z level=ERROR msg="non-recoverable error" '
        'remote_name=amp url=https://x/ err="status 401: \\"no\\" https://a:b@c/"',
        'level=ERROR msg="x" remote_name=amp err="older"',
    ]
    described = 'level=ERROR msg="non-recoverable error while sending metadata" remote_name=amp err="status 400"'
    remotes = Remotes(["amp"], str(tmp_path), lambda: lines)
    for failed in (0, 5):
        remotes.judge(page(sent=1, attempts=9, failed=failed), time.time() - LONG_AGO, False)
    assert remotes.lines == ['amp: refused, 5 samples in 0 s (at 12:37:17 UTC: status 401: "no" https://c/)']
    remotes = Remotes(["amp"], str(tmp_path), lambda: [described, *lines])
    for failed in (0, 5):
        remotes.judge(page(sent=1, attempts=9, failed=failed), time.time() - LONG_AGO, False)
    assert remotes.lines == ["amp: refused, 5 samples in 0 s (status 400)"]
    remotes = Remotes(["amp"], str(tmp_path), lambda: lines)
    remotes.judge(page(sent=720, attempts=9, waiting=5), time.time() - LONG_AGO, False)
    assert remotes.lines == ["amp: not reachable since 12 min, 5 samples wait (broken pipe)"]
