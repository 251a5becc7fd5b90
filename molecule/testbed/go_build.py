"""Build a program of Go's registry for the test bed; its versions and checksums stand in a go.mod and its go.sum."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import testbed


def build(source: Path, package: str, program: Path, *flags: str) -> None:
    """Build the package that a go.mod requires.

    :param source: the folder of go.mod and go.sum
    :param program: where the program goes
    :param flags: of `go build`
    :raises TestbedError: there is no Go, or it does not build
    """
    if not shutil.which("go"):
        raise testbed.TestbedError("Go is missing: `make .venv/go` installs it.")
    work = program.with_name(f"{program.name}-build")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    # Go completes go.mod, which is the copy's here.
    for file in ("go.mod", "go.sum"):
        shutil.copy(source / file, work)
    build = ("go", "build", "-C", str(work), "-mod=mod", "-trimpath", "-ldflags", "-s -w", *flags)
    # The same with or without a C compiler, and by this Go.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    testbed.patiently(f"building {program.name} (some minutes)", *build, "-o", program, package, env=environment)
    shutil.rmtree(work)
