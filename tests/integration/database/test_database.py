"""Grafana's data in PostgreSQL: two nodes share them, they outlive both, and what is wrong with it is said."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import PROJECT, Api, Playbook, poll, process, refused

DATABASE = "emr-database-db"
BACK = "What was live before was put back and runs again"
UNIT = "grafana-server.service"


def on_the_server(*command: str) -> str:
    """Run a command where PostgreSQL runs."""
    return subprocess.run(["docker", *command], check=True, capture_output=True, text=True).stdout


@contextmanager
def stopped() -> Iterator[None]:
    """Have no PostgreSQL."""
    on_the_server("exec", DATABASE, "pg_ctlcluster", "15", "main", "stop", "-m", "immediate")
    try:
        yield
    finally:
        on_the_server("exec", DATABASE, "pg_ctlcluster", "15", "main", "start")


@contextmanager
def frozen() -> Iterator[None]:
    """Have one that takes connections and answers nothing."""
    on_the_server("pause", DATABASE)
    try:
        yield
    finally:
        on_the_server("unpause", DATABASE)


def on_the_other_node(path: str, password: str) -> Any:
    """Ask the second node's Grafana."""
    asked = [
        "exec",
        "emr-database-2",
        "curl",
        "--silent",
        "--user",
        f"admin:{password}",
        f"http://localhost:3000{path}",
    ]
    return json.loads(on_the_server(*asked))


def test_what_people_make_on_one_node_is_on_the_other(host: Host, grafana: Api, variables: dict[str, Any]) -> None:
    source = {"name": "Own", "uid": "own", "type": "prometheus", "access": "proxy", "url": "http://localhost:9090"}
    secret = {"basicAuth": True, "basicAuthUser": variables["prometheus_username"]}
    password = {"secureJsonData": {"basicAuthPassword": variables["prometheus_password"]}}
    status, _ = grafana("/api/datasources", {**source, **secret, **password})
    assert status in (200, 409)
    board = {"dashboard": {"uid": "mine", "title": "Mine", "panels": []}, "overwrite": True}
    grafana.data("/api/dashboards/db", board)
    other = variables["grafana_admin_password"]
    assert on_the_other_node("/api/dashboards/uid/mine", other)["dashboard"]["title"] == "Mine"
    assert on_the_other_node("/api/datasources/uid/own", other)["secureJsonFields"] == {"basicAuthPassword": True}
    assert grafana.data("/api/datasources/uid/own/health")["status"] == "OK"
    assert not host.file("/mnt/grafana/data/grafana.db").exists
    assert on_the_server("exec", DATABASE, "su", "postgres", "-c", "psql -tAc 'SELECT 1 FROM resource' grafana")


def test_a_node_that_is_new_finds_it_all_there(host: Host, playbook: Playbook, grafana: Api) -> None:
    grafana.data("/api/dashboards/db", {"dashboard": {"uid": "kept", "title": "Kept", "panels": []}, "overwrite": True})
    gone = playbook("playbooks/uninstall.yml", "--limit=emr-database-1", uninstall_purge_data=True)
    assert gone.returncode == 0, gone.stdout
    back = playbook("site.yml", "--limit=emr-database-1")
    assert back.returncode == 0, back.stdout
    assert grafana.data("/api/dashboards/uid/kept")["dashboard"]["title"] == "Kept"


def test_its_password_is_in_no_output_and_no_file_that_others_read(
    host: Host, playbook: Playbook, variables: dict[str, Any]
) -> None:
    needle = variables["grafana_database"]["password"]
    shown = playbook("site.yml", "-vvvv", "--diff", "--limit=emr-database-1", grafana_ini={"log": {"level": "warn"}})
    assert shown.returncode == 0, shown.stdout
    assert needle not in shown.stdout
    assert needle not in host.check_output("ps -ef; systemctl cat grafana-server")
    assert host.check_output("sudo stat --format='%a %U' /etc/grafana/database_password") == "600 root"
    back = playbook("site.yml", "--limit=emr-database-1")
    assert back.returncode == 0, back.stdout


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "another-one"}, "Correct grafana_database.user or grafana_database.password."),
        ({"host": "nowhere.invalid"}, "The node knows no host of that name. Correct grafana_database.host."),
        ({"host": "database.internal:5999"}, "No PostgreSQL answers there."),
        ({"ca": ""}, "Write its authority into grafana_database.ca"),
        ({"name": "other"}, "Add it to its pg_hba.conf."),
    ],
)
def test_what_it_refuses_is_put_back_and_said_in_the_users_words(
    *, playbook: Playbook, grafana: Api, variables: dict[str, Any], wrong: dict[str, str], said: str
) -> None:
    database = {**variables["grafana_database"], **wrong}
    done = playbook("site.yml", "--tags=grafana", "--limit=emr-database-1", grafana_database=database)
    refused(done, said, BACK)
    assert grafana.data("/api/health")["database"] == "ok"


def test_a_database_that_is_away_is_said_and_grafana_goes_on_by_itself(
    host: Host, playbook: Playbook, grafana: Api
) -> None:
    before = process(host, UNIT)
    with stopped():
        assert poll(lambda: grafana("/api/health")[0] == 503, 30)
        asked = playbook("playbooks/verify.yml", "--limit=emr-database-1")
        refused(asked, "Grafana does not reach its database, and refuses every login until it does.")
        run = playbook("site.yml", "--tags=grafana", "--limit=emr-database-1", grafana_start_timeout=60)
        refused(run, "is not ready after", "Grafana does not reach its database")
    assert poll(lambda: grafana("/api/user")[0] == 200, 30)
    assert process(host, UNIT) == before


def test_a_database_that_hangs_is_said_in_time(host: Host, playbook: Playbook, grafana: Api) -> None:
    before = process(host, UNIT)
    with frozen():
        asked = playbook("playbooks/verify.yml", "--limit=emr-database-1")
        refused(asked, "/api/health: timed out. It hangs where its database does.")
    assert poll(lambda: grafana("/api/user")[0] == 200, 30)
    assert process(host, UNIT) == before


def test_what_differs_on_nodes_of_one_database_is_refused(playbook: Playbook) -> None:
    own = "{{ inventory_hostname }}-has-one-of-its-own"
    done = playbook("site.yml", "--check", grafana_admin_password=own)
    refused(done, "grafana_admin_password has to be one value for all", "on emr-database-1 and emr-database-2.")


# What docs/recipes.md tells to write into a file for pgloader, on the server.
MOVE = """LOAD DATABASE
  FROM sqlite:///tmp/grafana.db INTO postgresql:///grafana
  WITH data only, truncate, reset sequences
  EXCLUDING TABLE NAMES LIKE 'migration_log', '%_migration_log';
"""


def test_what_sqlite_held_is_carried_over(host: Host, playbook: Playbook, grafana: Api) -> None:
    def run(path: str = "site.yml", **extra: Any) -> None:
        done = playbook(path, "--limit=emr-database-1", **extra)
        assert done.returncode == 0, done.stdout

    assert MOVE in (PROJECT / "docs/recipes.md").read_text("utf-8")
    run(grafana_database={})
    assert grafana("/api/dashboards/uid/kept")[0] == 404
    source = {"name": "Old", "uid": "old", "type": "prometheus", "access": "proxy", "url": "http://localhost:9090"}
    login = {"basicAuth": True, "basicAuthUser": "admin"}
    secret = {"secureJsonData": {"basicAuthPassword": "the-password-of-both-prometheus"}}
    assert grafana("/api/datasources", {**source, **login, **secret})[0] in (200, 409)
    grafana.data("/api/dashboards/db", {"dashboard": {"uid": "old", "title": "Old", "panels": []}, "overwrite": True})
    assert grafana.data("/api/datasources/uid/old/health")["status"] == "OK"

    run()
    for node in ("emr-database-1", "emr-database-2"):
        on_the_server("exec", node, "systemctl", "stop", "grafana-server")
    on_the_server("exec", "emr-database-1", "chmod", "644", "/mnt/grafana/data/grafana.db")
    copied = "/tmp/grafana.db"  # noqa: S108  # on the nodes
    content = subprocess.run(
        ["docker", "exec", "emr-database-1", "cat", "/mnt/grafana/data/grafana.db"], check=True, capture_output=True
    ).stdout
    subprocess.run(["docker", "exec", "-i", DATABASE, "sh", "-c", f"cat >{copied}"], input=content, check=True)
    subprocess.run(
        ["docker", "exec", "-i", DATABASE, "sh", "-c", "cat >/tmp/move.load"], input=MOVE, text=True, check=True
    )
    on_the_server("exec", DATABASE, "su", "postgres", "-c", "pgloader /tmp/move.load")
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout
    assert grafana.data("/api/dashboards/uid/old")["dashboard"]["title"] == "Old"
    assert grafana.data("/api/datasources/uid/old/health")["status"] == "OK"
