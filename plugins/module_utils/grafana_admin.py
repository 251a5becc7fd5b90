"""See to it that Grafana lets its administrator in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.emr.monitoring.plugins.module_utils.grafana_login import Login
from ansible_collections.emr.monitoring.plugins.module_utils.http_client import Answer
from ansible_collections.emr.monitoring.plugins.module_utils.text import printable
from ansible_collections.emr.monitoring.plugins.module_utils.unit import Run
from ansible_collections.emr.monitoring.plugins.module_utils.unit_state import UnitError

INTERVAL = 0.5


@dataclass
class Administrator:
    """Grafana's administrator, as whom a run asks.

    :ivar name: login of the user
    :ivar password: the password that the user shall have
    :ivar url: an address that answers 200 to the user alone
    :ivar ask: sends a GET request as the user
    :ivar look: returns what Grafana's database says of the user and the password
    :ivar run: runs a command; returns exit code, stdout and stderr
    :ivar reset: the command that gives the user with the id 1 the password that it reads
    :ivar tree: the tree of files that changes when the password does
    :ivar renewed: whether the password is another one than that of the last run
    """

    name: str
    password: str
    url: str
    ask: Callable[[str], Answer]
    look: Callable[[], Login]
    run: Run
    reset: list[str]
    tree: str
    renewed: bool = False
    waited: str = ""

    def admit(self) -> bool:
        """Have Grafana let the user in; return whether the password was changed for that.

        `waited` says afterwards why Grafana refused the right password for a while. Raise UnitError where it goes on.
        """
        login = self.look()
        # Grafana counts wrong passwords, so one that the database does not know is not tried.
        known = login.state not in ("wrong", "absent")
        answer = self.ask(self.url) if known else Answer(401)
        if answer.status == 200:
            return False
        login = self.look() if known else login
        if login.state == "absent":
            raise UnitError(self._refusal(login))
        if answer.status != 401 and login.state != "wrong":
            raise UnitError(
                f"is ready, but {self.url} answers {answer.error or f'HTTP {answer.status}'}, neither 200 nor 401, to "
                f"{self.name}. The journal says why"
            )
        # Where the database is not on this node, nobody but Grafana knows which password is right, and a 401 says as
        # well that the user is locked.
        changed = login.state == "wrong" or (login.state == "unknown" and self.renewed)
        if changed:
            self._set_password()
        if login.locked_for:
            self._wait(login)
        login, answer = self.look(), self.ask(self.url)
        if answer.status != 200:
            raise UnitError(self._refusal(login))
        return changed

    def _set_password(self) -> None:
        code, _, _ = self.run(self.reset, data=self.password, binary_data=False)
        if code:
            # Not in its words: it may show what it read.
            raise UnitError(f"did not take the password of {self.name}: `{' '.join(self.reset)}` ended with {code}")

    def _wait(self, login: Login) -> None:
        """Wait until Grafana takes a right password again."""
        self.waited = (
            f"Somebody tried wrong passwords for {self.name}, from {_places(login)}. Grafana refused the right one, "
            f"too, for {login.locked_for} s, which this run waited."
        )
        deadline = time.monotonic() + login.locked_for
        while self.look().locked_for and time.monotonic() < deadline:
            time.sleep(INTERVAL)

    def _refusal(self, login: Login) -> str:
        if login.locked_for:
            return (
                f"refuses {self.name}, since somebody goes on trying passwords, from {_places(login)}: keep that "
                "address from its port, and run again. The password was not changed because of it"
            )
        return REFUSALS[login.state].format(name=self.name)


REFUSALS = {
    "right": "refuses {name}, whose password in the database is grafana_admin_password. Is the user disabled there, or "
    "auth.basic in grafana_ini? Or did somebody on the node try wrong passwords, where grafana_ini has the protection "
    "of addresses on? That is over in five minutes",
    "wrong": "holds another password of {name} still: grafana_admin_user is not the administrator whose password "
    "Grafana's command sets, which is the user with the id 1",
    "absent": "holds no user {name} in its database: grafana_admin_user is not the name with which it was created. Set "
    "it to that name, or rename the user in Grafana's pages",
    "unknown": "refuses {name} with grafana_admin_password. Either somebody tried five wrong passwords, which is over "
    "in five minutes, or changed it in Grafana: then set another grafana_admin_password, and run again",
}


def _places(login: Login) -> str:
    return ", ".join(printable(place) for place in login.tried_from)
