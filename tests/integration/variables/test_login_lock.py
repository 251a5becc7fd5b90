"""Whoever tries passwords at Grafana locks the administrator out: no run fails by it, and none adds to the count."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import Api, Playbook, poll, words

DATABASE = "/mnt/grafana/data/grafana.db"
STATEMENT = """
import json, sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=20) as database:
    print(json.dumps(database.execute(sys.argv[2]).fetchall()))
"""


def sql(host: Host, statement: str) -> Any:
    """Return what a statement says in Grafana's database."""
    command = f"python3 -c {shlex.quote(STATEMENT)} {DATABASE} {shlex.quote(statement)}"
    return json.loads(host.check_output(f"sudo runuser --user=grafana -- {command}"))


def attempts(host: Host) -> list[str]:
    return [name for (name,) in sql(host, "SELECT username FROM login_attempt ORDER BY username")]


@pytest.fixture(autouse=True)
def _unlocked(host: Host) -> Iterator[None]:
    """Begin and end without an attempt."""
    sql(host, "DELETE FROM login_attempt")
    yield
    sql(host, "DELETE FROM login_attempt")


def lock(grafana: Api, name: str) -> None:
    """Try wrong passwords until the right one is refused."""
    for attempt in range(5):
        assert grafana.as_user((name, f"wrong-{attempt}"))("/api/user")[0] == 401


def test_a_locked_administrator_makes_no_run_fail_and_keeps_the_password(
    host: Host, playbook: Playbook, grafana: Api
) -> None:
    lock(grafana, "admin")
    assert grafana("/api/user")[0] == 401
    before = sql(host, "SELECT password FROM user WHERE login = 'admin'")
    done = playbook("site.yml", "--tags=grafana")
    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout
    assert playbook("playbooks/verify.yml", "--tags=grafana").returncode == 0
    assert sql(host, "SELECT password FROM user WHERE login = 'admin'") == before
    assert attempts(host) == ["admin"] * 5


def test_a_lock_under_every_name_is_waited_out_and_said(host: Host, playbook: Playbook, grafana: Api) -> None:
    for name in ("admin", "admin@localhost"):
        lock(grafana, name)
    # As if it were four and a half minutes ago.
    sql(host, "UPDATE login_attempt SET created = created - 270")
    done = playbook("site.yml", "--tags=grafana")
    assert done.returncode == 0, done.stdout
    assert "Somebody tried wrong passwords for admin, from 127.0.0.1" in words(done)
    assert "changed=0" in done.stdout


def test_a_password_that_was_changed_in_grafana_is_set_anew_without_trying_a_wrong_one(
    host: Host, playbook: Playbook, grafana: Api, variables: dict[str, Any]
) -> None:
    change = {"oldPassword": variables["grafana_admin_password"], "newPassword": "by-hand-in-the-page"}
    status, said = grafana("/api/user/password", change, "PUT")
    assert status == 200, said
    verified = playbook("playbooks/verify.yml", "--tags=grafana")
    assert verified.returncode != 0
    assert "the database holds another password" in words(verified)
    done = playbook("site.yml", "--tags=grafana")
    assert done.returncode == 0, done.stdout
    assert attempts(host) == []
    assert poll(lambda: grafana("/api/user")[0] == 200, 20)
