"""What Alertmanager is asked, and what follows from its answer."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.emr.monitoring.plugins.module_utils.questions import Answers, Found, failure, shown

LOGIN = "A 401 means that alertmanager_username or alertmanager_password is not the one that site.yml last set."


@dataclass(frozen=True)
class Alertmanager:
    """What an Alertmanager is asked.

    :ivar api: its address, without a final slash
    :ivar hidden: receivers that tell nobody
    """

    api: str
    hidden: list[str]

    def urls(self) -> dict[str, str]:
        """Return the addresses to ask, by name."""
        return {"receivers": f"{self.api}/api/v2/receivers"}

    def judge(self, answers: Answers, late: bool) -> Found:
        """Return what the answer says; `late` is whether it is the last one."""
        if reason := failure(self.urls()["receivers"], answers["receivers"], LOGIN):
            return Found(problems=[reason])
        names = [shown(each["name"]) for each in answers["receivers"]["json"] if each["name"] not in self.hidden]
        return Found(lines=[f"Alertmanager tells {', '.join(names)}"])
