"""Whatever stands in the place of a part that is right: it is taken or refused in words, and is no Python error."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_dashboards import grafana_dashboards

from tests.unit import test_alertmanager_configuration, test_grafana_configuration, test_prometheus_configuration

ODD: list[Any] = [
    None,
    [],
    {},
    "x",
    "",
    1,
    -1,
    1.5,
    True,
    [None],
    [1],
    ["x"],
    [[]],
    [{}],
    {"a": None},
    {"x": "y"},
    "${DS}",
]
LOGIN = {"username": "u", "password": "p"}
RULE = {"source_labels": ["a"], "target_label": "b", "action": "replace", "regex": "x"}
PROMETHEUS = {
    "scrape_configs": [
        {
            "job_name": "a",
            "scrape_interval": "10s",
            "static_configs": [{"targets": ["localhost:1"], "labels": {"a": "b"}}],
            "basic_auth": LOGIN,
            "relabel_configs": [RULE],
            "params": {"m": ["x"]},
            "tls_config": {"ca_file": "files/x", "insecure_skip_verify": True},
            "file_sd_configs": [{"files": ["x.yml"]}],
            "ec2_sd_configs": [{"region": "r", "filters": [{"name": "x", "values": ["y"]}]}],
        },
        {"job_name": "prometheus", "static_configs": [{"targets": ["localhost:9090"]}]},
    ],
    "global": {"scrape_interval": "15s", "external_labels": {"cluster": "c"}, "query_log_file": "/mnt/data/x"},
    "scrape_limits": {"sample_limit": 5},
    "external_labels": {"cluster": "c"},
    "alertmanagers": [{"static_configs": [{"targets": ["a:9"]}], "basic_auth": LOGIN}],
    "config": {
        "alerting": {"alert_relabel_configs": [RULE]},
        "storage": {"tsdb": {"out_of_order_time_window": "1h"}},
        "scrape_config_files": ["files/*.yml"],
        "remote_read": [{"url": "http://x", "basic_auth": LOGIN}],
    },
    "remote_write": [
        {
            "name": "a",
            "url": "https://x/w",
            "basic_auth": LOGIN,
            "headers": {"X": "y"},
            "http_headers": {"Z": {"values": ["a"], "secrets": ["b"], "files": ["c"]}},
            "queue_config": {"max_shards": 5},
            "write_relabel_configs": [RULE],
            "tls_config": {"ca": "x"},
        },
        {"name": "b", "url": "https://u:p@y/w"},
        {"name": "c", "url": "https://y/w", "sigv4": {"region": "r", "access_key": "a", "secret_key": "b"}},
        {
            "name": "d",
            "url": "https://y/w",
            "oauth2": {
                "client_id": "c",
                "client_secret": "s",
                "token_url": "https://t",
                "scopes": ["a"],
                "endpoint_params": {"a": "b"},
            },
        },
    ],
}
TIMES = [{"start_time": "18:00", "end_time": 1200}]
ALERTMANAGER = {
    "receivers": [
        {
            "name": "a",
            "email_configs": [{"to": "x", "smarthost": "h:25", "headers": {"Subject": "y"}}],
            "slack_configs": [{"channel": "#c", "text": "{{ .Status }}", "actions": [{"type": "button"}]}],
            "webhook_configs": [{"url": "http://x", "timeout": "10s", "http_config": {"basic_auth": LOGIN}}],
        }
    ],
    "route": {
        "receiver": "a",
        "group_by": ["x"],
        "group_wait": "10s",
        "routes": [{"matchers": ["a=b"], "mute_time_intervals": ["n"], "routes": [{"receiver": "a"}]}],
    },
    "inhibit_rules": [{"source_matchers": ["a=b"], "target_matchers": ["c=d"], "equal": ["x"]}],
    "config": {
        "global": {"smtp_from": "x"},
        "time_intervals": [{"name": "n", "time_intervals": [{"times": TIMES, "weekdays": ["monday"]}]}],
    },
    "secrets": {"s": "v"},
    "peers": ["a", "b"],
}
SOURCE = {"name": "P", "type": "prometheus", "uid": "p", "isDefault": True, "jsonData": {"a": 1}}
GRAFANA = {
    "ini": {"smtp": {"enabled": True, "host": "x"}, "auth.ldap": {"enabled": False, "config_file": "/a/b"}},
    "datasources": [SOURCE],
    "dashboards_dirs": [],
}
PANEL = {"id": 1, "type": "timeseries", "datasource": {"type": "prometheus", "uid": "z"}, "targets": [{"expr": "up"}]}
QUERY = {"kind": "PanelQuery", "spec": {"query": {"kind": "DataQuery", "group": "prometheus", "datasource": {}}}}
DASHBOARDS: list[dict[str, Any]] = [
    {
        "title": "T",
        "panels": [PANEL, {"id": 2, "libraryPanel": {"uid": "u", "name": "n"}}],
        "templating": {"list": [{"name": "x", "type": "query", "query": "label_values(up, job)"}]},
        "__elements": {"u": {"name": "n", "uid": "u", "kind": 1, "model": {"type": "text"}}},
        "__inputs": [{"name": "DS", "type": "datasource", "pluginId": "prometheus"}],
        "__requires": [{"type": "datasource", "id": "prometheus"}],
    },
    {
        "apiVersion": "dashboard.grafana.app/v2beta1",
        "kind": "Dashboard",
        "metadata": {"name": "m"},
        "spec": {
            "title": "T",
            "elements": {
                "p": {"kind": "Panel", "spec": {"data": {"kind": "QueryGroup", "spec": {"queries": [QUERY]}}}}
            },
            "layout": {"kind": "GridLayout", "spec": {"items": []}},
            "variables": [{"kind": "DatasourceVariable", "spec": {"name": "s", "pluginId": "prometheus"}}],
        },
    },
]


def places(part: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to each part of a structure."""
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in inner:
        yield (*above, key)
        yield from places(value, (*above, key))


def put(structure: Any, path: tuple[Any, ...], value: Any) -> None:
    """Put a value into a place of a structure, where there is that place still."""
    try:
        for key in path[:-1]:
            structure = structure[key]
        structure[path[-1]] = value
    except (KeyError, IndexError, TypeError):
        return


def each_with_something_odd(base: Any, take: Callable[[Any], object]) -> None:
    """Put each odd value into each place, and some into two at once; let nothing but a refusal be raised."""
    chance = random.Random(4711)  # noqa: S311  # the same each time
    found = list(places(base))
    pairs: list[tuple[tuple[tuple[Any, ...], Any], ...]] = [((path, odd),) for path in found for odd in ODD]
    pairs += [tuple((chance.choice(found), chance.choice(ODD)) for _ in range(2)) for _ in range(500)]
    for changes in pairs:
        changed = copy.deepcopy(base)
        for path, odd in changes:
            put(changed, path, copy.deepcopy(odd))
        try:
            take(changed)
        except AnsibleError:
            continue
        except Exception as error:
            raise AssertionError(f"{changes}: {type(error).__name__}: {error}") from error


def test_of_prometheus() -> None:
    each_with_something_odd(PROMETHEUS, lambda written: test_prometheus_configuration.made(written, peers=["a", "b"]))


def test_of_alertmanager() -> None:
    def take(written: Any) -> None:
        peers = {**test_alertmanager_configuration.SETTINGS["peers"], "written": written["peers"]}
        test_alertmanager_configuration.made(written, peers=peers)

    each_with_something_odd(ALERTMANAGER, take)


def test_of_grafana() -> None:
    each_with_something_odd(GRAFANA, test_grafana_configuration.made)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=["the first version", "the second"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_of_a_dashboard(tmp_path: Path, dashboard: dict[str, Any], wrapped: bool) -> None:
    def take(changed: Any) -> None:
        (tmp_path / "a.json").write_text(json.dumps(changed))
        grafana_dashboards([str(tmp_path)], [SOURCE], [])

    each_with_something_odd({"dashboard": dashboard, "meta": {}} if wrapped else dashboard, take)
