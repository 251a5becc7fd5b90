"""A first run on a slow line: one reads within ten seconds what it waits for, and nothing that frightens."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TESTBED = ROOT / "molecule/testbed"
PROGRESS = TESTBED / "progress.py"
# What one reads as a fault, from make, pip, apt, debconf and Ansible.
ALARMING = re.compile(r"(?i)warn|error|fail|fatal|retry|deprecat|notice|debconf|unable|traceback")


class Stalled(ThreadingHTTPServer):
    """A registry that has begun to answer, if at all, and says no more."""

    daemon_threads = True

    def __init__(self, begin: bytes) -> None:
        self.begin, self.over = begin, threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def end(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Stalled

    def do_GET(self) -> None:
        if self.server.begin:
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 30))
            self.end_headers()
            self.wfile.write(self.server.begin)
            self.wfile.flush()
        self.server.over.wait(300)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stalled(request: pytest.FixtureRequest) -> Iterator[Stalled]:
    server = Stalled(getattr(request, "param", b""))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.end()


def test_make_up_says_within_ten_seconds_what_it_waits_for(stalled: Stalled, tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / "molecule/testbed").mkdir(parents=True)
    shutil.copy(PROGRESS, tmp_path / "molecule/testbed")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "MAKE", "VIRTUAL_ENV"))}
    environment["PIP_INDEX_URL"] = f"{stalled.address.replace('://', '://reader:a-password@')}/simple"
    begun = last = time.monotonic()
    lines: list[str] = []
    with subprocess.Popen(
        ["make", "up"], cwd=tmp_path, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                assert time.monotonic() - last < 10, f"silent after {lines}"
                last = time.monotonic()
                lines.append(line.strip())
                if f"{stalled.address}/simple/" in line or last - begun > 100:
                    break
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    first = re.findall(r"(?m)^([\w.-]+)==", (ROOT / "requirements.txt").read_text())[0]
    assert lines[0] == "[test bed] making the folder .venv"
    waits = rf"\[test bed\] installing the Python tools into \.venv: .*{stalled.address}/simple/{first}/? \(\d+ s\)"
    assert re.match(waits, lines[-1])
    assert not [line for line in lines if ALARMING.search(line) or "a-password" in line]


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TESTBED))
    module: Any = importlib.import_module("progress")
    monkeypatch.setattr(module, "SECONDS", 0.05)
    return module


@pytest.mark.parametrize("stalled", [b"", bytes(3 << 20)], indirect=True, ids=["no answer", "3 MB"])
def test_a_slow_download_of_an_archive_says_how_far_it_is(
    stalled: Stalled, progress: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archives: Any = importlib.import_module("archives")
    defaults = tmp_path / "prometheus/defaults/main.yml"
    defaults.parent.mkdir(parents=True)
    checksums = {"9.9": dict.fromkeys(("amd64", "arm64"), "0" * 64)}
    variables = {"version": "9.9", "url": f"{stalled.address}/prometheus.tar.gz", "checksums": checksums}
    defaults.write_text(yaml.safe_dump({f"prometheus_{name}": value for name, value in variables.items()}))
    monkeypatch.setattr(archives, "ROLES", tmp_path)
    awaited = "3 MB have come" if stalled.begin else "no answer yet"
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if awaited in text:
            stalled.over.set()

    # What comes after the end of the wait is no archive.
    with suppress(archives.ArchiveError):
        archives._upstream("prometheus", tmp_path, say)
    assert said[0] == "downloading prometheus 9.9"
    assert any(line.startswith(f"downloading prometheus 9.9: {awaited} (") for line in said)


def test_a_command_that_says_nothing_is_named_while_it_lasts(progress: Any, tmp_path: Path) -> None:
    said: list[str] = []
    end = tmp_path / "end"

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 3:
            end.touch()

    program = f"import os, time\nwhile not os.path.exists({str(end)!r}): time.sleep(0.01)"
    progress.run("waiting for nothing", sys.executable, "-c", program, say=say)
    assert said[0] == "waiting for nothing"
    assert all(re.fullmatch(r"waiting for nothing \(\d+ s\)", line) for line in said[1:])


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["Collecting x", "WARNING: Location '/a' is ignored"], "Collecting x"),
        (["Fetching http://host/x/", "debconf: delaying package configuration"], "Fetching http://host/x/"),
        (["Fetching http://host/x/", "Looking it up in the cache"], "Fetching http://host/x/"),
        (["Fetching http://host/x/", *["Installing"] * 8], "Installing"),
        (["Skipping link: http://host/x.whl"], ""),
        ([], ""),
    ],
)
def test_of_what_a_command_says_an_address_is_shown_and_no_noise(progress: Any, lines: list[str], shown: str) -> None:
    assert progress._latest(lines) == shown


def test_what_a_failed_command_said_last_is_shown_without_a_login() -> None:
    program = (
        "print('first\\n' * 50 + 'cannot reach http://reader:a-password@registry.example.com/x'); raise SystemExit(3)"
    )
    command = [sys.executable, str(PROGRESS), "asking a registry", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == "[test bed] asking a registry\n"
    assert done.stderr.startswith("[test bed] asking a registry failed:\n")
    assert done.stderr.endswith("cannot reach http://registry.example.com/x\n")
    assert done.stderr.count("first") == 19


def test_no_step_of_the_makefile_installs_in_silence() -> None:
    recipes = re.findall(r"(?m)^\t(?!.*uv==).*", (ROOT / "Makefile").read_text())
    slow = [line for line in recipes if re.search(r"pip |\$\(INSTALL\)|-m venv|collection\.py", line)]
    assert slow
    assert [line for line in slow if not line.startswith("\t@$(PATIENTLY) ")] == []


def test_no_task_prints_failed_while_it_waits() -> None:
    files = [path for folder in ("roles", "playbooks") for path in (ROOT / folder).rglob("*.yml")]
    assert files
    waiting = [
        str(path.relative_to(ROOT)) for path in files if re.search(r"(?m)^\s+(until|retries):", path.read_text())
    ]
    assert waiting == []
