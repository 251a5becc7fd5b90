"""What an inventory sets for a part of the project that is not in use is said."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.filter.unused_variables import without_effect

PARTS: list[dict[str, Any]] = [
    {"variables": ["alertmanager_"], "used": False, "because": "there is no Alertmanager"},
    {"variables": ["node_exporter_", "emr_cluster_ec2"], "used": True, "because": "nobody says this"},
]


def test_what_is_set_for_a_part_that_is_not_there_is_said() -> None:
    names = ["alertmanager_route", "alertmanager_config", "prometheus_global", "node_exporter_flags"]
    assert without_effect(names, PARTS) == [
        "alertmanager_config, alertmanager_route have no effect: there is no Alertmanager."
    ]
    assert without_effect(["alertmanager_files"], PARTS) == [
        "alertmanager_files has no effect: there is no Alertmanager."
    ]


@pytest.mark.parametrize("ending", ["version", "checksums", "url", "password"])
def test_a_release_may_be_pinned_and_a_login_kept_before_the_service_is_wanted(ending: str) -> None:
    assert without_effect([f"alertmanager_{ending}"], PARTS) == []
