"""What people see: a real browser opens every page of a genuine Grafana and a genuine Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from testinfra.host import Host

from tests.integration.browser.pages import (
    DASHBOARDS,
    WINDOWS,
    Watch,
    log_in,
    look,
    panels,
    picture,
    show_whole,
    unfold,
    wrong,
)
from tests.integration.node import Api, poll

each_window = pytest.mark.parametrize(
    "context", WINDOWS, ids=["x".join(map(str, each)) for each in WINDOWS], indirect=True
)
SWITCH = "/var/lib/demo/faults/docproc-exit"


@each_window
@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_dashboard_is_whole(context: BrowserContext, grafana: Api, usual: set[str], uid: str) -> None:
    show_whole(context, grafana, usual, DASHBOARDS[uid])


@pytest.fixture
def bad(grafana: Api) -> Iterator[dict[str, Any]]:
    """Have a dashboard in which everything is wrong that a dashboard of the project must not have."""
    source = {"type": "prometheus", "uid": "prometheus"}
    target = {"datasource": source, "refId": "A", "legendFormat": "a rather long name {{job}} {{instance}}"}
    legend = {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True}
    small = {"type": "timeseries", "datasource": source, "options": {"legend": legend}}
    image = {"mode": "html", "content": "<img src='https://off.example.com/a.png'>"}
    shown: list[dict[str, Any]] = [
        small | {"title": "This title is far too long", "targets": [target | {"expr": "up"}]},
        small | {"title": "Broken", "targets": [target | {"expr": "up{"}]},
        small | {"title": "Nothing", "targets": [target | {"expr": "there_is_no_such_metric"}]},
        {"type": "text", "title": "Foreign", "options": image, "targets": []},
    ]
    model = {"uid": "bad", "title": "Bad", "schemaVersion": 41, "time": {"from": "now-2m", "to": "now"}} | {
        "panels": [
            {**panel, "id": place + 1, "gridPos": {"x": 4 * place, "y": 0, "w": 4, "h": 8}}
            for place, panel in enumerate(shown)
        ]
    }
    grafana.data("/api/dashboards/db", {"dashboard": model, "overwrite": True})
    yield model
    grafana("/api/dashboards/uid/bad", method="DELETE")


def test_what_is_wrong_is_seen(context: BrowserContext, grafana: Api, usual: set[str], bad: dict[str, Any]) -> None:
    page = context.new_page()
    watch = Watch(page, urlsplit(grafana.base).netloc)
    page.goto(f"{grafana.base}/d/bad")
    seen: dict[str, list[str]] = {}

    def all_seen() -> bool:
        seen.update(wrong(look(page, bad, 0), watch, usual))
        return all(seen.values())

    assert poll(all_seen, 120), seen
    assert seen["error"] == ["Broken"]
    assert "Nothing" in seen["no data"]
    assert seen["cut title"] == ["This title is far too long"]
    assert seen["cut legend"] == ["This title is far too long: columns and a row"]
    assert seen["off the node"] == ["https://off.example.com/a.png"]


def test_a_wrong_password_is_refused(browser: Browser, grafana: Api) -> None:
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    log_in(page, grafana, "not-the-password")
    expect(page.get_by_text("Invalid username or password").first).to_be_visible()
    picture(page, "login-refused")
    page.goto(f"{grafana.base}/d/vision-general")
    expect(page.locator("input[name=password]")).to_be_visible()
    context.close()


# How one gets from a panel of the overview to the service: by a value, a line, or the icon beside the title.
CLICKS = [
    ("Estado de los Servicios", "value", "docproc-service"),
    ("Alertas Activas", "value", "alertas"),
    ("Subidas con Error", "value", "ingest-service"),
    ("Documentos Subidos", "value", "ingest-service"),
    ("Documentos Procesados", "value", "docproc-service"),
    ("Chunks Procesados para Embedding por Minuto", "value", "embedding-service"),
    ("Documentos por Minuto", "line", "-service"),
    ("Errores por Servicio", "line", "-service"),
    ("Flujo de Mensajes Kafka", "line", "-service"),
    ("Latencia de Petición (p95)", "icon", "ingest-service"),
    ("Duración del Procesamiento (p95)", "icon", "docproc-service"),
    ("Latencia API OpenAI (p95)", "icon", "embedding-service"),
]


def test_every_panel_of_the_overview_leads_somewhere() -> None:
    assert [title for title, _, _ in CLICKS] == [panel["title"] for panel in panels(DASHBOARDS["vision-general"])]


@pytest.mark.parametrize(("title", "by", "uid"), CLICKS, ids=[title for title, _, _ in CLICKS])
def test_one_click_leads_to_the_service_with_the_same_time_range(
    context: BrowserContext, grafana: Api, title: str, by: str, uid: str
) -> None:
    page, model = context.new_page(), DASHBOARDS["vision-general"]
    page.goto(f"{grafana.base}/d/vision-general?from=now-7m&to=now")
    unfold(page, model)
    look(page, model, 60)
    panel = page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))
    if by == "line":
        click_the_line(page, panel)
    else:
        panel.locator(f'a[href*="/d/{uid}?"]').first.click()
    page.wait_for_url(lambda address: uid in urlsplit(address).path)
    address = urlsplit(page.url)
    asked = parse_qs(address.query)
    assert (asked["from"], asked["to"], asked["var-datasource"]) == (["now-7m"], ["now"], ["prometheus"])


# Where the newest part of a line is, by its colour in the legend.
FIND_A_LINE = """panel => {
    const canvas = panel.querySelector('.u-wrap canvas'), over = panel.querySelector('.u-over').getBoundingClientRect();
    const all = canvas.getBoundingClientRect(), scale = canvas.width / all.width, x = over.left + over.width * 0.95;
    const drawn = canvas.getContext('2d').getImageData((x - all.left) * scale, 0, 1, canvas.height).data;
    for (const icon of panel.querySelectorAll('[data-testid="series-icon"]')) {
        const [red, green, blue] = getComputedStyle(icon).backgroundColor.match(/\\d+/g).map(Number);
        for (let y = 0; y < canvas.height; y++) {
            const pixel = drawn.slice(4 * y, 4 * y + 4);
            const off = Math.abs(pixel[0] - red) + Math.abs(pixel[1] - green) + Math.abs(pixel[2] - blue);
            const place = all.top + y / scale;
            // A line of zeros lies on the edge.
            const inside = place > over.top + 4 && place < over.bottom - 4;
            if (inside && pixel[3] > 200 && off < 30) return {x, y: place};
        }
    }
}"""


def click_the_line(page: Page, panel: Locator) -> None:
    """Click on a line as a person does: the pointer is there first, and once more where nothing has come of it."""
    start = urlsplit(page.url).path

    def led_on() -> bool:
        found = panel.evaluate(FIND_A_LINE)
        if found:
            page.mouse.move(found["x"] - 3, found["y"])
            page.mouse.move(found["x"], found["y"], steps=3)
            page.wait_for_timeout(500)
            page.mouse.click(found["x"], found["y"])
            page.wait_for_timeout(1000)
        return bool(urlsplit(page.url).path != start)

    assert poll(led_on, 120)


@pytest.fixture
def down(host: Host, prometheus: Api) -> Iterator[None]:
    """Let a service die until its alerts fire, and live again after the test."""
    host.check_output(f"sudo touch {SWITCH}")

    def fires() -> bool:
        alerts = prometheus.data("/api/v1/alerts")["data"]["alerts"]
        return {"JobDown"} <= {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    try:
        assert poll(fires, 180)
        yield
    finally:
        host.check_output(f"sudo rm {SWITCH}")


@pytest.mark.usefixtures("down")
def test_the_alerts_page_says_state_time_summary_and_runbook(
    context: BrowserContext, grafana: Api, prometheus: Api
) -> None:
    page = context.new_page()
    page.goto(f"{grafana.base}/d/alertas")
    row = page.get_by_role("row").filter(has_text="JobDown")
    # The page asks again every 15 seconds.
    expect(row).to_contain_text("docproc-service is down")
    expect(row).to_contain_text("Activa")
    expect(row).to_contain_text("Crítica")
    expect(row).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"))
    (runbook,) = {
        alert["annotations"]["runbook_url"]
        for alert in prometheus.data("/api/v1/alerts")["data"]["alerts"]
        if alert["labels"]["alertname"] == "JobDown"
    }
    if runbook.startswith("http"):
        expect(row.get_by_role("link", name="Abrir")).to_have_attribute("href", runbook)
    else:
        expect(row).to_contain_text(runbook)
    picture(page, "alertas-firing")
    page.goto(f"{grafana.base}/d/vision-general")
    active = page.locator("section").filter(has=page.get_by_role("heading", name="Alertas Activas"))
    expect(active).to_contain_text(re.compile(r"[1-9]$"))
    picture(page, "vision-general-firing")


@pytest.mark.parametrize(("path", "shown"), [("targets", "docproc-service"), ("alerts", "JobDown")])
def test_prometheus_shows_its_pages(browser: Browser, prometheus: Api, path: str, shown: str) -> None:
    assert prometheus.login
    if prometheus("/")[0] == 404:
        pytest.skip("TESTBED_PROMETHEUS_ARCHIVE is not set: Debian's Prometheus has no pages to look at")
    user, password = prometheus.login
    context = browser.new_context(
        viewport={"width": 1440, "height": 900},
        http_credentials={"username": user, "password": password},
        ignore_https_errors=True,
    )
    page = context.new_page()
    watch = Watch(page, urlsplit(prometheus.base).netloc)
    page.goto(f"{prometheus.base}/{path}")
    expect(page.get_by_text(shown).first).to_be_visible()
    picture(page, f"prometheus-{path}")
    context.close()
    assert (sorted(watch.said), sorted(watch.asked)) == ([], [])
