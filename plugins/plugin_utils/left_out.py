"""Tell a file that is meant, and would be left out for its name, from what lies beside such files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

BACKUPS = ("~", ".bak", ".old", ".orig", ".rej", ".swp", ".tmp")
# What is larger is nothing that a person wrote or exported.
LIMIT = 10_000_000


def seems_meant(path: Path, name: re.Pattern[str], parse: Callable[[str], Any], parts: Collection[str]) -> bool:
    """Tell whether a file with another ending is meant, by its name or by what it holds.

    :param name: what is in a name that is nearly right
    :param parse: reads the text of such a file; raises ValueError where it is none
    :param parts: a mapping with one of these as a list or a mapping is meant
    """
    if path.name.lower().endswith(BACKUPS):
        return False
    if name.search(path.name):
        return True
    try:
        if path.stat().st_size > LIMIT:
            return False
        content = parse(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and any(isinstance(content.get(part), dict | list) for part in parts)
