"""What people see of their cluster: a real browser opens its pages, and leaves the pictures of docs/cluster.md."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.integration.browser.pages import WINDOWS, look, show_whole
from tests.integration.cluster_pages.conftest import MODELS
from tests.integration.node import Api
from tests.integration.pictures.taken import keep, open_dashboard

pytestmark = pytest.mark.usefixtures("hour")
each_page = pytest.mark.parametrize("model", MODELS, ids=[model["uid"] for model in MODELS])


@pytest.mark.parametrize("context", WINDOWS, ids=["x".join(map(str, each)) for each in WINDOWS], indirect=True)
@each_page
def test_a_page_is_whole(context: BrowserContext, grafana: Api, usual: set[str], model: dict[str, Any]) -> None:
    show_whole(context, grafana, usual, model)


@each_page
def test_its_picture(context: BrowserContext, browser: Browser, grafana: Api, model: dict[str, Any]) -> None:
    page, shown = open_dashboard(context, grafana, model)
    found = look(page, shown, 60)
    assert {panel["title"] for panel in found if panel["empty"] or panel["error"]} == set()
    keep(page, browser, f"cluster-{model['uid']}".replace("cluster-cluster", "cluster"))
