"""What is scraped arrives at a real storage, whatever happens on the way; what would lose it is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from testinfra.host import Host

from tests.integration.node import (
    CUT_OFF,
    KILL_THE_MODULE,
    PROJECT,
    Api,
    Playbook,
    Start,
    poll,
    process,
    refused,
    words,
)
from tests.integration.remote.far import Far, Window, counter, now
from tests.integration.s3 import bucket

UNIT = "prometheus.service"
SENT = "queue_highest_sent_timestamp_seconds"
PASSWORD, OTHER = "right-password", "other-password"
JOB = {"job_name": "another", "static_configs": [{"targets": ["localhost:8003"]}]}


def loaded(prometheus: Api) -> str:
    """Return when Prometheus last loaded its configuration."""
    return str(prometheus.data("/api/v1/status/runtimeinfo")["data"]["lastConfigTime"])


def loaded_jobs(prometheus: Api) -> set[str]:
    """Return the jobs that Prometheus scrapes."""
    return set(prometheus.data("/api/v1/scrape_pools")["data"]["scrapePools"])


def stands_still(prometheus: Api) -> bool:
    """Wait until an endpoint no longer takes what it is sent."""
    before = counter(prometheus, "samples_retried_total")
    return bool(poll(lambda: counter(prometheus, "samples_retried_total") > before, 30))


def journal_tells(host: Host, status: int) -> bool:
    """Tell whether a status is what Prometheus wrote last of what it sends, which it does not each time."""
    lines = "sudo journalctl --unit=prometheus --lines=500 --output=cat --no-pager | grep remote_name=.*err= | tail -1"
    return f"HTTP status {status}" in host.check_output(lines)


def test_a_run_that_changes_nothing_says_at_once_that_it_arrives(playbook: Playbook, nothing_lost: Window) -> None:
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout
    assert re.search(r"cortex: accepted, (the last sample of|\d)", words(done))


def test_one_of_three_dies_during_a_run(far: Far, start: Start, nothing_lost: Window) -> None:
    running = start("site.yml", "--tags=prometheus", prometheus_monitoring_scrape_configs=[JOB])
    far.kill(1)
    output = running.communicate()[0]
    assert running.returncode == 0, output
    far.start(1)


@pytest.mark.usefixtures("_as_it_was")
def test_two_of_three_die_and_come_back(far: Far, prometheus: Api, nothing_lost: Window) -> None:
    far.kill(1, 2)
    assert stands_still(prometheus)
    far.start(1, 2)


def test_a_wrong_password_is_refused_before_it_loses_anything(
    playbook: Playbook, host: Host, prometheus: Api, nothing_lost: Window
) -> None:
    before = process(host, UNIT), loaded(prometheus)
    done = playbook("site.yml", "--tags=prometheus", remote_password=OTHER)
    refused(done, "prometheus_remote_write: cortex answers HTTP 401", "nothing was changed on the node")
    assert OTHER not in done.stdout
    assert (process(host, UNIT), loaded(prometheus)) == before
    assert host.check_output("sudo cat /etc/prometheus/remote-write/cortex/basic_auth.password") == PASSWORD


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"url": "https://metrics/nowhere"}, "answers HTTP 404"),
        ({"url": "https://metrics:1/api/v1/push"}, "cannot be reached"),
        ({"tls_config": {}}, "shows a certificate that is not trusted"),
        ({"basic_auth": None, "sigv4": {"region": "eu-central-1"}}, "there are no credentials"),
    ],
)
def test_an_endpoint_that_would_not_work_is_refused(
    playbook: Playbook, entry: dict[str, Any], sentence: str, nothing_lost: Window
) -> None:
    more = {key: f"{{{{ remote_cortex.{key} }}}}" for key in ("url", "basic_auth", "tls_config")} | entry
    more = {key: value for key, value in more.items() if value is not None}
    done = playbook("site.yml", "--tags=prometheus", remote_more=[{"name": "more", **more}])
    refused(done, "prometheus_remote_write: more", sentence, "nothing was changed on the node")


@pytest.mark.usefixtures("_as_it_was")
def test_another_password_needs_neither_a_restart_nor_a_reload(
    far: Far, playbook: Playbook, host: Host, prometheus: Api, nothing_lost: Window
) -> None:
    before = process(host, UNIT), loaded(prometheus), counter(prometheus, "samples_failed_total")
    far.passwords(PASSWORD, OTHER)
    done = playbook("site.yml", "--tags=prometheus", "--diff", remote_password=OTHER)
    assert done.returncode == 0, done.stdout
    assert OTHER not in done.stdout
    far.passwords(OTHER)
    sent = counter(prometheus, SENT)
    assert poll(lambda: counter(prometheus, SENT) > sent + 10, 40)
    done = playbook("site.yml", "--tags=prometheus", remote_password=OTHER)
    assert "cortex: accepted" in words(done)
    far.passwords(OTHER, PASSWORD)
    done = playbook("site.yml", "--tags=prometheus")
    assert done.returncode == 0, done.stdout
    far.passwords(PASSWORD)
    assert (process(host, UNIT), loaded(prometheus), counter(prometheus, "samples_failed_total")) == before


@pytest.mark.usefixtures("_as_it_was")
def test_while_it_is_away_other_changes_go_through_and_a_restart_does_not(
    far: Far, playbook: Playbook, host: Host, prometheus: Api, nothing_lost: Window
) -> None:
    far.run("systemctl stop haproxy")
    assert stands_still(prometheus)
    done = playbook("site.yml", "--tags=prometheus", prometheus_monitoring_scrape_configs=[JOB])
    refused(done, "prometheus_remote_write: cortex is not reachable since")
    assert '"another"' in str(prometheus.data("/api/v1/scrape_pools")).replace("'", '"')
    before = process(host, UNIT)
    changes: list[dict[str, Any]] = [
        {"prometheus_retention_time": "14d"},
        {"prometheus_external_labels": {"cluster": "another"}},
        {"prometheus_remote_write": []},
    ]
    for change in changes:
        done = playbook("site.yml", "--tags=prometheus", prometheus_monitoring_scrape_configs=[JOB], **change)
        refused(done, "not sent yet: cortex the last", "minutes would be missing for good", "nothing was changed")
    assert process(host, UNIT) == before
    alerts = {"PrometheusRemoteWriteBehind", "PrometheusRemoteWriteLosesSoon"}
    seen = "/api/v1/query?query=ALERTS"
    assert poll(lambda: alerts <= {one["metric"]["alertname"] for one in prometheus.data(seen)["data"]["result"]}, 60)
    far.run("systemctl start haproxy")
    done = playbook("site.yml", "--tags=prometheus", prometheus_retention_time="14d")
    assert done.returncode == 0, done.stdout
    assert process(host, UNIT) != before
    assert "cortex: accepted" in words(done)
    moments = ("ActiveExitTimestamp", "ActiveEnterTimestamp")
    shown = host.check_output(f"systemctl show {UNIT} --timestamp=unix --property={','.join(moments)}")
    stopped, started = sorted(float(line.partition("@")[2]) for line in shown.splitlines())
    # Whole seconds; and it is only that one scrape.
    assert started - stopped < 5
    nothing_lost.stopping = (stopped, started + 1)


@pytest.mark.usefixtures("_as_it_was")
def test_what_was_cut_off_while_it_is_away_is_put_back_without_a_restart(
    *,
    far: Far,
    playbook: Playbook,
    host: Host,
    prometheus: Api,
    beside: Callable[[str], None],
    nothing_lost: Window,
) -> None:
    before = process(host, UNIT), loaded_jobs(prometheus)
    far.run("systemctl stop haproxy")
    assert stands_still(prometheus)
    beside(KILL_THE_MODULE.format(name="prometheus", seconds=1))
    killed = playbook("site.yml", "--tags=prometheus", prometheus_monitoring_scrape_configs=[JOB], monitoring_watch=30)
    assert killed.returncode != 0, killed.stdout
    assert poll(lambda: loaded_jobs(prometheus) == {*before[1], "another"}, 10)
    done = playbook("site.yml", "--tags=prometheus")
    refused(done, CUT_OFF, "prometheus_remote_write: cortex is not reachable since")
    assert (process(host, UNIT), loaded_jobs(prometheus)) == before
    far.run("systemctl start haproxy")


@pytest.mark.usefixtures("_as_it_was")
def test_what_was_cut_off_is_put_back_once_all_is_sent(
    *, far: Far, playbook: Playbook, host: Host, prometheus: Api, beside: Callable[[str], None]
) -> None:
    before = process(host, UNIT)
    beside(KILL_THE_MODULE.format(name="prometheus", seconds=15))
    killed = playbook("site.yml", "--tags=prometheus", prometheus_retention_time="14d", monitoring_watch=60)
    assert killed.returncode != 0, killed.stdout
    assert process(host, UNIT) != before
    before = process(host, UNIT)
    far.run("systemctl stop haproxy")
    assert stands_still(prometheus)
    done = playbook("site.yml", "--tags=prometheus")
    refused(done, "not sent yet: cortex the last", "An earlier run was cut off", "nothing was changed on the node")
    assert process(host, UNIT) == before
    far.run("systemctl start haproxy")
    done = playbook("site.yml", "--tags=prometheus")
    assert done.returncode == 0, done.stdout
    assert CUT_OFF in words(done)
    assert process(host, UNIT) != before
    assert prometheus.data("/api/v1/status/runtimeinfo")["data"]["storageRetention"].startswith("15d")


@pytest.mark.usefixtures("_as_it_was")
def test_what_is_refused_later_is_said_and_is_an_alert(far: Far, playbook: Playbook, prometheus: Api) -> None:
    far.passwords("of-another-day")
    assert poll(lambda: counter(prometheus, "samples_failed_total"), 30)
    done = playbook("site.yml", "--tags=prometheus")
    refused(done, "prometheus_remote_write: cortex is refused,", "HTTP status 401")
    seen = "/api/v1/query?query=ALERTS{alertname='PrometheusRemoteWriteRefused'}"
    assert poll(lambda: prometheus.data(seen)["data"]["result"], 60)


@pytest.mark.usefixtures("_as_it_was")
@pytest.mark.parametrize("status", [301, 400, 403, 404, 413])
def test_what_another_status_refuses_is_said(
    far: Far, playbook: Playbook, prometheus: Api, host: Host, status: int
) -> None:
    before = counter(prometheus, "samples_failed_total")
    far.answer(status)
    assert poll(lambda: counter(prometheus, "samples_failed_total") > before, 30)
    assert poll(lambda: journal_tells(host, status), 70)
    done = playbook("site.yml", "--tags=prometheus")
    refused(done, "prometheus_remote_write: cortex is refused,", f"HTTP status {status}")


@pytest.mark.usefixtures("_as_it_was")
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_another_status_puts_off_is_said_and_sent_again(
    far: Far, playbook: Playbook, prometheus: Api, host: Host, nothing_lost: Window, *, status: int
) -> None:
    far.answer(status)
    assert stands_still(prometheus)
    assert poll(lambda: journal_tells(host, status), 70)
    done = playbook("site.yml", "--tags=prometheus", prometheus_monitoring_scrape_configs=[JOB])
    refused(done, "prometheus_remote_write: cortex is not reachable since", f"HTTP status {status}")
    far.answer(0)


@pytest.mark.usefixtures("_as_it_was")
def test_grafana_reads_from_the_storage(far: Far, playbook: Playbook, grafana: Api, variables: dict[str, Any]) -> None:
    certificate = PROJECT / ".cache/testbed" / f"{variables['inventory_hostname']}-metrics.pem"
    source = {
        "grafana_prometheus_url": "https://metrics/prometheus",
        "grafana_prometheus_username": "emr",
        "grafana_prometheus_password": PASSWORD,
        "grafana_prometheus_certificate": certificate.read_text(),
    }
    far.demand("X-Scope-OrgID", "team-1")
    refused(playbook("site.yml", "--tags=grafana", **source), "The data source prometheus does not work")
    done = playbook("site.yml", "--tags=grafana", grafana_prometheus_headers={"X-Scope-OrgID": "team-1"}, **source)
    assert done.returncode == 0, done.stdout
    query = {"refId": "A", "datasource": {"uid": "prometheus"}, "expr": "count by (cluster) (up)", "instant": True}
    asked = {"from": "now-5m", "to": "now", "queries": [query]}
    # On the node itself no series has the label.
    assert '"cluster"' in json.dumps(grafana.data("/api/ds/query", asked))

    def variables_of_the_overview() -> list[str]:
        board = grafana.data("/api/dashboards/uid/vision-general")["dashboard"]
        return [each["type"] for each in board["templating"]["list"]]

    # Grafana looks for changed files now and then.
    assert poll(lambda: variables_of_the_overview()[-1] == "adhoc", 60)
    back = playbook("site.yml", "--tags=grafana")
    assert back.returncode == 0, back.stdout
    assert '"cluster"' not in json.dumps(grafana.data("/api/ds/query", asked))


@pytest.fixture
def _in_a_bucket(host: Host, far: Far, prometheus: Api) -> Iterator[None]:
    """Have the storage keep its blocks in a bucket, and be as it was afterwards."""
    with bucket(host) as address:
        s3 = "-blocks-storage.s3"
        options = {"endpoint": urlsplit(address).netloc, "bucket-name": "bucket", "insecure": "true"}
        keys = {"access-key-id": "a", "secret-access-key": "b"}
        flags = " ".join(f"{s3}.{name}={value}" for name, value in {**options, **keys}.items())
        far.keep_blocks(f"-blocks-storage.backend=s3 {flags}")
        assert poll(lambda: arrives(prometheus), 60)
        yield
    far.lose_disks()
    far.keep_blocks("")
    assert poll(lambda: arrives(prometheus), 60)


def arrives(prometheus: Api) -> bool:
    """Tell whether the storage has taken a sample of the last seconds."""
    return now() - counter(prometheus, SENT) < 15


@pytest.mark.usefixtures("_in_a_bucket")
def test_all_three_die_with_their_disks(far: Far, prometheus: Api, nothing_lost: Window) -> None:
    """What they had written into their bucket is there again; what came meanwhile is sent once they are back."""
    until = now() + 20
    assert poll(lambda: now() > until and not nothing_lost.missing(until), 120)
    # What they take between the two is on their disks alone, and gone with them.
    far.run("systemctl stop haproxy")
    far.flush()
    far.lose_disks()
    assert stands_still(prometheus)
    far.start_all()
    assert poll(lambda: not nothing_lost.missing(until), 120), nothing_lost.missing(until)
