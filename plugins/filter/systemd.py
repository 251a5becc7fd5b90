"""Quote arguments for a systemd unit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleFilterError


def systemd_arguments(arguments: Iterable[Any]) -> str:
    """Join arguments into one command line for ``ExecStart=``, one argument a line.

    Quotes, specifiers (``%``) and variables (``$``) reach the program as they are
    (systemd.service(5), "Command lines").

    :param arguments: the arguments, each a string or number without a line break
    :raises AnsibleFilterError: an argument holds a line break
    """
    quoted = []
    for argument in map(str, arguments):
        if "\n" in argument or "\r" in argument:
            raise AnsibleFilterError(f"The argument {argument!r} holds a line break: write it on one line.")
        escaped = argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
        quoted.append(f'"{escaped}"')
    return " \\\n    ".join(quoted)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"systemd_arguments": systemd_arguments}
