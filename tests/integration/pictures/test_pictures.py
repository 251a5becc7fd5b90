"""The pictures of the pages in docs/: they are made anew, and each is looked at before it is kept."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from testinfra.host import Host

from tests.integration.browser.pages import DASHBOARDS, look, panels
from tests.integration.node import PROJECT, Api, Playbook, poll
from tests.integration.pictures.taken import WIDTH, keep, open_dashboard

SWITCH = "/var/lib/demo/faults/docproc-exit"
pytestmark = pytest.mark.usefixtures("hour")

TERMINAL = """<body style="margin:0;background:#16181d"><pre style="margin:0;padding:24px;color:#d8d9da;
font:15px/1.45 monospace;white-space:pre-wrap">{text}</pre></body>"""


@pytest.mark.parametrize("uid", sorted(set(DASHBOARDS) - {"alertas"}))
def test_a_dashboard(context: BrowserContext, browser: Browser, grafana: Api, uid: str) -> None:
    page, model = open_dashboard(context, grafana, DASHBOARDS[uid])
    found = look(page, model, 60)
    assert {panel["title"] for panel in found if panel["empty"] or panel["error"]} == set()
    assert {panel["title"] for panel in panels(model)} <= {panel["title"] for panel in found}
    keep(page, browser, uid)


def test_the_end_of_a_run(browser: Browser, playbook: Playbook) -> None:
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout
    end = done.stdout[done.stdout.index("TASK [emr.monitoring.verification") :].strip()
    # As in a clone whose secrets lie where they do by default.
    end = end.replace(f"{PROJECT}/.cache/testbed/", "")
    text = html.escape(re.sub(r" \*+$", "", end, flags=re.M))
    text = re.sub(r"^(ok: .*(?:\n .*)*)", r'<span style="color:#73bf69">\1</span>', text, flags=re.M)
    page = browser.new_page(viewport={"width": 1100, "height": 100})
    page.set_content(TERMINAL.format(text=f"$ ansible-playbook site.yml -i inventory/emr\n[…]\n\n{text}"))
    page.set_viewport_size({"width": 1100, "height": page.evaluate("document.documentElement.scrollHeight")})
    keep(page, browser, "run")
    page.close()


def test_the_targets(browser: Browser, prometheus: Api) -> None:
    page = prometheus_page(browser, prometheus, "targets")
    expect(page.get_by_text("docproc-service").first).to_be_visible()
    keep(page, browser, "targets")
    page.close()


def prometheus_page(browser: Browser, prometheus: Api, path: str) -> Page:
    """Open a page of Prometheus with its login."""
    assert prometheus.login
    user, password = prometheus.login
    page = browser.new_page(
        viewport={"width": WIDTH, "height": 900}, http_credentials={"username": user, "password": password}
    )
    page.goto(f"{prometheus.base}/{path}")
    return page


@pytest.fixture
def down(host: Host, prometheus: Api) -> Iterator[None]:
    """Let a service die until its alert fires, and live again after the test."""
    host.check_output(f"sudo touch {SWITCH}")
    wanted = quote('ALERTS{alertname="JobDown",alertstate="firing"}')

    def fires() -> Any:
        return prometheus.data(f"/api/v1/query?query={wanted}")["data"]["result"]

    try:
        assert poll(fires, 240)
        yield
    finally:
        host.check_output(f"sudo rm {SWITCH}")


@pytest.mark.usefixtures("down")
def test_the_alerts(context: BrowserContext, browser: Browser, grafana: Api) -> None:
    page, _ = open_dashboard(context, grafana, DASHBOARDS["alertas"])
    expect(page.get_by_role("row").filter(has_text="JobDown")).to_contain_text("Activa")
    page.wait_for_load_state("networkidle")
    keep(page, browser, "alertas")
