"""What Alertmanager is asked, and what follows from its answer."""

from __future__ import annotations

import time
from dataclasses import dataclass

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
    :ivar others: with how many other Alertmanagers it is to be a cluster
    """

    api: str
    hidden: list[str]
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
        names = [shown(each["name"]) for each in answers["receivers"]["json"] if each["name"] not in self.hidden]
        line = f"Alertmanager tells {', '.join(names)}"
        if not self.others:
            return Found(lines=[line])
        status = answers["status"]["json"]
        found = len(status["cluster"]["peers"]) - 1
        if found < self.others:
            return Found(
                lines=[line],
                pending={"the other Alertmanagers": seconds(status["uptime"]) + MEET - time.time()},
                down=[
                    f"Alertmanager has found {found} of {self.others} others: until then each tells what it knows by "
                    "itself. Do they run, and is their alertmanager_peers_port open between these hosts?"
                ]
                if late
                else [],
            )
        return Found(lines=[f"{line}, once for all {found + 1} Alertmanagers"])
