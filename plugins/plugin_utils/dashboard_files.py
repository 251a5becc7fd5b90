"""Find the files of dashboards on the controller, and read them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ansible.errors import AnsibleFilterError
from ansible_collections.emr.monitoring.plugins.plugin_utils.collected import collected
from ansible_collections.emr.monitoring.plugins.plugin_utils.left_out import seems_meant

NEAR_MISS = re.compile(r"\.json[5cl]?(?![a-z])", re.IGNORECASE)
BYTE_ORDER_MARK = "\ufeff"
# What a dashboard has beside its title, in one format or the other.
PARTS = ("panels", "rows", "elements", "spec", "dashboard")


def refuse(path: Path, problem: str, remedy: str) -> NoReturn:
    """Raise the error that names a file, what is wrong with it, and what to do."""
    shown = str(path) if str(path).isprintable() else ascii(str(path))
    raise AnsibleFilterError(f"grafana_dashboards_dirs: {shown} {problem}. {remedy}.")


def dashboard_files(dirs: Iterable[str], problems: list[str]) -> list[tuple[Path, str]]:
    """Return the dashboards of some folders, and of the folders below them.

    :param dirs: folders on the controller
    :param problems: sentences, to which is added what is wrong: a folder is none, or holds no dashboard; a file seems
        meant and would be left out
    :returns: the path of each file, and the same below its folder, such as ``spark/jobs.json``
    """
    listed = list(dict.fromkeys(Path(name).expanduser().absolute() for name in dirs))
    nothing: list[tuple[Path, str]] = []
    return [file for folder in listed for file in collected(problems, partial(_in_folder, folder, listed), nothing)]


def _in_folder(folder: Path, listed: Collection[Path]) -> list[tuple[Path, str]]:
    if not folder.is_dir():
        refuse(
            folder,
            "is not a folder" if folder.exists() else "does not exist",
            "List existing folders of this controller, best with a path that starts with"
            " {{ playbook_dir }} or {{ inventory_dir }}",
        )
    found = list(_below(folder, listed, ()))
    if not found:
        refuse(folder, "holds no dashboard (*.json)", "Add one, or take the folder off the list")
    for path in found:
        if not path.relative_to(folder).as_posix().isprintable():
            refuse(path, "has unprintable characters in its name", "Rename it")
    return [(path, path.relative_to(folder).as_posix()) for path in found]


def read(path: Path) -> tuple[str, Any]:
    """Return the text of a file, without a byte order mark, and the JSON in it.

    :raises AnsibleFilterError: it cannot be read, or is no JSON
    """
    try:
        # Not read_text: it would change the line ends, and with them the file's checksum.
        text = path.read_bytes().decode().removeprefix(BYTE_ORDER_MARK)
        content = json.loads(text)
        # Python reads more than JSON has: NaN, numbers without end, halves of characters.
        json.dumps(content, allow_nan=False, ensure_ascii=False).encode()
    except OSError as error:
        refuse(path, f"cannot be read: {error.strerror}", "Make it readable or remove it")
    except UnicodeDecodeError as error:
        refuse(path, f"is not UTF-8 at byte {error.start}", "Save it as UTF-8")
    except json.JSONDecodeError as error:
        refuse(
            path,
            f"is not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}",
            "Correct it there, or export the dashboard again",
        )
    except ValueError as error:
        refuse(path, f"holds a number or a character that cannot be: {error}", "Correct it")
    return text, content


def _below(folder: Path, listed: Collection[Path], above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    # A link can lead back.
    if real in above:
        return
    try:
        # Not glob: it takes a folder that may not be read for an empty one.
        paths = sorted(folder.iterdir())
    except OSError as error:
        refuse(folder, f"cannot be read: {error.strerror}", "Make it readable, or take it off the list")
    for path in paths:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path not in listed:
                yield from _below(path, listed, (*above, real))
        elif path.suffix == ".json":
            yield path
        elif seems_meant(path, NEAR_MISS, json.loads, PARTS):
            refuse(path, "is no *.json file, and would be left out", "Rename it, or keep it elsewhere")
