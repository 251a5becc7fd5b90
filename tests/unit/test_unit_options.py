"""What a user adds to a unit arrives there as it was written, or is refused by name and without its value."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils.tree import File, Task, Tree, TreeError
from ansible_collections.emr.monitoring.plugins.module_utils.unit_check import check_dropins
from ansible_collections.emr.monitoring.plugins.plugin_utils.unit_options import unit_options
from hypothesis import given
from hypothesis import strategies as st

DROPIN, ENVIRONMENT = "x.service.d/emr-monitoring.conf", "x.service.d/emr-monitoring.environment"
NEEDLE = "needle-4711"
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.lists(
    st.sampled_from([*"\"'`\\$%;#= a\n\r\t", "é", "$(id)", "${HOME}", "%n"])
).map("".join)


def options(environment: Any = None, dropin: Any = None, service: str = "prometheus") -> dict[str, Any]:
    return unit_options(service, "x.service", environment, dropin)


def files(environment: Any = None, dropin: Any = None) -> dict[str, dict[str, str]]:
    made = options(environment, dropin)
    assert made["problems"] == []
    return dict(made["files"])


def problem(environment: Any = None, dropin: Any = None, service: str = "prometheus") -> str:
    (found,) = options(environment, dropin, service)["problems"]
    return str(found)


def read_as_systemd(text: str) -> dict[str, str]:
    """Read a file as parse_env_file() of systemd 252 does, as far as the values are between double quotes."""
    found = {}
    rest = text.partition("\n")[2]
    while rest:
        name, _, rest = rest.partition('="')
        value, position = "", 0
        while (char := rest[position]) != '"':
            if char == "\\":
                position += 1
                value += (
                    rest[position]
                    if rest[position] in '"\\`$'
                    else ""
                    if rest[position] == "\n"
                    else "\\" + rest[position]
                )
            else:
                value += char
            position += 1
        assert rest[position + 1] == "\n"
        found[name] = value
        rest = rest[position + 2 :]
    return found


@pytest.mark.parametrize("nothing", [None, {}])
def test_nothing_adds_nothing(nothing: Any) -> None:
    assert options(nothing, nothing) == {"files": {}, "problems": []}


@given(st.dictionaries(st.from_regex("[A-DX-Z_][A-Z0-9_]*", fullmatch=True), VALUES, min_size=1))
def test_each_value_of_the_environment_arrives_as_it_is(values: dict[str, str]) -> None:
    made = options(values, service="alertmanager")
    assert made["problems"] == []
    content, shown = made["files"][ENVIRONMENT]["content"], made["files"][ENVIRONMENT]["shown"]
    assert read_as_systemd(content) == values
    assert len(content.split("\n")) == len(shown.split("\n"))


def test_no_value_of_the_environment_is_shown_nor_in_a_file_that_others_read() -> None:
    made = files({"TOKEN": f"{NEEDLE}\n{NEEDLE}"})
    assert NEEDLE not in str(made[DROPIN])
    assert NEEDLE not in made[ENVIRONMENT]["shown"]
    assert made[DROPIN]["content"] == (
        f"# Ansible managed\n[Service]\nEnvironmentFile=/etc/systemd/system/{ENVIRONMENT}\n"
    )


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"A": True}, "prometheus_environment.A is True: YAML has read it as something else than text"),
        ({"A": {"b": NEEDLE}}, "prometheus_environment.A is a mapping: write one text"),
        ({"A": f"{NEEDLE}\0"}, "prometheus_environment.A holds what is no text"),
        ({"A B": NEEDLE}, "prometheus_environment holds 'A B', which can be no name"),
        ({True: NEEDLE}, "prometheus_environment holds 'True', which can be no name"),
        ({"1A": NEEDLE}, "prometheus_environment holds '1A', which can be no name"),
        ([f"A={NEEDLE}"], "prometheus_environment is a list: write a mapping"),
        *(
            ({name: "1"}, f"prometheus_environment holds {name}, which systemd itself sets")
            for name in (
                "MAINPID",
                "MANAGERPID",
                "NOTIFY_SOCKET",
                "LISTEN_FDS",
                "LISTEN_PID",
                "WATCHDOG_USEC",
                "INVOCATION_ID",
                "CREDENTIALS_DIRECTORY",
                "JOURNAL_STREAM",
                "SYSTEMD_EXEC_PID",
                "SERVICE_RESULT",
                "EXIT_CODE",
                "EXIT_STATUS",
                "MONITOR_UNIT",
                "MEMORY_PRESSURE_WATCH",
                "FDSTORE",
            )
        ),
    ],
)
def test_what_no_environment_can_hold_is_refused(environment: Any, words: str) -> None:
    said = problem(environment)
    assert said.startswith(words)
    assert NEEDLE not in said


def test_a_number_in_the_environment_is_its_digits() -> None:
    assert read_as_systemd(files({"GOGC": 75})[ENVIRONMENT]["content"]) == {"GOGC": "75"}


def test_what_overrules_grafanas_configuration_is_refused_and_is_nothing_to_the_others() -> None:
    said = problem({"GF_SERVER_HTTP_PORT": "3001"}, service="grafana")
    assert said.startswith("grafana_environment holds GF_SERVER_HTTP_PORT, which would overrule the configuration")
    assert "grafana_ini" in said
    assert options({"GF_X": "1"})["problems"] == []


def test_a_drop_in_holds_what_was_written_in_its_order() -> None:
    written = {
        "Unit": {"After": ["a.service", "b.service"]},
        "Service": {"LimitNOFILE": 1000, "PrivateUsers": False, "SystemCallFilter": None, "ExecStartPost": "/bin/x %n"},
    }
    assert files(dropin=written)[DROPIN] == {
        "content": "# Ansible managed\n[Unit]\nAfter=a.service\nAfter=b.service\n[Service]\nLimitNOFILE=1000\n"
        "PrivateUsers=no\nSystemCallFilter=\nExecStartPost=/bin/x %n\n",
        "shown": "# Ansible managed\n[Unit]\nAfter=a.service\nAfter=b.service\n[Service]\nLimitNOFILE=1000\n"
        "PrivateUsers=no\nSystemCallFilter=\nExecStartPost=(not shown)\n",
    }


@pytest.mark.parametrize(
    ("dropin", "words"),
    [
        ({"Install": {"WantedBy": "x"}}, "prometheus_unit_dropin holds the section 'Install'"),
        ({"service": {"LimitNOFILE": 1}}, "prometheus_unit_dropin holds the section 'service'"),
        ({"Unit": {"RefuseManualStart": True}}, "prometheus_unit_dropin.Unit.RefuseManualStart is the role's own"),
        ({"Unit": {"RefuseManualStop": True}}, "prometheus_unit_dropin.Unit.RefuseManualStop is the role's own"),
        ({"Service": {"Type": "simple"}}, "prometheus_unit_dropin.Service.Type is the role's own"),
        ({"Service": {"User": NEEDLE}}, "prometheus_unit_dropin.Service.User is the role's own"),
        ({"Service": {"ExecStart": [None, NEEDLE]}}, "prometheus_unit_dropin.Service.ExecStart is the role's own: use"),
        ({"Service": {"MemoryMax": "3G"}}, "prometheus_unit_dropin.Service.MemoryMax is what another variable says"),
        ({"Service": {"Environment": NEEDLE}}, "prometheus_unit_dropin.Service.Environment is readable by everyone"),
        ({"Service": {"LoadCredential": ""}}, "prometheus_unit_dropin.Service.LoadCredential is empty, which would"),
        ({"Service": {"Nice": "1\nUser=root"}}, "prometheus_unit_dropin.Service.Nice holds a line break"),
        ({"Service": {"ExecStartPost": f"{NEEDLE} \\"}}, "prometheus_unit_dropin.Service.ExecStartPost holds a line"),
        ({"Service": {"Nice=1\nUser": "root"}}, "prometheus_unit_dropin.Service holds 'Nice=1\\nUser', which is no"),
        ({"Service": {"Nice": {"a": NEEDLE}}}, "prometheus_unit_dropin.Service.Nice is a mapping: write one text"),
        ({"Service": NEEDLE}, "prometheus_unit_dropin.Service is a text: write a mapping"),
        (f"[Service]\n{NEEDLE}", "prometheus_unit_dropin is a text: write a mapping"),
    ],
)  # fmt: skip
def test_what_no_drop_in_can_hold_is_refused(dropin: Any, words: str) -> None:
    said = problem(dropin=dropin)
    assert said.startswith(words)
    assert NEEDLE not in said


def test_grafana_has_no_flags_to_use_instead() -> None:
    assert "_flags" not in problem(dropin={"Service": {"ExecStart": "x"}}, service="grafana")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd's own word")
@pytest.mark.parametrize(
    ("dropin", "words"),
    [
        ({"Service": {"LimitNOFILE": 1000}}, ""),
        ({"Service": {"LimitNOFIL": 1000}}, "x.service.d/emr-monitoring.conf:3: Unknown key"),
        ({"Service": {"MemoryHigh": "1Q"}}, "x.service.d/emr-monitoring.conf:3: Invalid memory limit"),
        ({"Unit": {"Nice": 1}}, "x.service.d/emr-monitoring.conf:3: Unknown key"),
    ],
)
def test_what_systemd_would_ignore_is_refused_in_its_words(tmp_path: Path, dropin: Any, words: str) -> None:
    unit = "[Service]\nType=exec\nExecStart=/nowhere/program \\\n    --flag\n"
    made = {"x.service": unit, DROPIN: files(dropin=dropin)[DROPIN]["content"]}
    for rel, content in made.items():
        (tmp_path / rel).parent.mkdir(exist_ok=True)
        (tmp_path / rel).write_text(content)
    tree = Tree(
        "unit", "/etc/systemd/system", 0o755, 0, 0, True, {r: File(c.encode(), 0, 0, 0) for r, c in made.items()}
    )
    task = Task("x", [tree], {}, [], 60)
    if not words:
        check_dropins(task, {"unit": str(tmp_path)}, "x.service")
        return
    with pytest.raises(TreeError, match="refused by `systemd-analyze verify`") as refused:
        check_dropins(task, {"unit": str(tmp_path)}, "x.service")
    assert f"/etc/systemd/system/{words}" in refused.value.detail
