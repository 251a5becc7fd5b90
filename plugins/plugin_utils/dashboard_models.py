"""What a file means as a dashboard: each format that Grafana exports becomes one that its file provisioning takes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from ansible_collections.emr.monitoring.plugins.plugin_utils.dashboard_files import refuse

Json = dict[str, Any]

UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
TITLE_LIMIT = 5000
EXPORT = "Export the dashboard as JSON once more"
GROUP = "dashboard.grafana.app"


def meant(path: Path, below: str, content: Any) -> Json:
    """Return the dashboard that a file holds: the classic model, or a resource where it is of the second version.

    Grafana 12.4 takes a second version alone, without what is around it, and shows no panel of it; of the resources
    it takes neither the newest versions nor one that names its folder.

    :param below: the file's path below the folder that is listed; a missing uid is made from it
    :raises AnsibleFilterError: it is no dashboard
    """
    if not isinstance(content, dict):
        refuse(path, "is not a dashboard: it holds no JSON object", EXPORT)
    # As Grafana's API and its older pages hand it out.
    if isinstance(content.get("dashboard"), dict) and not content.keys() & {"title", "panels", "rows", "elements"}:
        content = content["dashboard"]
    version, uid = "", content.get("uid")
    if "apiVersion" in content:
        if not isinstance(content.get("spec"), dict):
            refuse(path, f"is not a dashboard, but another file of {content['apiVersion']!r}", EXPORT)
        group, _, version = str(content["apiVersion"]).partition("/")
        kind = content.get("kind", "Dashboard")
        if group != GROUP or kind != "Dashboard":
            refuse(path, f"is not a dashboard, but a {kind!r} of {content['apiVersion']!r}", EXPORT)
        metadata = content.get("metadata")
        content = content["spec"]
        uid = (metadata.get("name") if isinstance(metadata, dict) else None) or content.get("uid")
    uid = made_uid(below) if uid in (None, "") else uid
    if not isinstance(content.get("elements"), dict):
        return unlinked({**content, "uid": uid})
    return {
        "apiVersion": f"{GROUP}/{'v2alpha1' if _is_first_draft(version, content) else 'v2beta1'}",
        "kind": "Dashboard",
        "metadata": {"name": uid},
        "spec": content,
    }


def made_uid(below: str) -> str:
    """Return the uid of a dashboard that has none: always the same for the same path below its folder."""
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", below.removesuffix(".json"))[:31].strip("-")
    return f"{slug}-{hashlib.sha256(below.encode()).hexdigest()[:8]}".lstrip("-")


def model(dashboard: Json) -> Json:
    """Return the part of a dashboard that says what it shows."""
    spec: Json = dashboard["spec"] if dashboard.get("apiVersion") else dashboard
    return spec


def uid(dashboard: Json) -> Any:
    """Return the uid of a dashboard."""
    return dashboard["metadata"]["name"] if dashboard.get("apiVersion") else dashboard.get("uid")


def unlinked(classic: Json) -> Json:
    """Return a dashboard with the library panels that its export holds in their places."""
    elements = classic.get("__elements")
    if not isinstance(elements, dict) or not elements:
        return classic

    def panel(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        link = node.get("libraryPanel")
        element = elements.get(str(link.get("uid"))) if isinstance(link, dict) else None
        own = {key: value for key, value in node.items() if key != "libraryPanel"}
        if isinstance(element, dict) and isinstance(element.get("model"), dict):
            node = {key: value for key, value in element["model"].items() if key != "libraryPanel"} | own
        return {key: panels(value) if key in ("panels", "rows") else value for key, value in node.items()}

    def panels(node: Any) -> Any:
        return [panel(each) for each in node] if isinstance(node, list) else node

    result: Json = panel(classic)
    return result


def check(path: Path, dashboard: Json) -> None:
    """Refuse what Grafana would skip or freeze on.

    :raises AnsibleFilterError: with the file and the remedy
    """
    spec = model(dashboard)
    title = spec.get("title")
    if not isinstance(title, str) or not title.strip():
        refuse(path, "is not a dashboard: it has no title", f'Give it a "title". {EXPORT}')
    if len(title.encode()) > TITLE_LIMIT:
        refuse(path, f"has a title of more than {TITLE_LIMIT} bytes, which Grafana refuses", "Shorten it")
    if spec is dashboard and not any(isinstance(spec.get(key), list) for key in ("panels", "rows")):
        refuse(path, "is not a dashboard: it has no list of panels", EXPORT)
    if spec is not dashboard and not isinstance(spec.get("layout"), dict):
        refuse(path, "is not a dashboard: its elements have no layout", EXPORT)
    found = uid(dashboard)
    if not isinstance(found, str) or not UID.fullmatch(found):
        problem = f"has the uid {found!r}, not 1 to 40 of the characters A-Z a-z 0-9 _ -"
        refuse(path, problem, "Change it, or leave it out: then one is made from the file's name")


def _is_first_draft(version: str, spec: Json) -> bool:
    """Tell whether a dashboard is of the alpha of the second version; without a version by its kinds."""
    if version:
        return version == "v2alpha1"
    text = json.dumps(spec)
    return "VizConfig" not in text and "DataQuery" not in text
