"""Give a node an hour of the past, which ends with what it has measured itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from testinfra.host import Host

from tests.integration.node import Api, poll
from tests.integration.pictures.history import Seen, asked, history

HOUR, STEP = 3600, 15
# So long a node measures before its past is made up.
MEASURED = 150
DATA = "/mnt/prometheus/data"


def make_an_hour(host: Host, prometheus: Api, text: Path, models: Sequence[Any]) -> None:
    """Let Prometheus have an hour of data of all that some dashboards ask for.

    :param text: file here for what is made up
    :param models: the dashboards
    """
    if _has_an_hour(prometheus):
        return
    series = poll(lambda: _long_enough(_seen(prometheus, models)), 600)
    assert series, f"Prometheus has not scraped for {MEASURED} seconds"
    # Prometheus forgets what it has measured itself before the end of its newest block.
    end = min(each.samples[0][0] for each in series) - 1
    # A rate of the hour's first minute asks what was before.
    text.write_text("\n".join(history(series, end - HOUR - 600, end, STEP)) + "\n")
    host.ansible("ansible.builtin.copy", f"src={text} dest=/tmp/history.txt mode=0644", check=False)
    commands = (
        f"/mnt/prometheus/current/promtool tsdb create-blocks-from openmetrics /tmp/history.txt {DATA}",
        f"chown --recursive --reference={DATA} {DATA}",
        "systemctl restart prometheus",
    )
    host.check_output(f"sudo sh -ec '{'; '.join(commands)}'")
    assert poll(lambda: _has_an_hour(prometheus), 300), "Prometheus does not show the hour before"


def _seen(prometheus: Api, models: Sequence[Any]) -> list[Seen]:
    """Return all series of which the dashboards show something."""
    # Not from the beginning: what has just been made is not yet as it stays.
    query = quote(f'{{__name__=~".+",__name__!~"ALERTS.*"}}[{MEASURED + 30}s]')
    words = asked(models)
    answer = prometheus.data(f"/api/v1/query?query={query}")["data"]["result"]
    return [
        Seen(name, each["metric"], [(time, float(value)) for time, value in each["values"]])
        for each in answer
        if (name := each["metric"].pop("__name__")) in words and len(each["values"]) > 1
    ]


def _long_enough(series: list[Seen]) -> list[Seen]:
    """Return the series, or nothing while they are too short to tell a rate."""
    return series if any(each.samples[-1][0] - each.samples[0][0] >= MEASURED for each in series) else []


def _has_an_hour(prometheus: Api) -> bool:
    """Tell whether Prometheus has an hour of data, the last minutes without a gap, as a rate in a picture needs it."""
    query = f"count(up offset 55m) > 0 and min(count_over_time(up[2m])) > {100 / STEP}"
    try:
        status, answer = prometheus(f"/api/v1/query?query={quote(query)}")
    except OSError:
        # It is being restarted.
        return False
    return bool(status == 200 and answer["data"]["result"])
