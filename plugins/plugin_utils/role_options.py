"""Read what a role says of its variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def role_options(path: str) -> dict[str, Any]:
    """Return the options of a role's variables.

    :param path: its ``argument_specs.yml``; the entry is ``main``, or the first one in a role without tasks
    """
    specs = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["argument_specs"]
    options: dict[str, Any] = (specs.get("main") or next(iter(specs.values())))["options"]
    return options
