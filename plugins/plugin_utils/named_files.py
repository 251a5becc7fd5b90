"""Files that Prometheus' configuration names: those that it reads are whole, those that it writes it can write."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.certificates import certificate_chain, pair_problems
from ansible_collections.emr.monitoring.plugins.module_utils.node_folders import hidden

# Below these the names are the user's own.
USERS_NAMES = {
    "labels", "external_labels", "headers", "http_headers", "params", "endpoint_params", "proxy_connect_header",
    "details", "custom_fields", "fields",
}  # fmt: skip
READ = ("ca_file", "cert_file", "key_file")
WRITTEN = ("query_log_file", "scrape_failure_log_file")


def named_file_problems(
    sections: Mapping[str, Any], files: Mapping[str, str], config_dir: str, data_dir: str
) -> list[str]:
    """Say which of the files that a configuration names cannot be what they have to be.

    :param sections: a configuration in Prometheus' syntax
    :param files: those that come along, path below the configuration's folder -> text
    :param config_dir: the folder of the configuration on the node
    :param data_dir: the only folder that Prometheus can write
    """
    problems = certificate_file_problems(sections, files, config_dir, "prometheus_files")
    for where, part in mappings(sections, ""):
        for option in WRITTEN:
            path = str(part.get(option) or "")
            if path and not posixpath.normpath(path).startswith(f"{data_dir}/"):
                problems.append(
                    f"{where}.{option} is {path!r}, and Prometheus can write prometheus_data_dir alone: write "
                    f"{data_dir}/{posixpath.basename(path)}."
                )
    patterns = sections.get("scrape_config_files") or ()
    return problems + pattern_problems("prometheus_config.scrape_config_files", patterns, files, config_dir)


def certificate_file_problems(
    sections: Mapping[str, Any], files: Mapping[str, str], config_dir: str, variable: str
) -> list[str]:
    """Say which of the certificates and keys that come along cannot be what a configuration names them for.

    :param variable: the name of the variable that brings the files
    """
    problems = []
    for where, part in mappings(sections, ""):
        brought = {option: files.get(below_config(part.get(option), config_dir)) for option in READ}
        if brought["ca_file"] is not None and not certificate_chain(brought["ca_file"]):
            problems.append(
                f"{where}.ca_file is {part['ca_file']}, which {variable} brings, and holds no certificate in PEM "
                "form: correct it there."
            )
        if brought["cert_file"] is not None and brought["key_file"] is not None:
            names = [f"{where}.{option} ({part[option]} in {variable})" for option in ("cert_file", "key_file")]
            problems += pair_problems(brought["cert_file"], brought["key_file"], *names)
    return problems


def missing_files(sections: Mapping[str, Any], files: Collection[str], config_dir: str) -> Iterator[tuple[str, str]]:
    """Yield the options that name a file below a configuration's folder which does not come along, with its path."""
    yield from ((where, path) for where, path in named_files(sections, config_dir) if path not in files)


def named_files(sections: Mapping[str, Any], config_dir: str) -> Iterator[tuple[str, str]]:
    """Yield the options that name a file below a configuration's folder, with its path there."""
    for where, part in mappings(sections, ""):
        for option, path in part.items():
            below = below_config(path, config_dir) if str(option).endswith("_file") and option not in WRITTEN else ""
            if below:
                yield f"{where}.{option}", below


def files_elsewhere(sections: Mapping[str, Any], config_dir: str) -> Iterator[tuple[str, str]]:
    """Yield the options that name a file elsewhere on the node, with its path."""
    for where, part in mappings(sections, ""):
        for option, path in part.items():
            if str(option).endswith("_file") and option not in WRITTEN and lies_elsewhere(path, config_dir):
                yield f"{where}.{option}", str(path)


def targets_elsewhere(sections: Mapping[str, Any], config_dir: str) -> Iterator[tuple[str, str]]:
    """Yield the patterns of files of targets that are to be on the node already."""
    for where, part in mappings(sections, ""):
        if where.endswith(".file_sd_configs") and isinstance(part.get("files"), list):
            yield from ((f"{where}.files", str(path)) for path in part["files"] if lies_elsewhere(path, config_dir))


def lies_elsewhere(path: Any, config_dir: str) -> bool:
    """Tell whether a path names a file that is to be on the node already: what lies in /run comes and goes."""
    text = str(path)
    return text.startswith("/") and not below_config(text, config_dir) and not text.startswith(("/run/", "/var/run/"))


def elsewhere_problems(named: Iterable[tuple[str, str]], service: str, dropin: Any) -> list[str]:
    """Say which files elsewhere on the node no unit sees.

    :param named: pairs of the option and the path, as ``files_elsewhere`` yields them
    :param service: whose they are, and the user of its unit
    :param dropin: what the user adds to the unit, which may show it more
    """
    return [
        f"{where} is {path!r}, and {why}: bring it by {service}_files, or put it elsewhere."
        for where, path in named
        if not dropin and (why := hidden(path))
    ]


def file_checks(named: Iterable[tuple[str, str]], service: str, dropin: Any) -> list[dict[str, Any]]:
    """Return the checks, as the module ``service`` takes them, that files elsewhere on the node can be read.

    The parameters are those of ``elsewhere_problems``.
    """
    given = [*named]
    return [*presence_checks(given), *reading_checks(given, service, dropin)]


def presence_checks(named: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the checks that files are there."""
    about = "{} is {!r}, and the node has no such file: correct the path, or bring the file first"
    return [{"command": ["test", "-r", path], "about": about.format(where, path)} for where, path in named]


def reading_checks(named: Iterable[tuple[str, str]], service: str, dropin: Any) -> list[dict[str, Any]]:
    """Return the checks that the user of a unit can read them; none where a drop-in may let it read more."""
    about = "{} is {!r}, which the user {} cannot read: let it, or bring it by {}_files"
    return [
        {
            "command": ["runuser", f"--user={service}", "--", "test", "-r", path],
            "about": about.format(where, path, service, service),
            # In check mode the user may not be there yet.
            "tolerated": "user .* does not exist",
        }
        for where, path in named
        if not dropin
    ]


def whole_paths(part: Any, config_dir: str) -> Any:
    """Return a part of a configuration in which relative paths of files are paths below the configuration's folder."""
    if isinstance(part, list | tuple):
        return [whole_paths(value, config_dir) for value in part]
    if not isinstance(part, Mapping):
        return part
    found = {}
    for key, value in part.items():
        if str(key).endswith("_file") and isinstance(value, str) and value:
            found[key] = posixpath.join(config_dir, value)
        else:
            found[key] = value if key in USERS_NAMES else whole_paths(value, config_dir)
    return found


def pattern_problems(where: str, patterns: Iterable[Any], files: Iterable[str], config_dir: str) -> list[str]:
    """Say which of the patterns below a configuration's folder match none of the files that come along.

    :param where: the place of the patterns, which begins with the service's name
    :param files: paths below that folder
    """
    below = {str(pattern): below_config(pattern, config_dir) for pattern in patterns}
    service = where.partition("_")[0]
    return [
        f"{where} holds {pattern!r}, which matches no file: bring it by {service}_files, as files/NAME, or name one "
        "that lies elsewhere on the node."
        for pattern, path in below.items()
        if path and not any(PurePosixPath("/", file).match(f"/{path.replace('[^', '[!')}") for file in files)
    ]


def mappings(part: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every mapping of a configuration with the place where it stands."""
    if isinstance(part, Mapping):
        name = where
        if "job_name" in part:
            name = f"job {part['job_name']}"
        elif where == "receivers" and "name" in part:
            name = f"receiver {part['name']}"
        elif where == "remote_write":
            name = f"prometheus_remote_write: {part.get('name')}"
        yield name, part
        for key, value in part.items():
            if key not in USERS_NAMES:
                yield from mappings(value, f"{name}.{key}" if name else str(key))
    elif isinstance(part, list | tuple):
        for value in part:
            yield from mappings(value, where)


def below_config(path: Any, config_dir: str) -> str:
    """Return a path below the folder of the configuration; empty where it is another's."""
    whole = posixpath.normpath(posixpath.join(config_dir, str(path or "")))
    return whole.removeprefix(f"{config_dir}/") if path and whole.startswith(f"{config_dir}/") else ""
