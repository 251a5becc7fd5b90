"""The node check names everything that is wrong with a node, and nothing that is right."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils import (
    node_folders,
    node_ports,
    node_secrets,
    node_services,
    node_system,
)
from ansible_collections.emr.monitoring.plugins.modules import node_check

from tests.unit.documentation import documents_its_arguments

COLLECTIONS = Path(__file__).resolve().parents[2] / "collections"
EMR_FILES = {
    "instance.json": {"isMaster": True},
    "job-flow.json": {"jobFlowId": "j-1", "masterPrivateDnsName": "ip-10-0-0-1"},
    "extraInstanceData.json": {"region": "eu-central-1"},
}
Kept = Callable[..., list[str]]
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
PROMETHEUS = {"port": 9090, "unit": "prometheus.service", "variable": "prometheus_port"}
GRAFANA = {"port": 3000, "unit": "grafana.service", "variable": "grafana_port"}


class Proc:
    """A stand-in for /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "net").mkdir()
        (root / "net/tcp").write_text(HEADER)

    def socket(self, port: int, inode: int, table: str = "tcp", state: str = "0A") -> None:
        path = self.root / "net" / table
        address = "0" * (8 if table == "tcp" else 32)
        line = f"   0: {address}:{port:04X} {address}:0000 {state} 0:0 00:0 0 0 0 {inode} 1 0 100 0 0 10 0\n"
        path.write_text((path.read_text() if path.exists() else HEADER) + line)

    def process(self, pid: int, cgroup: str, *inodes: int, command: str = "java") -> None:
        home = self.root / str(pid)
        (home / "fd").mkdir(parents=True)
        (home / "comm").write_text(f"{command.split(maxsplit=1)[0]}\n")
        (home / "cmdline").write_text(command.replace(" ", "\0") + "\0")
        (home / "cgroup").write_text(f"1:cpu:/\n0::{cgroup}\n")
        for number, inode in enumerate(inodes):
            (home / f"fd/{number}").symlink_to(f"socket:[{inode}]")

    def problems(self, *ports: dict[str, Any]) -> list[str]:
        return node_ports.port_problems(self.root, list(ports))


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


@pytest.fixture
def info_dir(tmp_path: Path) -> Path:
    for name, data in EMR_FILES.items():
        (tmp_path / name).write_text(json.dumps(data))
    return tmp_path


def test_the_documentation_lists_the_arguments() -> None:
    assert documents_its_arguments(node_check)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID="amzn"\nVERSION_ID="2023"', ""),
        ("ID=debian\nVERSION_ID=12", ""),
        ("ID=debian\nVERSION_ID=13", ""),
        ("ID=ubuntu\nVERSION_ID='24.04'", ""),
        ("ID=ubuntu\nVERSION_ID=26.04", ""),
        ("ID=ubuntu\nVERSION_ID=22.04", "use Amazon Linux 2023 (EMR 7), Debian 12 or Ubuntu 24.04"),
        ('ID=amzn\nVERSION_ID="2"\nPRETTY_NAME="Amazon Linux 2"', "Amazon Linux 2, the system of EMR 6"),
        ('ID=amzn\nVERSION_ID="2"', "use an EMR 7 release"),
        ("ID=debian\nVERSION_ID=11", "runs debian 11: use Amazon Linux 2023"),
        ("ID=ubuntu\nVERSION_ID=20.04", "runs ubuntu 20.04"),
        ('# a comment = this\n\nID=rocky\nPRETTY_NAME="Rocky Linux 9"', "runs Rocky Linux 9: use"),
        ("ID=debian", "runs debian:"),
        ("", "an unknown system"),
    ],
)
def test_operating_systems(text: str, expected: str) -> None:
    problems = node_system.os_problems(node_system.os_release(text))
    assert (expected in problems[0]) if expected else problems == []


def test_a_supported_base_is_fine() -> None:
    assert node_system.base_problems("aarch64", (3, 9), 0) == []
    assert node_system.base_problems("x86_64", (3, 13), 0) == []


def test_everything_wrong_with_the_base_is_named_with_its_remedy() -> None:
    machine, python, user = node_system.base_problems("i686", (3, 8), 1000)
    assert "i686" in machine
    assert "Graviton" in machine
    assert "python 3.8" in python
    assert "ansible_python_interpreter" in python
    assert "user id 1000" in user
    assert "become: true" in user


def test_systemd(tmp_path: Path) -> None:
    assert node_system.systemd_problems("systemd 252 (252.39-1)\n+PAM", tmp_path) == []
    # Debian 11's, on which Grafana's unit does not start.
    assert "has systemd 247, and 252" in node_system.systemd_problems("systemd 247 (247.3-7)\n", tmp_path)[0]
    assert "no systemd" in node_system.systemd_problems("", tmp_path)[0]
    assert "not process 1" in node_system.systemd_problems("systemd 252\n", tmp_path / "absent")[0]


def test_the_primary_node_of_a_cluster(info_dir: Path) -> None:
    facts, problems = node_system.emr_identity(info_dir, required=True)
    assert problems == []
    assert facts == {
        "is_emr": True,
        "cluster_id": "j-1",
        "region": "eu-central-1",
        "master_private_dns_name": "ip-10-0-0-1",
    }


def test_only_the_instance_file_is_needed(info_dir: Path) -> None:
    (info_dir / "job-flow.json").unlink()
    (info_dir / "extraInstanceData.json").unlink()
    facts, problems = node_system.emr_identity(info_dir, required=True)
    assert (facts["is_emr"], facts["cluster_id"], facts["region"], problems) == (True, "", "", [])


def test_a_machine_outside_emr(tmp_path: Path) -> None:
    facts, problems = node_system.emr_identity(tmp_path, required=False)
    assert (facts["is_emr"], problems) == (False, [])
    _, problems = node_system.emr_identity(tmp_path, required=True)
    assert len(problems) == 1
    assert f"{tmp_path / 'instance.json'} does not exist" in problems[0]
    assert "set emr_required to false" in problems[0]


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("value", [False, None, "true"])
def test_another_node_of_the_cluster_is_refused(info_dir: Path, value: object, required: bool) -> None:
    (info_dir / "instance.json").write_text(json.dumps({"isMaster": value}))
    _, problems = node_system.emr_identity(info_dir, required=required)
    assert len(problems) == 1
    assert f"isMaster: {json.dumps(value)}" in problems[0]


def test_the_primary_node_is_none_of_the_others(info_dir: Path) -> None:
    _, problems = node_system.emr_identity(info_dir, required=True, primary=False)
    assert len(problems) == 1
    assert "take it out of the group emr_workers" in problems[0]
    (info_dir / "instance.json").write_text(json.dumps({"isMaster": False}))
    assert node_system.emr_identity(info_dir, required=True, primary=False)[1] == []
    (info_dir / "instance.json").unlink()
    (problem,) = node_system.emr_identity(info_dir, required=True, primary=False)[1]
    assert "take the others of a cluster into the group emr_workers" in problem


@pytest.mark.parametrize("name", EMR_FILES)
@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_a_broken_file_is_named(info_dir: Path, name: str, text: str) -> None:
    (info_dir / name).write_text(text, errors="surrogateescape")
    _, problems = node_system.emr_identity(info_dir, required=True)
    assert len(problems) == 1
    assert str(info_dir / name) in problems[0]


@pytest.mark.parametrize(
    "cgroup",
    [
        "/system.slice/prometheus.service",
        "/system.slice/prometheus.service/worker",
        "/docker/12ab/system.slice/prometheus.service",
    ],
)
def test_a_port_held_by_its_own_unit_is_fine(proc: Proc, cgroup: str) -> None:
    proc.socket(9090, 7)
    proc.process(12, cgroup, 7)
    assert proc.problems(PROMETHEUS) == []


def test_a_port_held_by_another_unit_is_named_with_its_owner(proc: Proc) -> None:
    proc.socket(9090, 7, table="tcp6")
    proc.process(12, "/system.slice/not-prometheus.service", 3, 7)
    assert proc.problems(PROMETHEUS) == [
        "Port 9090 is taken by java (pid 12, not-prometheus.service), and prometheus.service is to listen "
        "there: set prometheus_port to a free port, or stop that process."
    ]


def test_the_name_of_a_process_cannot_write_to_the_terminal(proc: Proc) -> None:
    proc.socket(9090, 7)
    proc.process(12, "/user.slice/a\x1b]0;x\a.service", 7, command="\x1b[2J\u202e\N{HEBREW LETTER ALEF}{{7*7}}")
    (problem,) = proc.problems(PROMETHEUS)
    assert problem.isprintable()
    assert "{{7*7}} (pid 12, " in problem


def test_hbase_is_recognised_at_9090_alone(proc: Proc) -> None:
    for port, inode in ((9090, 7), (3000, 8)):
        proc.socket(port, inode)
        command = "java -Xmx1g org.apache.hadoop.hbase.thrift.ThriftServer"
        proc.process(inode, "/system.slice/hbase-thrift.service", inode, command=command)
    prometheus, grafana = proc.problems(PROMETHEUS, GRAFANA)
    assert "hbase-thrift.service" in prometheus
    assert "HBase's thrift server" in prometheus
    assert "HBase's" not in grafana


def test_an_owner_out_of_sight_is_a_problem_too(proc: Proc) -> None:
    proc.socket(9090, 7)
    assert "a process that cannot be seen" in proc.problems(PROMETHEUS)[0]


def test_a_socket_handed_on_by_systemd_belongs_to_the_unit(proc: Proc) -> None:
    proc.socket(9090, 7)
    proc.process(1, "/init.scope", 7, command="systemd")
    proc.process(12, "/system.slice/prometheus.service", 7)
    assert proc.problems(PROMETHEUS) == []


def test_a_process_with_two_sockets_is_named_once(proc: Proc) -> None:
    proc.socket(9090, 7)
    proc.socket(9090, 8, table="tcp6")
    proc.process(12, "/", 7, 8)
    assert len(proc.problems(PROMETHEUS)) == 1


def test_processes_are_not_searched_while_the_ports_are_free(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(*_args: object) -> None:
        raise AssertionError

    proc.socket(9091, 7)
    proc.socket(9090, 8, state="01")
    monkeypatch.setattr(node_ports, "holders", search)
    assert proc.problems(PROMETHEUS) == []


def test_a_port_asked_for_twice(proc: Proc) -> None:
    problems = proc.problems(PROMETHEUS, GRAFANA | {"port": 9090})
    assert problems == ["prometheus_port and grafana_port are both 9090: give one of them another port."]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_real_listener_is_found(family: socket.AddressFamily) -> None:
    with socket.socket(family) as listener:
        try:
            listener.bind(("", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        port = listener.getsockname()[1]
        entry = {"port": port, "unit": "nobodys.service", "variable": "any_port"}
        assert node_ports.port_problems(Path("/proc"), [entry]) == []
        listener.listen()
        problems = node_ports.port_problems(Path("/proc"), [entry])
    assert len(problems) == 1
    assert f"Port {port} is taken by " in problems[0]
    assert f"(pid {os.getpid()}" in problems[0]


def wish(path: Path, megabytes: int, variable: str, unless: str | None = None) -> dict[str, Any]:
    return {"path": str(path), "megabytes": megabytes, "variable": variable, "unless": unless}


def test_demands_on_one_file_system_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = [wish(tmp_path / "a/b", 60, "a_dir"), wish(tmp_path / "c", 40, "c_dir")]
    monkeypatch.setattr(node_folders, "free_bytes", lambda _: 100 * 1024 * 1024)
    assert node_folders.space_problems(wishes) == []
    monkeypatch.setattr(node_folders, "free_bytes", lambda _: 100 * 1024 * 1024 - 1)
    problems = node_folders.space_problems(wishes)
    assert len(problems) == 1
    assert "has 99 MB free, and 100 MB are needed" in problems[0]
    assert f"{tmp_path / 'a/b'} (60 MB)" in problems[0]
    assert "set a_dir or c_dir" in problems[0]


def test_what_is_installed_needs_no_more_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_folders, "free_bytes", lambda _: 0)
    assert node_folders.space_problems([wish(tmp_path, 9, "a_dir", unless=str(tmp_path))]) == []
    assert len(node_folders.space_problems([wish(tmp_path, 9, "a_dir", unless=str(tmp_path / "no"))])) == 1


def test_the_file_system_is_found_through_links_and_missing_folders(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert node_folders.existing_parent(str(tmp_path / "link/x/y")) == (tmp_path / "real").resolve()
    assert os.path.ismount(node_folders.mount_point(tmp_path))
    assert node_folders.mount_point(Path("/proc/self")) == Path("/proc")


def test_what_is_reserved_for_root_does_not_count_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    status = SimpleNamespace(f_bavail=3, f_bfree=5, f_bsize=7, f_frsize=4)
    monkeypatch.setattr(os, "statvfs", lambda _: status)
    assert node_folders.free_bytes(Path("/")) == 12


SERVICE, OTHER = "daemon", "bin"


def place(path: Path, variable: str, owner: str | None = None) -> dict[str, Any]:
    return {"path": str(path), "variable": variable, "owner": owner}


@pytest.fixture
def places(tmp_path: Path) -> list[dict[str, Any]]:
    return [place(tmp_path / "tool/releases", "tool_root"), place(tmp_path / "tool/data", "tool_data_dir", SERVICE)]


def test_folders_beside_each_other_are_fine(places: list[dict[str, Any]]) -> None:
    assert node_folders.folder_problems(places) == []
    places[1]["owner"] = "a-user-that-is-not-there-yet"
    assert node_folders.folder_problems(places) == []


@pytest.mark.parametrize("folder", ["tool/data/more/releases", "link/releases"])
def test_a_folder_below_that_of_a_service_is_refused_before_either_is_there(
    tmp_path: Path, places: list[dict[str, Any]], folder: str
) -> None:
    (tmp_path / "link").symlink_to("tool/data")
    inner = place(tmp_path / folder, "other_root")
    assert node_folders.folder_problems([*places, inner]) == [
        f"{tmp_path / folder} lies in {tmp_path}/tool/data, where {SERVICE} can put links to anything: set other_root "
        "to a folder outside."
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="changes owners")
@pytest.mark.parametrize("folder", ["old/data", "link/data"])
def test_a_folder_below_one_that_belongs_to_a_service_is_refused(
    tmp_path: Path, places: list[dict[str, Any]], folder: str
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "link").symlink_to("old")
    shutil.chown(tmp_path / "old", SERVICE)
    (problem,) = node_folders.folder_problems([*places, place(tmp_path / folder, "other_data_dir", OTHER)])
    assert problem.startswith(f"{tmp_path / folder} lies in {tmp_path}/old, where {SERVICE} can put links to anything")


@pytest.mark.skipif(os.geteuid() != 0, reason="changes owners")
def test_a_folder_that_holds_what_belongs_to_another_one_is_refused(
    tmp_path: Path, places: list[dict[str, Any]]
) -> None:
    data = tmp_path / "tool/data"
    data.mkdir(parents=True)
    (data / "lost+found").mkdir()
    assert node_folders.folder_problems(places) == []
    (data / "wal").mkdir()
    (problem,) = node_folders.folder_problems(places)
    assert problem == (
        f"{data} does not belong to {SERVICE} and holds 'wal': set tool_data_dir to a folder of its own, or give it to "
        "that user with chown -R."
    )
    shutil.chown(data, SERVICE)
    assert node_folders.folder_problems(places) == []


def test_a_link_to_a_folder_of_the_system_is_no_folder_for_a_service(
    tmp_path: Path, places: list[dict[str, Any]]
) -> None:
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool/data").symlink_to("/etc")
    (problem,) = node_folders.folder_problems(places)
    assert f"{tmp_path}/tool/data does not belong to {SERVICE} and holds " in problem


@pytest.mark.parametrize("needed", [True, False])
def test_the_module_tells_all_problems_of_what_runs_here_at_once(tmp_path: Path, needed: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        entry = {"port": listener.getsockname()[1], "unit": "nobodys.service", "variable": "any_port"}
        options = {
            "info_dir": str(tmp_path),
            "ports": [entry | {"needed": needed}],
            "space": [wish(tmp_path / "x", 10**9, "any_dir") | {"needed": needed}],
            "folders": [place(tmp_path / "data/root", "any_root"), place(tmp_path / "data", "any_data", SERVICE)],
        }
        done = subprocess.run(
            [sys.executable, node_check.__file__],
            env=os.environ | {"PYTHONPATH": str(COLLECTIONS)},
            input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
            capture_output=True,
            text=True,
            check=False,
        )
    result = json.loads(done.stdout)
    assert result["failed"]
    assert result["msg"].startswith("This node cannot be provisioned; nothing was changed:\n- ")
    assert "emr_required" in result["msg"]
    assert "any_root" in result["msg"]
    assert [word in result["msg"] for word in ("any_port", "any_dir")] == [needed, needed]


class Service:
    """A node as far as one service of it is concerned."""

    def __init__(self, root: Path) -> None:
        self.units = [root / "etc/systemd/system", root / "usr/lib/systemd/system"]
        self.manifests, self.records = root / "manifests", root / "records"
        self.entry = {
            # A user that no machine has.
            "name": "emr-no-such-user",
            "unit": "x.service",
            "releases": str(root / "mnt/x/releases"),
            "folders": {"x_root": str(root / "mnt/x"), "x_data_dir": str(root / "mnt/x/data")},
            "configuration": str(root / "etc/x"),
            "files": ["x.yml", "sub/y.yml"],
        }

    def strangers(self) -> list[str]:
        return node_services.strangers(self.entry, self.units, self.manifests, self.records)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_bare_node_has_nobodys_service(service: Service, tmp_path: Path) -> None:
    assert service.strangers() == []
    # What belongs to nobody's service stays unmentioned.
    put(tmp_path / "etc/x/notes.txt")
    put(tmp_path / "etc/systemd/system/y.service")
    assert service.strangers() == []


@pytest.mark.parametrize(
    "path", ["etc/systemd/system/x.service", "usr/lib/systemd/system/x.service", "etc/x/x.yml", "etc/x/sub/y.yml"]
)
def test_a_unit_or_a_file_of_somebody_elses_service_is_named(service: Service, tmp_path: Path, path: str) -> None:
    found = put(tmp_path / path)
    assert service.strangers() == [str(found)]
    found.unlink()
    # A unit that is masked, or a link to nowhere, is somebody's too.
    found.symlink_to("/nowhere")
    assert service.strangers() == [str(found)]


def test_a_unit_that_is_seen_through_a_link_is_named_once(service: Service, tmp_path: Path) -> None:
    found = put(tmp_path / "usr/lib/systemd/system/x.service")
    (tmp_path / "lib").symlink_to("usr/lib")
    service.units.append(tmp_path / "lib/systemd/system")
    assert service.strangers() == [str(found)]


def account(name: str, home: str, shell: str) -> Any:
    return SimpleNamespace(pw_name=name, pw_uid=987, pw_dir=home, pw_shell=shell)


@pytest.mark.parametrize(
    ("home", "shell", "strange"),
    [
        ("/nonexistent", "/usr/sbin/nologin", False),
        ("/home/prometheus", "/bin/false", True),
        ("/var/lib/prometheus", "/usr/sbin/nologin", True),
        ("/nonexistent", "/bin/bash", True),
    ],
)
def test_a_user_that_is_not_as_the_roles_make_it_is_named(
    service: Service, monkeypatch: pytest.MonkeyPatch, home: str, shell: str, strange: bool
) -> None:
    monkeypatch.setattr("pwd.getpwnam", lambda name: account(name, home, shell))
    assert len(service.strangers()) == strange
    if strange:
        assert f"home {home}, shell {shell}" in service.strangers()[0]


@pytest.mark.parametrize(
    "trace",
    [
        "manifests/emr-no-such-user.json",
        "mnt/x/releases/1.0/.release.json",
        "mnt/x/releases/.staging-1.0/bin",
        "mnt/x/releases/.download-abc",
    ],
)
def test_a_service_that_this_project_installed_or_began_to_is_its_own(
    service: Service, tmp_path: Path, trace: str
) -> None:
    put(tmp_path / "etc/x/x.yml")
    put(tmp_path / trace)
    assert service.strangers() == []


def test_a_user_who_stayed_is_known_and_what_came_later_is_not(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pwd.getpwnam", lambda name: account(name, "/nonexistent", "/bin/bash"))
    (tmp_path / "records/emr-monitoring-emr-no-such-user").mkdir(parents=True)
    assert service.strangers() == []
    unit = put(tmp_path / "usr/lib/systemd/system/x.service")
    assert service.strangers() == [str(unit)]


def test_a_release_that_somebody_else_unpacked_is_none_of_ours(service: Service, tmp_path: Path) -> None:
    put(tmp_path / "mnt/x/releases/1.0/prometheus")
    put(tmp_path / "etc/x/x.yml")
    assert service.strangers()


def test_somebody_elses_service_is_a_problem_that_says_what_to_do(service: Service, tmp_path: Path) -> None:
    put(tmp_path / "etc/x/x.yml")
    (problem,) = node_services.ownership_problems([service.entry])
    for words in (
        "Somebody else's emr-no-such-user",
        "etc/x/x.yml",
        "disable --now x.service",
        "neither overwritten",
        "monitoring_adopt_existing: true",
    ):
        assert words in problem


@pytest.mark.parametrize(("shell", "recorded", "usable"), [
    ("/usr/sbin/nologin", True, True),
    ("/bin/bash", True, False),
    # One of a service that was taken over.
    ("/bin/false", False, True),
])  # fmt: skip
def test_a_user_that_the_project_did_not_make_stays_as_it_is(
    tmp_path: Path, shell: str, recorded: bool, usable: bool
) -> None:
    if recorded:
        (tmp_path / "emr-monitoring-grafana").mkdir()
    assert node_services.is_usable(account("grafana", "/x", shell), tmp_path) is usable


def folders(name: str, root: Path, data: Path, configuration: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "releases": f"{root}/releases",
        "folders": {f"{name}_root": str(root), f"{name}_data_dir": str(data)},
        "configuration": configuration or f"/etc/{name}",
    }


def test_each_service_has_its_folders_for_itself(tmp_path: Path) -> None:
    a = folders("a", tmp_path / "a", tmp_path / "a/data")
    assert node_folders.overlap_problems([a, folders("b", tmp_path / "b", tmp_path / "data/b")]) == []
    # A name that begins with another one is no folder in it.
    assert node_folders.overlap_problems([a, folders("b", tmp_path / "a2", tmp_path / "a-data")]) == []


@pytest.mark.parametrize(
    ("root", "data", "named"),
    [
        ("a", "b/data", "a_root ({0}/a) and b_root ({0}/a) are one folder"),
        ("a/b", "b/data", "a_root ({0}/a) and b_root ({0}/a/b) lie one in the other"),
        ("b", "a/data", "a_data_dir ({0}/a/data) and b_data_dir ({0}/a/data) are one folder"),
        ("b", "a/data/b", "a_data_dir ({0}/a/data) and b_data_dir ({0}/a/data/b) lie one in the other"),
        ("", "b/data", "a_root ({0}/a) and b_root ({0}/) lie one in the other"),
        ("b", "link/data", "a_data_dir ({0}/a/data) and b_data_dir ({0}/link/data) are one folder"),
    ],
)
def test_a_folder_that_two_services_share_is_named(tmp_path: Path, root: str, data: str, named: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    a, b = folders("a", tmp_path / "a", tmp_path / "a/data"), folders("b", Path(f"{tmp_path}/{root}"), tmp_path / data)
    problems = node_folders.overlap_problems([a, b])
    assert any(named.format(tmp_path).replace("/)", ")") in problem for problem in problems), problems


def test_a_folder_in_the_configuration_of_another_service_is_named(tmp_path: Path) -> None:
    a, b = (folders(name, tmp_path / name, tmp_path / f"{name}-data", f"{tmp_path}/etc/{name}") for name in "ab")
    b["folders"]["b_data_dir"] = f"{tmp_path}/etc/a/data"
    (problem,) = node_folders.overlap_problems([a, b])
    assert f"the configuration of a ({tmp_path}/etc/a) and b_data_dir" in problem


@pytest.mark.parametrize("data", ["a/releases", "a/releases/data"])
def test_data_among_the_releases_is_named(tmp_path: Path, data: str) -> None:
    (problem,) = node_folders.overlap_problems([folders("a", tmp_path / "a", tmp_path / data)])
    assert f"a_data_dir ({tmp_path / data}) is or lies in the folder of releases" in problem


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Return a function that checks a key and a password of a node, and returns the problems."""

    def problems(
        key: str | None, password: bool = True, replaced: Sequence[str] = (), adopt: bool = False
    ) -> list[str]:
        folder = tmp_path / "credentials"
        defaults = {"used_by": None, "sha256": None, "needed": True}
        secrets = [
            {
                **defaults,
                "variable": "grafana_secret_key",
                "path": str(folder / "grafana_secret_key"),
                "kept": str(tmp_path / "record/grafana_secret_key"),
                "used_by": str(tmp_path / "grafana.db"),
                "known": key is not None,
                "sha256": sha256(key or ""),
            },
            {
                **defaults,
                "variable": "tool_password",
                "path": str(folder / "tool_password"),
                "kept": str(tmp_path / "record/tool_password"),
                "known": password,
            },
        ]
        options = {"secrets_dir": "/home/me/secrets", "self_provisioned": str(tmp_path / "self"), "adopt": adopt}
        return node_secrets.secret_problems({**options, "secrets": secrets, "secrets_replaced": list(replaced)})

    for folder in ("credentials", "record", "self"):
        (tmp_path / folder).mkdir()
    return problems


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_restore_that_was_cut_off_is_what_has_to_go_on(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "grafana.db").touch()
    (tmp_path / "restoring").write_text("1a2b3c4d")
    monkeypatch.setattr(node_secrets, "RESTORING", tmp_path / "restoring")
    (problem,) = kept(None)
    assert problem.startswith("a restore was cut off here, which brings the secrets")
    assert "playbooks/restore.yml again, with -e backup_snapshot=1a2b3c4d" in problem
    # A node that has them goes on.
    assert kept("a key") == []


@pytest.mark.parametrize("key", [None, "a key"])
def test_a_bare_node_takes_any_secret(kept: Kept, key: str | None) -> None:
    assert kept(key, password=key is not None) == []


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("folder", ["credentials", "record", "self"])
def test_the_right_key_is_no_problem_wherever_the_node_keeps_it(
    kept: Kept, tmp_path: Path, folder: str, end: str
) -> None:
    (tmp_path / "grafana.db").touch()
    (tmp_path / folder / "grafana_secret_key").write_text(f"a key{end}")
    assert kept("a key") == []


@pytest.mark.parametrize("database", [True, False])
@pytest.mark.parametrize("folder", ["credentials", "record", "self"])
def test_another_key_is_refused_with_both_ways_on_and_shown_nowhere(
    kept: Kept, tmp_path: Path, folder: str, database: bool
) -> None:
    # A database elsewhere, such as PostgreSQL, cannot be seen here.
    (tmp_path / "grafana.db").touch() if database else None
    (tmp_path / folder / "grafana_secret_key").write_text("the node's key")
    (problem,) = kept("another key")
    assert problem.startswith("grafana_secret_key, which the inventory sets or /home/me/secrets holds, is not the key")
    assert f"{tmp_path}/{folder}/grafana_secret_key" in problem
    assert "-e monitoring_secrets_from_node=true" in problem
    assert "-e monitoring_secrets_replace=grafana_secret_key" in problem
    assert "they have to enter them again" in problem
    assert not [key for key in ("the node's key", "another key", sha256("another key")) if key in problem]
    assert kept("another key", replaced=["grafana_secret_key"]) == []


PLACES = ("credentials", "record", "self")


@pytest.mark.parametrize("first", range(3))
def test_what_was_in_use_last_counts_whatever_is_older(kept: Kept, tmp_path: Path, first: int) -> None:
    for place in PLACES[first:]:
        (tmp_path / place / "grafana_secret_key").write_text(f"of {place}")
    assert kept(f"of {PLACES[first]}") == []
    assert [len(kept(f"of {place}")) for place in PLACES[first + 1 :]] == [1] * (2 - first)


def test_an_empty_file_does_not_hide_what_is_older(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "credentials/grafana_secret_key").write_text("\n")
    (tmp_path / "record/grafana_secret_key").write_text("a key")
    assert kept("a key") == []
    assert len(kept("another key")) == 1


def test_another_password_is_a_change_like_any_other(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "credentials/tool_password").write_text("old")
    assert kept("a key") == []


@pytest.mark.parametrize("folder", ["credentials", "record", "self"])
def test_what_the_node_has_and_the_controller_has_not_is_refused(kept: Kept, tmp_path: Path, folder: str) -> None:
    for name in ("grafana_secret_key", "tool_password"):
        (tmp_path / folder / name).write_text("a value")
    (problem,) = kept(None, False)
    assert problem.startswith("/home/me/secrets holds no grafana_secret_key, tool_password, and the node has")
    assert "-e monitoring_secrets_from_node=true" in problem
    assert "-e monitoring_secrets_replace=grafana_secret_key,tool_password." in problem
    assert "a value" not in problem
    (problem,) = kept(None, False, replaced=["grafana_secret_key"])
    assert "grafana" not in problem


def test_a_key_that_neither_side_has_is_refused_where_there_is_a_database(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "grafana.db").touch()
    (problem,) = kept(None, False)
    assert f"{tmp_path}/grafana.db on the node was made with it, of which the node has no copy" in problem
    assert "copy the file from the controller that provisioned the node" in problem
    assert "grafana.ini" not in problem
    assert "the secret_key of its grafana.ini" in kept(None, False, adopt=True)[0]
    assert "monitoring_secrets_from_node" not in problem
    assert kept(None, False, replaced=["grafana_secret_key"]) == []


def test_a_database_that_stayed_goes_on_with_the_key_that_the_controller_kept(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "grafana.db").touch()
    assert kept("a key", False) == []


def test_what_is_to_be_replaced_has_to_be_a_secret(kept: Kept) -> None:
    (problem,) = kept("a key", replaced=["grafana_key"])
    assert "'grafana_key': the secrets are grafana_secret_key, tool_password." in problem


@pytest.mark.parametrize(
    ("used", "wanted", "database", "is_said"),
    [
        ("12.4.0", "13.2.3", "", True),
        ("12.4.0", "12.4.0", "", False),
        ("12.4.0", "13.2.3", "/mnt/grafana/data/grafana.db", False),
        ("", "13.2.3", "", False),
    ],
    ids=["another version", "the same", "a database that is copied", "a first run"],
)
def test_a_database_that_no_run_can_copy_is_told_before_another_version_starts(
    tmp_path: Path, used: str, wanted: str, database: str, is_said: bool
) -> None:
    if used:
        (tmp_path / "releases" / used).mkdir(parents=True)
        (tmp_path / "current").symlink_to(f"releases/{used}")
    said = node_services.migration_warning(str(tmp_path / "releases"), wanted, database)
    assert ("have a backup before you go on" in said) is is_said
    assert not is_said or f"from {used} to {wanted}" in said
