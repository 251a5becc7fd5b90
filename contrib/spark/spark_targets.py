#!/usr/bin/env python3
"""Keep a list of targets for Prometheus: the Spark applications that run on YARN, each behind YARN's proxy.

It runs on the primary node, where Python is 3.9 and nothing else is installed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import socket
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path

# What an application asks YARN for is long, and of no interest.
RUNNING = "/ws/v1/cluster/apps?states=RUNNING&applicationTypes=SPARK&deSelects=resourceRequests"
# The address of its pages, in which nobody but YARN writes; its name is the user's.
APPLICATION = re.compile(r'/proxy/(application_\d+_\d+)/"')
PAGE = "/proxy/{}/metrics/executors/prometheus"


def applications(answer: str) -> list[str]:
    """Return the ids of the applications in an answer of the ResourceManager."""
    return sorted(set(APPLICATION.findall(answer)))


def targets(ids: Iterable[str], proxy: str) -> str:
    """Return a file of targets, one for each application.

    :param proxy: host and port of YARN's proxy
    """
    groups = [{"targets": [proxy], "labels": {"instance": each, "__metrics_path__": PAGE.format(each)}} for each in ids]
    return json.dumps(groups, indent=1) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file that is whole at any time, unless it says so already."""
    if path.exists() and path.read_text() == text:
        return
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


def main() -> None:
    """Ask the ResourceManager, again and again; while it does not answer, the list stays."""
    host = socket.getfqdn()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="where the targets are listed, a .json")
    parser.add_argument("--resourcemanager", default=f"http://{host}:8088", help="its address (%(default)s)")
    parser.add_argument("--proxy", default=f"{host}:20888", help="host and port of YARN's proxy (%(default)s)")
    parser.add_argument("--interval", type=float, default=10, help="seconds between two questions (%(default)s)")
    arguments = parser.parse_args()
    trouble = ""
    while True:
        before, trouble = trouble, ""
        try:
            with urllib.request.urlopen(arguments.resourcemanager + RUNNING, timeout=10) as answer:  # noqa: S310
                said = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            trouble = f"{arguments.resourcemanager} does not tell which applications run: {error}"
        else:
            write(arguments.file, targets(applications(said), arguments.proxy))
        if trouble != before:
            print(trouble or "The ResourceManager answers again", flush=True)
        time.sleep(arguments.interval)


if __name__ == "__main__":
    main()
