"""The parts of the demo services that need no web framework: the queue, the chunks, the reliable errors."""

import importlib
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

TESTBED = Path(__file__).parents[2] / "molecule/testbed"


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Any]:
    # The package lives beside the scenarios, and "molecule" is also the name of an installed package.
    sys.path.insert(0, str(TESTBED))
    yield importlib.import_module("demo.pipeline")
    sys.path.remove(str(TESTBED))


def test_messages_arrive_once_in_order_and_by_topic(pipeline: Any, tmp_path: Path) -> None:
    producer, consumer = (pipeline.Broker(tmp_path / "broker.db") for _ in range(2))
    producer.produce("a", [{"n": 1}, {"n": 2}])
    producer.produce("b", [{"n": 9}])
    producer.produce("a", [{"n": 3}])
    assert consumer.consume("a", limit=2) == [{"n": 1}, {"n": 2}]
    assert consumer.consume("a", limit=2) == [{"n": 3}]
    assert consumer.consume("a", limit=2) == []
    assert consumer.consume("b", limit=2) == [{"n": 9}]


def test_full_topic_forgets_its_oldest_messages(pipeline: Any, tmp_path: Path) -> None:
    broker = pipeline.Broker(tmp_path / "broker.db", retention=3)
    broker.produce("other", [{"n": 0}])
    for number in range(10):
        broker.produce("a", [{"n": number}])
    assert broker.consume("a", limit=100) == [{"n": 7}, {"n": 8}, {"n": 9}]
    assert broker.consume("other", limit=100) == [{"n": 0}]


def test_all_services_may_start_at_once(pipeline: Any, tmp_path: Path) -> None:
    def start(number: int) -> None:
        pipeline.Broker(tmp_path / "broker.db").produce("a", [{"n": number}])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(start, range(8)))
    found = pipeline.Broker(tmp_path / "broker.db").consume("a", limit=100)
    assert sorted(message["n"] for message in found) == list(range(8))


@pytest.mark.parametrize(
    ("words", "chunks"),
    [(0, []), (1, ["0"]), (4, ["0 1 2 3"]), (5, ["0 1 2 3", "3 4"]), (7, ["0 1 2 3", "3 4 5 6"])],
)
def test_chunks_overlap_and_lose_no_word(pipeline: Any, words: int, chunks: list[str]) -> None:
    assert pipeline.chunk_text(" ".join(map(str, range(words))), size=4, overlap=1) == chunks


def test_overlap_as_large_as_a_chunk_is_refused(pipeline: Any) -> None:
    with pytest.raises(ValueError, match="overlap"):
        pipeline.chunk_text("a b c", size=3, overlap=3)


def test_every_nth_call_is_true(pipeline: Any) -> None:
    fails = pipeline.EveryNth(3)
    assert [fails() for _ in range(7)] == [False, False, True, False, False, True, False]


def test_jitter_is_bounded_and_repeatable(pipeline: Any) -> None:
    factors = [pipeline.jitter(f"doc-{number}") for number in range(200)]
    assert all(0.5 <= factor <= 1.5 for factor in factors)
    assert max(factors) - min(factors) > 0.5
    assert factors[0] == pipeline.jitter("doc-0")


def test_a_fault_is_on_as_long_as_its_file_is_there(pipeline: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(pipeline, "SWITCHES", tmp_path)
    assert not pipeline.fault("docproc-stop")
    (tmp_path / "docproc-stop").touch()
    assert pipeline.fault("docproc-stop")
    (tmp_path / "docproc-stop").unlink()
    assert not pipeline.fault("docproc-stop")


def test_the_file_of_a_latency_says_how_long(pipeline: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(pipeline, "SWITCHES", tmp_path)
    assert pipeline.latency("docproc-latency") == 0
    (tmp_path / "docproc-latency").touch()
    assert pipeline.latency("docproc-latency") == 0
    (tmp_path / "docproc-latency").write_text("0.6\n")
    assert pipeline.latency("docproc-latency") == 0.6


def test_the_faults_that_are_described_are_those_that_there_are(pipeline: Any) -> None:
    name = r"(?:ingest|docproc|openai|embedding|traffic)-[a-z-]+"
    services = "".join(path.read_text() for path in (TESTBED / "demo").glob("*_service.py"))
    services += (TESTBED / "demo/traffic.py").read_text()
    used = set(re.findall(f'"({name})"', services)) - {"ingest-service"}
    assert used == set(re.findall(name, pipeline.__doc__))
