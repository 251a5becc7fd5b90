"""Read rule files, and tell what Prometheus' answers mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# How many characters of a name or an error a table can take.
SHOWN = 300
# How wide the column of the names becomes at most; a longer one moves what follows it in its own row alone.
COLUMN = 40


def with_self_scrape_login(
    scrape_configs: Iterable[Mapping[str, Any]], basic_auth: Mapping[str, str]
) -> list[Mapping[str, Any]]:
    """Give the job named ``prometheus`` the login of Prometheus, unless it has one of its own.

    :param scrape_configs: jobs in Prometheus' syntax
    :param basic_auth: a ``basic_auth`` section
    """
    return [
        {**job, "basic_auth": basic_auth}
        if job["job_name"] == "prometheus" and not {"basic_auth", "authorization"} & set(job)
        else job
        for job in scrape_configs
    ]


def prometheus_rule_files(dirs: Iterable[str]) -> dict[str, str]:
    """Read the rule files of some folders.

    :param dirs: folders on the controller; their ``*.yml`` and ``*.yaml`` files are taken
    :returns: path below the configuration's folder (``rules/<name>``) -> text
    :raises AnsibleFilterError: a folder is missing, two files have the same name, or one cannot be read as text
    """
    found: dict[str, Path] = {}
    for directory in map(Path, dirs):
        if not directory.is_dir():
            raise AnsibleFilterError(
                f"prometheus_rules_dirs: {directory} is not a folder: create it or remove it from the list."
            )
        for path in sorted(p for p in directory.iterdir() if p.suffix in {".yml", ".yaml"}):
            if path.name in found:
                raise AnsibleFilterError(
                    f"prometheus_rules_dirs: {path} and {found[path.name]} have the same name: rename one."
                )
            found[path.name] = path
    return {f"rules/{name}": _rule_text(path) for name, path in found.items()}


def _rule_text(path: Path) -> str:
    if not path.name.isprintable():
        raise AnsibleFilterError(f"prometheus_rules_dirs: {str(path)!r} has an unprintable name: rename the file.")
    try:
        # Not read_text: it would change the line ends.
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleFilterError(
            f"prometheus_rules_dirs: {path} cannot be read ({error}): make it a readable file in UTF-8, or remove it."
        ) from error


def targets_pending(found: Mapping[str, Any], scrape_configs: Iterable[Mapping[str, Any]], loaded_at: str) -> list[str]:
    """Say what Prometheus has yet to do after it loaded its configuration: it takes up targets some seconds later.

    :param found: ``data`` of Prometheus' ``/api/v1/targets``
    :param scrape_configs: the configuration that it loaded
    :param loaded_at: when it did, as ``/api/v1/status/runtimeinfo`` says
    :returns: one phrase for each target that is to come, to go, or to be scraped with this configuration
    """
    active = found["activeTargets"]
    known = defaultdict(list)
    for target in (*active, *found["droppedTargets"]):
        labels = target["discoveredLabels"]
        known[labels["job"], labels["__address__"]].append(labels)
    to_come = [
        f"{job['job_name']} at {address} is to come"
        for job in scrape_configs
        for group in job.get("static_configs", [])
        for address in group["targets"]
        if not any(_has(labels, group.get("labels", {})) for labels in known[job["job_name"], address])
    ]
    jobs = {job["job_name"] for job in scrape_configs}
    to_go = [f"{target['scrapePool']} is to go" for target in active if target["scrapePool"] not in jobs]
    # A failure from before is no verdict on what was loaded since. To the second, which is what loaded_at has.
    unscraped = [
        f"{target['scrapeUrl']} is to be scraped"
        for target in active
        if target["health"] != "up" and target["lastScrape"][:19] <= loaded_at[:19]
    ]
    return to_come + to_go + unscraped


def _has(labels: Mapping[str, str], wanted: Mapping[str, Any]) -> bool:
    return all(labels.get(name) == str(value) for name, value in wanted.items())


def target_table(targets: Iterable[Mapping[str, Any]]) -> list[str]:
    """Describe each target on a line, the ones that are not up with their error.

    :param targets: ``data.activeTargets`` of Prometheus' ``/api/v1/targets``
    """
    rows = sorted(
        (t["health"].upper(), *map(_shown, (t["scrapePool"], t["scrapeUrl"], t["lastError"]))) for t in targets
    )
    width = min(max((len(job) for _, job, _, _ in rows), default=0), COLUMN)
    return [
        f"{health:7} {job:{width}} {url}" + (f"  {error or 'not scraped yet'}" if health != "UP" else "")
        for health, job, url, error in rows
    ]


def targets_down(targets: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say for each target that is not up what to look at.

    :param targets: ``data.activeTargets`` of Prometheus' ``/api/v1/targets``
    """
    return [
        f"{_shown(t['scrapePool'])} is {t['health'].upper()} at {_shown(t['scrapeUrl'])} "
        f"({_shown(t['lastError']) or 'not scraped yet'}). "
        "Is the service running? Is its port in prometheus_scrape_configs right?"
        for t in targets
        if t["health"] != "up"
    ]


def _shown(text: str) -> str:
    """Return a text so that who chose it, such as a scraped service, cannot write to the user's terminal at will."""
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:SHOWN])
    return plain + "…" * (len(text) > SHOWN)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {
            "prometheus_rule_files": prometheus_rule_files,
            "target_table": target_table,
            "targets_down": targets_down,
            "targets_pending": targets_pending,
            "with_self_scrape_login": with_self_scrape_login,
        }
