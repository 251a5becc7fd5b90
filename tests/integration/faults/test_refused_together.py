"""Configuration and rules are one thing: when one of them is refused, the other does not go live either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.faults.tools import job
from tests.integration.node import Playbook, refused

GOOD_RULES = "groups: [{name: good, rules: [{record: 'good:up:sum', expr: sum(up)}]}]"
BAD_RULES = "groups: [{name: bad, rules: [{record: 'bad:up:sum', expr: 'sum(up'}]}]"


@pytest.mark.parametrize(
    ("rules", "settings", "expected"),
    [
        (GOOD_RULES, {"scrape_interval": "15x"}, ["/etc/prometheus/prometheus.yml", "15x"]),
        (
            BAD_RULES,
            {},
            ["/etc/prometheus/rules/mine.yml", 'group "bad", rule 1, "bad:up:sum"', "unclosed left parenthesis"],
        ),
    ],
    ids=["a bad job and good rules", "bad rules and a good job"],
)
@pytest.mark.usefixtures("untouched")
def test_neither_goes_live(
    *,
    playbook: Playbook,
    variables: dict[str, Any],
    tmp_path: Path,
    rules: str,
    settings: dict[str, Any],
    expected: list[str],
) -> None:
    (tmp_path / "mine.yml").write_text(rules)
    jobs = [*variables["prometheus_scrape_configs"], job("new", **settings)]
    done = playbook("site.yml", prometheus_rules_dirs=[str(tmp_path)], prometheus_scrape_configs=jobs)
    refused(done, "promtool check config", *expected, "nothing was changed on the node")
