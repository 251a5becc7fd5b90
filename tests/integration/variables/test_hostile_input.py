"""Hostile texts and links: names, labels, titles and passwords arrive as they are, and lead nobody elsewhere."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from tests.integration.node import Api, Playbook, poll, refused, words
from tests.integration.variables import hostile_service
from tests.integration.variables.hostile_service import ONE_LINE, PORT, TEXT

Run = subprocess.CompletedProcess[str]
LONG = "x" * 10_000
PASSWORD = "p$w ${HOME} $$ \"'`%n%%;#\\{{ 1111 * 1111 }}{% raw %}é"  # noqa: S105
USERNAME = 'us$er"{{1111*1111}}é'
FOLDER = 'A $HOME ${HOME} "folder" {{ 1111 * 1111 }}: #x'
DASHBOARD = {
    "uid": "hostile",
    "title": TEXT,
    "panels": [
        {
            "id": 1,
            "type": "timeseries",
            "title": TEXT,
            "description": LONG,
            "targets": [{"refId": "A", "expr": "up", "legendFormat": TEXT}],
        }
    ],
    "schemaVersion": 41,
}
DASHBOARD_FILE = "$(touch evaluated) {{ 1111 * 1111 }} \"q\" 'q' שלום;.json"
RULE_FILE = "{{ 1111 * 1111 }} `touch evaluated`.yml"
ALERT = {"alert": "Hostile", "expr": "vector(0) > 1", "annotations": {"text": "{{ $value }} {{ `\\n` }} #"}}
# What a service can do in its data folder, in the hope that root writes, owns or removes something by it.
PLANT = r"""
cd /mnt/prometheus/data && chmod 0777 . && mkdir -p releases/9.9.9 && touch releases/9.9.9/.release.json "a
b" && ln -s /etc etc && ln -s /etc/shadow shadow && ln -s . loop && ln -s /etc/passwd current
"""
REMOVE = "cd /mnt/prometheus/data && rm -r a?b releases etc shadow loop current"
OUT_OF_REACH = [
    "mv /mnt/prometheus/data /mnt/prometheus/old",
    "ln -s /etc /mnt/prometheus/releases/9.9.9",
    "rm /mnt/prometheus/current",
]
SYSTEM = "sudo stat --format='%n %U %G %a' / /etc /etc/passwd /etc/shadow /mnt /mnt/prometheus"


def job(name: str, path: str = "/metrics", text: str = TEXT, **settings: Any) -> dict[str, Any]:
    target = {"targets": [f"localhost:{PORT}"], "labels": {"text": text}}
    return {"job_name": name, "metrics_path": path, "static_configs": [target], **settings}


def as_prometheus(host: Host, script: str) -> CommandResult:
    """Run a script on the node as the user of the service."""
    encoded = base64.b64encode(script.encode()).decode()
    return host.run(f"echo {encoded} | base64 --decode | sudo -u prometheus sh")


@pytest.fixture(scope="module")
def hostile_vars(variables: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the file of the variables, in which !unsafe says as for any user that they hold no templates."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, file, content in (
        ("dashboards", DASHBOARD_FILE, DASHBOARD),
        ("rules", RULE_FILE, {"groups": [{"name": TEXT, "rules": [ALERT]}]}),
    ):
        (folder / name).mkdir()
        (folder / name / file).write_text(json.dumps(content))
    jobs = [job(TEXT), job("down", "/down"), job("long", text=LONG, label_value_length_limit=20_000)]
    values = {
        "prometheus_scrape_configs": variables["prometheus_scrape_configs"] + jobs,
        # Prometheus itself expands $ in these, and in these alone.
        "prometheus_external_labels": {"text": TEXT.replace("$", "$$")},
        "prometheus_flags": [f"--web.page-title={ONE_LINE}"],
        "prometheus_rules_dirs": [str(folder / "rules")],
        "prometheus_username": USERNAME,
        "prometheus_password": PASSWORD,
        "grafana_admin_password": f"Grafana {PASSWORD}",
        "grafana_dashboards_dirs": [str(folder / "dashboards")],
        "grafana_dashboards_folder": FOLDER,
    }
    path = folder / "hostile.yml"
    path.write_text("".join(f"{name}: !unsafe {json.dumps(value)}\n" for name, value in values.items()))
    return f"@{path}"


@pytest.fixture(scope="module")
def system(host: Host) -> str:
    """Return what the system's folders are before the run."""
    return str(host.check_output(SYSTEM))


@pytest.fixture(scope="module")
def hostile(host: Host, playbook: Playbook, hostile_vars: str, system: str) -> Iterator[Run]:
    """Run site.yml once with everything hostile; afterwards the inventory's own variables hold again."""
    assert "/etc root root 755" in system
    source = base64.b64encode(Path(hostile_service.__file__).read_bytes()).decode()
    host.check_output(f"echo {source} | base64 --decode | sudo tee /run/hostile_service.py")
    host.check_output("sudo systemd-run --collect --unit=hostile-service python3 /run/hostile_service.py")
    assert as_prometheus(host, PLANT).succeeded
    yield playbook("site.yml", "--diff", "-e", hostile_vars, verify_targets_must_be_up=False)
    assert as_prometheus(host, REMOVE).succeeded
    back = playbook("site.yml")
    host.check_output("sudo systemctl stop hostile-service")
    assert back.returncode == 0, back.stdout


@pytest.fixture
def api(prometheus: Api, hostile: Run) -> Api:
    """Return Prometheus' API with the hostile login."""
    assert hostile.returncode == 0, hostile.stdout
    return prometheus.as_user((USERNAME, PASSWORD))


@pytest.fixture
def grafana_api(grafana: Api, hostile: Run) -> Api:
    """Return Grafana's API with the hostile login."""
    assert hostile.returncode == 0, hostile.stdout
    return grafana.as_user(("admin", f"Grafana {PASSWORD}"))


def test_names_and_labels_arrive_as_they_are_and_are_scraped(api: Api, variables: dict[str, Any]) -> None:
    def pools() -> dict[str, Any]:
        return {target["scrapePool"]: target for target in api.data("/api/v1/targets")["data"]["activeTargets"]}

    jobs = {job["job_name"] for job in variables["prometheus_scrape_configs"]}
    assert poll(lambda: {name for name, t in pools().items() if t["health"] == "up"} == {*jobs, TEXT, "long"}, 20)
    assert pools()[TEXT]["labels"] == {"job": TEXT, "text": TEXT, "instance": f"localhost:{PORT}"}
    assert pools()["long"]["labels"]["text"] == LONG


def test_what_a_service_says_of_itself_arrives_as_it_is(api: Api) -> None:
    query = urllib.parse.quote('hostile{job="long"}')
    (series,) = poll(lambda: api.data(f"/api/v1/query?query={query}")["data"]["result"], 40)
    assert series["metric"]["exported_text"] == TEXT


def test_the_other_texts_arrive_as_they_are(api: Api) -> None:
    loaded = yaml.safe_load(api.data("/api/v1/status/config")["data"]["yaml"])
    assert loaded["global"]["external_labels"] == {"text": TEXT}
    assert api.data("/api/v1/status/flags")["data"]["web.page-title"] == ONE_LINE
    groups = {group["name"]: group for group in api.data("/api/v1/rules")["data"]["groups"]}
    assert groups[TEXT]["rules"][0]["annotations"] == ALERT["annotations"]
    assert groups[TEXT]["file"] == f"/etc/prometheus/rules/{RULE_FILE}"


def test_a_dashboard_arrives_as_it_is(grafana_api: Api) -> None:
    found = grafana_api.data("/api/dashboards/uid/hostile")
    assert {key: found["dashboard"][key] for key in DASHBOARD} == DASHBOARD
    assert FOLDER in {folder["title"] for folder in grafana_api.data("/api/folders")}
    assert found["meta"]["provisionedExternalId"] == DASHBOARD_FILE


def test_the_logins_work_in_every_place_where_they_are_used(grafana_api: Api) -> None:
    assert grafana_api.data("/api/datasources/uid/prometheus/health")["status"] == "OK"


def test_nothing_is_evaluated_and_no_password_shown(host: Host, hostile: Run) -> None:
    assert "{{ 1111 * 1111 }}" in hostile.stdout
    assert [text for text in ("1234321", "\x1b", PASSWORD) if text in hostile.stdout] == []
    assert host.check_output("sudo find / -xdev -name evaluated") == ""
    assert not Path("/tmp/evaluated").exists()  # noqa: S108


def test_a_second_run_changes_nothing_and_says_on_one_line_what_is_down(
    playbook: Playbook, hostile: Run, hostile_vars: str
) -> None:
    assert hostile.returncode == 0
    done = playbook("site.yml", "-e", hostile_vars, verify_targets_must_be_up=True)
    refused(done, "down is DOWN at", "server returned HTTP status 500 it's", "…). Is the service running?")
    assert re.findall(r"changed=(\d+)", done.stdout) == ["0"]
    assert [text for text in ("1234321", "\x1b", "\u202e", "\r") if text in done.stdout] == []
    assert len(words(done)) < 20_000


@pytest.mark.usefixtures("hostile")
def test_what_a_service_planted_leads_root_nowhere(host: Host, system: str) -> None:
    # Root prepares the folder at each start.
    host.check_output("sudo systemctl restart prometheus.service")
    assert host.check_output(SYSTEM) == system
    assert host.check_output("sudo stat --format='%U %a' /mnt/prometheus/data") == "prometheus 750"


@pytest.mark.parametrize("script", OUT_OF_REACH)
def test_a_service_cannot_replace_what_root_uses(host: Host, script: str) -> None:
    assert "Permission denied" in as_prometheus(host, script).stderr
