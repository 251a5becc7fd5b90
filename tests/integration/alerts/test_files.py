"""Files that the services read beside their configuration: they arrive together with it, and no diff shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import Api, Playbook, refused, words

NEEDLE = "nobody-reads-this"
TEMPLATE = '{% raw %}{{ define "mine" }}x{{ end }}{% endraw %}'
CONTACT = """\
apiVersion: 1
contactPoints:
  - orgId: 1
    name: mine
    receivers: [{uid: mine, type: webhook, settings: {url: "http://localhost:9/"}}]
"""
# Not by one of Alertmanager's own, which Debian's amtool does not know.
MESSAGE = """{% raw %}{{ template "mine" . }} {{ .CommonAnnotations.summary | toUpper }}{% endraw %}"""
SLACK = {"api_url_file": "files/slack", "channel": "#alerts", "text": MESSAGE}
FILES: dict[str, Any] = {
    "prometheus_files": {
        "targets/ingest.json": {"content": '[{"targets": ["localhost:8000"]}]', "secret": False},
        "token": NEEDLE,
    },
    "alertmanager_files": {"mail.tmpl": TEMPLATE, "slack": "http://127.0.0.1:9/"},
    "alertmanager_receivers": [{"name": "people", "slack_configs": [SLACK]}],
    "alertmanager_route": {"receiver": "people"},
    "alertmanager_config": {"templates": ["files/*.tmpl"]},
    "grafana_files": {"ldap.toml": f"# {NEEDLE}", "alerting/contact.yml": CONTACT},
}


@pytest.fixture
def back(playbook: Playbook) -> Iterator[None]:
    """Take the files away afterwards."""
    yield
    assert playbook("site.yml").returncode == 0


@pytest.mark.usefixtures("back")
def test_files_arrive_with_the_configuration_that_names_them_and_go_again(
    host: Host, playbook: Playbook, grafana: Api, variables: dict[str, Any]
) -> None:
    found = {
        "job_name": "found",
        "file_sd_configs": [{"files": ["files/targets/*.json"]}],
        "authorization": {"credentials_file": "files/token"},
    }
    wanted = {**FILES, "prometheus_scrape_configs": [*variables["prometheus_scrape_configs"], found]}
    done = playbook("site.yml", "--diff", "-vv", **wanted)
    assert done.returncode == 0, words(done)[-4000:]
    assert "UP found" in words(done)
    assert '+[{"targets": ["localhost:8000"]}]' in done.stdout
    assert NEEDLE not in done.stdout
    folders = "/etc/alertmanager /etc/grafana /etc/prometheus"
    named = "'(' -path '*/files/*' -o -path '*/alerting/*' ')'"
    lines = f"sudo find {folders} -type f {named} -printf '%p %m %u %g\\n' | sort"
    assert host.check_output(lines).splitlines() == [
        "/etc/alertmanager/files/mail.tmpl 640 root alertmanager",
        "/etc/alertmanager/files/slack 640 root alertmanager",
        "/etc/grafana/files/ldap.toml 640 root grafana",
        "/etc/grafana/provisioning/alerting/alerting.yml 640 root grafana",
        "/etc/grafana/provisioning/alerting/contact.yml 640 root grafana",
        "/etc/prometheus/files/targets/ingest.json 640 root prometheus",
        "/etc/prometheus/files/token 640 root prometheus",
    ]
    if not str(variables["grafana_version"]).endswith("-standin"):
        points = grafana.data("/api/v1/provisioning/contact-points")
        assert "mine" in {point["name"] for point in points}
    assert "changed=0 " in playbook("site.yml", **wanted).stdout

    assert playbook("site.yml").returncode == 0
    assert host.check_output(lines) == "/etc/grafana/provisioning/alerting/alerting.yml 640 root grafana"


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{{ template "mien" . }}', 'template "mien" not defined'),
        ("{{ range .Alerts }}{{ .Labels.job }}", "unexpected EOF"),
        ("{{ .Annotations.summary }}", "can't evaluate field Annotations"),
    ],
)
def test_a_message_that_alertmanager_could_not_make_is_refused(playbook: Playbook, text: str, reason: str) -> None:
    slack = {**SLACK, "text": f"{{% raw %}}{text}{{% endraw %}}"}
    broken = {**FILES, "alertmanager_receivers": [{"name": "people", "slack_configs": [slack]}]}
    refused(
        playbook("site.yml", "--tags=alertmanager", **broken),
        "alertmanager_receivers, receiver people.slack_configs.text",
        reason,
    )


@pytest.mark.usefixtures("unchanged")
def test_a_template_that_alertmanager_cannot_read_is_refused(playbook: Playbook) -> None:
    files = {**FILES["alertmanager_files"], "mail.tmpl": "{% raw %}{{ define {% endraw %}"}
    broken = {**FILES, "alertmanager_files": files}
    refused(playbook("site.yml", "--tags=alertmanager", **broken), "amtool check-config", "mail.tmpl")
