"""The fixtures: those of the browser's tests, and an hour of data."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from tests.integration.browser.conftest import _genuine, browser, context, session
from tests.integration.browser.pages import DASHBOARDS
from tests.integration.node import Api
from tests.integration.pictures.past import make_an_hour

__all__ = ["_genuine", "browser", "context", "session"]


@pytest.fixture(scope="module")
def hour(host: Host, prometheus: Api, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let Prometheus have an hour of data that ends with what it has measured itself."""
    make_an_hour(host, prometheus, tmp_path_factory.mktemp("history") / "history.txt", list(DASHBOARDS.values()))
