"""Make a text of somebody else's fit to be shown."""

from __future__ import annotations

import re

# An address up to its login, without it up to its query, and that.
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/?#\"']*@)?([^\s?\"']*)(\?[^\s\"']*)?")


def printable(line: str) -> str:
    """Return a line of a service that cannot write to the user's terminal at will and shows no login and no token."""
    harmless = ADDRESS.sub(lambda found: found[1] + found[2] + ("?…" if found[3] else ""), line)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in harmless)
