"""Grafana's plugins: pinned archives that it takes, or what ran before runs on.

No plugin of somebody else's can be had without the internet: an own one without a signature is packed as they are.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.integration.node import Api, Playbook, Run, process, refused

NAME = "acme-note-panel"
FOLDER = f"/mnt/grafana/plugins/{NAME}"
ALLOWED = {"plugins": {"allow_loading_unsigned_plugins": NAME}}
MODULE = 'define(["react","@grafana/data"],(r,d)=>({plugin:new d.PanelPlugin(()=>r.createElement("div"))}))'
Plugin = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    """Return a function that packs a version of a plugin on the controller and returns the run's variables for it."""
    folder: Path = tmp_path_factory.mktemp("plugins")

    def pack(version: str) -> dict[str, Any]:
        about = {
            "id": NAME,
            "name": "Note",
            "type": "panel",
            "info": {"version": version},
            "dependencies": {"grafanaDependency": ">=9.0.0"},
        }
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            # By a ZipInfo, which has no time of its own: the same version is the same archive.
            archive.writestr(zipfile.ZipInfo(f"{NAME}/plugin.json"), json.dumps(about))
            archive.writestr(zipfile.ZipInfo(f"{NAME}/module.js"), MODULE)
        path = folder / f"{NAME}-{version}.zip"
        path.write_bytes(packed.getvalue())
        sha256 = hashlib.sha256(packed.getvalue()).hexdigest()
        return {
            "grafana_fetch": "controller",
            "grafana_plugins": [{"name": NAME, "version": version, "url": path.as_uri(), "sha256": sha256}],
        }

    return pack


def test_they_come_change_and_go(host: Host, run: Run, grafana: Api, plugin: Plugin) -> None:
    def installed() -> list[str]:
        return list(host.check_output(f"ls {FOLDER}").split())

    def version() -> tuple[int, Any]:
        status, answer = grafana(f"/api/plugins/{NAME}/settings")
        return status, answer.get("info", {}).get("version")

    run(**plugin("1.2.0"), grafana_ini=ALLOWED)
    assert version() == (200, "1.2.0")
    assert "changed=0" in run(**plugin("1.2.0"), grafana_ini=ALLOWED)
    run(**plugin("1.3.0"), grafana_ini=ALLOWED)
    assert version() == (200, "1.3.0")
    assert installed() == ["1.2.0", "1.3.0"]
    checked = run("--check", grafana_ini=ALLOWED)
    assert "changed=0" not in checked
    assert installed() == ["1.2.0", "1.3.0"]
    run(grafana_ini=ALLOWED)
    assert version()[0] == 404
    assert not host.file("/mnt/grafana/plugins").exists


def test_one_that_grafana_does_not_take_is_put_back(
    host: Host, playbook: Playbook, grafana: Api, plugin: Plugin
) -> None:
    live = "sudo sha256sum /etc/grafana/grafana.ini"
    before = host.check_output(live)
    done = playbook("site.yml", **plugin("1.2.0"))
    refused(
        done,
        f"Grafana did not take the plugin {NAME}: Plugin signature is missing",
        "grafana_ini.plugins.allow_loading_unsigned_plugins",
        "What was live before was put back and runs again",
    )
    assert host.check_output(live) == before
    assert grafana.data("/api/health")["database"] == "ok"


def test_an_archive_that_is_not_the_plugin_is_refused(host: Host, playbook: Playbook, plugin: Plugin) -> None:
    before = process(host, "grafana-server.service")
    (given,) = plugin("1.2.0")["grafana_plugins"]
    for wrong, said in (
        ({"version": "1.2.1"}, f"It holds the plugin {NAME} 1.2.0, and {NAME} 1.2.1 is wanted"),
        ({"sha256": "0" * 64}, f"Correct sha256 of {NAME} in grafana_plugins"),
        ({"version": "9.9.9", "url": "file:///nowhere/a.zip"}, f"url of {NAME} in grafana_plugins is '/nowhere/a.zip'"),
    ):
        refused(playbook("site.yml", grafana_fetch="controller", grafana_plugins=[{**given, **wrong}]), said)
    assert process(host, "grafana-server.service") == before
