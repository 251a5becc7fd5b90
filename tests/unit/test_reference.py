"""The pages that list the variables say what the roles say now."""

from __future__ import annotations

import re
from pathlib import Path

import reference

PROJECT = Path(__file__).resolve().parents[2]


def test_the_pages_are_what_make_docs_would_write() -> None:
    stale = [path.relative_to(PROJECT) for path, text in reference.pages().items() if path.read_text() != text]
    assert stale == [], "run `make docs`"


def test_every_role_has_a_page() -> None:
    assert {path.parent for path in (PROJECT / "roles").glob("*/README.md")} == set((PROJECT / "roles").iterdir())


def test_every_variable_is_in_the_list_once() -> None:
    listed = re.findall(r"^\| `([\w.]+)` \|", (PROJECT / "docs/variables.md").read_text(), re.M)
    defaults = (PROJECT / "roles").glob("*/defaults/main.yml")
    named = [name for path in defaults for name in re.findall(r"^(\w+):", path.read_text(), re.M)]
    assert named, "the search itself has to find something"
    assert sorted(name for name in listed if "." not in name) == sorted(named)


def test_a_table_has_no_cell_that_would_break_it() -> None:
    variable = reference.Variable("a", {"type": "str", "description": "One of\na | b <c>."}, "{{ x | y }}")
    assert variable.row() == "| `a` | str | `{{ x \\| y }}` | One of a \\| b &lt;c>. |"
