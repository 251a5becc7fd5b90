"""The gate of Alertmanager: what a user wrote is what is rendered, or it is refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.plugin_utils.alertmanager_sections import inline_secrets, meant_times
from ansible_collections.emr.monitoring.plugins.plugin_utils.named_files import mappings
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

# Where text is meant in what Alertmanager reads, whatever YAML makes of it.
TEXT_BELOW = {
    "match", "match_re", "matchers", "source_match", "source_match_re", "source_matchers", "target_match",
    "target_match_re", "target_matchers", "equal", "group_by", "headers", "details", "templates",
    "active_time_intervals", "mute_time_intervals", "weekdays", "months", "days_of_month", "years",
    "custom_fields",
}  # fmt: skip
# Of these the lists.
LISTS = {
    "matchers", "source_matchers", "target_matchers", "equal", "group_by", "templates", "active_time_intervals",
    "mute_time_intervals", "weekdays", "months", "days_of_month", "years",
}  # fmt: skip
TEXT = {
    "name", "receiver", "to", "from", "smarthost", "hello", "channel", "username", "auth_username", "auth_identity",
    "title", "text", "html", "subject", "message", "url", "api_url", "icon_url", "color", "fallback", "footer", "value",
    "description", "severity", "class", "component", "group", "client", "location", "source", "tags", "note", "entity",
    "priority", "service_key_file", "routing_key_file", "topic_arn", "region", "phone_number", "room_id",
}  # fmt: skip
TIMES = {"start_time", "end_time"}
DURATIONS = {
    "timeout", "group_wait", "group_interval", "repeat_interval", "resolve_timeout", "retry", "expire", "ttl",
    "reopen_duration",
}  # fmt: skip
URL = re.compile(r"https?://.", re.IGNORECASE)
DOUBLED = re.compile(r"^\s*\w+\s*==")
TOKEN = re.compile(r"//[^/?#]*@|[?&][^=&]*(token|secret|password|signature|sig|key)=", re.IGNORECASE)
SMARTHOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:]*):[A-Za-z0-9-]+")
# A file below a folder of which the service reads all.
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# Sections that other variables write.
OWN_SECTIONS = {
    "route": "alertmanager_route",
    "receivers": "alertmanager_receivers",
    "inhibit_rules": "alertmanager_inhibit_rules",
}


def alertmanager_input(written: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Check what a user wrote, and return it as it is rendered.

    :param written: values by the names of the role's variables without ``alertmanager_``: ``receivers``, ``route``,
        ``inhibit_rules``, ``config`` and ``secrets``
    :param folder: folder of the secrets on the node
    :returns: ``problems``, a list of sentences, the structures as they are rendered, and ``secret_files``, name -> text
    """
    gate = Written()
    structures: dict[str, Any] = {
        "receivers": _receivers(gate, written["receivers"]),
        "route": _route(gate, written["route"]),
        "inhibit_rules": _rules(gate, written["inhibit_rules"]),
        "config": _config(gate, written["config"]),
    }
    secrets = _secrets(gate, written["secrets"])
    _senders(gate, structures["receivers"], structures["config"].get("global"))
    return {
        **structures,
        "secret_files": {f"secrets/{name}": text for name, text in secrets.items()},
        "problems": gate.problems + _secret_problems(structures, folder),
    }


def _receivers(gate: Written, value: Any) -> list[dict[str, Any]]:
    found = []
    for number, receiver in enumerate(gate.sequence("alertmanager_receivers", value), 1):
        where = f"alertmanager_receivers[{number}]"
        if not isinstance(receiver, Mapping):
            gate.refuse(where, receiver, "write a receiver, a mapping with a name", secret=True)
            continue
        known = len(gate.problems)
        name = gate.text(f"{where}.name", receiver.get("name"))
        if not name:
            if len(gate.problems) == known:
                gate.problems.append(f"{where} has no name: every receiver needs one.")
            continue
        where = f"alertmanager_receivers, receiver {name}"
        found.append({"name": name, **{k: _ways(gate, where, k, v) for k, v in receiver.items() if k != "name"}})
    names = [receiver["name"] for receiver in found]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1 or name == "nowhere"):
        gate.problems.append(f"alertmanager_receivers has {name} more than once, or it is the role's own: rename it.")
    return found


def _ways(gate: Written, where: str, key: Any, value: Any) -> Any:
    """Return one kind of a receiver's ways to tell somebody; of none there is an empty list, as upstream has it."""
    where = f"{where}.{key}"
    if not str(key).endswith("_configs"):
        return _value(gate, where, key, value)
    found = []
    for way in gate.sequence(where, value):
        if isinstance(way, Mapping):
            # A boolean there, and a text in an e-mail.
            text = TEXT - {"html"} if key == "pushover_configs" else TEXT
            _addresses(gate, where, way)
            found.append(_value(gate, where, None, way, text))
        else:
            gate.refuse(where, way, "write a list of mappings, each one way to tell somebody", secret=True)
    return found


def _route(gate: Written, value: Any) -> dict[str, Any]:
    route = gate.mapping("alertmanager_route", _value(gate, "alertmanager_route", None, value), secret=True)
    return {**route, "routes": gate.sequence("alertmanager_route.routes", route.get("routes"))}


def _rules(gate: Written, value: Any) -> list[Any]:
    variable = "alertmanager_inhibit_rules"
    rules = gate.sequence(variable, value)
    return [gate.mapping(variable, _value(gate, variable, None, rule), secret=True) for rule in rules]


def _config(gate: Written, value: Any) -> dict[str, Any]:
    sections = gate.sections("alertmanager_config", value, OWN_SECTIONS, secret=True)
    _addresses(gate, "alertmanager_config.global", sections.get("global"))
    return {name: _value(gate, f"alertmanager_config.{name}", name, item) for name, item in sections.items()}


def _senders(gate: Written, receivers: list[dict[str, Any]], common: Any) -> None:
    """Refuse mails that nobody sends, or that go nowhere."""
    common = common if isinstance(common, Mapping) else {}
    for receiver in receivers:
        for way in receiver.get("email_configs") or []:
            for option in ("from", "smarthost"):
                if isinstance(way, Mapping) and not way.get(option) and not common.get(f"smtp_{option}"):
                    gate.problems.append(
                        f"alertmanager_receivers, receiver {receiver['name']}.email_configs has no {option}: write it "
                        f"there, or for all of them as smtp_{option} in alertmanager_config.global."
                    )


def _addresses(gate: Written, where: str, value: Any) -> None:
    """Refuse addresses that nothing can be sent to; they are not shown, since one may hold a token."""
    for place, part in mappings(value, where):
        for key, item in part.items():
            if not isinstance(item, str) or not item or "{{" in item:
                continue
            if (key == "url" or str(key).endswith("api_url")) and not URL.match(item):
                gate.problems.append(f"{place}.{key} is no address: begin it with http:// or https://.")
            if key == "url" and TOKEN.search(item) and place.endswith("webhook_configs"):
                gate.problems.append(
                    f"{place}.url holds a secret: put the whole address into alertmanager_secrets, and write url_file."
                )
            if str(key).endswith("smarthost") and not SMARTHOST.fullmatch(item):
                gate.problems.append(f"{place}.{key} is {item!r}: write host:port, such as smtp.example.com:587.")


def _value(gate: Written, where: str, key: Any, value: Any, text: Collection[str] = frozenset(TEXT)) -> Any:
    """Return a value of Alertmanager's configuration; what is meant as text is text, a time of day one of the day."""

    def other(where: str, key: Any, value: Any) -> Any:
        if key == "chat_id" and re.fullmatch("-?[0-9]+", str(value)):
            return int(value)
        if key in DURATIONS and value is not None:
            gate.duration(where, value)
        if key not in TIMES or not isinstance(value, int) or isinstance(value, bool):
            return gate.scalar(where, value)
        if value > 24 * 60:
            gate.problems.append(f'{where} is no time of day: write it like "18:00", in quotes.')
        return meant_times({key: int(value)})[key]

    meant = gate.structure(where, key, value, text=text, text_below=TEXT_BELOW, other=other, lists=LISTS)
    _matchers(gate, where, meant)
    return meant


def _matchers(gate: Written, where: str, part: Any) -> None:
    """Refuse matchers that Alertmanager takes for another value than was meant, and which never match."""
    for place, options in mappings(part, where):
        for key, matchers in options.items():
            for matcher in matchers if str(key).endswith("matchers") and isinstance(matchers, list) else ():
                if DOUBLED.search(str(matcher)):
                    gate.refuse(f"{place}.{key}", matcher, 'write one = alone, as in severity="critical"')


def _secrets(gate: Written, value: Any) -> dict[str, str]:
    found = {}
    for name, secret in gate.mapping("alertmanager_secrets", value, secret=True).items():
        where = f"alertmanager_secrets.{name}"
        if isinstance(name, bool | float) or not FILE_NAME.fullmatch(str(name)):
            gate.problems.append(f"alertmanager_secrets holds {str(name)!r}, which is no name of a file: rename it.")
            continue
        known = len(gate.problems)
        text = gate.text(where, secret)
        if not text and len(gate.problems) == known:
            gate.problems.append(f"{where} is empty: give it a value, or remove it.")
        found[str(name)] = text
    return found


def _secret_problems(structures: Mapping[str, Any], folder: str) -> list[str]:
    sections = {**structures, **structures["config"]}
    del sections["config"]
    inline = inline_secrets(sections)
    if not inline:
        return []
    return [
        f"alertmanager_receivers or alertmanager_config holds a secret: {', '.join(inline)}. Put it into "
        "alertmanager_secrets under a name, and write the same option with _file at its end and the value "
        f"{folder}/<name>. Only sigv4 has no such option: give the role of the node the right."
    ]
