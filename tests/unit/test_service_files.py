"""The files that a user brings for a service go live as they are, or are refused by name and without their content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.emr.monitoring.plugins.plugin_utils.service_files import service_files

NEEDLE = "needle"


def problem(value: Any, variable: str = "prometheus_files") -> str:
    (found,) = service_files(value, variable)["problems"]
    return str(found)


@pytest.mark.parametrize("nothing", [None, {}])
def test_nothing_is_no_file(nothing: Any) -> None:
    assert service_files(nothing, "grafana_files") == {"files": {}, "secret": [], "problems": []}


def test_a_file_is_secret_unless_it_is_said_otherwise() -> None:
    written = {"token": NEEDLE, "sd/a.json": {"content": "[]", "secret": False}, "b": {"content": "x", "secret": True}}
    assert service_files(written, "prometheus_files") == {
        "files": {"files/token": NEEDLE, "files/sd/a.json": "[]", "files/b": "x"},
        "secret": ["files/b", "files/token"],
        "problems": [],
    }


@pytest.mark.parametrize(
    "name", ["alerting/contact.txt", "alerting/sub/y.yml", "datasources/x.yml", "provisioning/a/b"]
)
def test_what_grafana_would_not_read_is_refused(name: str) -> None:
    assert f"holds {name}, which Grafana would not read" in problem({name: "x"}, "grafana_files")
    assert service_files({name: "x"}, "prometheus_files")["problems"] == []


@pytest.mark.parametrize("name", ["alerting/a.yaml", "alerting/a.json", "dashboards/home.json", "alerting.txt"])
def test_what_it_reads_or_what_is_named_elsewhere_is_taken(name: str) -> None:
    assert service_files({name: "x"}, "grafana_files")["problems"] == []


def test_what_grafana_is_to_alert_about_lies_where_it_looks() -> None:
    written = {"ldap.toml": "a", "alerting/rules.yml": "b"}
    assert set(service_files(written, "grafana_files")["files"]) == {
        "files/ldap.toml",
        "provisioning/alerting/rules.yml",
    }
    assert set(service_files(written, "prometheus_files")["files"]) == {"files/ldap.toml", "files/alerting/rules.yml"}
    assert "which the role writes" in problem({"alerting/alerting.yml": NEEDLE}, "grafana_files")


def test_every_file_of_a_folder_is_taken_as_it_is_but_hidden_ones(tmp_path: Path) -> None:
    (tmp_path / "deep/.git").mkdir(parents=True)
    (tmp_path / "deep/.git/config").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "a.tmpl").write_bytes(b"one\r\ntwo\n")
    (tmp_path / "deep/b").write_text("")
    found = service_files(str(tmp_path), "alertmanager_files")
    assert found["files"] == {"files/a.tmpl": "one\r\ntwo\n", "files/deep/b": ""}
    assert found["secret"] == ["files/a.tmpl", "files/deep/b"]
    assert found["problems"] == []


@pytest.mark.parametrize("empty", ["nowhere", "empty", "a file"])
def test_a_folder_in_which_nothing_is_found_is_refused(tmp_path: Path, empty: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a file").write_text("x")
    assert "which is no folder with a file in it: add one" in problem(str(tmp_path / empty))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\x00")
    assert "cannot be read" in problem(str(tmp_path))


@pytest.mark.parametrize(
    "name", ["../a", "/etc/passwd", "a/../b", "a//b", "a/", "", ".a", "a b", "a\nb", "a[b]", "*", 5, True, None]
)
def test_a_name_that_leads_elsewhere_is_refused(name: Any) -> None:
    assert "which can be no file" in problem({name: NEEDLE})


@pytest.mark.parametrize(
    "content", [[NEEDLE], {"contents": NEEDLE}, {"secret": False}, {"content": NEEDLE, "mode": "0600"}, {}]
)
def test_what_is_no_content_is_refused_and_not_shown(content: Any) -> None:
    assert "write its text, or content with secret: false" in problem({"a": content}) or "write one text" in problem(
        {"a": content}
    )
    assert NEEDLE not in problem({"a": content})


def test_whether_a_file_is_secret_is_yes_or_no() -> None:
    assert "prometheus_files.a.secret is 'maybe'" in problem({"a": {"content": NEEDLE, "secret": "maybe"}})


@pytest.mark.parametrize(("value", "is_taken"), [("010", False), ("1.10", False), ("no", False), ("8080", True)])
def test_what_yaml_has_changed_is_refused(tmp_path: Path, value: str, is_taken: bool) -> None:
    path = tmp_path / "written.yml"
    path.write_text(f"token: {value}\n")
    found = service_files(DataLoader().load_from_file(str(path), cache="none"), "prometheus_files")
    assert len(found["problems"]) == (0 if is_taken else 1)
    assert all("put it in quotes" in sentence for sentence in found["problems"])


@pytest.mark.parametrize("value", [5, True, ["/a", "/b"]])
def test_what_is_neither_a_mapping_nor_a_folder_is_refused(value: Any) -> None:
    assert "write a mapping" in problem(value)
