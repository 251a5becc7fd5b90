"""The documentation of a module, set against the arguments that it takes."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import yaml


def documents_its_arguments(module: ModuleType, beside: dict[str, set[str]] | None = None) -> bool:
    """Tell whether DOCUMENTATION says of each argument what ARGUMENTS says.

    :param beside: option -> its suboptions, where something else than ARGUMENTS checks them
    """
    documentation = yaml.safe_load(module.DOCUMENTATION)
    documentation["options"] = _with_fragments(documentation)
    for option, names in (beside or {}).items():
        if set(documentation["options"][option].pop("suboptions")) != names:
            return False
    return documents_arguments(yaml.safe_dump(documentation), module.ARGUMENTS)


def _with_fragments(documentation: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a documentation with those of the fragments that it is made of."""
    options = dict(documentation["options"])
    for name in documentation.get("extends_documentation_fragment", []):
        fragment = import_module(f"ansible_collections.emr.monitoring.plugins.doc_fragments.{name.rpartition('.')[2]}")
        options |= yaml.safe_load(fragment.ModuleDocFragment.DOCUMENTATION)["options"]
    return options


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
