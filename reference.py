"""The pages that list the variables, made from the specs and the defaults of the roles.

`make docs` writes docs/variables.md and a README.md into each role. A unit test says when they are stale.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent
ROLES = PROJECT / "roles"
COLLECTION = "emr.monitoring"
MADE = "<!-- Made by `make docs` from the role's specs and defaults: edit those. -->"
# What users look for first.
ORDER = ("settings", "prometheus", "alertmanager", "grafana", "node_exporter", "backup")
LONGEST_DEFAULT = 60
INTRODUCTION = """\
# Variables

Every variable of the project: its type, its default, what it is for. Set one wherever Ansible reads variables:
`group_vars` and `host_vars`, `vars:` in `hosts.yml`, `-e`. Each place wins over these defaults, which are defaults of
roles. [recipes.md](recipes.md) has the most common changes. A name that is misspelt is refused, with the right one.

The one exception is `prometheus_scrape_configs`, which the project ships in `group_vars/emr_master/prometheus.yml`: the
head of that file says which places win over it. A list of yours that has no effect is named by the run.

A default in `{{ }}` follows other variables. *generated* is made once for each node and kept in
`monitoring_secrets_dir`. *of the role* is too long for a table, or follows what a run finds out: the role's
`defaults/main.yml` has it.

"""


@dataclass(frozen=True)
class Variable:
    """A variable, or a key of one that is a dictionary: what its spec says, and its default or an expression for it."""

    name: str
    spec: dict[str, Any]
    default: Any

    @property
    def kind(self) -> str:
        """The type, as a reader needs it: `list of str`, or the values that there are."""
        if "choices" in self.spec:
            return " or ".join(f"`{choice}`" for choice in self.spec["choices"])
        elements = f" of {self.spec['elements']}" if "elements" in self.spec else ""
        return f"{self.spec['type']}{elements}" + (", secret" if self.spec.get("no_log") else "")

    @property
    def shown_default(self) -> str:
        """The default in a cell of a table."""
        if isinstance(self.default, str) and "generated_secret" in self.default:
            return "*generated*"
        text = self.default if isinstance(self.default, str) else json.dumps(self.default)
        text = re.sub(r"\s+", " ", text)
        if not text:
            return "empty"
        # What begins with __ is nobody's to set, and tells a reader nothing.
        return "*of the role*" if len(text) > LONGEST_DEFAULT or "__" in text else f"`{text}`"

    def row(self) -> str:
        """Return the row of a table."""
        cells = (f"`{self.name}`", self.kind, self.shown_default, " ".join(self.spec["description"].split()))
        return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


@dataclass(frozen=True)
class Role:
    """A role: its name and what its files say of it."""

    name: str
    description: str
    dependencies: Sequence[str]
    entries: dict[str, dict[str, Any]]
    variables: Sequence[Variable]
    head: str
    text: str

    def mentions(self, variable: Variable) -> bool:
        """Tell whether a file of the role names a variable."""
        return bool(re.search(rf"\b{re.escape(variable.name)}\b", self.text))


def read(folder: Path) -> Role:
    """Read a role from its folder."""
    meta = yaml.safe_load((folder / "meta/main.yml").read_text())
    specs, defaults = (_load(folder / path) for path in ("meta/argument_specs.yml", "defaults/main.yml"))
    entries = specs.get("argument_specs", {})
    options = (entries.get("main") or entries.get("settings") or {}).get("options", {})
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".yml", ".j2"} and "meta" not in path.parts)
    return Role(
        name=folder.name,
        description=meta["galaxy_info"]["description"],
        dependencies=[dependency["role"].rpartition(".")[2] for dependency in meta["dependencies"]],
        entries=entries,
        variables=list(_variables(options, defaults)),
        head=_head(folder),
        text="".join(path.read_text() for path in files),
    )


def _head(folder: Path) -> str:
    """Return the comment at the head of what a role begins with."""
    first = next(path for path in (folder / "tasks/main.yml", folder / "vars/main.yml") if path.exists())
    lines = first.read_text().removeprefix("---\n").splitlines()
    return "\n".join(line[2:] for line in itertools.takewhile(lambda line: line.startswith("# "), lines))


def _load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text())) if path.exists() else {}


def _variables(options: dict[str, Any], defaults: dict[str, Any], above: str = "") -> Iterator[Variable]:
    for name, spec in options.items():
        default = defaults.get(name)
        keys = spec.get("options", {})
        yield Variable(above + name, spec, {} if keys else default)
        yield from _variables(keys, default or {}, f"{above}{name}.")


def roles() -> list[Role]:
    """Return all roles, those whose variables users set first."""
    found = {path.name: read(path) for path in sorted(ROLES.iterdir()) if (path / "meta/main.yml").exists()}
    return [found.pop(name) for name in ORDER] + list(found.values())


def table(variables: Sequence[Variable]) -> str:
    """Return the table of some variables."""
    rows = ["| variable | type | default | |", "|---|---|---|---|", *(variable.row() for variable in variables)]
    return "\n".join(rows) + "\n"


def variables_page(everything: Sequence[Role]) -> str:
    """Return the page that lists every variable."""
    parts = [
        f"## Role `{role.name}`\n\n{role.description}.\n\n{table(role.variables)}"
        for role in everything
        if role.variables
    ]
    return f"<!-- Made by `make docs` from the roles' specs and defaults: edit those. -->\n{INTRODUCTION}" + "\n".join(
        parts
    )


def role_page(role: Role, everything: Sequence[Role]) -> str:
    """Return the README of a role."""
    parts = [f"# Role `{COLLECTION}.{role.name}`\n\n{MADE}\n{role.description}.\n"]
    if role.dependencies:
        links = ", ".join(f"[{name}](../{name}/README.md)" for name in role.dependencies)
        parts.append(f"Depends on {links}.\n")
    if role.head and not role.entries:
        parts.append(f"```\n{role.head}\n```\n")
    if entries := {name: entry for name, entry in role.entries.items() if name != "settings"}:
        rows = [f"| `{name}` | {entry['short_description']} |" for name, entry in entries.items()]
        parts.append("\n".join(["| `tasks_from` | |", "|---|---|", *rows]) + "\n")
    if role.variables:
        parts.append(f"## Variables\n\n{table(role.variables)}")
    for other in everything:
        used = [
            f"`{variable.name}`" for variable in other.variables if "." not in variable.name and role.mentions(variable)
        ]
        if used and other is not role:
            parts.append(
                f"## Variables of [{other.name}](../{other.name}/README.md) that it reads\n\n{', '.join(used)}\n"
            )
    if purge := role.entries.get("uninstall", {}).get("options"):
        lines = [f"`{name}`: {option['description']}" for name, option in purge.items()]
        parts.append("## What the caller of `uninstall` says\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def pages() -> dict[Path, str]:
    """Return the text of every page by its path."""
    everything = roles()
    readmes = {ROLES / role.name / "README.md": role_page(role, everything) for role in everything}
    return {PROJECT / "docs/variables.md": variables_page(everything), **readmes}


def main() -> int:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
