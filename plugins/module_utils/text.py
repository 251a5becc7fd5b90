"""Make a text of somebody else's fit to be shown."""

from __future__ import annotations

import re
from typing import Any

# An address up to its login, without it up to its query, and that. A login that is not quoted as it should be holds
# anything: it ends at the last @.
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s\"']*@)?([^\s?\"']*)(\?[^\s\"']*)?")

# One field of a line as Prometheus logs it (logfmt); a value with a space is quoted.
LOGFMT = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


def logfmt(line: str) -> dict[str, str]:
    """Return the fields of a line in logfmt."""
    return {
        key: re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        for key, value in LOGFMT.findall(line)
    }


def harmless(answer: Any) -> Any:
    """Return a service's answer (what JSON holds) so that whoever shows it shows no login and no token.

    Addresses lose them, and labels that only steer a scrape go, but for the address: they hold its parameters.
    """
    if isinstance(answer, dict):
        return {key: harmless(value) for key, value in answer.items() if key[:2] != "__" or key == "__address__"}
    if isinstance(answer, list):
        return [harmless(item) for item in answer]
    return without_secrets(answer) if isinstance(answer, str) else answer


def without_secrets(text: str) -> str:
    """Return a text whose addresses are without logins and queries."""
    return ADDRESS.sub(lambda found: found[1] + found[2] + ("?…" if found[3] else ""), text)


def printable(line: str) -> str:
    """Return a line of a service that cannot write to the user's terminal at will and shows no login and no token."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in without_secrets(line))
