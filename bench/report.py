"""Write the page that says what everything costs, from what the sections found."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from bench.figures import table

INTRODUCTION = """\
# Performance

`make bench` measured all of this and wrote this page. Seconds drift with the machine and the day, so runs are set
against the *floor* of the same minutes: an empty play without facts that pings the node once. Figures are medians,
with the least and the greatest in brackets.
"""


def page(sections: Mapping[str, ModuleType], results: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the page in Markdown.

    :param sections: the modules of the sections by name
    :param results: what they found by the same names: ``data``, and ``machine``, which says where and when
    """
    held = [target.row() for name, result in results.items() for target in sections[name].targets(result["data"])]
    missing = [name for name in sections if name not in results]
    return "\n".join(
        [
            INTRODUCTION,
            table(["target", "limit", "measured", ""], *held),
            *([f"\nNot measured yet: {', '.join(missing)}."] if missing else []),
            *(_section(name, sections[name], result) for name, result in results.items()),
            _machine({name: result["machine"] for name, result in results.items()}),
        ]
    )


def _section(name: str, module: ModuleType, result: Mapping[str, Any]) -> str:
    return f"\n## {module.TITLE}\n\n{module.text(result['data'])}\n\nTo measure it again: `make bench SECTIONS={name}`."


def _machine(machines: Mapping[str, Mapping[str, str]]) -> str:
    """Describe where and when it was measured: once what the sections share, and by section what they do not."""
    rows = []
    for key in dict.fromkeys(key for machine in machines.values() for key in machine):
        values = {name: machine[key] for name, machine in machines.items()}
        each = [f"{name}: {value}" for name, value in values.items()]
        rows.append([key, values.popitem()[1] if len(set(values.values())) == 1 else "; ".join(each)])
    return f"\n## Machine and versions\n\n{table(['', ''], *rows)}\n"
