"""The formats in which people have dashboards, and the folders and names in which they keep them."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_dashboards import grafana_dashboards

Json = dict[str, Any]

SOURCES: list[Json] = [{"name": "Prometheus", "type": "prometheus", "uid": "main", "isDefault": True}]
PANEL: Json = {"id": 1, "type": "timeseries", "title": "P", "targets": [{"refId": "A", "expr": "up"}]}
PLAIN: Json = {"uid": "a", "title": "A", "panels": [PANEL]}
LAYOUT: Json = {"kind": "GridLayout", "spec": {"items": []}}
SECOND: Json = {"title": "A", "elements": {}, "layout": LAYOUT, "variables": []}


def second(query: Json) -> Json:
    """Return a dashboard of the second version with a panel."""
    data = {"kind": "QueryGroup", "spec": {"queries": [query]}}
    element = {"kind": "Panel", "spec": {"id": 1, "title": "P", "data": data}}
    return {**SECOND, "elements": {"panel-1": element}}


BETA = second({"kind": "PanelQuery", "spec": {"refId": "A", "query": {"kind": "DataQuery", "group": "prometheus"}}})
ALPHA = second({"kind": "PanelQuery", "spec": {"refId": "A", "query": {"kind": "prometheus", "spec": {"expr": "up"}}}})


def resource(version: str, spec: Json, **metadata: Any) -> Json:
    """Return a dashboard as Grafana 12 and 13 export it."""
    return {
        "apiVersion": f"dashboard.grafana.app/{version}",
        "kind": "Dashboard",
        "metadata": {"name": "r", **metadata},
        "spec": spec,
    }


def write(path: Path, content: Any) -> Path:
    """Write a file, text as it is and all else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def taken(*folders: Path, **settings: Any) -> Json:
    """Return what the filter makes of some folders."""
    return grafana_dashboards([str(folder) for folder in folders], SOURCES, [], **settings)


def only(folder: Path, content: Any) -> Json:
    """Return what becomes of a single file."""
    write(folder / "a.json", content)
    (text,) = taken(folder)["files"].values()
    result: Json = json.loads(text)
    return result


def refusal(*folders: Path, **settings: Any) -> str:
    """Return the message with which folders are refused."""
    with pytest.raises(AnsibleFilterError) as caught:
        taken(*folders, **settings)
    return str(caught.value)


@pytest.mark.parametrize("version", ["v0alpha1", "v1alpha1", "v1beta1", "v1", "v2beta1"])
def test_the_first_version_of_a_resource_becomes_the_classic_model(tmp_path: Path, version: str) -> None:
    spec = {key: value for key, value in PLAIN.items() if key != "uid"}
    annotations = {"grafana.app/folder": "abc"}
    found = only(tmp_path, resource(version, spec, namespace="stacks-1", annotations=annotations))
    assert found == {**PLAIN, "uid": "r"}


@pytest.mark.parametrize(
    ("version", "spec", "taken_as"),
    [("v2alpha1", ALPHA, "v2alpha1"), ("v2beta1", BETA, "v2beta1"), ("v2", BETA, "v2beta1")],
)
def test_the_second_version_keeps_its_name_alone(tmp_path: Path, version: str, spec: Json, taken_as: str) -> None:
    annotations = {"grafana.app/folder": "abc"}
    found = only(tmp_path, resource(version, spec, namespace="stacks-1", annotations=annotations))
    assert found == resource(taken_as, spec)
    assert taken(tmp_path)["uids"] == {"r": "A"}


@pytest.mark.parametrize(("spec", "version"), [(ALPHA, "v2alpha1"), (BETA, "v2beta1")])
def test_a_second_version_without_what_is_around_it_gets_that(tmp_path: Path, spec: Json, version: str) -> None:
    found = only(tmp_path, spec)
    assert found["apiVersion"] == f"dashboard.grafana.app/{version}"
    assert found["spec"] == spec
    assert found["metadata"]["name"].startswith("a-")


@pytest.mark.parametrize("around", [{"meta": {"slug": "a"}}, {"overwrite": True, "folderId": 0}, {}])
def test_an_answer_of_the_api_is_the_dashboard_in_it(tmp_path: Path, around: Json) -> None:
    assert only(tmp_path, {"dashboard": PLAIN, **around}) == PLAIN


def test_a_byte_order_mark_goes(tmp_path: Path) -> None:
    text = json.dumps(PLAIN, indent=1)
    write(tmp_path / "a.json", "\ufeff" + text)
    assert taken(tmp_path)["files"] == {"a.json": text}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({**resource("v1beta1", PLAIN), "kind": "Folder"}, "is not a dashboard, but a 'Folder' of"),
        ({"apiVersion": 1, "groups": []}, "is not a dashboard, but another file of 1"),
        ({**resource("v1beta1", PLAIN), "spec": [PLAIN]}, "is not a dashboard, but another file of"),
        ({**resource("v1beta1", PLAIN), "apiVersion": "v1"}, "is not a dashboard, but a 'Dashboard' of 'v1'"),
        (resource("v2beta1", {"title": "A", "elements": {}}), "its elements have no layout"),
        (resource("v2beta1", {**SECOND, "title": ""}), "it has no title"),
        (resource("v2beta1", SECOND, name="a b"), "has the uid 'a b'"),
    ],
)
def test_another_resource_is_refused(tmp_path: Path, content: Json, problem: str) -> None:
    path = write(tmp_path / "a.json", content)
    message = refusal(tmp_path)
    assert message.startswith(f"grafana_dashboards_dirs: {path} ")
    assert problem in message


@pytest.mark.parametrize("missing", [{}, {"uid": None}, {"uid": ""}])
def test_a_missing_uid_follows_from_the_path_below_the_folder(tmp_path: Path, missing: Json) -> None:
    content = {"title": "A", "panels": [], **missing}
    write(tmp_path / "one/spark/Mi tablero (1).json", content)
    write(tmp_path / "two/spark/Mi tablero (1).json", content)
    write(tmp_path / "three/Mi tablero (1).json", content)
    (first,), (second,), (third,) = (taken(tmp_path / name)["uids"] for name in ("one", "two", "three"))
    assert first == second != third
    assert first.startswith("spark-Mi-tablero-1-")
    assert len(first) <= 40


def test_names_that_differ_in_signs_alone_make_two_uids(tmp_path: Path) -> None:
    for name in ("a b.json", "a-b.json", "ñ.json", f"{'n' * 80}.json", "a/b.json"):
        write(tmp_path / name, {"title": name, "panels": []})
    uids = taken(tmp_path)["uids"]
    assert len(uids) == 5
    assert all(0 < len(uid) <= 40 for uid in uids)


def test_a_library_panel_that_is_only_linked_is_said(tmp_path: Path) -> None:
    linked = {"id": 2, "libraryPanel": {"uid": "lib", "name": "Shared"}}
    write(tmp_path / "a.json", {**PLAIN, "panels": [linked, PANEL]})
    (note,) = taken(tmp_path)["notes"]
    assert "its library panel 'Shared' is not in the file" in note
    write(tmp_path / "a.json", {**PLAIN, "panels": [{**linked, "type": "text"}]})
    assert taken(tmp_path)["notes"] == []


def test_library_panels_are_put_in_their_places(tmp_path: Path) -> None:
    place = {"id": 7, "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8}}
    linked = {**place, "libraryPanel": {"uid": "lib", "name": "L"}}
    element = {"uid": "lib", "name": "L", "kind": 1, "model": {**PANEL, "libraryPanel": {"uid": "lib"}}}
    row = {"type": "row", "panels": [linked]}
    found = only(tmp_path, {**PLAIN, "panels": [linked, row], "__elements": {"lib": element}})
    assert found == {**PLAIN, "panels": [{**PANEL, **place}, {"type": "row", "panels": [{**PANEL, **place}]}]}


def test_subfolders_are_grafanas_folders(tmp_path: Path) -> None:
    write(tmp_path / "a.json", PLAIN)
    write(tmp_path / "Spark jobs/b.json", {**PLAIN, "uid": "b"})
    write(tmp_path / "teams/data/c.json", {**PLAIN, "uid": "c"})
    write(tmp_path / ".git/d.json", "no dashboard")
    write(tmp_path / "pictures/a.png", "no dashboard")
    found = taken(tmp_path)
    assert (list(found["files"]), list(found["folders"])) == (["a.json"], ["Spark jobs/b.json", "data/c.json"])


def test_a_subfolder_that_is_listed_itself_is_taken_once(tmp_path: Path) -> None:
    write(tmp_path / "a.json", PLAIN)
    write(tmp_path / "spark/b.json", {**PLAIN, "uid": "b", "title": "B"})
    found = taken(tmp_path, tmp_path / "spark")
    assert (list(found["files"]), found["folders"]) == (["a.json", "b.json"], {})


def test_a_link_that_leads_back_ends(tmp_path: Path) -> None:
    write(tmp_path / "a.json", PLAIN)
    (tmp_path / "spark").symlink_to(tmp_path)
    assert list(taken(tmp_path)["files"]) == ["a.json"]


@pytest.mark.parametrize(
    "name",
    ["C.JSON", "a.Json", "a.json.txt", "a.json ", "a.json5", "a.jsonc", "spark/b.JSON", "a.json.j2", "a.json (1)"],
)
def test_a_name_that_is_nearly_right_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / "right.json", PLAIN)
    path = write(tmp_path / name, PLAIN)
    assert refusal(tmp_path) == (
        f"grafana_dashboards_dirs: {path} is no *.json file, and would be left out. Rename it, or keep it elsewhere."
    )


@pytest.mark.parametrize(
    "content", [PLAIN, {"dashboard": PLAIN}, resource("v2", SECOND), SECOND, '\ufeff{"panels": []}']
)
def test_a_dashboard_under_any_other_name_is_refused(tmp_path: Path, content: Any) -> None:
    write(tmp_path / "right.json", PLAIN)
    path = write(tmp_path / "node exporter", content)
    assert f"{path} is no *.json file" in refusal(tmp_path)


@pytest.mark.parametrize("files", [[], ["README.md"], [".hidden.json"], ["below/README.md"]])
def test_a_folder_without_a_dashboard_is_refused(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        write(tmp_path / name, "text")
    assert refusal(tmp_path) == (
        f"grafana_dashboards_dirs: {tmp_path} holds no dashboard (*.json). Add one, or take the folder off the list."
    )


def test_titles_are_compared_within_a_folder_of_grafana(tmp_path: Path) -> None:
    first = write(tmp_path / "own/a.json", PLAIN)
    second = write(tmp_path / "mine/Pipeline/b.json", {**PLAIN, "uid": "b", "title": "A "})
    assert len(taken(first.parent, tmp_path / "mine", folder="Other")["uids"]) == 2
    message = refusal(first.parent, tmp_path / "mine", folder="Pipeline")
    assert (
        message == f"grafana_dashboards_dirs: {second} has the same title as {first}: 'A'. Change it in one of the two."
    )


def test_uids_are_compared_in_all_folders_and_formats(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", {**PLAIN, "uid": "r"})
    second = write(tmp_path / "spark/b.json", resource("v2beta1", {**SECOND, "title": "B"}))
    assert f"{first} has the same uid as {second}: 'r'" in refusal(tmp_path) or (
        f"{second} has the same uid as {first}: 'r'" in refusal(tmp_path)
    )


def test_file_names_are_compared_in_a_folder_of_grafana(tmp_path: Path) -> None:
    write(tmp_path / "one/spark/a.json", PLAIN)
    second = write(tmp_path / "two/x/spark/a.json", {**PLAIN, "uid": "b", "title": "B"})
    assert f"{second} has the same file name as" in refusal(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(("dirs", "count"), [(None, 1), ([], 1), ("", None), ([5], None), ([None], None), ([{}], None)])
def test_the_list_of_folders_is_read_as_it_was_meant(tmp_path: Path, dirs: Any, count: int | None) -> None:
    write(tmp_path / "a.json", PLAIN)
    if count is None:
        with pytest.raises(AnsibleFilterError, match=r"grafana_dashboards_dirs is .*: list folders of this controller"):
            grafana_dashboards(dirs, SOURCES, [])
    else:
        assert len(grafana_dashboards(dirs, SOURCES, [], own=[str(tmp_path)])["files"]) == count


def test_a_single_folder_is_a_list_of_one(tmp_path: Path) -> None:
    write(tmp_path / "a.json", PLAIN)
    assert list(grafana_dashboards(str(tmp_path), SOURCES, [])["files"]) == ["a.json"]
