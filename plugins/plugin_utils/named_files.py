"""Files that Prometheus' configuration names: those that it reads are whole, those that it writes it can write."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.filter.certificates import certificate_chain, pair_problems

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
    problems = []
    for where, part in _mappings(sections, ""):
        for option in WRITTEN:
            path = str(part.get(option) or "")
            if path and not posixpath.normpath(path).startswith(f"{data_dir}/"):
                problems.append(
                    f"{where}.{option} is {path!r}, and Prometheus can write prometheus_data_dir alone: write "
                    f"{data_dir}/{posixpath.basename(path)}."
                )
        brought = {option: files.get(_below(part.get(option), config_dir)) for option in READ}
        if brought["ca_file"] is not None and not certificate_chain(brought["ca_file"]):
            problems.append(
                f"{where}.ca_file is {part['ca_file']}, which prometheus_files brings, and holds no certificate in PEM "
                "form: correct it there."
            )
        if brought["cert_file"] is not None and brought["key_file"] is not None:
            names = [f"{where}.{option} ({part[option]} in prometheus_files)" for option in ("cert_file", "key_file")]
            problems += pair_problems(brought["cert_file"], brought["key_file"], *names)
    for pattern in sections.get("scrape_config_files") or ():
        below = _below(pattern, config_dir)
        if below and not fnmatch.filter(files, below):
            problems.append(
                f"prometheus_config.scrape_config_files holds {str(pattern)!r}, which matches no file: bring it by "
                "prometheus_files, as files/NAME, or name one that lies elsewhere on the node."
            )
    return problems


def _mappings(part: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every mapping of a configuration with the place where it stands."""
    if isinstance(part, Mapping):
        name = f"job {part['job_name']}" if "job_name" in part else where
        yield name, part
        for key, value in part.items():
            yield from _mappings(value, f"{name}.{key}" if name else str(key))
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _mappings(value, where)


def _below(path: Any, config_dir: str) -> str:
    """Return a path below the folder of the configuration; empty where it is another's."""
    whole = posixpath.normpath(posixpath.join(config_dir, str(path or "")))
    return whole.removeprefix(f"{config_dir}/") if path and whole.startswith(f"{config_dir}/") else ""
