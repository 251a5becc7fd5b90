"""Backups by the real restic: what they hold comes back whole, and what is wrong with them is said in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import PROJECT, Api, Playbook, poll, refused
from tests.integration.s3 import bucket

REPOSITORY = "/srv/backup"
STAGING = "/mnt/prometheus/emr-monitoring-backup"
WRONG = "not the password"
BOARD = {"uid": "mine", "title": "Mine", "panels": []}
# Blocks of a time before Prometheus was there, a sample each minute.
OLD, OLD_SAMPLES = 1_750_000_000, 240
MAKE_OLD_BLOCKS = f"""
set -eu
python3 -c 'for n in range({OLD_SAMPLES}): print("old_metric", n, {OLD} + 60 * n)' >/tmp/old.txt
echo '# EOF' >>/tmp/old.txt
/mnt/prometheus/current/promtool tsdb create-blocks-from openmetrics /tmp/old.txt /tmp/old
chown --recursive prometheus:prometheus /tmp/old
mv /tmp/old/* /mnt/prometheus/data/
"""


def snapshots(host: Host) -> list[str]:
    """Return the names of the snapshots, as their files have them."""
    return str(host.check_output(f"sudo ls {REPOSITORY}/snapshots")).split()


def samples(prometheus: Api, metric: str, until: float, seconds: int) -> int:
    """Count the samples of a metric in a time."""
    query = f"sum(count_over_time({metric}[{seconds}s]@{until:.0f}))"
    found = prometheus.data(f"/api/v1/query?query={query}")["data"]["result"]
    return int(found[0]["value"][1]) if found else 0


@contextmanager
def wrong(host: Host, command: str, undo: str) -> Iterator[None]:
    """Have something wrong on the node for a time."""
    host.check_output(f"sudo sh -c '{command}'")
    try:
        yield
    finally:
        host.check_output(f"sudo sh -c '{undo}'")


@pytest.fixture(scope="module")
def backup(host: Host, playbook: Playbook) -> str:
    """Return what the first backup says."""
    host.check_output(f"sudo sh <<'END'\n{MAKE_OLD_BLOCKS}\nEND")
    done = playbook("playbooks/backup.yml")
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_check_mode_on_a_node_without_backups_changes_nothing(
    host: Host, playbook: Playbook, variables: dict[str, Any]
) -> None:
    done = playbook("playbooks/backup.yml", "--check", "--diff", backup_schedule="*-*-* 03:00")
    assert done.returncode == 0, done.stdout
    for path in (REPOSITORY, "/etc/emr-monitoring-backup", "/usr/local/lib/emr-monitoring"):
        assert not host.file(path).exists
    assert not (PROJECT / ".cache/testbed/secrets" / variables["inventory_hostname"] / "backup_password").exists()


def test_a_backup_says_what_it_holds_and_leaves_nothing_beside_it(host: Host, backup: str) -> None:
    assert "metrics (" in backup
    assert "Keep a copy of backup_password" in backup
    assert "Grafana" in backup
    assert "secrets, in" in backup
    assert len(snapshots(host)) == 1
    assert not host.file(STAGING).exists
    assert host.check_output("sudo stat --format=%a /etc/emr-monitoring-backup/password") == "600"


def test_no_secret_is_in_what_it_says(host: Host, backup: str, variables: dict[str, Any]) -> None:
    password = host.check_output("sudo cat /etc/emr-monitoring-backup/password")
    said = host.check_output("sudo journalctl --no-pager --output=cat") + backup
    for secret in (password, variables["grafana_admin_password"], variables["prometheus_password"]):
        assert len(secret) > 16
        assert secret not in said


@pytest.mark.usefixtures("backup")
def test_of_a_day_the_last_one_stays_beside_the_very_first(host: Host, playbook: Playbook) -> None:
    first = set(snapshots(host))
    made = []
    for _ in range(2):
        done = playbook("playbooks/backup.yml")
        assert done.returncode == 0, done.stdout
        made.append(set(snapshots(host)) - first)
    assert len(made[0]) == len(made[1]) == 1
    assert made[0] != made[1]
    assert first < set(snapshots(host))


@pytest.mark.usefixtures("backup")
def test_the_node_makes_them_by_itself_while_that_is_wanted(host: Host, playbook: Playbook) -> None:
    done = playbook("playbooks/backup.yml", backup_schedule="*:*:0/15")
    assert done.returncode == 0, done.stdout
    before = snapshots(host)
    assert poll(lambda: snapshots(host) != before, 60)
    done = playbook("playbooks/backup.yml")
    assert done.returncode == 0, done.stdout
    assert not host.file("/etc/systemd/system/emr-monitoring-backup.timer").exists
    assert host.run("systemctl is-active emr-monitoring-backup.timer").rc != 0


@pytest.mark.usefixtures("backup")
def test_a_schedule_that_systemd_does_not_know_is_refused(host: Host, playbook: Playbook) -> None:
    digest = "sudo sha256sum /etc/emr-monitoring-backup/settings.json"
    before = host.check_output(digest)
    done = playbook("playbooks/backup.yml", backup_schedule="every night", backup_keep={"daily": 3})
    refused(done, "backup_schedule is 'every night', which systemd does not know")
    refused(playbook("playbooks/backup.yml", backup_schedule="2020-01-01"), "which lies in the past alone")
    assert host.check_output(digest) == before
    assert not host.file("/etc/systemd/system/emr-monitoring-backup.timer").exists


@pytest.mark.usefixtures("backup")
def test_a_repository_that_is_away_is_not_begun_anew_by_the_timer(host: Host) -> None:
    with wrong(host, f"mv {REPOSITORY} /srv/away", f"mv /srv/away {REPOSITORY}"):
        assert host.run("sudo systemctl start emr-monitoring-backup").rc != 0
        assert "repository does not exist" in host.check_output("sudo cat /var/lib/emr-monitoring-backup/said")
        assert not host.file(REPOSITORY).exists


@pytest.mark.usefixtures("backup")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backup_host": "nobody"}, "no snapshot of nobody"),
        ({"backup_repository": "/srv/elsewhere"}, "repository does not exist"),
        ({"backup_snapshot": "latest"}, ""),
    ],
)
def test_a_restore_does_not_change_where_the_backups_go(
    host: Host, playbook: Playbook, options: dict[str, Any], said: str
) -> None:
    live = "sudo sh -c 'cd /etc/emr-monitoring-backup && sha256sum settings.json password'"
    before = host.check_output(live)
    done = playbook("playbooks/restore.yml", **options, backup_into_running=True, backup_keep={"daily": 2})
    if said:
        refused(done, said)
    else:
        assert done.returncode == 0, done.stdout
    assert host.check_output(live) == before


@pytest.mark.usefixtures("backup")
@pytest.mark.parametrize("folder", ["tmp", "root"])
def test_the_repository_may_be_any_folder(host: Host, playbook: Playbook, folder: str) -> None:
    done = playbook("playbooks/backup.yml", backup_repository=f"/{folder}/backups")
    assert done.returncode == 0, done.stdout
    assert len(host.check_output(f"sudo ls /{folder}/backups/snapshots").split()) == 1


@pytest.fixture
def s3(host: Host) -> Iterator[str]:
    """Return the address of a stand-in for S3 with an empty bucket."""
    with bucket(host) as address:
        yield address


def test_a_bucket_keeps_them_too(host: Host, playbook: Playbook, s3: str) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "needle-4711", "AWS_SECRET_ACCESS_KEY": "needle-4712"}
    options = {"backup_repository": f"s3:{s3}/bucket/monitoring", "backup_environment": keys}
    for _ in range(2):
        done = playbook("playbooks/backup.yml", **options)
        assert done.returncode == 0, done.stdout
        assert "snapshot " in done.stdout
        assert "needle" not in done.stdout
    done = playbook("playbooks/restore.yml", **options, backup_into_running=True)
    assert done.returncode == 0, done.stdout
    assert "0 blocks" in done.stdout


@pytest.mark.usefixtures("backup")
def test_a_wrong_password_is_refused_and_goes_no_further(host: Host, playbook: Playbook) -> None:
    password = host.check_output("sudo cat /etc/emr-monitoring-backup/password")
    done = playbook("playbooks/backup.yml", backup_password=WRONG)
    refused(done, "wrong password", "backup_password right")
    assert host.check_output("sudo cat /etc/emr-monitoring-backup/password") == password


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("backup_repository", "", "backup_repository is empty"),
        ("backup_repository", "/mnt/prometheus", "prometheus_data_dir is /mnt/prometheus/data"),
        ("backup_staging_dir", "staging", "write an absolute path"),
        ("backup_keep", {"daily": 0, "weekly": 0, "monthly": 0}, "keeps nothing"),
        ("backup_repositry", "x", "backup_repository?"),
        ("backup_restic_version", "0.1.0", "no 0.1.0"),
    ],
)
def test_wrong_input_is_refused(playbook: Playbook, variable: str, value: Any, said: str) -> None:
    refused(playbook("playbooks/backup.yml", **{variable: value}), said)


@pytest.mark.usefixtures("backup")
def test_a_node_without_internet_gets_restic_from_the_controller(
    host: Host, playbook: Playbook, tmp_path: Path
) -> None:
    host.check_output("sudo sh -c 'rm /usr/local/lib/emr-monitoring/restic-*'")
    archive = f"file://{PROJECT}/.cache/testbed/restic/restic.bz2"
    fetched = {"monitoring_fetch": "controller", "monitoring_cache_dir": str(tmp_path), "backup_restic_url": archive}
    done = playbook("playbooks/backup.yml", **fetched)
    assert done.returncode == 0, done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["restic-0.18.1.bz2"]


@pytest.mark.usefixtures("backup")
def test_two_at_once_refuse_each_other(host: Host, playbook: Playbook) -> None:
    hold = "systemd-run --unit=hold flock /run/emr-monitoring-backup.lock sleep infinity"
    with wrong(host, hold, "systemctl stop hold"):
        refused(playbook("playbooks/backup.yml"), "another backup or restore runs")


@pytest.mark.usefixtures("backup")
def test_a_full_disk_leaves_nothing_behind(host: Host, playbook: Playbook) -> None:
    before = snapshots(host)
    tiny = "mkdir /mnt/tiny && mount -t tmpfs -o size=64k tmpfs /mnt/tiny && touch /mnt/tiny/mine"
    with wrong(host, tiny, "umount /mnt/tiny && rmdir /mnt/tiny"):
        refused(
            playbook("playbooks/backup.yml", backup_staging_dir="/mnt/tiny"), "MB that are free there", "as they were"
        )
        assert host.check_output("sudo ls /mnt/tiny") == "mine"
    assert snapshots(host) == before


@pytest.mark.usefixtures("backup")
def test_one_that_is_killed_is_none_and_the_next_one_works(host: Host, playbook: Playbook) -> None:
    before = snapshots(host)
    host.check_output(
        f"sudo sh -c 'mkdir {STAGING} && touch {STAGING}/left; systemctl start --no-block emr-monitoring-backup; "
        "until systemctl kill --signal=KILL emr-monitoring-backup 2>/dev/null; do :; done'"
    )
    assert poll(lambda: host.run("systemctl is-failed emr-monitoring-backup").rc == 0, 20)
    assert snapshots(host) == before
    done = playbook("playbooks/backup.yml")
    assert done.returncode == 0, done.stdout
    assert not host.file(STAGING).exists


@pytest.mark.usefixtures("backup")
def test_lost_blocks_come_back_into_a_prometheus_that_runs(host: Host, playbook: Playbook, prometheus: Api) -> None:
    until = OLD + 60 * OLD_SAMPLES
    assert poll(lambda: samples(prometheus, "old_metric", until, 60 * OLD_SAMPLES + 60) == OLD_SAMPLES, 90)
    done = playbook("playbooks/backup.yml")
    assert done.returncode == 0, done.stdout
    host.check_output("sudo sh -c 'rm --recursive /mnt/prometheus/data/01* && systemctl restart prometheus'")
    assert poll(lambda: host.run("curl --silent http://localhost:9090/-/ready").rc == 0, 60)
    assert samples(prometheus, "old_metric", until, 60 * OLD_SAMPLES + 60) == 0
    refused(playbook("playbooks/restore.yml"), "would be overwritten", "backup_into_running=true")
    done = playbook("playbooks/restore.yml", backup_into_running=True)
    assert done.returncode == 0, done.stdout
    # Prometheus looks for blocks each minute.
    assert poll(lambda: samples(prometheus, "old_metric", until, 60 * OLD_SAMPLES + 60) == OLD_SAMPLES, 120)


@pytest.mark.usefixtures("backup")
def test_all_of_it_comes_back_on_a_bare_node(
    host: Host, playbook: Playbook, prometheus: Api, grafana: Api, variables: dict[str, Any]
) -> None:
    grafana.data("/api/dashboards/db", {"dashboard": BOARD, "overwrite": True})
    until = time.time()
    assert poll(lambda: time.time() > until + 3, 10)
    before = {metric: samples(prometheus, metric, until, 600) for metric in ("up", "process_cpu_seconds_total")}
    assert before["up"] > 50
    done = playbook("playbooks/backup.yml")
    assert done.returncode == 0, done.stdout
    password = host.check_output("sudo cat /etc/emr-monitoring-backup/password")
    # The node goes with its disks, and the controller is another one.
    gone = playbook("playbooks/uninstall.yml", uninstall_purge_data=True)
    assert gone.returncode == 0, gone.stdout
    secrets = PROJECT / ".cache/testbed/secrets" / variables["inventory_hostname"]
    (secrets / "backup_password").unlink()
    refused(playbook("playbooks/restore.yml"), "backup_password is not known")
    options = {"backup_password": password}
    refused(playbook("playbooks/restore.yml", **options, grafana_secret_key="k" * 32), "another grafana_secret_key")
    assert not host.file("/mnt/grafana/data").exists
    with wrong(host, f"mv {REPOSITORY}/data {REPOSITORY}/away", f"mv {REPOSITORY}/away {REPOSITORY}/data"):
        refused(playbook("playbooks/restore.yml", **options), "has not been restored")
    assert not host.file("/mnt/prometheus/data").exists
    # As one that is cut off before the controller has the secrets.
    host.check_output(
        "sudo python3 /usr/local/lib/emr-monitoring/backup.py --config /etc/emr-monitoring-backup/next restore"
    )
    refused(playbook("site.yml", "--check"), "a restore was cut off here", "-e backup_snapshot=")
    done = playbook("playbooks/restore.yml", **options)
    assert done.returncode == 0, done.stdout
    assert "secrets" in done.stdout
    assert {metric: samples(prometheus, metric, until, 600) for metric in before} == before
    assert samples(prometheus, "old_metric", OLD + 60 * OLD_SAMPLES, 60 * OLD_SAMPLES + 60) == OLD_SAMPLES
    assert grafana.data("/api/dashboards/uid/mine")["dashboard"]["title"] == "Mine"
    assert (secrets / "grafana_secret_key").exists()
    assert host.run("sudo test -e /var/lib/emr-monitoring-backup/secrets").rc != 0


@pytest.mark.usefixtures("backup")
def test_a_repository_that_lacks_something_is_said_and_nothing_is_removed(host: Host, playbook: Playbook) -> None:
    password = host.check_output("sudo cat /etc/emr-monitoring-backup/password")
    done = playbook("playbooks/backup.yml", backup_password=password)
    assert done.returncode == 0, done.stdout
    before = snapshots(host)
    host.check_output(f"sudo sh -c 'find {REPOSITORY}/data -type f | head -n 1 | xargs rm'")
    refused(playbook("playbooks/backup.yml", backup_password=password), "restic check")
    assert set(before) <= set(snapshots(host))


def test_an_uninstall_takes_it_away_and_leaves_the_backups(host: Host, playbook: Playbook) -> None:
    before = snapshots(host)
    done = playbook("playbooks/uninstall.yml")
    assert done.returncode == 0, done.stdout
    unit = "/etc/systemd/system/emr-monitoring-backup.service"
    for path in ("/etc/emr-monitoring-backup", "/usr/local/lib/emr-monitoring", unit):
        assert not host.file(path).exists
    assert snapshots(host) == before
