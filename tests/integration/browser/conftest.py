"""The fixtures: a real browser that has logged in, and what it saw."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.integration.browser.pages import HEADINGS, SEEN, Watch, log_in
from tests.integration.node import Api

# The machine may be ten times slower.
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session", autouse=True)
def _genuine(variables: dict[str, Any]) -> None:
    if variables["grafana_version"].endswith("-standin"):
        pytest.skip("TESTBED_GRAFANA_ARCHIVE is not set: the stand-in for Grafana has no pages to look at")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return Debian's Chromium."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: `python molecule/testbed/testbed.py browser` installs it"
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to run as root.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=program, args=options)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def session(browser: Browser, grafana: Api) -> Any:
    """Return the cookies of a user who logged in through the page."""
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(PATIENCE)
    log_in(context.new_page(), grafana)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def context(request: pytest.FixtureRequest, browser: Browser, session: Any) -> Iterator[BrowserContext]:
    """Return a window of that user; its size is the test's parameter, if it has one."""
    width, height = getattr(request, "param", (1440, 900))
    window = browser.new_context(
        viewport={"width": width, "height": height}, storage_state=session, ignore_https_errors=True
    )
    window.set_default_timeout(PATIENCE)
    yield window
    window.close()


@pytest.fixture(scope="session")
def usual(browser: Browser, session: Any, grafana: Api) -> set[str]:
    """Return what Grafana says on the console where it shows no dashboard of the project."""
    context = browser.new_context(storage_state=session, ignore_https_errors=True)
    page = context.new_page()
    watch = Watch(page, urlsplit(grafana.base).netloc)
    for path in ("/dashboards", "/dashboard/new"):
        page.goto(grafana.base + path)
        page.wait_for_load_state("networkidle")
    context.close()
    return watch.said


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was seen on each page."""
    if SEEN:
        lines = [HEADINGS, *SEEN]
        widths = [max(len(line[place]) for line in lines) for place in range(len(HEADINGS))]
        for line in lines:
            terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
