"""What Alertmanager is asked, and what follows from its answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ansible_collections.emr.monitoring.plugins.module_utils.questions import Answers, Found, failure, shown
from ansible_collections.emr.monitoring.plugins.module_utils.questions_prometheus import seconds

# Seconds after its start in which it finds those that are there.
MEET = 20
LOGIN = "A 401 means that alertmanager_username or alertmanager_password is not the one that site.yml last set."


@dataclass(frozen=True)
class Alertmanager:
    """What an Alertmanager is asked.

    :ivar api: its address, without a final slash
    :ivar hidden: receivers that tell nobody
    :ivar without_route: those of them that a user wrote and that no route leads to
    :ivar others: with how many other Alertmanagers it is to be a cluster
    """

    api: str
    hidden: list[str]
    without_route: list[str] = field(default_factory=list)
    others: int = 0

    def urls(self) -> dict[str, str]:
        """Return the addresses to ask, by name."""
        status = {"status": f"{self.api}/api/v2/status"} if self.others else {}
        return {"receivers": f"{self.api}/api/v2/receivers", **status}

    def judge(self, answers: Answers, late: bool) -> Found:
        """Return what the answer says; `late` is whether it is the last one."""
        reasons = [failure(url, answers[name], LOGIN) for name, url in self.urls().items()]
        if any(reasons):
            return Found(problems=[reason for reason in reasons if reason][:1])
        hidden = {*self.hidden, *self.without_route}
        names = [shown(each["name"]) for each in answers["receivers"]["json"] if each["name"] not in hidden]
        line = f"Alertmanager tells {', '.join(names)}"
        if self.without_route:
            line += f", and not {', '.join(map(shown, self.without_route))}: no route of alertmanager_route leads there"
        if not self.others:
            return Found(lines=[line])
        status = answers["status"]["json"]
        found = len(status["cluster"]["peers"]) - 1
        if found < self.others:
            alone = (
                f"It has found {found} of {self.others} others, and tells what those would tell, too. Do they run, and "
                "is their alertmanager_peers_port open between these hosts?"
            )
            pending = {"the other Alertmanagers": seconds(status["uptime"]) + MEET - time.time()}
            return Found(lines=[line, alone], pending=pending)
        return Found(lines=[f"{line}, once for all {found + 1} Alertmanagers"])
