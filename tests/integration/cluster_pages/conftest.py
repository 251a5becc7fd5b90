"""The fixtures: those of the browser's tests, a cluster at work, and an hour of its data."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.integration.browser.conftest import _genuine, browser, context, pytest_terminal_summary, session, usual
from tests.integration.cluster.conftest import primary
from tests.integration.cluster.nodes import HADOOP, Node
from tests.integration.node import PROJECT, Api
from tests.integration.pictures.past import make_an_hour

__all__ = ["_genuine", "browser", "context", "primary", "pytest_terminal_summary", "session", "usual"]

MODELS = [
    json.loads(path.read_text()) for path in sorted((PROJECT / "roles/grafana/files/cluster_dashboards").iterdir())
]
WORK = f"""while sleep 5; do
  {HADOOP} org.apache.hadoop.fs.FsShell -put -f /usr/bin/openssl /work-$((RANDOM % 20))
done"""


@pytest.fixture(scope="session")
def _work(primary: Node) -> Iterator[None]:
    """Have HDFS and YARN do something."""
    primary.run(f"cat >/srv/work.sh <<'END'\n{WORK}\nEND")
    primary.run("systemd-run --collect --unit=work --uid=hdfs bash /srv/work.sh")
    for _ in range(4):
        primary.application("sleep 900", 256)
    yield
    primary.run("systemctl stop work")


@pytest.fixture(scope="module")
def hour(host: Host, prometheus: Api, tmp_path_factory: pytest.TempPathFactory, _work: None) -> None:
    """Let Prometheus have an hour of data that ends with what it has measured itself."""
    make_an_hour(host, prometheus, tmp_path_factory.mktemp("history") / "history.txt", MODELS)
