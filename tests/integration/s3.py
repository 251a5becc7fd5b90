"""A stand-in for S3 (moto) beside the nodes."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from testinfra.host import Host

from tests.integration.node import PROJECT, poll


@contextmanager
def bucket(host: Host) -> Iterator[str]:
    """Start it with an empty bucket named bucket; yield its address, which the nodes reach."""
    gateway = host.check_output("ip route show default").split()[2]
    with socket.create_server((gateway, 0)) as free:
        port = free.getsockname()[1]
    command = [PROJECT / ".venv/bin/moto_server", "--host", gateway, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as moto:
        address = f"http://{gateway}:{port}"
        made = f"curl --silent --fail --request PUT {address}/bucket"
        try:
            assert poll(lambda: host.run(made).rc == 0, 60)
            yield address
        finally:
            moto.kill()
