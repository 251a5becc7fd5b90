"""A service does not begin anew beside the data that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils.node_data import backed_up, data_problems

WRITTEN = {
    "prometheus": ("prometheus.service", "ExecStart=/x/prometheus \\\n    --storage.tsdb.path={} --web.x=y\n"),
    "alertmanager": ("alertmanager.service", "ExecStart=/x/alertmanager --storage.path={}\n"),
    "grafana": ("grafana.ini", "[paths]\ndata = {}\nlogs = /x\n"),
}


@pytest.fixture(params=WRITTEN)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Return a service that is installed, and has data in the folder old."""
    name = request.param
    (tmp_path / "old").mkdir()
    (tmp_path / "old/wal").touch()
    file, text = WRITTEN[name]
    (tmp_path / file).write_text(text.format(tmp_path / "old"))
    folders = {f"{name}_root": str(tmp_path), f"{name}_data_dir": str(tmp_path / "new/data")}
    return {"name": name, "unit": f"{name}.service", "configuration": str(tmp_path), "folders": folders}


def test_data_that_would_stay_behind_are_refused_with_the_way_to_move_them(
    service: dict[str, Any], tmp_path: Path
) -> None:
    (problem,) = data_problems([service], tmp_path)
    assert problem.startswith(f"{service['name']}_data_dir is {tmp_path}/new/data, which is empty")
    assert problem.endswith(f"mkdir -p {tmp_path}/new; mv {tmp_path}/old {tmp_path}/new/data")


def test_moved_data_are_taken(service: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "old").rename(tmp_path / "new/data")
    assert data_problems([service], tmp_path) == []


@pytest.mark.parametrize("case", ["the same", "nothing in it", "gone", "not installed", "another way to write it"])
def test_what_loses_nothing_is_taken(service: dict[str, Any], tmp_path: Path, case: str) -> None:
    variable = f"{service['name']}_data_dir"
    if case == "the same":
        service["folders"][variable] = str(tmp_path / "old")
    elif case == "another way to write it":
        service["folders"][variable] = f"{tmp_path}/x/../old/"
    elif case == "not installed":
        (tmp_path / WRITTEN[service["name"]][0]).unlink()
    else:
        (tmp_path / "old/wal").unlink()
        if case == "gone":
            (tmp_path / "old").rmdir()
    assert data_problems([service], tmp_path) == []


def test_one_without_data_has_none(tmp_path: Path) -> None:
    folders = {"node_exporter_root": "/x"}
    entry = {"name": "node_exporter", "unit": "n.service", "configuration": "/none", "folders": folders}
    assert data_problems([entry], tmp_path) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            '{"metrics": "/a", "grafana": "/b", "database": "", "keep": {}}',
            {"metrics": "/a", "grafana": "/b", "database": ""},
        ),
        ('{"metrics": "/a"}', {}),
        ("[]", {}),
        ("", {}),
    ],
)
def test_where_the_backups_look_is_read_from_their_settings(tmp_path: Path, text: str, found: dict[str, str]) -> None:
    (tmp_path / "settings.json").write_text(text)
    assert backed_up(tmp_path / "settings.json") == found
    assert backed_up(tmp_path / "none.json") == {}
