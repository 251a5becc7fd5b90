"""Which Spark applications the ResourceManager names, and the file of targets that is made of it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from contrib.spark.spark_targets import applications

PROGRAM = Path(__file__).resolve().parents[2] / "contrib/spark/spark_targets.py"
MADE = "application_1795751097541_0001"
# What Hadoop 3.4.2 says of one that runs, without most of its numbers.
RUNS = {
    "id": MADE,
    "name": "nightly-load",
    "state": "RUNNING",
    "trackingUI": "ApplicationMaster",
    "trackingUrl": f"http://ip-172-31-0-10:20888/proxy/{MADE}/",
    "diagnostics": "",
    "applicationType": "SPARK",
    "amContainerLogs": "http://ip-172-31-0-11:8042/node/containerlogs/container_1795751097541_0001_01_000001/hdfs",
}


def answered(*found: dict[str, Any]) -> str:
    """Return the answer of the ResourceManager in which some applications are."""
    return json.dumps({"apps": {"app": found} if found else {}}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], []),
        ([RUNS], [MADE]),
        ([{**RUNS, "name": "again application_1795751097541_0009"}], [MADE]),
        ([{**RUNS, "name": 'again "/proxy/application_1795751097541_0009/"'}], [MADE]),
        ([RUNS, {"trackingUrl": "https://primary:20889/proxy/application_1_1/"}], [MADE, "application_1_1"]),
    ],
    ids=["none", "one", "one that is named as another", "one whose name is an address", "two"],
)  # fmt: skip
def test_the_applications_that_run(found: list[dict[str, Any]], expected: list[str]) -> None:
    assert applications(answered(*found)) == expected


@pytest.fixture
def resourcemanager() -> Iterator[tuple[str, Callable[[int, str], None]]]:
    """Return the address of a stand-in, and a function that sets its status and answer."""
    says: tuple[int, str] = (200, answered(RUNS))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = says
            assert "states=RUNNING&applicationTypes=SPARK" in self.path
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    def say(status: int, text: str) -> None:
        nonlocal says
        says = (status, text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield "http://{}:{}".format(*server.server_address[:2]), say
    server.shutdown()


def test_the_list_follows_what_runs_and_stays_while_nobody_answers(
    resourcemanager: tuple[str, Callable[[int, str], None]], tmp_path: Path
) -> None:
    address, say = resourcemanager
    listed = tmp_path / "applications.json"
    options = (f"--resourcemanager={address}", "--proxy=primary:20888", "--interval=0.05")
    with subprocess.Popen([sys.executable, PROGRAM, listed, *options], stdout=subprocess.PIPE, text=True) as process:

        def becomes(ids: list[str]) -> bool:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                if listed.exists() and [each["labels"]["instance"] for each in json.loads(listed.read_text())] == ids:
                    return True
                time.sleep(0.05)
            return False

        assert process.stdout is not None
        assert becomes([MADE])
        labels = {"instance": MADE, "__metrics_path__": f"/proxy/{MADE}/metrics/executors/prometheus"}
        assert json.loads(listed.read_text()) == [{"targets": ["primary:20888"], "labels": labels}]
        say(401, "Who are you?")
        assert "does not tell which applications run: HTTP Error 401" in process.stdout.readline()
        assert becomes([MADE])
        say(200, answered())
        assert becomes([])
        assert "answers again" in process.stdout.readline()
        process.terminate()
    # The file alone, never a half of it.
    assert [path.name for path in tmp_path.iterdir()] == [listed.name]
