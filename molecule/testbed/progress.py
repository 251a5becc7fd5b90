"""Says what a long step waits for: at once, and every few seconds while it lasts.

``python3 progress.py WHAT COMMAND...`` runs a command so. It needs nothing but Python, since it runs before anything is
installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

SECONDS = 5
# Of what a failed command printed.
LINES = 20
# Of what a running one printed last: an address among them says more than how it is asked.
RECENT = 8
# It frightens or confuses; where it matters the command fails, and shows it.
NOISE = re.compile("(?i)warn|debconf|skipping|ignor")


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"[test bed] {text}", flush=True)


@contextmanager
def waiting(what: str, state: Callable[[], str], say: Callable[[str], None] = say) -> Iterator[None]:
    """Say what happens, and how far it is until the block ends.

    :param what: what happens, as in "installing docker.io"
    :param state: returns how far it is; empty where nobody knows
    """
    say(what)
    begun, over = time.monotonic(), threading.Event()

    def tell() -> None:
        while not over.wait(SECONDS):
            said = ": ".join(filter(None, (what, state())))
            say(f"{said} ({time.monotonic() - begun:.0f} s)")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run(what: str, *command: str, env: dict[str, str] | None = None, say: Callable[[str], None] = say) -> None:
    """Run a command, and say what it says only when it takes long.

    :param what: what it does
    :raises CalledProcessError: it failed; ``output`` holds the last lines that it printed
    """
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        errors="replace", env=env,
    ) as process, waiting(what, lambda: _latest(lines), say):  # fmt: skip
        assert process.stdout is not None, "it is a pipe"  # noqa: S101
        for line in process.stdout:
            # The address of a registry can hold a login.
            shown = re.sub(r"://[^/@\s]+@", "://", line).strip()
            lines += [shown] if shown else []
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, "\n".join(lines[-LINES:]))


def _latest(lines: Sequence[str]) -> str:
    """Return the line that says best what a command waits for; empty where it has said nothing."""
    recent = [line for line in reversed(lines[-RECENT:]) if not NOISE.search(line)]
    return next((line for line in recent if "://" in line), "".join(recent[:1]))[:150]


def main() -> int:
    """Run the command line."""
    what, *command = sys.argv[1:]
    try:
        run(what, *command)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"[test bed] {what} failed:\n{getattr(error, 'output', error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
