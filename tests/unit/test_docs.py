"""The pages: every link leads to a file or a heading that exists, and what a page speaks of can be seen on it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=PROJECT, check=True, capture_output=True, text=True,
).stdout.splitlines()  # fmt: skip
PAGES = [page for page in LISTED if (PROJECT / page).exists()]
IMAGES = PROJECT / "docs" / "images"
DASHBOARDS = {path.stem: path.read_text("utf-8") for path in (PROJECT / "roles/grafana/files/dashboards").iterdir()}
GUIDE = PROJECT / "docs" / "guia.es.md"
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


def test_no_picture_is_heavy_and_each_is_shown() -> None:
    assert [path.name for path in IMAGES.iterdir() if path.stat().st_size > 150_000] == []
    shown = {(PROJECT / page).parent / link for page in PAGES for link, _ in LINK.findall(prose(PROJECT / page))}
    assert {path for path in IMAGES.iterdir() if path not in shown} == set()


def spoken_of(text: str) -> set[str]:
    """Return the dashboards of which a page speaks: by title, in guillemets, by address, or as that of a service."""
    titles = {json.loads(model)["title"]: uid for uid, model in DASHBOARDS.items()}
    named = {titles[title] for title in re.findall(r"«(.+?)»", text) if title in titles}
    addressed = {uid for uid in DASHBOARDS if f"/d/{uid}" in text}
    return named | addressed | set(re.findall(r"[Dd]ashboard (?:para|de|of|for) `?([a-z]+-service)", text))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_speaks_of_a_dashboard_shows_it(page: str) -> None:
    text = prose(PROJECT / page)
    shown = {Path(link).stem for link in re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)}
    assert spoken_of(text) - shown == set()


def test_a_dashboard_that_is_spoken_of_is_found() -> None:
    said = "See «Alertas», /d/vision-general, the dashboard of ingest-service and the dashboard para `docproc-service`"
    assert spoken_of(said) == {"alertas", "vision-general", "ingest-service", "docproc-service"}
    assert spoken_of("«Sin datos», dashboard, alertas") == set()


def test_what_the_guide_names_is_what_one_sees() -> None:
    names = [" ".join(name.split()) for name in re.findall(r"«(.+?)»", GUIDE.read_text("utf-8"), re.DOTALL)]
    seen = "".join(json.dumps(json.loads(model), ensure_ascii=False) for model in DASHBOARDS.values())
    assert len(names) >= 15
    assert [name for name in names if name not in seen] == []


def test_the_guide_sets_variables_that_exist() -> None:
    text = GUIDE.read_text("utf-8")
    written = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.+?)```", text, re.DOTALL)]
    named = set(re.findall(r"`((?:prometheus|grafana|monitoring)_\w+)`", text)) - {"prometheus_password"}
    listed = set(re.findall(r"^\| `(\w+)` \|", (PROJECT / "docs/variables.md").read_text("utf-8"), re.MULTILINE))
    assert written
    assert {name for block in written for name in block} | named <= listed
