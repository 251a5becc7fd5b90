"""A node that has restic at hand: the release that the role backup pins, built from restic/go.mod.

Or TESTBED_RESTIC_ARCHIVE is upstream's .bz2.
"""

from __future__ import annotations

import argparse
import bz2
import hashlib
import os
import sys
from pathlib import Path

import go_build
import testbed

SOURCE = testbed.TESTBED / "restic"
PROGRAM = "github.com/restic/restic/cmd/restic"
# Where the scenario's inventory finds the archive's checksum, and the node the archive.
KEPT = testbed.CACHE / "restic"
ARCHIVE, CHECKSUM = KEPT / "restic.bz2", KEPT / "restic.bz2.sha256"


def ensure() -> None:
    """Have the archive and its checksum.

    :raises TestbedError: it cannot be had
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    chosen = os.environ.get("TESTBED_RESTIC_ARCHIVE")
    if chosen:
        packed = Path(chosen).read_bytes()
    elif CHECKSUM.exists():
        return
    else:
        program = KEPT / "restic"
        go_build.build(SOURCE, PROGRAM, program)
        packed = bz2.compress(program.read_bytes())
        program.unlink()
    ARCHIVE.write_bytes(packed)
    CHECKSUM.write_text(hashlib.sha256(packed).hexdigest())


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    creating = commands.add_parser("create", help="start a node that has restic's archive")
    creating.add_argument("name", type=testbed.node_name)
    creating.add_argument("--ssh-port", type=int, required=True)
    arguments = parser.parse_args()
    return testbed.one_at_a_time(lambda: create(arguments.name, arguments.ssh_port))


def create(name: str, ssh_port: int) -> None:
    """Start a node that has the archive, and a folder for backups that outlives what is on the node."""
    ensure()
    testbed.create(name, ssh_port, (), "bookworm", mounts=[f"{KEPT}:/opt/restic:ro"])


if __name__ == "__main__":
    sys.exit(main())
