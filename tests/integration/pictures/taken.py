"""How a picture of a page gets into docs/."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.integration.node import PROJECT, Api

IMAGES = PROJECT / "docs" / "images"
WIDTH = 1440
LARGEST = 150_000
# The browser packs pictures better than a PNG does, and no other program is needed.
PACK = """async ([picture, quality]) => {
    const image = await createImageBitmap(await (await fetch('data:image/png;base64,' + picture)).blob());
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext('2d').drawImage(image, 0, 0);
    const packed = await canvas.convertToBlob({type: 'image/webp', quality});
    const bytes = new Uint8Array(await packed.arrayBuffer());
    return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
}"""


def keep(page: Page, browser: Browser, name: str) -> None:
    """Write what is in the window into the folder of the pictures."""
    picture = base64.b64encode(page.screenshot()).decode()
    # A page of its own: those of Grafana forbid themselves what a picture needs.
    packer = browser.new_page()
    packed = base64.b64decode(packer.evaluate(PACK, [picture, 0.9]))
    packer.close()
    assert len(packed) <= LARGEST, f"{name} has {len(packed)} bytes"
    (IMAGES / f"{name}.webp").write_bytes(packed)


def open_dashboard(context: BrowserContext, grafana: Api, dashboard: Mapping[str, Any]) -> tuple[Page, dict[str, Any]]:
    """Open a dashboard in a window that shows all but what a row hides; return its page and what is seen."""
    page, model = context.new_page(), dict(dashboard)
    model["panels"] = [panel for panel in model["panels"] if panel["type"] != "row"]
    below = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in model["panels"])
    page.set_viewport_size({"width": WIDTH, "height": below * 38 + 220})
    page.goto(f"{grafana.base}/d/{model['uid']}")
    return page, model
