"""Where Prometheus' configuration takes a list, a duration, or true and false, whatever the section is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.plugin_utils.named_files import USERS_NAMES
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import WITHOUT_UNIT, Written

# A label may be called tags.
OWN_NAMES = USERS_NAMES - {"params"}
LISTS = {"source_labels", "files", "names", "scopes", "services", "servers", "tags", "scrape_config_files"}
DURATIONS = {
    "timeout", "scrape_timeout", "remote_timeout", "min_backoff", "max_backoff", "batch_send_deadline",
    "sample_age_limit", "out_of_order_time_window",
}  # fmt: skip
BOOLEANS = {
    "honor_labels", "honor_timestamps", "track_timestamps_staleness", "insecure_skip_verify", "follow_redirects",
    "enable_http2", "enable_compression", "proxy_from_environment", "always_scrape_classic_histograms",
    "convert_classic_histograms_to_nhcb", "scrape_native_histograms", "send_exemplars", "send_native_histograms",
    "retry_on_http_429", "send", "read_recent", "filter_external_labels",
}  # fmt: skip


ACTIONS = (
    "replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase",
    "uppercase",
)  # fmt: skip


def listed(key: Any, value: Any) -> Any:
    """Return a structure in which a single value stands as a list of one where Prometheus takes a list alone."""
    if key in OWN_NAMES:
        return value
    if isinstance(value, Mapping):
        if str(key).endswith("_configs"):
            return [listed(None, value)]
        if key == "params":
            return {name: _list_of(item) for name, item in value.items()}
        return {name: listed(name, item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [listed(None, item) for item in value]
    return _list_of(value) if key in LISTS else value


def _list_of(value: Any) -> Any:
    return value if value is None or isinstance(value, list | tuple | Mapping) else [value]


def typed(gate: Written, where: str, key: Any, value: Any) -> Any:
    """Return a single value that is neither text nor in a list, and refuse what Prometheus would."""
    if value is None:
        return value
    if key in BOOLEANS:
        gate.boolean(where, value)
    if key == "action" and "relabel_configs" in where and str(value).lower() not in ACTIONS:
        gate.refuse(where, value, f"write one of {', '.join(ACTIONS)}")
    if key == "body_size_limit" and (isinstance(value, bool) or WITHOUT_UNIT.fullmatch(str(value))):
        gate.refuse(where, value, "write it with its unit, such as 10MB")
    if key in DURATIONS or str(key).endswith("_interval"):
        gate.duration(where, value)
    return value
