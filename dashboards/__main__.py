"""`python -m dashboards` writes the dashboards as the JSON files that the role grafana installs."""

import json
from pathlib import Path

from dashboards import alerts, docproc_service, embedding_service, ingest_service, overview

TARGET = Path(__file__).parents[1] / "roles/grafana/files/dashboards"


def files() -> dict[str, str]:
    """Return the text of every dashboard's JSON file, keyed by file name."""
    pages = (overview, alerts, ingest_service, docproc_service, embedding_service)
    return {
        f"{page.DASHBOARD['uid']}.json": json.dumps(page.DASHBOARD, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        for page in pages
    }


if __name__ == "__main__":
    for name, text in files().items():
        (TARGET / name).write_text(text, encoding="utf-8")
