"""Look the data sources up that users made in a Grafana."""

from __future__ import annotations

import os
import sqlite3
import urllib.request
from contextlib import closing


def stored_sources(database: str) -> list[dict[str, str]] | None:
    """Return uid, name and type of the data sources that Grafana's SQLite file holds and no file provisions.

    :param database: path of the file; empty where the database is another one
    :returns: none before Grafana's first start; None where nobody can tell without a question to Grafana
    """
    if not database:
        return None
    if not os.path.exists(database):
        return []
    try:
        with closing(sqlite3.connect(f"file:{urllib.request.pathname2url(database)}?mode=ro", uri=True)) as store:
            rows = store.execute(
                "SELECT uid, name, type FROM data_source WHERE coalesce(read_only, 0) = 0 ORDER BY id"
            ).fetchall()
    except sqlite3.Error:
        return None
    return [dict(zip(("uid", "name", "type"), map(str, row))) for row in rows]
