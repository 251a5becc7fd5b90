"""The fixtures: the receivers on the node, and a service that runs before and after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from testinfra.host import Host

from tests.integration.alerts import receivers
from tests.integration.alerts.tools import Inbox, Service
from tests.integration.node import Api


@pytest.fixture(scope="module")
def inbox(host: Host, tunnel: Callable[[int], str]) -> Iterator[Inbox]:
    """Return the receivers that Alertmanager sends to."""
    started = Inbox(host, Api(tunnel(receivers.WEBHOOK_PORT)))
    started.install()
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def service(host: Host, alertmanager: Api, inbox: Inbox) -> Iterator[Service]:
    """Return a service that runs, and about which all is told."""
    failing = Service(host, alertmanager)
    failing.recover()
    inbox.forget()
    yield failing
    failing.recover()
