"""Complete and check what the user says in Alertmanager's syntax."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# The options of Alertmanager that hold a secret, by the end of the path to them.
SECRET = re.compile(
    r"(password|secret|token|token_id|credentials|webhook_url|(api|service|user|secret)_key"
    r"|pagerduty_configs\.routing_key|slack(_configs\.|_)api_url)$"
)


def sending_resolved(receivers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Have receivers tell of the end of an alert too, where they do not say whether to.

    By themselves some of Alertmanager's integrations do and others, such as e-mail and Slack, do not.

    :param receivers: receivers in Alertmanager's syntax
    """
    return [
        {
            key: [{"send_resolved": True, **one} for one in value] if key.endswith("_configs") else value
            for key, value in receiver.items()
        }
        for receiver in receivers
    ]


def alertmanager_sections(given: Mapping[str, Any], watchdog: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of alertmanager.yml.

    :param given: what ``alertmanager_input`` returned; its first receiver is told of what no route leads to
    :param watchdog: the route of the alert that always fires, which comes before those of the user
    """
    routes = [dict(watchdog), *given["route"]["routes"]]
    first = next((receiver["name"] for receiver in given["receivers"]), "nowhere")
    return {
        "route": {"receiver": first, **given["route"], "routes": routes},
        "inhibit_rules": given["inhibit_rules"],
        "receivers": [*sending_resolved(given["receivers"]), {"name": "nowhere"}],
        **given["config"],
    }


def without_route(sections: Mapping[str, Any]) -> list[str]:
    """Return the receivers that no route leads to.

    :param sections: those of alertmanager.yml
    """
    routed = set(_receivers_of(sections["route"]))
    return [receiver["name"] for receiver in sections["receivers"] if receiver["name"] not in {*routed, "nowhere"}]


def _receivers_of(route: Any) -> Iterator[str]:
    if isinstance(route, Mapping):
        yield str(route.get("receiver"))
        routes = route.get("routes")
        for below in routes if isinstance(routes, list) else ():
            yield from _receivers_of(below)


def inline_secrets(config: Any) -> list[str]:
    """Return the paths of the options that hold a secret.

    :param config: a configuration or a part of one in Alertmanager's syntax
    """
    return sorted({path for path, _ in _options(config) if SECRET.search(path)})


def message_texts(receivers: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Return where every message stands that Alertmanager would make by a template, its type and its text.

    :param receivers: receivers in Alertmanager's syntax
    :returns: the place, ``text`` or ``html`` as amtool knows them, and the text
    """
    return [
        (f"receiver {receiver['name']}.{kind}.{path}", _type(kind, way, path), value)
        for receiver in receivers
        for kind, ways in receiver.items()
        if isinstance(ways, list)
        for way in ways
        for path, value in _options(way)
        if "{{" in str(value) and not path.startswith("http_config.")
    ]


def _type(kind: str, way: Mapping[str, Any], path: str) -> str:
    """Return as what Alertmanager makes a message; Telegram's are HTML unless something else is said."""
    telegram = kind == "telegram_configs" and path == "message" and way.get("parse_mode", "HTML") == "HTML"
    pushover = kind == "pushover_configs" and path == "message" and way.get("html") is True
    return "html" if telegram or pushover or path == "html" else "text"


def _options(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each single value of a configuration with the path to it, lists left out."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from _options(value, f"{path}.{key}" if path else str(key))
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _options(value, path)
    else:
        yield path, config


def meant_times(structure: Any) -> Any:
    """Write times of day as they were meant: YAML reads 18:00 as the number 1080.

    :param structure: a configuration in Alertmanager's syntax, in which a time of day is the text HH:MM
    """
    if isinstance(structure, Mapping):
        return {
            key: f"{value // 60:02}:{value % 60:02}"
            if key in ("start_time", "end_time") and isinstance(value, int)
            else meant_times(value)
            for key, value in structure.items()
        }
    return [meant_times(item) for item in structure] if isinstance(structure, list | tuple) else structure
