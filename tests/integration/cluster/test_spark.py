"""Spark's applications through YARN's proxy, as docs/cluster.md says: they are read while they run, and leave."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.integration.cluster.nodes import Node
from tests.integration.node import PROJECT, Api, Playbook, poll, words

(SECTION,) = re.findall(r"^## Spark\n(.*?)^## ", (PROJECT / "docs/cluster.md").read_text(), re.M | re.S)
(JOB,) = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", SECTION, re.M | re.S)]
((CLASSIFICATION,),) = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", SECTION, re.M | re.S)]
(PLAYBOOK,) = re.findall(r"^ansible-playbook (\S+)", SECTION, re.M)
END = "/srv/end-of-the-application"
# It works until the test has seen enough.
PROGRAM = f"""
import os, time
from pyspark import SparkContext
context = SparkContext()
while not os.path.exists("{END}"):
    context.parallelize(range(20), 4).map(lambda number: time.sleep(0.05)).count()
context.stop()
"""
# What an executor tells, and the driver as one of them.
NAMES = 39
Ask = Callable[[str], "list[dict[str, Any]]"]


@pytest.fixture(scope="module")
def ask(prometheus: Api) -> Ask:
    """Return a function that asks Prometheus a question."""
    return lambda expr: list(prometheus.data(f"/api/v1/query?query={quote(expr)}")["data"]["result"])


@pytest.fixture(scope="module")
def targets(prometheus: Api) -> Callable[[], dict[str, tuple[str, str]]]:
    """Return a function that returns of each application how the scrape of it is, and why."""

    def found() -> dict[str, tuple[str, str]]:
        active = prometheus.data("/api/v1/targets?scrapePool=spark")["data"]["activeTargets"]
        return {each["labels"]["instance"]: (each["health"], each["lastError"]) for each in active}

    return found


@pytest.fixture(scope="module")
def run(playbook: Playbook, variables: dict[str, Any], primary: Node) -> Iterator[Callable[[], str]]:
    """Return a function that runs site.yml with the recipe in the inventory, and returns what the run said."""
    done = playbook(PLAYBOOK)
    assert done.returncode == 0, done.stdout
    assert "changed=0 " in playbook(PLAYBOOK).stdout

    def site() -> str:
        own = {"prometheus_scrape_configs": [*variables["prometheus_scrape_configs"], *JOB]}
        done = playbook("site.yml", "--tags=prometheus", verify_targets_must_be_up=False, **own)
        assert done.returncode == 0, done.stdout
        return words(done)

    yield site
    primary.run("systemctl disable --quiet --now spark-targets")
    primary.run("rm /usr/local/bin/spark-targets /etc/systemd/system/spark-targets.service && systemctl daemon-reload")
    done = playbook("site.yml", "--tags=prometheus")
    assert done.returncode == 0, done.stdout


@pytest.fixture
def submit(primary: Node) -> Iterator[Callable[..., str]]:
    """Return a function that starts an application with the cluster's configuration; afterwards it ends by itself."""
    cores = [Node(f"{primary.name}-core-{number}") for number in (1, 2)]
    for core in cores:
        core.run(f"rm -f {END}")
    assert CLASSIFICATION["Classification"] == "spark-defaults"
    properties = CLASSIFICATION["Properties"]
    yield lambda name, **own: primary.spark(name, PROGRAM, properties | own)
    for core in cores:
        core.run(f"touch {END}")


def test_an_application_is_read_while_it_runs_and_leaves_when_it_ends(
    run: Callable[[], str],
    submit: Callable[..., str],
    ask: Ask,
    targets: Callable[[], dict[str, tuple[str, str]]],
    primary: Node,
) -> None:
    assert "NONE spark" in run()
    made = submit("nightly-load")
    own = f'instance="{made}", application_name="nightly-load"'
    worked = f'metrics_executor_completedTasks_total{{{own}, executor_id!="driver"}} > 0'
    # The first application has its jars copied to each node.
    assert poll(lambda: len(ask(worked)) == 2, 120), targets()
    # The driver learns of its own memory later than of what the executors have done.
    heap = f'metrics_executor_JVMHeapMemory_bytes{{{own}, executor_id="driver"}} > 0'
    assert poll(lambda: len(ask(heap)) == 1, 60), targets()
    assert targets() == {made: ("up", "")}
    assert ask(f'up{{job="spark", instance="{made}"}} == 1')
    assert len(ask(f"group by (__name__) ({{{own}}})")) == NAMES
    # With Spark's own version.
    assert ask(f'scrape_samples_scraped{{instance="{made}"}} == {NAMES * 3 + 1}')
    for core in (1, 2):
        Node(f"{primary.name}-core-{core}").run(f"touch {END}")
    assert poll(lambda: targets() == {}, 60), targets()
    assert poll(lambda: ask(f'{{job="spark", instance="{made}"}}') == [], 30)
    assert ask(f'last_over_time(ALERTS{{instance="{made}", alertstate="firing"}}[5m])') == []
    assert "NONE spark" in run()


def test_one_that_does_not_serve_its_metrics_is_down_while_it_runs(
    run: Callable[[], str], submit: Callable[..., str], targets: Callable[[], dict[str, tuple[str, str]]]
) -> None:
    run()
    made = submit("without-metrics", **{"spark.ui.prometheus.enabled": "false"})
    # A driver that has just started may also answer too late.
    refusal = 'unsupported Content-Type "text/html'
    assert poll(lambda: refusal in targets().get(made, ("", ""))[1], 60), targets()
    assert targets()[made][0] == "down"
