"""What the tests of alerts share: what the receivers got, and the service that fails."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.integration.alerts import receivers
from tests.integration.node import Api, poll, unit_properties

UNIT = "alertmanager.service"
FOLDER = "/opt/receivers"


@dataclass
class Service:
    """A service of the demo, and what Alertmanager knows of it."""

    host: Host
    alertmanager: Api
    name: str

    def fail(self) -> None:
        """Stop it."""
        self.host.check_output(f"sudo systemctl stop {self.name}-service")

    def recover(self) -> None:
        """Start it, and wait until Alertmanager knows of no alert of it."""
        self.host.check_output(f"sudo systemctl start {self.name}-service")
        assert poll(lambda: self.alerts() == [], 40), self.alerts()

    def alerts(self) -> list[dict[str, Any]]:
        """Return its alerts."""
        return list(self.alertmanager.data(f"/api/v2/alerts?filter=service%3D%22{self.name}%22"))


@dataclass
class Inbox:
    """The webhook and the mail server on the node, and what they got since the last look at them."""

    host: Host
    api: Api
    seen: int = field(init=False, default=0)

    def install(self) -> None:
        """Put the program on the node; the certificate of the mail server is there, where it is needed."""
        source = base64.b64encode(Path(receivers.__file__).read_bytes()).decode()
        self.host.check_output(
            f"sudo mkdir -p {FOLDER} && echo {source} | base64 --decode | sudo tee {FOLDER}/receivers.py"
        )

    def start(self) -> None:
        """Start them with nothing in them."""
        self.host.check_output(f"sudo systemd-run --collect --unit=receivers python3 {FOLDER}/receivers.py")
        assert poll(self._answers, 20), self.host.check_output("sudo journalctl --unit=receivers")
        self.seen = 0

    def stop(self) -> None:
        """Stop them; what they got is gone."""
        self.host.check_output("sudo systemctl stop receivers")

    def _answers(self) -> bool:
        try:
            return self.api("/messages")[0] == 200
        except OSError:
            return False

    def forget(self) -> None:
        """Look only at what comes from now on."""
        self.seen = len(self.api.data("/messages"))

    def messages(self) -> list[dict[str, Any]]:
        """Return what came."""
        return list(self.api.data("/messages")[self.seen :])

    def about(self, service: Service, via: str) -> list[dict[str, Any]]:
        """Return what came one way about a service."""
        return [m for m in self.messages() if (m["via"], m["service"]) == (via, service.name)]

    def wait_for(self, status: str, service: Service, via: str) -> dict[str, Any]:
        """Return the first message about a service that has a status, firing or resolved."""

        def first() -> dict[str, Any] | None:
            return next((message for message in self.about(service, via) if message["status"] == status), None)

        found = poll(first, 30)
        assert found, f"nothing {status} came by {via}: {self.messages()}"
        return dict(found)


def kill(service: Service) -> None:
    """Kill Alertmanager, and wait until it has come back and is told of the service's alerts again."""
    before = unit_properties(service.host, UNIT, "MainPID")["MainPID"]
    service.host.check_output(f"sudo kill -9 {before}")

    def knows() -> bool:
        try:
            return service.alerts() != []
        except OSError:
            return False

    assert poll(knows, 40), "Alertmanager does not answer, or is not told of the alerts"
    assert unit_properties(service.host, UNIT, "MainPID")["MainPID"] != before


def decide(alertmanager: Api) -> None:
    """Wait until Alertmanager has decided what to send: it looks at what was sent, once for each way."""
    looks = "alertmanager_nflog_queries_total"
    before = metric(alertmanager, looks)
    assert poll(lambda: metric(alertmanager, looks) >= before + 4, 20)


def silence_ingest(alertmanager: Api) -> str:
    """Silence a service that the tests leave alone; return the silence's id."""
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "service", "value": "ingest", "isRegex": False}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(minutes=5)).isoformat(),
        "createdBy": "test",
        "comment": "to be kept",
    }
    return str(alertmanager.data("/api/v2/silences", silence)["silenceID"])


def metric(alertmanager: Api, name: str) -> float:
    """Return the sum of Alertmanager's own series of a name."""
    page = alertmanager.data("/metrics")
    found = [float(line.split()[-1]) for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    assert found, f"there is no {name}"
    return sum(found)
