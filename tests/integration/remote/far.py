"""The storage beside the node, and what of the node's samples it lacks."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.integration.node import Api, poll

# What each target sends whatever it is: its values tell nothing, its times tell which scrape is missing.
COUNTED = 'up{job!=""}'


@dataclass(frozen=True)
class Far:
    """Three Cortex behind a proxy, in a container.

    :ivar name: of the container
    """

    name: str

    def run(self, command: str) -> str:
        """Run a command of the shell and return what it prints; raises CalledProcessError."""
        done = subprocess.run(
            ["docker", "exec", self.name, "sh", "-c", command], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def kill(self, *instances: int) -> None:
        """Kill some of the three at once, as the kernel does."""
        for number in instances:
            self.run(f"systemctl kill --signal=KILL cortex@{number}")

    def start(self, *instances: int) -> None:
        """Start some of the three again."""
        self.run(f"systemctl start {' '.join(f'cortex@{number}' for number in instances)}")

    def start_all(self) -> None:
        """Start the three anew, and let nobody in before they know each other.

        What the first one took while it was alone, it would have alone, and two others that answer would not know it.
        """
        self.run("systemctl stop haproxy && systemctl restart cortex@1 cortex@2 cortex@3")
        assert poll(lambda: all(self._known(number) == ["ACTIVE"] * 3 for number in (1, 2, 3)), 60)
        self.run("systemctl start haproxy")

    def _known(self, number: int) -> list[str]:
        """Return the states of those that one of the three knows, itself among them."""
        ask = f"curl --silent --header 'Accept: application/json' http://127.0.0.1:901{number}/ring || true"
        try:
            # One that has just started knows nobody.
            return [str(one["state"]) for one in json.loads(self.run(ask))["shards"] or []]
        except ValueError:
            return []

    def keep_blocks(self, flags: str) -> None:
        """Have the three keep their blocks in another place, as some flags say; without any in their own folder."""
        self.run(f"echo 'BLOCKS={flags}' >/etc/cortex.env")
        self.start_all()

    def flush(self) -> None:
        """Have the three write what they hold in memory to where they keep their blocks."""
        for number in (1, 2, 3):
            self.run(f"curl --silent --fail --request POST 'http://127.0.0.1:901{number}/ingester/flush?wait=true'")

    def lose_disks(self) -> None:
        """Kill all three and take their disks away."""
        self.kill(1, 2, 3)
        self.run("rm -rf /mnt/cortex1 /mnt/cortex2 /mnt/cortex3")

    def answer(self, status: int) -> None:
        """Have the proxy answer each request with a status, or again ask Cortex where it is 0."""
        self._begin_with(f"http-request return status {status} hdr Location https://elsewhere/" if status else "")

    def demand(self, header: str, value: str) -> None:
        """Have the proxy let nobody read who does not send a header, as a storage with tenants does."""
        self._begin_with(f"http-request deny unless {{ path_beg /api/v1/push }} or {{ req.hdr({header}) {value} }}")

    def _begin_with(self, rule: str) -> None:
        """Have the proxy apply a rule before it asks Cortex, in place of the one of before, or none."""
        config, mark = "/etc/haproxy/haproxy.cfg", "# before Cortex"
        self.run(f"sed -i '/{mark}/d' {config}")
        if rule:
            self.run(f"sed -i '/default_backend/i \\  {rule} {mark}' {config}")
        self.run("systemctl reload haproxy")

    def passwords(self, one: str, other: str = "") -> None:
        """Have the proxy take one password, or another one besides."""
        line = f'/insecure-password/ {{n++; $NF = n == 1 ? "{one}" : "{other or one}"}} 1'
        config = "/etc/haproxy/haproxy.cfg"
        self.run(f"awk '{line}' {config} >/tmp/new.cfg && cp /tmp/new.cfg {config} && systemctl reload haproxy")

    def ask(self, query: str, at: float) -> list[dict[str, Any]]:
        """Return what a query finds at a moment, none where the storage does not answer."""
        words = urlencode({"query": query, "time": at})
        for number in (1, 2, 3):
            done = subprocess.run(
                ["docker", "exec", self.name, "curl", "--silent", "--fail", "--max-time", "10",
                 f"http://127.0.0.1:901{number}/prometheus/api/v1/query?{words}"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return list(json.loads(done.stdout)["data"]["result"])
        return []


def times(result: list[dict[str, Any]]) -> dict[str, set[float]]:
    """Return the times of the samples of each target."""
    return {f"{one['metric']['job']} {one['metric']['instance']}": {at for at, _ in one["values"]} for one in result}


@dataclass
class Window:
    """What was scraped since a moment.

    :ivar since: in seconds since the epoch
    :ivar stopping: from when to when Prometheus stopped and started, where a run did that: a scrape that ends meanwhile
        is in its own storage and no longer sent
    """

    near: Api
    far: Far
    since: float
    stopping: tuple[float, float] = (0, 0)

    def missing(self, until: float) -> dict[str, list[float]]:
        """Return the times of the samples that the node has and the storage has not, by target."""
        query = f"{COUNTED}[{int(until - self.since) + 1}s]"
        here = times(self.near.data(f"/api/v1/query?{urlencode({'query': query, 'time': until})}")["data"]["result"])
        there = times(self.far.ask(query, until))
        assert sum(map(len, here.values())) > 0, "nothing was scraped"
        begin, end = self.stopping
        found = {
            target: sorted(time for time in at - there.get(target, set()) if not begin <= time <= end)
            for target, at in here.items()
        }
        return {target: lacking for target, lacking in found.items() if lacking}


def counter(near: Api, metric: str, name: str = "cortex") -> float:
    """Return what Prometheus counts of an endpoint, from its page of metrics."""
    _, _, page = near.send("/metrics")
    start = f'prometheus_remote_storage_{metric}{{remote_name="{name}"'
    return sum(float(line.split()[-1]) for line in page.decode().splitlines() if line.startswith(start))


def now() -> float:
    """Return the time, on a whole second."""
    return float(int(time.time()))
