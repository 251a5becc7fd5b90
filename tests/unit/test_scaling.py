"""What the page of the engines shows is taken as it is, by the gate and by Prometheus itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.test_remote_write import rendered, sent

PAGE = (Path(__file__).parents[2] / "docs/scaling.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.+?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
SHOWN = {
    title: yaml.safe_load(block)["prometheus_remote_write"]
    for title, text in SECTIONS.items()
    for block in re.findall(r"```yaml\n(prometheus_remote_write.+?)```", text, re.DOTALL)
}


def filled(value: Any) -> Any:
    """Return a value of the page with what a user has in place of a template."""
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items()}
    return "filled in" if isinstance(value, str) and "{{" in value else value


def test_each_engine_has_one() -> None:
    assert len(SHOWN) == 5
    assert {"Amazon Managed Prometheus", "Cortex and Mimir", "Thanos", "VictoriaMetrics"} <= SHOWN.keys()


@pytest.mark.parametrize("title", SHOWN)
def test_what_is_shown_is_taken_as_it_is(promtool: Callable[..., str], tmp_path: Path, title: str) -> None:
    (entry,) = SHOWN[title]
    found = sent(filled(entry))
    (made,) = rendered(found)
    assert "filled in" not in yaml.safe_dump(made)
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump({"remote_write": [made]}))
    assert "SUCCESS" in promtool("check", "config", file)
