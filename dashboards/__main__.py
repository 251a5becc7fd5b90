"""`python -m dashboards` writes the dashboards as the JSON files that the role grafana installs."""

import json
from pathlib import Path

from dashboards import alerts, cluster, docproc_service, embedding_service, ingest_service, overview, prometheus

ROLE_FILES = Path(__file__).parents[1] / "roles/grafana/files"
PAGES = (overview, alerts, ingest_service, docproc_service, embedding_service, prometheus)
# By folder: those of the pipeline, and those of a cluster that is monitored.
FOLDERS = {"dashboards": [page.DASHBOARD for page in PAGES], "cluster_dashboards": list(cluster.DASHBOARDS)}


def files() -> dict[str, str]:
    """Return the text of every dashboard's JSON file, keyed by its path below the role's files."""
    return {
        f"{folder}/{each['uid']}.json": json.dumps(each, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        for folder, dashboards in FOLDERS.items()
        for each in dashboards
    }


if __name__ == "__main__":
    for name, text in files().items():
        (ROLE_FILES / name).write_text(text, encoding="utf-8")
