"""The dashboard filters: what they pass, what they resolve, and what they refuse with a remedy."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.emr.monitoring.plugins.plugin_utils import grafana_dashboards as plugin
from ansible_collections.emr.monitoring.plugins.plugin_utils.dashboard_models import model, uid
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_dashboards import grafana_dashboards
from hypothesis import given, settings
from hypothesis import strategies as st

Json = dict[str, Any]

SOURCES: list[Json] = [
    {"name": "Loki", "type": "loki", "uid": "logs"},
    {"name": "Spare", "type": "prometheus", "uid": "spare"},
    {"name": "Prometheus", "type": "prometheus", "uid": "main", "isDefault": True},
    {"name": "Other Loki", "type": "loki", "uid": "more-logs"},
]
PLAIN: Json = {"uid": "a", "title": "A", "panels": []}


def write(folder: Path, content: Json | str, name: str = "a.json") -> Path:
    """Write a dashboard, given as JSON text or as what becomes it, and return its path."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def taken(*folders: Path | str, sources: list[Json] = SOURCES, **settings: Any) -> dict[str, str]:
    """Return the texts of the dashboards of some folders."""
    found = grafana_dashboards([str(folder) for folder in folders], sources, **settings)
    return {**found["files"], **found["folders"]}


def resolved(folder: Path, dashboard: Json, sources: list[Json] = SOURCES, others: Any = None) -> Json:
    """Return what becomes of a single dashboard."""
    write(folder, dashboard)
    (text,) = taken(folder, sources=sources, others=others).values()
    result: Json = json.loads(text)
    return result


def refusal(*folders: Path, sources: list[Json] = SOURCES, others: Any = None) -> str:
    """Return the message with which the folders are refused."""
    with pytest.raises(AnsibleFilterError) as caught:
        grafana_dashboards([str(folder) for folder in folders], sources, others)
    return str(caught.value)


def datasource_input(name: str, kind: str) -> Json:
    """Return a data source as an export for sharing declares it."""
    return {"name": name, "type": "datasource", "pluginId": kind}


def test_text_that_needs_no_change_is_passed_byte_for_byte(tmp_path: Path) -> None:
    text = '{"title":"Visión",\r\n  "uid" : "v", "id": null, "panels":[ ], "x": "${datasource} {{path}}"}'
    (tmp_path / "v.json").write_bytes(text.encode())
    assert taken(tmp_path) == {"v.json": text}


def test_folders_are_merged(tmp_path: Path) -> None:
    write(tmp_path / "own", PLAIN)
    write(tmp_path / "users", {"uid": "b", "title": "B", "rows": []}, "b.json")
    folders = [tmp_path / "own", tmp_path / "users", tmp_path / "own"]
    assert list(taken(*folders)) == ["a.json", "b.json"]


def test_what_is_hidden_or_no_dashboard_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, PLAIN)
    for name in (".hidden.json", "README.md", "a.json~", "a.json.bak", "list.txt"):
        write(tmp_path, "no dashboard", name)
    write(tmp_path, "{{ a template }}", "notes")
    write(tmp_path, {"version": 1}, "package-lock")
    write(tmp_path / ".git", "no dashboard")
    assert list(taken(tmp_path)) == ["a.json"]


def test_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "mine", PLAIN)
    assert list(taken("~/mine")) == ["a.json"]


def test_uids_and_titles_are_listed(tmp_path: Path) -> None:
    write(tmp_path, PLAIN)
    write(tmp_path, {**PLAIN, "uid": "b", "title": "B"}, "b.json")
    assert grafana_dashboards([str(tmp_path)], [])["uids"] == {"a": "A", "b": "B"}


def test_placeholders_become_the_uid_of_the_default_or_else_first_source_of_their_type(
    tmp_path: Path,
) -> None:
    exported = {
        **PLAIN,
        "__inputs": [datasource_input("DS_PROM-1", "prometheus"), datasource_input("DS_LOKI", "loki")],
        "panels": [
            {"datasource": {"type": "prometheus", "uid": "${DS_PROM-1}"}, "id": 7},
            {"datasource": "${DS_LOKI}", "title": "${other}"},
        ],
    }
    assert resolved(tmp_path, exported) == {
        **PLAIN,
        "panels": [
            {"datasource": {"type": "prometheus", "uid": "main"}, "id": 7},
            {"datasource": "logs", "title": "${other}"},
        ],
    }


def test_grafanas_own_expressions_need_no_source(tmp_path: Path) -> None:
    exported = {
        **PLAIN,
        "__inputs": [datasource_input("DS_EXPRESSION", "__expr__")],
        "panels": [{"datasource": {"uid": "${DS_EXPRESSION}"}}],
    }
    assert resolved(tmp_path, exported, [])["panels"] == [{"datasource": {"uid": "__expr__"}}]


def test_constants_become_their_values(tmp_path: Path) -> None:
    exported = {
        **PLAIN,
        "__inputs": [{"name": "VAR_JOB", "type": "constant", "value": "node"}],
        "panels": [{"targets": [{"expr": 'up{job="${VAR_JOB}"}'}]}],
    }
    assert resolved(tmp_path, exported)["panels"] == [{"targets": [{"expr": 'up{job="node"}'}]}]


def test_what_only_an_export_holds_is_dropped(tmp_path: Path) -> None:
    exported = {**PLAIN, "id": 12, "__inputs": [], "__requires": [{"id": "grafana"}], "__elements": {}}
    assert resolved(tmp_path, exported) == {**PLAIN, "id": None}


def test_variable_that_is_named_like_a_placeholder_stays(tmp_path: Path) -> None:
    dashboard = {
        **PLAIN,
        "panels": [{"datasource": "${DS_PROMETHEUS}"}],
        "templating": {"list": [{"name": "DS_PROMETHEUS", "type": "datasource"}]},
    }
    assert resolved(tmp_path, dashboard) == dashboard


@pytest.mark.parametrize(
    ("content", "problem", "remedy"),
    [
        ('{"title": "A",\n "uid": }', "not valid JSON at line 2, column 9", "Correct it there"),
        ("[]", "holds no JSON object", "Export the dashboard"),
        ({"uid": "a", "panels": []}, "no title", 'Give it a "title"'),
        ({"uid": "a", "title": " ", "panels": []}, "no title", 'Give it a "title"'),
        ({"uid": "a", "title": "A"}, "no list of panels", "Export the dashboard"),
        ({"uid": "a", "title": "A", "panels": {}}, "no list of panels", "Export the dashboard"),
        ({**PLAIN, "title": "ñ" * 2501}, "a title of more than 5000 bytes, which Grafana refuses", "Shorten it"),
        ({**PLAIN, "x": float("nan")}, "holds a number or a character that cannot be", "Correct it"),
        ('{"uid": "a", "title": "A", "panels": [], "x": 1e999}', "holds a number", "Correct it"),
        ('{"uid": "a", "title": "A", "panels": [], "x": ' + "9" * 5000 + "}", "holds a number", "Correct it"),
        ({**PLAIN, "x": "\ud800"}, "holds a number or a character that cannot be", "Correct it"),
        ('{"uid": "a", "title": "A", "panels": ' + "[" * 50_000, "is nested too deeply", "Export the dashboard"),
        ({**PLAIN, "templating": ["x"]}, "a templating that is no list of variables", "Export the dashboard"),
        ({**PLAIN, "templating": {"list": ["x"]}}, "a templating that is no list of variables", "Export the dashboard"),
        (
            {**PLAIN, "title": "${VAR_X}", "__inputs": [{"name": "VAR_X", "type": "constant", "value": " "}]},
            "it has no title",
            'Give it a "title"',
        ),
        ({**PLAIN, "uid": "x" * 41}, f"the uid '{'x' * 41}', not 1 to 40", "or leave it out"),
        ({**PLAIN, "uid": "a b"}, "the uid 'a b'", "or leave it out"),
        ({**PLAIN, "uid": "a\n"}, "the uid 'a\\n'", "or leave it out"),
        ({**PLAIN, "uid": 5}, "the uid 5", "or leave it out"),
        (
            {**PLAIN, "__inputs": [datasource_input("DS_DB", "mysql")]},
            "a data source of type 'mysql' for ${DS_DB}, and none is provisioned",
            "Add one to grafana_further_datasources",
        ),
        (
            {**PLAIN, "panels": [{"datasource": "${DS_LOST}"}]},
            "uses ${DS_LOST}, which neither its __inputs nor its variables declare",
            "Put the uid of a data source in its place",
        ),
        (
            {**PLAIN, "__inputs": [{"name": "VAR_X", "type": "constant"}]},
            "has an entry in __inputs without",
            "export the dashboard for sharing externally again",
        ),
    ],
)
def test_what_grafana_would_swallow_is_refused(tmp_path: Path, content: Json | str, problem: str, remedy: str) -> None:
    path = write(tmp_path, content)
    message = refusal(tmp_path)
    assert message.startswith(f"grafana_dashboards_dirs: {path} ")
    assert problem in message
    assert remedy in message


def test_source_without_uid_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {**PLAIN, "__inputs": [datasource_input("DS_P", "prometheus")]})
    message = refusal(tmp_path, sources=[{"name": "Mine", "type": "prometheus"}])
    assert message == (
        f"grafana_dashboards_dirs: {path} needs the uid of the data source 'Mine' for ${{DS_P}},"
        ' and it has none. Give it a "uid" in grafana_datasources.'
    )


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lost.json"
    path.symlink_to(tmp_path / "nowhere")
    assert f"{path} cannot be read: No such file or directory. Make it readable" in refusal(tmp_path)


def test_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    path.write_bytes('{"title": "Visión"}'.encode("latin-1"))
    assert f"{path} is not UTF-8 at byte 15. Save it as UTF-8" in refusal(tmp_path)


def opened(folder: Path, model: Json, **settings: Any) -> Json:
    """Return what becomes of a dashboard of the project's own folder."""
    write(folder, model)
    (text,) = taken(sources=SOURCES, own=[str(folder)], **settings).values()
    result: Json = json.loads(text)
    return result


@pytest.mark.parametrize(
    ("refresh", "interval"),
    [
        ("15s", "15s"),
        ("1m", "1m"),
        ("60s", "1m"),
        ("1m30s", "90s"),
        ("1d", "1d"),
        ("7200s", "2h"),
        ("500ms", "1s"),
        ("", ""),
    ],
)
def test_the_projects_dashboards_open_as_the_settings_say(tmp_path: Path, refresh: str, interval: str) -> None:
    model = opened(tmp_path, {**PLAIN, "refresh": "30s"}, time_range="7d", refresh=refresh)
    assert (model["time"], model["refresh"]) == ({"from": "now-7d", "to": "now"}, interval)
    offered = model["timepicker"]["refresh_intervals"]
    assert interval in ("", *offered)
    assert len(offered) == len(set(offered)) == 11 + (interval in ("90s", "1s"))
    assert model["title"] == PLAIN["title"]


@pytest.mark.parametrize("variables", [[], [{"name": "node", "type": "query"}]])
def test_the_projects_dashboards_offer_filters_where_the_source_holds_more_than_this_node(
    tmp_path: Path, variables: list[Json]
) -> None:
    model = {**PLAIN, "templating": {"list": variables}}
    plain = opened(tmp_path, model)
    filtered = opened(tmp_path, model, filtered=True)
    *others, added = filtered.pop("templating")["list"]
    assert others == plain.pop("templating")["list"] == variables
    assert (added["type"], added["datasource"]["uid"]) == ("adhoc", "prometheus")
    # The queries are those of the guide, to the letter.
    assert filtered == plain


def test_the_intervals_are_offered_from_the_shortest_to_the_longest(tmp_path: Path) -> None:
    offered = opened(tmp_path, PLAIN, refresh="1m30s")["timepicker"]["refresh_intervals"]
    assert offered == ["5s", "10s", "15s", "30s", "1m", "90s", "5m", "15m", "30m", "1h", "2h", "1d"]


def test_a_users_dashboard_opens_as_it_says_itself(tmp_path: Path) -> None:
    write(tmp_path / "own", {**PLAIN, "uid": "b", "title": "B"}, "b.json")
    mine = {**PLAIN, "refresh": "1d", "time": {"from": "now-1y", "to": "now"}}
    write(tmp_path / "users", mine)
    files = taken(tmp_path / "users", own=[str(tmp_path / "own")], time_range="2h", refresh="1m")
    assert json.loads(files["a.json"]) == mine
    assert json.loads(files["b.json"])["time"]["from"] == "now-2h"


def test_the_defaults_are_what_the_dashboards_hold() -> None:
    folder = Path(__file__).parents[2] / "roles/grafana/files/dashboards"
    files = taken(own=[str(folder)])
    assert files == {path.name: path.read_text("utf-8") for path in folder.iterdir()}


@pytest.mark.parametrize("given", ["", "1 h", "60", "h", "0h", "1h30m", "now-1h", "1H", "\u0661h", "1h\n", 60, True])
def test_a_time_range_that_grafana_does_not_know_is_refused(tmp_path: Path, given: Any) -> None:
    write(tmp_path, PLAIN)
    with pytest.raises(AnsibleFilterError, match=r"grafana_dashboards_range is .+ Write it like 1h or 30m"):
        grafana_dashboards([str(tmp_path)], SOURCES, time_range=given)


@pytest.mark.parametrize("given", ["15", "0s", "0", "15 s", "30s1m", "1.5m", "-15s", "\u0661s", "15s\n", 15, False])
def test_a_refresh_that_is_no_duration_is_refused(tmp_path: Path, given: Any) -> None:
    write(tmp_path, PLAIN)
    with pytest.raises(AnsibleFilterError, match=r"grafana_dashboards_refresh is .+ Write it like 15s or 1m30s"):
        grafana_dashboards([str(tmp_path)], SOURCES, refresh=given)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path / "none")
    assert f"grafana_dashboards_dirs: {tmp_path / 'none'} does not exist. List existing folders" in message


def test_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN)
    assert f"grafana_dashboards_dirs: {path} is not a folder. List existing folders" in refusal(path)


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("a.json", {"uid": "b", "title": "B"}, "file name as {first}: 'a.json'"),
        ("b.json", {"title": "B"}, "uid as {first}: 'a'"),
        ("b.json", {"uid": "b", "title": "A "}, "title as {first}: 'A'"),
    ],
)
def test_what_two_dashboards_may_not_share_is_refused(tmp_path: Path, name: str, change: Json, what: str) -> None:
    first = write(tmp_path / "own", PLAIN)
    second = write(tmp_path / "users", {**PLAIN, **change}, name)
    assert refusal(first.parent, second.parent) == (
        f"grafana_dashboards_dirs: {second} has the same {what.format(first=first)}. Change it in one of the two."
    )


def test_titles_are_compared_with_their_constants_in_place(tmp_path: Path) -> None:
    constant = {"name": "VAR_X", "type": "constant", "value": "A"}
    write(tmp_path, PLAIN)
    write(tmp_path, {**PLAIN, "uid": "b", "title": "${VAR_X}", "__inputs": [constant]}, "b.json")
    assert "has the same title as" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["a\nb", "\u202ea", "a\x1b[2Jb", "a\udcffb"])
def test_a_file_name_that_could_not_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, PLAIN, f"{name}.json")
    message = refusal(tmp_path)
    assert message.startswith(f"grafana_dashboards_dirs: {ascii(str(tmp_path))[:-1]}/")
    assert message.endswith(" has unprintable characters in its name. Rename it.")
    assert message.isprintable()


@pytest.mark.parametrize("name", ["a..", "$(id)", "{{ 7*7 }}", "' \"`; &", "a\\..\\b", "שלום", "-rf", "n" * 240])
def test_any_other_file_name_stays_as_it_is(tmp_path: Path, name: str) -> None:
    write(tmp_path, PLAIN, f"{name}.json")
    assert list(taken(tmp_path)) == [f"{name}.json"]


TEXT = st.text(max_size=20) | st.sampled_from(
    ["{{ 7*7 }}", "{% raw %}", "${DS_A}", "${DS_B}", "${VAR}", "$(id)", "\u202eא", "a\nb", "\x1b[2J", " ", "uid"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.sampled_from([0.5, float("nan"), float("inf"), "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
KEYS = ["id", "uid", "title", "panels", "rows", "templating", "dashboard", "elements", "spec", "__inputs", "__elements"]
INPUT = st.fixed_dictionaries(
    {"name": st.sampled_from(["DS_A", "VAR"]), "type": st.sampled_from(["datasource", "constant"])},
    optional={"pluginId": st.just("prometheus") | VALUES, "value": VALUES},
)
# Right in most parts, so that no wrong one is hidden behind another.
DASHBOARD = st.builds(
    lambda right, wrong: {**PLAIN, **right, **wrong},
    st.fixed_dictionaries(
        {"panels": st.lists(VALUES, max_size=3), "title": TEXT.map(lambda text: f"A{text}")},
        optional={"__inputs": st.lists(INPUT, max_size=2)},
    ),
    st.just({}) | st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=1),
)


@given(DASHBOARD | DASHBOARD | VALUES)
@settings(max_examples=200, deadline=None)
def test_any_json_is_refused_with_its_path_or_arrives_as_it_is(content: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), json.dumps(content))
        try:
            found = grafana_dashboards([folder], SOURCES, [])
        except AnsibleFilterError as error:
            assert str(error).startswith(f"grafana_dashboards_dirs: {path} ")  # noqa: PT017
            return
    assert found["folders"] == {}
    (text,) = found["files"].values()
    result = json.loads(text.encode(), parse_constant=pytest.fail)
    assert found["uids"] == {uid(result): model(result)["title"]}
    kept = {key: None if key == "id" else value for key, value in content.items() if key not in plugin.EXPORT_ONLY}
    # These make it another format.
    if "${" not in json.dumps(kept) and not kept.keys() & {"dashboard", "elements", "spec"}:
        assert result == {**kept, "uid": kept.get("uid") or result["uid"]}
