"""The gate of Grafana's data sources, and those that users made."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.emr.monitoring.plugins.module_utils.grafana_sources import stored_sources
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_sources import grafana_sources

Json = dict[str, Any]

OWN: Json = {"name": "Prometheus", "uid": "prometheus", "type": "prometheus", "isDefault": True}
LOGS: Json = {"name": "Logs", "uid": "logs", "type": "loki"}


def given(datasources: Any = (OWN,), further: Any = (), own_dashboards: bool = True) -> Json:
    """Return what the gate makes of the two variables."""
    written = {"datasources": datasources, "further_datasources": further, "own_dashboards": own_dashboards}
    return grafana_sources(written)


def problem(*arguments: Any, **settings: Any) -> str:
    """Return the one problem that the gate has."""
    (found,) = given(*arguments, **settings)["problems"]
    return str(found)


@pytest.mark.parametrize("further", [[LOGS], (LOGS,), LOGS])
def test_a_further_source_stands_beside_the_own_one(further: Any) -> None:
    assert given(further=further) == {"sources": [OWN, LOGS], "problems": []}


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_nothing_is_no_further_source(nothing: Any) -> None:
    assert given(further=nothing) == {"sources": [OWN], "problems": []}


@pytest.mark.parametrize("datasources", [None, [], [LOGS], LOGS])
def test_a_list_without_what_the_dashboards_ask_is_refused(datasources: Any) -> None:
    message = problem(datasources)
    assert message.startswith(
        "grafana_datasources holds no data source of type prometheus, which the project's dashboards"
    )
    assert "grafana_further_datasources" in message
    assert "monitoring_dashboards: false" in message
    assert given(datasources, own_dashboards=False)["problems"] == []
    assert given(datasources, further=[{**OWN, "name": "Mine", "uid": "mine"}])["problems"] == []


@pytest.mark.parametrize("value", [5, "Logs", ["Logs"], True])
def test_what_is_no_source_is_refused(value: Any) -> None:
    assert "grafana_further_datasources[1] is" in problem(further=[value])
    assert "write a data source, a mapping" in problem(further=[value])


@pytest.mark.parametrize("key", ["name", "type"])
@pytest.mark.parametrize("value", [None, ""])
def test_what_a_source_needs_is_named(key: str, value: Any) -> None:
    message = problem(further=[{**LOGS, key: value}])
    assert message.startswith("grafana_further_datasources[1]")
    assert f"has no {key}:" in message


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("isDefualt", "did you mean isDefault?"),
        ("URL", "an option of its type belongs below jsonData"),
        ("basicAuthPassword", "write it below secureJsonData."),
        ("tlsSkipVerify", "belongs below jsonData, a secret below secureJsonData."),
        ("httpHeaderValue1", "write it below secureJsonData."),
    ],
)
def test_what_grafana_would_ignore_is_refused_and_not_shown(key: str, remedy: str) -> None:
    message = problem(further=[{**LOGS, key: "s3cret-word"}])
    assert f"has {key}, which Grafana would ignore: " in message
    assert remedy in message
    assert "s3cret-word" not in message
    assert given(further=[{**LOGS, "correlations": [], "orgId": 1, "editable": False}])["problems"] == []


@pytest.mark.parametrize("key", ["name", "uid"])
def test_two_of_a_name_or_uid_are_refused(key: str) -> None:
    assert problem(further=[{**LOGS, key: OWN[key]}]) == (
        f"grafana_further_datasources[1] has the {key} {OWN[key]!r}, as has grafana_datasources[1]: each needs "
        "one of its own."
    )


@pytest.mark.parametrize("value", [True, "true", "T", 1])
def test_two_defaults_are_refused(value: Any) -> None:
    assert "hold Prometheus, Logs with isDefault: one at most" in problem(further=[{**LOGS, "isDefault": value}])


@pytest.mark.parametrize("key", ["isDefault", "basicAuth", "editable"])
@pytest.mark.parametrize("value", ["yes", "on", 2, []])
def test_what_go_takes_for_neither_true_nor_false_is_refused(key: str, value: Any) -> None:
    assert f"{key} is" in problem(further=[{**LOGS, key: value}])


def test_one_without_a_uid_has_the_one_that_grafana_gives_it() -> None:
    """As genuine Grafana was seen to."""
    sources = given([{"name": "Prometheus", "type": "prometheus"}])["sources"]
    assert sources[0]["uid"] == "PBFA97CFB590B2093"


def test_a_whole_file_of_provisioning_is_no_list() -> None:
    assert "write its list alone" in problem(further={"apiVersion": 1, "datasources": [LOGS]})


@pytest.mark.parametrize("value", [False, "false", None])
def test_what_says_that_it_is_no_default_is_none(value: Any) -> None:
    assert given(further=[{**LOGS, "isDefault": value}])["problems"] == []


@pytest.mark.parametrize("key", ["basicAuthUser", "user", "database", "url", "name", "uid", "type"])
@pytest.mark.parametrize("value", [False, 1.1])
def test_what_yaml_has_changed_is_refused(key: str, value: Any) -> None:
    assert "put it in quotes" in given(further=[{**LOGS, key: value}])["problems"][0]
    assert given(further=[{**LOGS, key: 8080}])["sources"][1][key] == "8080"


def test_a_secret_is_text_and_is_not_shown() -> None:
    assert given(further=[{**LOGS, "secureJsonData": {"token": 123456}}])["sources"][1]["secureJsonData"] == {
        "token": "123456"
    }
    message = problem(further=[{**LOGS, "secureJsonData": {"token": 1.25}}])
    assert "secureJsonData.token is a number" in message
    assert "1.25" not in message
    assert "hunter2" not in problem(further=[{**LOGS, "secureJsonData": ["hunter2", {}]}])


PLACES = {
    "the name": "- {{uid: a, type: b, name: {0}}}",
    "a secret": "- {{name: a, uid: b, type: c, secureJsonData: {{p: {0}}}}}",
    "an option": "- {{name: a, uid: b, type: c, jsonData: {{p: {0}}}}}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("value", "is_taken"),
    [("010", False), ("1.10", False), ("18:00", False), ("0x1F", False), ("8080", True), ("'010'", True)],
)
def test_what_yaml_has_changed_is_refused_in_each_place_and_not_shown(
    tmp_path: Path, place: str, value: str, is_taken: bool
) -> None:
    path = tmp_path / "written.yml"
    path.write_text(PLACES[place].format(value))
    found = given(further=DataLoader().load_from_file(str(path), cache="none"))["problems"]
    assert len(found) == (0 if is_taken else 1)
    assert all("put it in quotes" in sentence and value not in sentence for sentence in found)


def database(path: Path, *rows: tuple[Any, ...]) -> str:
    """Write the table as Grafana 12.4 has it, with what is asked of it, and return the file."""
    with sqlite3.connect(path) as store:
        store.execute(
            "CREATE TABLE data_source (id INTEGER PRIMARY KEY, uid TEXT, name TEXT, type TEXT, read_only INTEGER)"
        )
        store.executemany("INSERT INTO data_source (uid, name, type, read_only) VALUES (?, ?, ?, ?)", rows)
    store.close()
    return str(path)


def test_the_sources_of_users_are_those_that_no_file_provisions(tmp_path: Path) -> None:
    rows = [("p", "Prometheus", "prometheus", 1), ("m", "Mine", "mysql", 0), ("o", "Old", "loki", None)]
    assert stored_sources(database(tmp_path / "a?#b.db", *rows)) == [
        {"uid": "m", "name": "Mine", "type": "mysql"},
        {"uid": "o", "name": "Old", "type": "loki"},
    ]


def test_there_are_none_before_the_first_start(tmp_path: Path) -> None:
    assert stored_sources(str(tmp_path / "none.db")) == []


def test_nobody_knows_them_without_a_file_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database")
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "folder.db").mkdir()
    assert [stored_sources(path) for path in ("", *map(str, tmp_path.iterdir()))] == [None] * 4
