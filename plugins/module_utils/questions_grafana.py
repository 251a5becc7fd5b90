"""What Grafana is asked, and what follows from its answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ansible_collections.emr.monitoring.plugins.module_utils.grafana_login import Login
from ansible_collections.emr.monitoring.plugins.module_utils.grafana_settings import ignored_settings
from ansible_collections.emr.monitoring.plugins.module_utils.questions import Answers, Found, failure, shown

# How long Grafana may take to look for new dashboards: it does every 10 s.
DASHBOARDS = 20.0
# For 5 s Grafana asks with what it knew of a data source, whatever it has loaded since: seen on 12.4.
CACHED = 6.0
# What Grafana 12.4 says of a source without a part of its own in the server (alertmanager), or without a health check.
NO_QUESTION = ("plugin.unavailable", "plugin.notImplemented")


@dataclass(frozen=True)
class Grafana:
    """What a Grafana is asked.

    :ivar api: its address, without a final slash
    :ivar user: login of the administrator
    :ivar dashboards: the titles of the dashboards that it was given, by uid
    :ivar folder: where they lie
    :ivar datasources: uids of the data sources that it was given
    :ivar notes: what to say of the dashboards
    :ivar plugins: version of each plugin that it was given, by its id
    :ivar ini: the keys that a user wrote into its configuration, by section, see ``ignored_settings``
    :ivar defaults: path of the defaults.ini of its release
    :ivar look: returns what its database says of the administrator
    :ivar reloaded: when it was last made to load its data sources while it ran, in seconds since the epoch
    """

    api: str
    user: str
    dashboards: dict[str, str]
    folder: str
    datasources: list[str]
    notes: list[str] = field(default_factory=list)
    plugins: dict[str, str] = field(default_factory=dict)
    ini: dict[str, dict[str, bool]] = field(default_factory=dict)
    defaults: str = ""
    look: Callable[[], Login] | None = None
    reloaded: float = 0.0

    def urls(self) -> dict[str, str]:
        """Return the addresses to ask, by name; the login early, since no more is asked where that is refused."""
        sources = {
            f"health of {uid}": f"{self.api}/api/datasources/uid/{quote(uid, safe='')}/health"
            for uid in self.datasources
        }
        return {
            "health": f"{self.api}/api/health",
            "login": f"{self.api}/api/user",
            "search": f"{self.api}/api/search?type=dash-db&limit=5000",
            **self.plugin_urls(),
            **sources,
        }

    def plugin_urls(self) -> dict[str, str]:
        """Return the addresses at which it tells of its plugins, by name."""
        return {f"plugin {name}": f"{self.api}/api/plugins/{name}/settings" for name in self.plugins}

    def plugin_problems(self, answers: Answers) -> list[str]:
        """Say which plugins it did not take, and why."""
        return [*filter(None, (self._plugin_problem(name, answers[f"plugin {name}"]) for name in self.plugins))]

    def _plugin_problem(self, name: str, answer: Mapping[str, Any]) -> str:
        said = answer["json"] if isinstance(answer["json"], dict) else {}
        if answer["status"] != 200:
            reason = said.get("message") or answer["error"] or f"status {answer['status']}"
            return (
                f"Grafana did not take the plugin {name}: {shown(reason)}. One without a signature has to be named in "
                "grafana_ini.plugins.allow_loading_unsigned_plugins."
            )
        version = (said.get("info") or {}).get("version")
        if version == self.plugins[name]:
            return ""
        return (
            f"Grafana runs version {shown(str(version))} of the plugin {name}, and not {self.plugins[name]}: another "
            "copy lies in the folder plugins of grafana_data_dir. Remove it."
        )

    def judge(self, answers: Answers, late: bool) -> Found:
        """Return what the answers say; `late` is whether they are the last ones."""
        health = answers["health"]
        if health["status"] == 503:
            # It then refuses every login, the right one, too.
            return Found(problems=["Grafana does not reach its database, and refuses every login until it does."])
        if "timed out" in health["error"]:
            said = failure(f"{self.api}/api/health", health, "")
            return Found(problems=[f"{said} It hangs where its database does."])
        if answers["search"]["status"] != 200:
            # Only now: to look a login up means to hash a password ten thousand times.
            said = failure(f"{self.api}/api/search, asked as {self.user}", answers["search"], self._hint())
            return Found(problems=[said])
        taken_up = {each["uid"] for each in answers["search"]["json"]}
        missing = [shown(title) for uid, title in self.dashboards.items() if uid not in taken_up]
        return Found(
            self.plugin_problems(answers)
            + ([f"Grafana has not taken up {', '.join(missing)} from {self.folder}."] if missing and late else []),
            {**dict.fromkeys(missing, DASHBOARDS), **self._not_yet_known()},
            [
                *(f"{shown(title)}: /d/{uid}" for uid, title in self.dashboards.items()),
                *map(shown, self.notes),
                *map(shown, ignored_settings(self.defaults, self.ini)),
                *(
                    f"The data source {shown(uid)} cannot be asked whether it works: its type has no such question."
                    for uid in self.datasources
                    if self._has_no_question(uid, answers)
                ),
            ],
            [*filter(None, (self._health(uid, answers) for uid in self.datasources))],
        )

    def _not_yet_known(self) -> dict[str, float]:
        """Return for how long nobody knows whether the data sources work."""
        left = self.reloaded + CACHED - time.time()
        return {"the data sources": left} if self.datasources and left > 0 else {}

    def _hint(self) -> str:
        login = self.look() if self.look else Login("")
        if login.locked_for:
            places = ", ".join(map(shown, login.tried_from))
            return (
                f"Somebody tried wrong passwords, from {places}: it refuses the right one, too, for another "
                f"{login.locked_for} s."
            )
        return "A 401 means that grafana_admin_password is not the one that site.yml last set."

    @staticmethod
    def _has_no_question(uid: str, answers: Answers) -> bool:
        said = answers[f"health of {uid}"]["json"]
        return isinstance(said, dict) and said.get("messageId") in NO_QUESTION

    def _health(self, uid: str, answers: Answers) -> str:
        """Return what is wrong with a data source, empty where nothing is."""
        answer = answers[f"health of {uid}"]
        said = answer["json"] if isinstance(answer["json"], dict) else {}
        if said.get("status") == "OK" or self._has_no_question(uid, answers):
            return ""
        reason = said.get("message") or answer["error"] or f"status {answer['status']}"
        remedy = "Does its url answer on the node?"
        if "not registered" in reason.lower():
            remedy = (
                "Is its type a plugin's id, as Grafana writes it? grafana_plugins brings one that is no part of it."
            )
        return f"The data source {uid} does not work: {shown(reason)}. {remedy}"
