"""Stands for a busy NameNode: one process that keeps every core at work, holds memory, and counts what it gets done.

Each line of its output holds the seconds since its start and the megabytes hashed until then.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import threading
import time
from pathlib import Path

PAGE = 4096
# Python lets other threads run while it hashes.
BLOCK = bytes(1 << 20)


def work(done: list[int], number: int) -> None:
    """Hash without end, counting in ``done[number]``."""
    while True:
        hashlib.sha256(BLOCK)
        done[number] += 1


def main() -> None:
    """Run until the process is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    heap = bytearray(arguments.megabytes << 20)
    done = [0] * (os.cpu_count() or 1)
    began = time.monotonic()
    for number in range(len(done)):
        threading.Thread(target=work, args=(done, number), daemon=True).start()
    with arguments.output.open("w", buffering=1) as output:
        while True:
            # The kernel gives memory only to who writes to it.
            heap[::PAGE] = bytes([1]) * len(heap[::PAGE])
            output.write(f"{time.monotonic() - began:.3f} {sum(done)}\n")
            time.sleep(0.5)


if __name__ == "__main__":
    main()
