"""Whether folders on the node are such as a unit can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.node_folders import hidden
from ansible_collections.emr.monitoring.plugins.test.systemd import systemd_folder


def unusable_folders(folders: Mapping[str, Any], volume: Any) -> list[str]:
    """Say which folders on the node no unit could use, before the node is asked.

    :param folders: path by the name of its variable
    :param volume: ``monitoring_volume``, which those follow that lie below it
    :returns: sentences; one alone where all that is wrong is the volume
    """
    wrong = _problem("monitoring_volume", volume)
    problems = {name: _problem(name, path) for name, path in folders.items()}
    follow = [name for name, path in folders.items() if wrong and str(path).startswith(str(volume))]
    return [said for name, said in {"monitoring_volume": wrong, **problems}.items() if said and name not in follow]


def _problem(name: str, path: Any) -> str:
    if not systemd_folder(str(path)):
        return f"{name} is '{path}': write an absolute path of letters, digits and . _ + -, without a final '/'."
    reason = hidden(str(path))
    return f"{name} is {path}, and {reason}: choose a folder elsewhere, such as below /mnt." if reason else ""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"unusable_folders": unusable_folders}
