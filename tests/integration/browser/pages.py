"""What the browser does on a page, and what it finds there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

from tests.integration.node import PROJECT, Api, poll

PICTURES = PROJECT / ".cache" / "browser"
FOLDER = PROJECT / "roles/grafana/files/dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.iterdir())}
HEADINGS = ["page", "window", "panels", "error", "no data", "cut title", "cut legend", "console", "off the node"]
SEEN: list[list[str]] = []
# Titles and legends are whole from here on.
WIDE = 1440
WINDOWS = [(WIDE, 900), (1920, 1080), (390, 844)]

# Of each panel its heading, and what is wrong with it.
LOOK = """() => [...document.querySelectorAll('section[data-testid^="data-testid Panel header"]')].map(panel => {
    const title = panel.querySelector('h2');
    const cut = [];
    const table = [...panel.querySelectorAll('table')].find(each => each.querySelector('[data-testid="series-icon"]'));
    if (table) {
        let box = table;
        while (getComputedStyle(box).overflowY === 'visible') box = box.parentElement;
        if (box.scrollWidth > box.clientWidth + 1) cut.push('columns');
        const end = box.getBoundingClientRect().bottom;
        // A row's text has 6 pixels above and below it.
        const part = each => each.top < end - 6 && each.bottom > end + 6;
        if ([...table.rows].some(row => part(row.getBoundingClientRect()))) cut.push('a row');
    }
    return {
        title: title ? title.textContent : '',
        loading: Boolean(panel.querySelector('[aria-label="Panel loading bar"]')),
        error: Boolean(panel.querySelector('[data-testid*="Panel status error"]')),
        empty: /^(Sin datos|No data|Data does not have a time field)$/m.test(panel.innerText)
            || panel.innerText.trim() === (title || {}).textContent && !panel.querySelector('canvas'),
        cutTitle: Boolean(title) && title.scrollWidth > title.clientWidth,
        cutLegend: cut.join(' and '),
    };
})"""


@dataclass
class Watch:
    """What a page says on its console, and whom it asks beside the node."""

    page: Page
    node: str
    said: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.said.add(general(str(error))))
        self.page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.said.add(general(f"{message.text} {urlsplit(message.location['url']).path}"))

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.netloc != self.node:
            self.asked.add(request.url)


def general(text: str) -> str:
    """Return a message without what differs from one time to the next."""
    return re.sub(r"\d+", "N", text)[:200]


def log_in(page: Page, grafana: Api, password: str | None = None) -> None:
    """Fill in the form of the login and send it; with the right password, wait until it has led on."""
    assert grafana.login
    page.goto(f"{grafana.base}/login")
    page.fill("input[name=user]", grafana.login[0])
    page.fill("input[name=password]", password or grafana.login[1])
    page.click("button[type=submit]")
    if password is None:
        page.wait_for_url(lambda address: "/login" not in address)


def panels(model: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a dashboard's panels, those of its collapsed rows too."""
    return [each for panel in model["panels"] for each in (panel.get("panels") or [panel])]


def height(model: dict[str, Any], width: int) -> int:
    """Return how high a window shows the whole dashboard: Grafana draws what is in the window alone."""
    places = [panel["gridPos"] for panel in panels(model)]
    # Below 769 pixels each panel has the whole width.
    units = sum(p["h"] for p in places) if width < 769 else max(p["y"] + p["h"] for p in places)
    return int(units) * 38 + 800


def unfold(page: Page, model: dict[str, Any]) -> None:
    """Make the window so high that all of a dashboard is in it, and unfold its rows."""
    width = (page.viewport_size or {"width": 0})["width"]
    page.set_viewport_size({"width": width, "height": height(model, width)})
    for panel in model["panels"]:
        if panel["type"] == "row":
            page.get_by_text(panel["title"], exact=True).click()


def look(page: Page, model: dict[str, Any], seconds: float) -> list[dict[str, Any]]:
    """Return what is found of each panel, once all of them show data or the time is up: they refresh themselves."""
    titles = sorted(panel["title"] for panel in panels(model))

    def found() -> list[dict[str, Any]]:
        return list(page.evaluate(LOOK))

    def settled() -> bool:
        page.wait_for_timeout(300)
        now = found()
        return sorted(panel["title"] for panel in now) == titles and not any(
            panel["loading"] or panel["error"] or panel["empty"] for panel in now
        )

    poll(settled, seconds)
    return found()


def picture(page: Page, name: str) -> Path:
    """Keep a picture of what is in the window."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    return path


def wrong(found: list[dict[str, Any]], watch: Watch, usual: set[str]) -> dict[str, list[str]]:
    """Return what must not be, by the heading of the table."""
    return {
        "error": [panel["title"] for panel in found if panel["error"]],
        "no data": [panel["title"] for panel in found if panel["empty"]],
        "cut title": [panel["title"] for panel in found if panel["cutTitle"]],
        "cut legend": [f"{panel['title']}: {panel['cutLegend']}" for panel in found if panel["cutLegend"]],
        "console": sorted(watch.said - usual),
        "off the node": sorted(watch.asked),
    }


def show_whole(context: BrowserContext, grafana: Api, usual: set[str], model: dict[str, Any]) -> None:
    """Open a dashboard in a window, unfold it and look at each panel; leave pictures, and fail on what must not be."""
    page, uid = context.new_page(), model["uid"]
    assert page.viewport_size
    width, height = page.viewport_size["width"], page.viewport_size["height"]
    watch = Watch(page, urlsplit(grafana.base).netloc)
    page.goto(f"{grafana.base}/d/{uid}")
    page.wait_for_load_state("networkidle")
    picture(page, f"{uid}-{width}x{height}")
    unfold(page, model)
    # A rate needs two scrapes, and the rarer errors take their time to appear.
    found = look(page, model, 150)
    picture(page, f"{uid}-{width}x{height}-whole")
    problems = wrong(found, watch, usual)
    # A telephone may cut.
    matters = [heading for heading in problems if width >= WIDE or "cut" not in heading]
    counts = [str(len(problems[heading])) if heading in matters else "-" for heading in HEADINGS[3:]]
    SEEN.append([uid, f"{width}x{height}", f"{len(found)}/{len(panels(model))}", *counts])
    assert not any(problems[heading] for heading in matters), problems
    assert sorted(panel["title"] for panel in found) == sorted(panel["title"] for panel in panels(model))
