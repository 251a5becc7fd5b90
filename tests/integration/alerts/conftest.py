"""The fixtures: the receivers on the node, and services that run before and after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
def docproc(host: Host, alertmanager: Api, inbox: Inbox) -> Iterator[Service]:
    """Return a service whose target is an alert of its own, too."""
    with running(Service(host, alertmanager, "docproc"), inbox) as service:
        yield service


@pytest.fixture
def embedding(host: Host, alertmanager: Api, inbox: Inbox) -> Iterator[Service]:
    """Return a service of which there is one alert."""
    with running(Service(host, alertmanager, "embedding"), inbox) as service:
        yield service


@contextmanager
def running(service: Service, inbox: Inbox) -> Iterator[Service]:
    """Begin and end with a service that runs, and with nothing in the inbox."""
    service.recover()
    inbox.forget()
    yield service
    service.recover()
