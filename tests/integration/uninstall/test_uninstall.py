"""Uninstalled, the node is as it was before; what the user owns stays. The tests tell one story, in this order."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from tests.integration import node
from tests.integration.node import Api, Playbook, contents, poll, refused, unit_properties

ROLES = ("prometheus", "grafana", "alertmanager")
UNITS = (*node.UNITS, "alertmanager.service")
RECORD = "/var/lib/emr-monitoring-grafana"
MINE = "/etc/prometheus/mine.yml"
SOURCE = {"uid": "mine", "name": "Mine", "type": "prometheus", "url": "http://localhost:9090", "access": "proxy"}


def changes(playbook: Playbook, *options: str, **extra_vars: Any) -> tuple[int, str]:
    """Run uninstall.yml; return how many tasks changed something, and the output."""
    done = playbook("playbooks/uninstall.yml", *options, **extra_vars)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout
    return int(re.findall(r"changed=(\d+)", done.stdout)[-1]), done.stdout


def install(playbook: Playbook) -> None:
    """Run site.yml, which ends with the verification."""
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout


def listing(host: Host) -> set[str]:
    """Return what is on the node: a line for each path and for each account."""
    return set(host.check_output("sudo /root/node.sh").splitlines())


def others(host: Host) -> dict[str, str]:
    """Return the process of each running service that is not the project's."""
    running = host.check_output("systemctl list-units --type=service --state=running --plain --no-legend")
    names = {line.split()[0] for line in running.splitlines()} - set(UNITS)
    return {name: unit_properties(host, name, "MainPID")["MainPID"] for name in names}


def oldest_sample(prometheus: Api) -> float:
    """Return the time of the oldest sample that Prometheus holds of itself, once there is one."""

    def samples() -> Any:
        return prometheus.data("/api/v1/query?query=up%7Bjob%3D%22prometheus%22%7D%5B1h%5D")["data"]["result"]

    found = poll(samples, 30)
    assert found, "no samples"
    return float(found[0]["values"][0][0])


@pytest.fixture(scope="module")
def since(prometheus: Api) -> float:
    """Return since when there are metrics."""
    return oldest_sample(prometheus)


def test_check_mode_changes_nothing(playbook: Playbook, host: Host) -> None:
    before = [unit_properties(host, unit, "MainPID", "UnitFileState") for unit in UNITS]
    changed, _ = changes(playbook, "--check", "--diff", uninstall_purge_data=True)
    assert changed > 0
    assert [unit_properties(host, unit, "MainPID", "UnitFileState") for unit in UNITS] == before


@pytest.mark.usefixtures("since")
def test_everything_goes_but_the_data_and_what_the_user_made(
    playbook: Playbook, host: Host, grafana: Api, bare: set[str], variables: dict[str, Any]
) -> None:
    assert grafana.data("/api/datasources", SOURCE)["message"] == "Datasource added"
    host.check_output(f"sudo touch {MINE}")
    before = others(host)

    changed, output = changes(playbook)

    assert changed > 0
    assert MINE in output
    data = tuple(variables[f"{role}_root"] for role in ROLES)
    accounts = tuple(f"{role}:" for role in ROLES)
    now = listing(host)
    assert bare <= now
    # By these the next run knows that the users, whom the data belongs to, are its own.
    kept = [f"{RECORD}/{name}" for name in ("admin_password", "secret_key")]
    records = tuple(f"{path} " for path in (*(f"/var/lib/emr-monitoring-{role}" for role in ROLES), *kept))
    assert [host.check_output(f"sudo stat -c '%U %a' {path}") for path in (RECORD, *kept)] == [
        "root 700",
        "root 600",
        "root 600",
    ]
    left = {line for line in now - bare if not line.startswith((*data, *accounts, *records))}
    assert {line.split()[0] for line in left} == {MINE, str(Path(MINE).parent)}
    assert not [line for line in now - bare if "/releases" in line or "/current" in line]
    for unit in UNITS:
        assert unit_properties(host, unit, "LoadState", "ActiveState") == {
            "LoadState": "not-found",
            "ActiveState": "inactive",
        }
    assert others(host) == before


def test_a_second_time_nothing_changes(playbook: Playbook, host: Host) -> None:
    assert changes(playbook)[0] == 0
    host.check_output(f"sudo rm -r {Path(MINE).parent}")


@pytest.mark.parametrize("key", [None, "another-key-than-that-of-the-database"], ids=["no key", "another key"])
def test_a_database_that_stayed_is_not_given_to_a_controller_without_its_key(
    playbook: Playbook, host: Host, tmp_path: Path, key: str | None
) -> None:
    before = listing(host)
    clone = tmp_path / "clone"
    extra = {"grafana_secret_key": key} if key else {}
    done = playbook("site.yml", monitoring_secrets_dir=str(clone), **extra)
    refused(done, "grafana_secret_key", f"{RECORD}/{'secret_key' if key else 'admin_password'}", "from_node=true")
    assert listing(host) == before
    assert not clone.exists()


def test_what_a_database_that_stayed_was_made_with_is_taken_over(
    playbook: Playbook, host: Host, tmp_path: Path, variables: dict[str, Any]
) -> None:
    before = listing(host)
    clone = tmp_path / "clone"
    # It takes over and checks, and then does nothing.
    done = playbook("site.yml", "--tags=nothing", monitoring_secrets_dir=str(clone), monitoring_secrets_from_node=True)
    assert done.returncode == 0, done.stdout
    for name in ("grafana_admin_password", "grafana_secret_key"):
        assert (clone / name).read_text() == variables[name]
    assert listing(host) == before


def test_installed_again_it_has_its_metrics_and_its_database(
    playbook: Playbook, host: Host, prometheus: Api, grafana: Api, since: float
) -> None:
    install(playbook)
    assert oldest_sample(prometheus) == since
    assert host.check_output(f"sudo ls {RECORD}") == ""
    # With the password of before.
    assert grafana.data("/api/datasources/uid/mine")["name"] == "Mine"


def secrets(variables: dict[str, Any]) -> Path:
    """Return the folder of the node's secrets."""
    return Path(str(variables["testbed_cache"])) / "secrets" / str(variables["inventory_hostname"])


def test_with_its_data_one_service_takes_its_own_secrets_with_it_and_nothing_else(
    *, playbook: Playbook, host: Host, prometheus: Api, grafana: Api, alertmanager: Api, variables: dict[str, Any]
) -> None:
    folder = secrets(variables)
    mine = (folder / "mine", folder / "grafana_secret_key.mine")
    for path in mine:
        path.write_text("mine")
    # A controller whose passwords of the other services come from a vault.
    vaulted = folder.with_name("vaulted")
    vaulted.mkdir()
    for name in ("grafana_secret_key", "tls_self_signed.pem"):
        (vaulted / name).write_text("of this node")
    before = contents(folder)
    changes(playbook, "--check", "--tags=grafana", uninstall_purge_data=True)
    assert contents(folder) == before

    _, output = changes(playbook, "--tags=grafana", uninstall_purge_data=True)
    changes(playbook, "--tags=grafana", uninstall_purge_data=True, monitoring_secrets_dir=str(vaulted))
    assert [path.name for path in vaulted.iterdir()] == ["tls_self_signed.pem"]
    shutil.rmtree(vaulted)

    left = contents(folder)
    assert set(before) - set(left) == {str(folder / f"grafana_{name}") for name in ("admin_password", "secret_key")}
    assert all(left[path] == before[path] for path in left if path != str(folder))
    assert all(str(path) in output for path in mine)
    assert prometheus("/api/v1/targets")[0] == alertmanager("/api/v2/status")[0] == 200
    assert not host.file(f"{variables['grafana_root']}").exists

    install(playbook)
    assert prometheus("/api/v1/targets")[0] == alertmanager("/api/v2/status")[0] == 200
    # A new password: that of before was removed.
    assert grafana("/api/user")[0] == 401
    for path in mine:
        path.unlink()


def test_what_a_user_put_beside_the_releases_and_the_secrets_stays_and_is_named(
    playbook: Playbook, host: Host, variables: dict[str, Any]
) -> None:
    on_node = f"{variables['prometheus_root']}/releases/mine/backup"
    host.check_output(f"sudo mkdir -p {Path(on_node).parent} && sudo touch {on_node}")
    home = secrets(variables).with_name("home")
    shutil.copytree(secrets(variables), home)
    (home / "letters").mkdir()
    (home / "letters/one").write_text("mine")

    _, output = changes(playbook, "--tags=prometheus", uninstall_purge_data=True, monitoring_secrets_dir=str(home))
    assert str(Path(on_node).parent) in output
    assert str(home / "letters") in output
    assert host.check_output(f"sudo find {variables['prometheus_root']} -type f") == on_node
    changes(playbook, "--tags=alertmanager,grafana", uninstall_purge_data=True, monitoring_secrets_dir=str(home))
    assert {str(path.relative_to(home)) for path in home.rglob("*")} == {"letters", "letters/one"}
    shutil.rmtree(home)
    host.check_output(f"sudo rm -r {variables['prometheus_root']}")
    install(playbook)


def test_with_the_data_the_node_is_as_it_was_before_wherever_a_service_has_put_links_to(
    playbook: Playbook, host: Host, bare: set[str], variables: dict[str, Any]
) -> None:
    for user in ("prometheus", "grafana"):
        plant = (
            f"cd /mnt/{user}/data && ln -s / root && mkdir -p etc/link && ln -s /etc etc/link/etc && ln -s .. etc/up"
        )
        host.check_output(f"sudo -u {user} sh -c '{plant}'")
    before = others(host)
    # As playbooks/hosts_bundle.yml leaves it, with the login and the key of core and task nodes.
    key = secrets(variables) / "hosts/bundle/tls/key.pem"
    key.parent.mkdir(parents=True)
    key.touch()
    changed, _ = changes(playbook, uninstall_purge_data=True)
    assert changed > 0
    assert listing(host) ^ bare == set()
    assert others(host) == before
    assert not secrets(variables).exists()


def test_a_check_of_the_first_run_writes_nothing_anywhere(
    playbook: Playbook, host: Host, bare: set[str], variables: dict[str, Any]
) -> None:
    # Not the folder above it, where other scenarios keep theirs meanwhile.
    before = contents(secrets(variables))
    done = playbook("site.yml", "--check", "--diff", tls_self_signed=True)
    assert done.returncode == 0, done.stdout
    assert contents(secrets(variables)) == before
    assert listing(host) ^ bare == set()


@pytest.mark.parametrize("options", [[], ["--check"]], ids=["a run", "check mode"])
def test_on_a_bare_node_nothing_changes(playbook: Playbook, options: list[str]) -> None:
    assert changes(playbook, *options, uninstall_purge_data=True)[0] == 0


def test_installed_again_it_is_like_new(
    playbook: Playbook, host: Host, prometheus: Api, grafana: Api, since: float
) -> None:
    begin = float(host.check_output("date +%s"))
    install(playbook)
    # The old passwords: new ones were generated.
    assert prometheus("/api/v1/targets")[0] == grafana("/api/datasources/uid/mine")[0] == 401
    jobs = yaml.safe_load(host.check_output("sudo cat /etc/prometheus/prometheus.yml"))["scrape_configs"]
    password = host.check_output(f"sudo cat /etc/prometheus/{jobs[0]['basic_auth']['password_file']}")
    assert since < begin <= oldest_sample(prometheus.as_user(("admin", password)))
