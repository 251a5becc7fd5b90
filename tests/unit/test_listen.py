"""Where a service listens: what asks it follows, and an address that is none is refused."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.emr.monitoring.plugins.filter.folders import unusable_folders
from ansible_collections.emr.monitoring.plugins.filter.listen import (
    asked_host,
    is_loopback,
    is_own,
    listen_names,
    listen_problems,
    listening_note,
    own_addresses,
    served_path,
    target_host,
    url_host,
)
from ansible_collections.emr.monitoring.plugins.module_utils import node_addresses, node_folders
from ansible_collections.emr.monitoring.plugins.plugin_utils.scrape_jobs import with_own_targets

ROLES = Path(__file__).resolve().parents[2] / "roles"


@pytest.mark.parametrize(
    ("listen", "written", "asked", "target"),
    [
        ("0.0.0.0", "0.0.0.0", "127.0.0.1", "localhost"),  # noqa: S104
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", "localhost"),
        ("localhost", "localhost", "localhost", "localhost"),
        ("::", "[::]", "[::1]", "localhost"),
        ("::1", "[::1]", "[::1]", "[::1]"),
        ("10.0.0.5", "10.0.0.5", "10.0.0.5", "10.0.0.5"),
        ("2001:db8::5", "[2001:db8::5]", "[2001:db8::5]", "[2001:db8::5]"),
        ("ip-10-0-0-5.ec2.internal", *["ip-10-0-0-5.ec2.internal"] * 3),
    ],
)
def test_what_asks_follows_the_address(listen: str, written: str, asked: str, target: str) -> None:
    assert (url_host(listen), asked_host(listen), target_host(listen)) == (written, asked, target)
    assert listen_problems({"prometheus_listen_address": listen}) == []


@pytest.mark.parametrize(
    "listen", ["", "[::1]", "10.0.0.5:9090", "10.0.0.300", "10.0.0", "*", "fe80::1%eth0", "a b", "a\n"]
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    (problem,) = listen_problems({"grafana_listen_address": listen})
    assert problem.startswith(f"grafana_listen_address is '{listen}': write an address of the node")


def test_grafana_starts_with_no_name() -> None:
    for name in ("localhost", "ip-10-0-0-5"):
        (problem,) = listen_problems({"monitoring_listen_address": name, "grafana_listen_address": name})
        assert problem == f"grafana_listen_address is '{name}', and Grafana takes an address alone: write it."


def test_what_follows_a_wrong_address_is_not_said_again() -> None:
    addresses = {"monitoring_listen_address": "*", "grafana_listen_address": "*", "prometheus_listen_address": "?"}
    assert [problem.split()[0] for problem in listen_problems(addresses)] == [
        "monitoring_listen_address",
        "prometheus_listen_address",
    ]


def test_its_own_prometheus_is_known_in_each_way_to_write_it() -> None:
    known = own_addresses("10.0.0.5", 9090, "https://a.example.com:443/x/")
    assert known == ["a.example.com/x", "localhost:9090/*", "127.0.0.1:9090/*", "[::1]:9090/*", "10.0.0.5:9090/*"]
    assert own_addresses("::", 9090, None) == ["localhost:9090/*", "127.0.0.1:9090/*", "[::1]:9090/*"]
    for url in ("https://A.example.com/x", "http://a.example.com:80/x/", "a.example.com/x?y", "localhost:9090"):
        assert is_own(url, known), url
    assert is_own("https://localhost", own_addresses("::", 443, ""))
    for url in ("http://[::1]:9090/any/path", "10.0.0.5:9090/"):
        assert is_own(url, known), url


def test_another_service_behind_the_same_load_balancer_is_not_its_own_prometheus() -> None:
    known = own_addresses("0.0.0.0", 9090, "https://a.example.com/prometheus")  # noqa: S104
    for other in ("https://a.example.com", "https://a.example.com/grafana", "https://a.example.com/prometheus/x"):
        assert not is_own(other, known), other
    assert not is_own("http://b.example.com/prometheus", known)
    assert not is_own("http://localhost:9091", known)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a.example.com/prometheus/", "/prometheus"),
        ("https://a.example.com/team/a/prometheus", "/team/a/prometheus"),
        ("https://a.example.com/", ""),
        ("https://a.example.com", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_service_serves_below_the_path_that_nobody_removes(url: str | None, path: str) -> None:
    assert served_path(url, True) == path
    assert served_path(url, False) == ""


def test_loopback_is_whatever_no_other_node_reaches() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.0.0.2", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.5", "node"]))  # noqa: S104


def test_a_certificate_is_for_the_addresses_that_are_some() -> None:
    assert listen_names(["0.0.0.0", "::", "10.0.0.5", "10.0.0.5", "node"]) == ["10.0.0.5", "node"]  # noqa: S104


def test_a_page_that_is_not_reached_by_every_address_is_said_to_be() -> None:
    assert listening_note("::") == listening_note("0.0.0.0") == ""  # noqa: S104
    assert listening_note("10.0.0.5") == " (it listens on 10.0.0.5 alone)"
    assert listening_note("::1") == " (it listens on ::1 alone: use an ssh tunnel)"


def job(**settings: Any) -> dict[str, Any]:
    return {"job_name": "a", "static_configs": [{"targets": ["localhost:9090", "localhost:8000"]}], **settings}


def test_the_scrape_of_itself_goes_where_it_listens() -> None:
    (moved,) = with_own_targets([job()], 9090, "10.0.0.5:9090")
    assert moved["static_configs"] == [{"targets": ["10.0.0.5:9090", "localhost:8000"]}]
    for target in ("127.0.0.1:9090", "[::1]:9090"):
        (moved,) = with_own_targets(
            [{"static_configs": [{"targets": [target], "labels": {"a": "b"}}]}], 9090, "node:9090"
        )
        assert moved["static_configs"] == [{"targets": ["node:9090"], "labels": {"a": "b"}}]


def test_a_target_that_is_reached_stays_as_it_was_written() -> None:
    assert with_own_targets([job()], 9090, "localhost:9090") == [job()]


@pytest.mark.parametrize(
    "settings",
    [
        {"proxy_url": "http://proxy"},
        {"relabel_configs": [{"target_label": "__address__", "replacement": "exporter:9115"}]},
        {"static_configs": None},
    ],
)
def test_a_target_of_somebody_else_stays_as_it_was_written(settings: dict[str, Any]) -> None:
    assert with_own_targets([job(**settings)], 9090, "10.0.0.5:9090") == [job(**settings)]


FIB_TRIE = """Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.0.0.5
        /32 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 10.0.0.255
        /32 link BROADCAST
"""
IF_INET6 = "00000000000000000000000000000001 01 80 10 80       lo\nfe800000000000000000000000000001 02 40 20 80 eth0\n"
GLOBAL = "20010db8000000000000000000000005 02 40 00 80     eth0\n"


def proc(folder: Path, ipv4: str, ipv6: str) -> Path:
    (folder / "net").mkdir()
    (folder / "net/fib_trie").write_text(ipv4)
    (folder / "net/if_inet6").write_text(ipv6)
    return folder


def port(address: str | None, variable: str = "grafana_port", follows: bool = False) -> dict[str, Any]:
    return {"port": 1, "unit": "a", "variable": variable, "address": address, "follows": follows}


def test_the_addresses_of_the_node_are_those_that_others_reach(tmp_path: Path) -> None:
    found = node_addresses.node_addresses(proc(tmp_path, FIB_TRIE, IF_INET6 + GLOBAL))
    assert found == {socket.AF_INET: ["10.0.0.5"], socket.AF_INET6: ["2001:db8::5"]}


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "localhost", None])  # noqa: S104
def test_an_address_that_the_node_has_is_no_problem(tmp_path: Path, address: str | None) -> None:
    assert node_addresses.address_problems([port(address)], proc(tmp_path, FIB_TRIE, IF_INET6)) == []


def test_an_address_that_the_node_does_not_have_is_named_with_those_that_it_has(tmp_path: Path) -> None:
    (problem,) = node_addresses.address_problems([port("192.0.2.1")], proc(tmp_path, FIB_TRIE, IF_INET6 + GLOBAL))
    assert problem == (
        "grafana_listen_address is 192.0.2.1, which this node does not have: write one of 10.0.0.5, 2001:db8::5, "
        "127.0.0.1, 0.0.0.0."
    )


def test_what_several_services_follow_is_said_once(tmp_path: Path) -> None:
    ports = [port("192.0.2.1", variable, True) for variable in ("prometheus_port", "grafana_port")]
    (problem,) = node_addresses.address_problems(ports, proc(tmp_path, FIB_TRIE, IF_INET6))
    assert problem.startswith("monitoring_listen_address is 192.0.2.1, which")


def test_a_name_that_the_node_does_not_know_is_refused(tmp_path: Path) -> None:
    (problem,) = node_addresses.address_problems([port("node.invalid")], proc(tmp_path, FIB_TRIE, IF_INET6))
    assert problem.startswith("grafana_listen_address is node.invalid, a name that this node does not know")


def test_all_addresses_of_ipv4_are_none_where_there_is_ipv6_alone(tmp_path: Path) -> None:
    loopback = FIB_TRIE.replace("10.0.0.5", "127.0.0.2")
    (problem,) = node_addresses.address_problems(
        [port("0.0.0.0")],  # noqa: S104
        proc(tmp_path, loopback, IF_INET6 + GLOBAL),
    )
    assert problem.endswith('this node has only those of IPv6: write "::".')


@pytest.mark.parametrize(
    "folder",
    ["/home/hadoop/m", "/root", "/run/user/1000/m", "/tmp/m", "/var/tmp", "/proc", "/sys/m", "/dev/m"],  # noqa: S108
)
def test_a_folder_that_no_unit_could_use_is_refused_with_the_reason(folder: str) -> None:
    (problem,) = unusable_folders({"grafana_root": folder}, "/mnt")
    assert problem.startswith(f"grafana_root is {folder}, and ")


@pytest.mark.parametrize("folder", ["m", "~/m", "./m", "/mnt/", "/mnt/../home", "", "/"])
def test_what_is_no_absolute_path_is_refused(folder: str) -> None:
    (problem,) = unusable_folders({"grafana_root": folder}, "/mnt")
    assert problem.startswith(f"grafana_root is '{folder}': write an absolute path")


def test_of_a_volume_that_no_unit_could_use_the_volume_alone_is_said() -> None:
    folders = {"grafana_root": "/home/m/grafana", "prometheus_root": "/data/prometheus", "alertmanager_root": "/tmp/a"}  # noqa: S108
    problems = unusable_folders(folders, "/home/m")
    assert [problem.split()[0] for problem in problems] == ["monitoring_volume", "alertmanager_root"]


@pytest.mark.parametrize("folder", ["/mnt/a", "/homes/a", "/data", "/rooted/a"])
def test_a_folder_that_only_looks_alike_can_be_used(folder: str) -> None:
    assert unusable_folders({"grafana_root": folder}, "/mnt") == []


def test_a_link_to_where_no_unit_can_look_is_refused_on_the_node(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/home")
    (problem,) = node_folders.link_problems([{"path": f"{tmp_path}/link/m", "variable": "grafana_root"}])
    assert problem == (
        f"{tmp_path}/link/m leads to /home/m, and a unit does not see /home (ProtectHome=yes): set grafana_root to a "
        "folder elsewhere."
    )
    assert node_folders.link_problems([{"path": "/mnt/m", "variable": "grafana_root"}]) == []


def rendered(expression: str, **variables: Any) -> Any:
    """Return what the roles make of variables over their defaults."""
    loader = DataLoader()
    known: dict[str, Any] = {"ansible_facts": {"architecture": "x86_64"}, "ansible_host": "node", "tls_certificate": ""}
    known |= {"inventory_dir": "/inventory", "inventory_hostname": "node", "hostvars": {"node": {}}}
    known["generated_secret_placeholder"] = True
    for role in ("settings", "prometheus", "alertmanager", "grafana"):
        for path in ("defaults/main.yml", "vars/main.yml"):
            if (ROLES / role / path).exists():
                known |= loader.load_from_file(str(ROLES / role / path), trusted_as_template=True)
    known |= {f"{name}_password": "a good phrase" for name in ("prometheus", "alertmanager", "grafana_metrics")}
    known |= {"role_path": str(ROLES / "prometheus"), "prometheus_password_salt": "salt", **variables}
    return Templar(loader, known).template(trust_as_template(expression))


@pytest.mark.parametrize(
    ("listen", "target"),
    [("0.0.0.0", "localhost"), ("::", "localhost"), ("::1", "[::1]"), ("10.0.0.5", "10.0.0.5")],  # noqa: S104
)
def test_all_that_asks_a_service_follows_its_address(listen: str, target: str) -> None:
    receivers = [{"name": "a"}]

    def seen(expression: str) -> Any:
        return rendered(expression, monitoring_listen_address=listen, alertmanager_receivers=receivers)

    assert seen("{{ grafana_prometheus_url }}") == f"http://{target}:9090"
    assert seen("{{ __grafana_asks_this_node }}") is True
    assert seen("{{ prometheus_alertmanagers[0].static_configs }}") == [{"targets": [f"{target}:9093"]}]
    assert seen("{{ __prometheus_own_grafana.static_configs }}") == [{"targets": [f"{target}:3000"]}]
    job = yaml.safe_load(seen("{{ __prometheus_configuration.files['prometheus.yml'].content }}"))["scrape_configs"][0]
    assert job["static_configs"] == [{"targets": [f"{target}:9090"]}]
    for service, port in (("prometheus", 9090), ("alertmanager", 9093), ("grafana", 3000)):
        assert seen(f"{{{{ __{service}_api }}}}") == f"http://{asked_host(listen)}:{port}"
    names = ["node", "localhost", "127.0.0.1", *([] if target == "localhost" else [listen])]
    assert seen("{{ tls_self_signed_names }}") == names


@pytest.mark.parametrize("role", ["prometheus", "alertmanager", "grafana"])
@pytest.mark.parametrize(("port", "needed"), [(80, True), (1023, True), (1024, False), (9090, False)])
def test_a_port_below_1024_costs_the_unit_one_capability(role: str, port: int, needed: bool) -> None:
    (path,) = (ROLES / role / "templates/unit").glob("*.j2")
    unit = rendered(path.read_text(), **{f"{role}_port": port, "ansible_managed": "managed"})
    assert ("AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in unit) is needed
    # The last line of a name counts; of the capabilities an empty one takes back those before it.
    assert [line for line in unit.splitlines() if line.startswith("PrivateUsers=")][-1].endswith("no") is needed
    bounds = [line.partition("=")[2] for line in unit.splitlines() if line.startswith("CapabilityBoundingSet=")]
    assert bounds == ["", *(["CAP_NET_BIND_SERVICE"] if needed else [])]
