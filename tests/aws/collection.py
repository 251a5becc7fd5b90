"""Unpack the collection amazon.aws into .cache/collections, for where the collections' own server cannot be reached."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / ".cache/collections"
FOLDER = "ansible_collections/amazon/aws/"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "-vv", "--no-deps", "--require-hashes"]
        subprocess.run(
            [*pip, "--only-binary=:all:", "--requirement", HERE / "collection.txt", "--dest", folder], check=True
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith(FOLDER)]
            # What an older release had and this one has not must not stay.
            shutil.rmtree(TARGET / FOLDER, ignore_errors=True)
            archive.extractall(TARGET, names)


if __name__ == "__main__":
    main()
