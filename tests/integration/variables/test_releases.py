"""The releases: what was pinned, wholly, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host


@pytest.mark.parametrize("role", ["prometheus", "grafana"])
def test_the_installed_archive_has_the_pinned_checksum(host: Host, variables: dict[str, Any], role: str) -> None:
    release = host.check_output(f"readlink -f {variables[f'{role}_root']}/current")
    assert release == f"{variables[f'{role}_root']}/releases/{variables[f'{role}_version']}"
    marker = json.loads(host.check_output(f"sudo cat {release}/.release.json"))
    assert marker["sha256"] in variables[f"{role}_checksums"][variables[f"{role}_version"]].values()


def test_what_is_never_used_at_run_time_is_left_out(host: Host, variables: dict[str, Any]) -> None:
    files = host.check_output(f"find -L {variables['grafana_root']}/current -type f").splitlines()
    assert any(name.endswith(".js") for name in files)
    assert not [name for name in files if name.endswith(".map")]
