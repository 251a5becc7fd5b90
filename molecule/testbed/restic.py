"""A node that has restic at hand: the release that the role backup pins, built by this machine's Go.

Its source comes by restic/go.mod, whose checksums are in restic/go.sum; or TESTBED_RESTIC_ARCHIVE is upstream's .bz2.
"""

from __future__ import annotations

import argparse
import bz2
import hashlib
import os
import shutil
import sys
from pathlib import Path

import testbed

SOURCE = testbed.TESTBED / "restic"
PROGRAM = "github.com/restic/restic/cmd/restic"
# Where the scenario's inventory finds the archive's checksum, and the node the archive.
KEPT = testbed.CACHE / "restic"
ARCHIVE, CHECKSUM = KEPT / "restic.bz2", KEPT / "restic.bz2.sha256"


def missing() -> str:
    """Return what this machine lacks for it, empty where it has all."""
    has = os.environ.get("TESTBED_RESTIC_ARCHIVE") or CHECKSUM.exists() or shutil.which("go")
    return "" if has else "Go (or TESTBED_RESTIC_ARCHIVE), which builds restic"


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
        packed = bz2.compress(built())
    ARCHIVE.write_bytes(packed)
    CHECKSUM.write_text(hashlib.sha256(packed).hexdigest())


def built() -> bytes:
    """Return the program."""
    work = testbed.CACHE / "restic-build"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    # Go completes go.mod, which is the copy's here.
    for file in ("go.mod", "go.sum"):
        shutil.copy(SOURCE / file, work)
    build = ("go", "build", "-C", work, "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o", "restic", PROGRAM)
    testbed.patiently("building restic (some minutes)", *build, env={**os.environ, "CGO_ENABLED": "0"})
    program = (work / "restic").read_bytes()
    shutil.rmtree(work)
    return program


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    creating = commands.add_parser("create", help="start a node that has restic's archive")
    creating.add_argument("name", type=testbed.node_name)
    creating.add_argument("--ssh-port", type=int, required=True)
    commands.add_parser("missing", help="say what this machine lacks for it; fail where it has all")
    arguments = parser.parse_args()
    if arguments.command == "missing":
        print(missing())
        return 0 if missing() else 1
    return testbed.one_at_a_time(lambda: create(arguments.name, arguments.ssh_port))


def create(name: str, ssh_port: int) -> None:
    """Start a node that has the archive, and a folder for backups that outlives what is on the node."""
    ensure()
    testbed.create(name, ssh_port, (), "bookworm", mounts=[f"{KEPT}:/opt/restic:ro"])


if __name__ == "__main__":
    sys.exit(main())
