"""What somebody changed on the node by hand: a dry run shows it, and a run restores it."""

from __future__ import annotations

from testinfra.host import Host

from tests.integration.faults.tools import State, all_up, changes, loaded
from tests.integration.node import Api, Playbook, poll, unit_properties, words

EDITS = {
    "/etc/prometheus/prometheus.yml": (
        "s/^- job_name: ingest-service/- job_name: edited-job/",
        "- job_name: (not shown) (old)",
    ),
    "/etc/grafana/dashboards/ingest-service.json": ('s/"title": "[^"]*"/"title": "Edited title"/', "Edited title"),
    "/etc/systemd/system/prometheus.service": ("s/^CPUWeight=.*/CPUWeight=77/", "CPUWeight=77"),
}


def test_a_dry_run_shows_the_edits_and_a_run_restores_what_was(
    host: Host, playbook: Playbook, prometheus: Api, jobs: set[str]
) -> None:
    all_up(prometheus, jobs)
    before = State.of(host, prometheus)
    for path, (edit, _) in EDITS.items():
        host.check_output(f"sudo sed -i '{edit}' {path}")
    host.check_output("sudo usermod --shell=/bin/bash grafana")
    # The edits are not only on the disk: what runs has taken them over.
    host.check_output("sudo systemctl daemon-reload && sudo systemctl reload prometheus")
    assert poll(lambda: "edited-job" in loaded(prometheus), 10)

    dry = playbook("site.yml", "--check", "--diff")
    assert changes(dry)
    missing = [text for path, (_, edit) in EDITS.items() for text in (path, edit) if text not in words(dry)]
    assert not missing, words(dry)
    # By hand somebody could write a secret, too.
    assert "edited-job" not in dry.stdout
    assert "edited-job" in loaded(prometheus), "the dry run changed something"

    assert changes(playbook("site.yml"))
    all_up(prometheus, jobs)
    after = State.of(host, prometheus)
    assert (after.files, after.loaded) == (before.files, before.loaded)
    assert unit_properties(host, "prometheus.service", "CPUWeight")["CPUWeight"] != "77"
    assert host.user("grafana").shell == "/usr/sbin/nologin"
