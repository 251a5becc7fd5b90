"""The pages: every link leads to a file or a heading that exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=PROJECT, check=True, capture_output=True, text=True,
).stdout.splitlines()  # fmt: skip
PAGES = [page for page in LISTED if (PROJECT / page).exists()]
LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    path = PROJECT / page
    links = [(path.parent / target if target else path, anchor) for target, anchor in LINK.findall(prose(path))]
    assert [str(target) for target, _ in links if not target.exists()] == []
    assert [(str(target), anchor) for target, anchor in links if anchor and anchor not in anchors(target)] == []


def test_every_page_for_readers_can_be_reached_from_the_readme() -> None:
    linked = {target for target, _ in LINK.findall(prose(PROJECT / "README.md"))}
    assert {page for page in PAGES if page.startswith("docs/")} <= linked
