"""The gate of Grafana's data sources: what a user wrote is what is provisioned, or it is refused."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

# Where text is meant in a data source, whatever YAML makes of it.
TEXT = {"name", "uid", "type", "url", "user", "database", "basicAuthUser", "access"}
TEXT_BELOW = {"secureJsonData"}
SECRETS = {"basicAuthPassword", "password", "tlsClientKey", "tlsClientCert", "tlsCACert", "httpHeaderValue1", "token"}
# What Go takes for true or false.
GO_BOOLEANS = {"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"}
BOOLEANS = {"basicAuth", "isDefault", "editable", "withCredentials"}
NEEDED = ("name", "type")
# All that Grafana reads (pkg/services/provisioning/datasources/types.go, and its sample.yaml); it ignores the rest.
KEYS = (
    TEXT
    | TEXT_BELOW
    | {
        *("apiVersion", "basicAuth", "correlations", "editable", "isDefault", "jsonData", "orgId", "version"),
        "withCredentials",
    }
)
TRUE = ("true", "1", "t")


def grafana_sources(written: Mapping[str, Any]) -> dict[str, Any]:
    """Check the data sources that a user wrote, and return them as they are provisioned.

    :param written: values by the names of the variables without ``grafana_``: ``datasources`` and
        ``further_datasources``; ``own_dashboards`` is whether the project's dashboards are provisioned
    :returns: ``sources``, and ``problems``, a list of sentences
    """
    gate = Written()
    sources: list[dict[str, Any]] = []
    places: dict[tuple[str, str], str] = {}
    for variable in ("grafana_datasources", "grafana_further_datasources"):
        for number, item in enumerate(gate.sequence(variable, written[variable.removeprefix("grafana_")]), 1):
            if not isinstance(item, Mapping):
                gate.refuse(
                    f"{variable}[{number}]", item, "write a data source, a mapping with name and type", secret=True
                )
                continue
            if "datasources" in item:
                gate.problems.append(
                    f"{variable}[{number}] holds datasources, as a file of provisioning does: write its list alone."
                )
                continue
            source = _source(gate, f"{variable}[{number}]", item)
            for key in ("name", "uid"):
                first = places.setdefault((key, str(source.get(key))), f"{variable}[{number}]")
                if source.get(key) and first != f"{variable}[{number}]":
                    gate.problems.append(
                        f"{variable}[{number}] has the {key} {source[key]!r}, as has {first}: each needs one of its "
                        "own."
                    )
            sources.append(source)
    default = [str(source["name"]) for source in sources if _is_true(source.get("isDefault"))]
    if len(default) > 1:
        gate.problems.append(
            f"grafana_datasources and grafana_further_datasources hold {', '.join(default)} with isDefault: one at "
            "most may have it, or Grafana does not start."
        )
    if written["own_dashboards"] and not any(source.get("type") == "prometheus" for source in sources):
        gate.problems.append(
            "grafana_datasources holds no data source of type prometheus, which the project's dashboards ask. Leave it "
            "as it is, and put yours into grafana_further_datasources; or leave those dashboards out with "
            "monitoring_dashboards: false."
        )
    return {"sources": sources, "problems": gate.problems}


def _source(gate: Written, where: str, item: Mapping[str, Any]) -> dict[str, Any]:
    name = gate.text(f"{where}.name", item.get("name"))
    where = f"{where}, {name}" if name else where
    source = {key: _value(gate, f"{where}: {key}", key, value) for key, value in item.items() if key != "name"}
    source = {"name": name, **source} if "name" in item else source
    for key in sorted(map(str, item.keys() - KEYS)):
        if key in SECRETS:
            gate.problems.append(f"{where} has {key}, which Grafana would ignore: write it below secureJsonData.")
            continue
        near = difflib.get_close_matches(key, KEYS, n=1)
        gate.problems.append(
            f"{where} has {key}, which Grafana would ignore: "
            + (f"did you mean {near[0]}?" if near else "an option of its type belongs below jsonData")
            + ("" if near else ", a secret below secureJsonData.")
        )
    missing = [key for key in NEEDED if item.get(key) in (None, "")]
    if missing:
        gate.problems.append(f"{where} has no {' and no '.join(missing)}: each data source needs name and type.")
    return source if source.get("uid") else {**source, "uid": uid_of(name)}


def uid_of(name: str) -> str:
    """Return the uid that Grafana gives to a data source that it provisions without one."""
    return f"P{hashlib.sha256(name.encode()).hexdigest()[:16].upper()}"


def _value(gate: Written, where: str, key: Any, value: Any) -> Any:
    if key in TEXT:
        return gate.text(where, value)
    if key in TEXT_BELOW and value is not None:
        return gate.texts(where, gate.mapping(where, value, secret=True))
    if key in BOOLEANS and value is not None and str(value) not in GO_BOOLEANS:
        gate.refuse(where, value, "write true or false")
    if isinstance(value, Mapping):
        return {name: _value(gate, f"{where}.{name}", None, item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_value(gate, where, None, item) for item in value]
    return gate.scalar(where, value)


def _is_true(value: Any) -> bool:
    return str(value).lower() in TRUE
