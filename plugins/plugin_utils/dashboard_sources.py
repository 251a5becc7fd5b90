"""Have a dashboard ask data sources that there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.emr.monitoring.plugins.plugin_utils.dashboard_files import refuse
from ansible_collections.emr.monitoring.plugins.plugin_utils.dashboard_models import Json

# An export lists Grafana's own expressions as if they were a data source; no one provisions them.
EXPRESSIONS = "__expr__"
BUILT_IN = {"", "default", "grafana", "-- Grafana --", "-- Mixed --", "-- Dashboard --", EXPRESSIONS, "-100"}
BUILT_IN_TYPES = {"grafana", "datasource", "dashboard", "mixed", EXPRESSIONS}
# What is no place for a data source of the dashboard: a plugin's own options may have a key of that name.
CLOSED = {"options", "fieldConfig", "vizConfig", "current", "layout"}
# Kinds of the second version that name the type of their source beside it.
GROUPED = {"DataQuery", "AdhocVariable", "GroupByVariable"}
VARIABLE = re.compile(r"\$\{?(\w+)|\[\[(\w+)")
# Queries of Prometheus and of Loki.
LANGUAGE = re.compile(r"\s*(label_values|label_names|query_result|metrics)\(")
SPEAKERS = {"prometheus", "loki"}
CORRECT = "Correct it there, or export the dashboard once more"
ADD = "Add one to grafana_further_datasources, or take the dashboard out"


class Sources:
    """The data sources of a Grafana."""

    def __init__(self, provisioned: Sequence[Mapping[str, Any]], others: Iterable[Mapping[str, Any]] | None) -> None:
        """
        :param provisioned: in Grafana's own syntax
        :param others: those that users made, with uid, name and type; None where nobody knows them
        """
        # A stable sort: the default one first, the others in their order.
        self._provisioned = sorted(provisioned, key=lambda source: not source.get("isDefault"))
        self._all = [*self._provisioned, *(others or ())]
        self.all_known = others is not None
        self.types = {str(source.get("type")) for source in self._all}
        self._names = {str(source.get(key)).replace("$$", "$") for source in self._all for key in ("name", "uid")}

    def knows(self, name: str) -> bool:
        """Tell whether there is a data source of this name or uid."""
        return name in self._names

    def of_type(self, kind: str, provisioned: bool) -> Mapping[str, Any] | None:
        """Return the default data source of a type, or else the first one; `provisioned` leaves those of users out."""
        sources = self._provisioned if provisioned else self._all
        return next((source for source in sources if source.get("type") == kind), None)

    def default_type(self) -> str:
        """Return the type of the source that is asked where none is named."""
        return next((str(source.get("type")) for source in self._all if source.get("isDefault")), "")


class Resolver:
    """Points what a dashboard asks at a data source that there is.

    :ivar notes: a sentence for each name that was replaced
    """

    def __init__(self, path: Path, sources: Sources, spec: Json, required: Any) -> None:
        """
        :param path: the dashboard's file, for the messages
        :param spec: the dashboard's model
        :param required: what an export says that it needs (``__requires``)
        """
        self._path, self._sources = path, sources
        self._variables = set(_variables(spec))
        needs = required if isinstance(required, list) else []
        self._required = {
            need["id"]
            for need in needs
            if isinstance(need, dict) and need.get("type") == "datasource" and isinstance(need.get("id"), str)
        }
        self.notes: dict[str, str] = {}

    def resolved(self, node: Any) -> Any:
        """Return a part of the dashboard in which no unknown data source is named."""
        if isinstance(node, list):
            return [self.resolved(item) for item in node]
        if not isinstance(node, dict):
            return node
        found = {key: value if key in CLOSED else self.resolved(value) for key, value in node.items()}
        self._check_variable(found)
        self._note_library_panel(found)
        if str(found.get("kind")) in GROUPED and isinstance(found.get("group"), str):
            found = self._grouped(found)
        elif isinstance(found.get("datasource"), str | dict):
            found = {**found, "datasource": self._reference(found, found["datasource"])}
        return found

    def source(self, kind: str, what: str, provisioned: bool = False) -> Mapping[str, Any]:
        """Return the data source of a type; `what` says what needs it, `provisioned` leaves those of users out.

        :raises AnsibleFilterError: there is none, or it has no uid
        """
        source = self._sources.of_type(kind, provisioned)
        if source is None:
            refuse(self._path, f"needs a data source of type {kind!r} for {what}, and none is provisioned", ADD)
        if not source.get("uid"):
            refuse(
                self._path,
                f"needs the uid of the data source {source.get('name')!r} for {what}, and it has none",
                'Give it a "uid" in grafana_datasources',
            )
        return source

    def _note_library_panel(self, node: Json) -> None:
        """Note a panel that is only linked: the one in Grafana's library may be there, and may not."""
        link = node.get("libraryPanel")
        if isinstance(link, dict) and "type" not in node:
            name = str(link.get("name") or link.get("uid"))
            self.notes[f"library panel {name}"] = (
                f"{self._path}: its library panel {name!r} is not in the file, and is shown only if this Grafana has "
                "it. Export the dashboard for sharing externally, which brings it along."
            )

    def _check_variable(self, node: Json) -> None:
        """Refuse a variable that offers sources of a type of which there is none."""
        spec = node.get("spec")
        kind = spec.get("pluginId") if node.get("kind") == "DatasourceVariable" and isinstance(spec, dict) else None
        name = spec.get("name") if kind and isinstance(spec, dict) else node.get("name")
        if node.get("type") == "datasource" and isinstance(node.get("name"), str):
            kind = node.get("query")
        if isinstance(kind, str) and kind and kind not in BUILT_IN_TYPES:
            self.source(kind, f"its variable {name}")

    def _grouped(self, node: Json) -> Json:
        named = node.get("datasource")
        name = named.get("name") if isinstance(named, dict) else None
        kind = node["group"]
        if kind in BUILT_IN_TYPES or (name and self._is_known(name)):
            return node
        source = self.source(kind, "a query")
        return {**node, "datasource": {"name": self._replaced(name, source)}} if name else node

    def _reference(self, node: Json, named: Any) -> Any:
        kind = named.get("type") if isinstance(named, dict) else None
        name = named.get("uid") if isinstance(named, dict) else named
        if not isinstance(kind, str | None):
            refuse(self._path, f"has a data source of the type {kind!r}, which is no text", CORRECT)
        if kind in BUILT_IN_TYPES or (name is not None and self._is_known(name)):
            return named
        if name is None and (not kind or kind == self._sources.default_type()):
            return named
        kind = kind or self._inferred(node, str(name))
        if not kind:
            refuse(
                self._path,
                f"asks the data source {name!r}, which is none of this Grafana's, and does not say of which type it is",
                f"Put the uid of a data source in its place: {ADD[0].lower()}{ADD[1:]}",
            )
        source = self.source(kind, f"{name!r}" if name else "a panel")
        return {"type": str(source["type"]), "uid": self._replaced(name, source)}

    def _is_known(self, name: Any) -> bool:
        if not isinstance(name, str) or name in BUILT_IN or self._sources.knows(name):
            return True
        variable = VARIABLE.match(name)
        return bool(variable and (variable[1] or variable[2]) in self._variables)

    def _replaced(self, name: str | None, source: Mapping[str, Any]) -> str:
        if name:
            self.notes[name] = (
                f"{self._path}: the data source {name!r} is none of this Grafana's; {source.get('name')} is asked in "
                "its place."
            )
        return str(source["uid"])

    def _inferred(self, node: Json, name: str) -> str:
        """Return the type of a source that is named without one, empty where nothing tells it."""
        queries = [node, *(each for each in _list(node.get("targets")) if isinstance(each, dict))]
        named = [each["datasource"].get("type") for each in queries if isinstance(each.get("datasource"), dict)]
        said = {kind for kind in named if isinstance(kind, str)}
        texts = [str(each.get(key, "")) for each in queries for key in ("query", "definition")]
        asks = any("expr" in each for each in queries) or any(map(LANGUAGE.match, texts))
        for kinds in (
            said - BUILT_IN_TYPES,
            self._required - BUILT_IN_TYPES,
            {kind for kind in self._sources.types if kind.casefold() in name.casefold()},
            self._sources.types & SPEAKERS if asks else set(),
        ):
            if len(kinds) == 1:
                return str(*kinds)
        return ""


def _list(value: Any) -> list[Any]:
    """Return what should be a list; anything else is an empty one."""
    return value if isinstance(value, list) else []


def _variables(spec: Json) -> Iterable[str]:
    """Return the names of a dashboard's variables, in both versions."""
    templating = spec.get("templating")
    for each in _list(templating.get("list")) if isinstance(templating, dict) else ():
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            yield each["name"]
    for each in _list(spec.get("variables")):
        inner = each.get("spec") if isinstance(each, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            yield inner["name"]
