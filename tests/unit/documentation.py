"""The documentation of a module, set against the arguments that it takes."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import yaml


def documents_its_arguments(module: ModuleType) -> bool:
    """Tell whether DOCUMENTATION says of each argument what ARGUMENTS says."""
    return documents_arguments(module.DOCUMENTATION, module.ARGUMENTS)


def documents_arguments(documentation: str, arguments: dict[str, Any]) -> bool:
    """Tell whether a documentation says of each argument what the arguments of a module or an action say."""
    return _shape(yaml.safe_load(documentation)["options"], "suboptions") == _shape(arguments, "options")


def _shape(options: dict[str, Any], nested: str) -> dict[str, Any]:
    return {
        name: (
            option["type"],
            option.get("default"),
            option.get("required", False),
            _shape(option.get(nested, {}), nested),
        )
        for name, option in options.items()
    }
