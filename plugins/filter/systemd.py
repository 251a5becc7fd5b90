"""Quote arguments for a systemd unit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleFilterError


def systemd_arguments(arguments: Iterable[Any]) -> str:
    """Join arguments into one command line for ``ExecStart=``, one argument a line.

    Quotes, specifiers (``%``) and variables (``$``) reach the program as they are
    (systemd.service(5), "Command lines").

    :param arguments: the arguments, each a string or number of printable characters
    :raises AnsibleFilterError: an argument holds another one, such as a line break; systemd would ignore the line
    """
    quoted = []
    for argument in map(str, arguments):
        if not argument.isprintable():
            raise AnsibleFilterError(
                f"The argument {argument!r} holds a line break or another unprintable character: remove it."
            )
        escaped = argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
        quoted.append(f'"{escaped}"')
    return " \\\n    ".join(quoted)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"systemd_arguments": systemd_arguments}
