#!/usr/bin/python3
"""Stands for the node's python: runs it, and notes its seconds and the memory of its largest process."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

began = time.monotonic()
status = subprocess.run([sys.executable, *sys.argv[1:]], check=False).returncode
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
note = {"seconds": time.monotonic() - began, "megabytes": usage.ru_maxrss / 1024}
with (Path(__file__).parent / "executions").open("a") as notes:
    notes.write(json.dumps(note) + "\n")
sys.exit(status)
