"""The release archives that a local node installs.

Those of the user's choice (TESTBED_PROMETHEUS_ARCHIVE, TESTBED_ALERTMANAGER_ARCHIVE, TESTBED_GRAFANA_ARCHIVE,
TESTBED_NODE_EXPORTER_ARCHIVE). Else the real ones, pinned by the roles, where upstream can be reached. Else
Prometheus, Alertmanager and node_exporter are Debian's packages, repacked in upstream's layout, and Grafana is the
stand-in that lies beside this file.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from progress import run, waiting

TESTBED = Path(__file__).resolve().parent
ROLES = TESTBED.parent.parent / "roles"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
SERVER = "http://archives"
STANDIN_VERSION = "13.2.3-standin"
# Downloaded inside a container of the node's image, so that the host needs no Debian sources of its own. apt
# verifies the signatures; the suite's date is not asked for, since mirrors of it lag.
DOWNLOAD_DEBS = """
set -eu
mkdir -p /out/lists/partial /out/cache/archives/partial
sed -n "s/bookworm main/$SUITE main/p" /etc/apt/sources.list | head -n 1 >/out/sources.list
set -- -o Dir::Etc::sourcelist=/out/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=/out/lists \
    -o Dir::Cache=/out/cache -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false
apt-get "$@" --quiet update
cd /out
apt-get "$@" --quiet download $PACKAGES
for deb in *.deb; do dpkg -x "$deb" tree; done
dpkg-deb --field "${PACKAGES%% *}"_*.deb Version >version
chown -R "$OWNER" /out
"""


# By role: Debian's packages, the one with the version first, and what stands for each file of upstream's archive.
DEBIAN = {
    "prometheus": (
        "prometheus promtool",
        {
            "prometheus": "bin/prometheus",
            "promtool": "bin/promtool",
            "NOTICE": "share/doc/prometheus/NOTICE",
            "LICENSE": "share/doc/prometheus/copyright",
        },
    ),
    "alertmanager": (
        "prometheus-alertmanager",
        {
            "alertmanager": "bin/prometheus-alertmanager",
            "amtool": "bin/amtool",
            "alertmanager.yml": "share/doc/prometheus-alertmanager/examples/simple.yml",
            "NOTICE": "share/doc/prometheus-alertmanager/NOTICE",
            "LICENSE": "share/doc/prometheus-alertmanager/copyright",
            # Upstream's program holds its templates of messages; Debian's reads them from /usr/share.
            "debian/default.tmpl": "share/prometheus/alertmanager/default.tmpl",
            "debian/email.tmpl": "share/prometheus/alertmanager/email.tmpl",
        },
    ),
    "node_exporter": (
        "prometheus-node-exporter",
        {
            "node_exporter": "bin/prometheus-node-exporter",
            "LICENSE": "share/doc/prometheus-node-exporter/copyright",
        },
    ),
}


# By role: what an archive in upstream's layout holds below its top folder; the first is the program.
LAYOUT = {
    "prometheus": ("prometheus", "promtool"),
    "alertmanager": ("alertmanager", "amtool"),
    "grafana": ("bin/grafana", "conf/defaults.ini", "public"),
    "node_exporter": ("node_exporter", "LICENSE"),
}
# Below the folder of archives, so that an archive of the user's choice never takes the place of one with its name.
CHOSEN = "chosen"
# The field e_machine of a program in the ELF format.
ELF_MACHINES = {"amd64": 62, "arm64": 183}


class ArchiveError(Exception):
    """An archive can neither be downloaded nor made; the message says why."""


def ensure(folder: Path, image: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Have all archives in a folder.

    :param folder: where the archives are kept
    :param image: the node's Docker image
    :param say: prints a line of progress
    :returns: the roles' variables that make a node install these archives
    :raises ArchiveError: with the reason
    """
    folder.mkdir(parents=True, exist_ok=True)
    # What one upgrades from: the newest that Debian has of the major version before.
    older = _debian("prometheus", "trixie", folder, image, say)
    chosen = {role: _chosen(role, folder, say) for role in LAYOUT}
    prometheus = chosen["prometheus"] or _upstream_or_debian("prometheus", folder, image, say)
    alertmanager = chosen["alertmanager"] or _upstream_or_debian("alertmanager", folder, image, say)
    grafana = chosen["grafana"] or _upstream("grafana", folder, say) or _grafana_standin(folder, say)
    node_exporter = chosen["node_exporter"] or _upstream_or_debian("node_exporter", folder, image, say)
    _extract(prometheus, folder.parent / "promtool")
    _extract(alertmanager, folder.parent / "amtool")
    used = {
        "prometheus": prometheus,
        "alertmanager": alertmanager,
        "grafana": grafana,
        "node_exporter": node_exporter,
    }
    return (
        _variables("prometheus", folder, prometheus, older)
        | _variables("alertmanager", folder, alertmanager)
        | _variables("grafana", folder, grafana)
        | _variables("node_exporter", folder, node_exporter)
        | {
            "testbed_archives": {role: str(archive.relative_to(folder)) for role, archive in used.items()},
            "testbed_chosen_archives": {_variable(role): os.environ[_variable(role)] for role in used if chosen[role]},
        }
    )


def _architecture() -> str:
    return ARCHITECTURES[os.uname().machine]


def _variables(role: str, folder: Path, *archives: Path) -> dict[str, Any]:
    """Return the role's variables for the first of its archives, with the checksums of all."""
    suffix = f".linux-{_architecture()}.tar.gz"
    checksums: dict[str, dict[str, str]] = {}
    for archive in archives:
        version = archive.name.removeprefix(f"{role}-").removesuffix(suffix)
        checksums.setdefault(version, {_architecture(): _sha256(archive)})
    version = next(iter(checksums))
    is_chosen = archives[0].parent != folder
    subfolder = f"{{{{ {{'{version}': '{CHOSEN}/'}}[{role}_version] | default('') }}}}" if is_chosen else ""
    return {
        f"{role}_version": version,
        f"{role}_checksums": checksums,
        f"{role}_url": f"{SERVER}/{subfolder}{role}-{{{{ {role}_version }}}}{suffix}",
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _variable(role: str) -> str:
    """Return the environment's variable with which the user chooses a role's archive."""
    return f"TESTBED_{role.upper()}_ARCHIVE"


def _chosen(role: str, folder: Path, say: Callable[[str], None]) -> Path | None:
    """Copy the archive that the user chose for a role to where the nodes find it; None where none is chosen.

    :raises ArchiveError: it is no archive in upstream's layout for this machine; the message names the variable
    """
    given = os.environ.get(_variable(role))
    if not given:
        return None
    # make runs in the project's folder, Ansible's tasks may not.
    archive = TESTBED.parent.parent / Path(given).expanduser()
    try:
        version = _version(role, archive)
        kept = folder / CHOSEN / f"{role}-{version}.linux-{_architecture()}.tar.gz"
        if not kept.exists() or _identity(kept) != _identity(archive):
            _check_layout(role, archive)
            kept.parent.mkdir(exist_ok=True)
            part = kept.with_suffix(".part")
            shutil.copy2(archive, part)
            part.rename(kept)
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError) as error:
        raise ArchiveError(
            f"{_variable(role)} is '{given}': {error}. Set it to the path of a .tar.gz in upstream's layout, with one "
            f"folder {role}-<version> that holds {' and '.join(LAYOUT[role])}, or unset it."
        ) from error
    say(f"{role} {version} is {archive.name}, as {_variable(role)} says")
    return kept


def _identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from what it was before: size and time of its last change."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _version(role: str, archive: Path) -> str:
    """Return the version in the name of an archive's top folder.

    :raises ValueError: there is no such folder
    """
    with tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            top = member.name.removeprefix("./").split("/")[0]
            if top not in ("", "."):
                break
        else:
            raise ValueError("it is empty")
    found = re.fullmatch(rf"{role}-v?(\d[\w.+-]*?)(?:\.linux-\w+)?", top, re.ASCII)
    if not found:
        raise ValueError(f"it holds {top}, which is not the folder of a release of {role}")
    return found[1]


def _check_layout(role: str, archive: Path) -> None:
    """Look at all that an archive holds.

    :raises ValueError: something is missing, or the program is for another machine
    """
    missing, head = set(LAYOUT[role]), b""
    with gzip.open(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
        for member in tar:
            inside = member.name.removeprefix("./").partition("/")[2]
            missing -= {inside, inside.split("/")[0]}
            content = tar.extractfile(member) if inside == LAYOUT[role][0] else None
            head = content.read(20) if content else head
        # Its checksum stands at its end.
        while unpacked.read(1 << 20):
            pass
    if missing:
        raise ValueError(f"it does not hold {' and '.join(sorted(missing))}")
    machine = int.from_bytes(head[18:20], "little")
    if head.startswith(b"\x7fELF") and machine != ELF_MACHINES[_architecture()]:
        raise ValueError(f"its program is not for {_architecture()}, the architecture of this machine")


def _upstream_or_debian(role: str, folder: Path, image: str, say: Callable[[str], None]) -> Path:
    """Have the archive that a role pins, or Debian's program where it cannot be downloaded."""
    return _upstream(role, folder, say) or _debian(role, "sid", folder, image, say)


def _upstream(role: str, folder: Path, say: Callable[[str], None]) -> Path | None:
    """Download the archive that a role pins; None where its host cannot be reached."""
    defaults = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text())
    version = defaults[f"{role}_version"]
    url = defaults[f"{role}_url"]
    for name, value in ((f"{role}_version", version), (f"{role}_architecture", _architecture())):
        url = url.replace(f"{{{{ {name} }}}}", value)
    archive = folder / f"{role}-{version}.linux-{_architecture()}.tar.gz"
    expected = defaults[f"{role}_checksums"][version][_architecture()]
    if not archive.exists():
        part = archive.with_suffix(".part")
        part.unlink(missing_ok=True)

        def state() -> str:
            return f"{part.stat().st_size >> 20} MB have come" if part.exists() else "no answer yet"

        try:
            with (
                waiting(f"downloading {role} {version}", state, say),
                urllib.request.urlopen(url, timeout=10) as response,
                part.open("wb") as file,
            ):
                shutil.copyfileobj(response, file, 1 << 20)
        except OSError as error:
            say(f"{role} {version} cannot be downloaded here ({getattr(error, 'reason', error)})")
            return None
        part.rename(archive)
    if _sha256(archive) != expected:
        archive.unlink()
        raise ArchiveError(f"{url} does not have the pinned sha256 {expected}. It was removed; try again.")
    return archive


def _debian(role: str, suite: str, folder: Path, image: str, say: Callable[[str], None]) -> Path:
    """Repack a program of a Debian suite in upstream's layout."""
    kept = folder / f"{role}-{suite}"
    if kept.exists():
        return kept.resolve()
    packages, layout = DEBIAN[role]
    work = folder / "debian"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        run(
            f"repacking the {role} of Debian {suite}",
            "docker", "run", "--rm", f"--volume={work}:/out", f"--env=OWNER={os.getuid()}:{os.getgid()}",
            f"--env=SUITE={suite}", f"--env=PACKAGES={packages}", image, "sh", "-c", DOWNLOAD_DEBS,
            say=say,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise ArchiveError(f"Debian's packages {packages} cannot be had:\n{error.output}") from error
    version = (work / "version").read_text().split("-")[0]
    archive = folder / f"{role}-{version}.linux-{_architecture()}.tar.gz"
    files = [(name, work / "tree" / "usr" / path) for name, path in layout.items()]
    _pack(archive, archive.name.removesuffix(".tar.gz"), files)
    shutil.rmtree(work)
    kept.symlink_to(archive.name)
    return archive


def _extract(archive: Path, tool: Path) -> None:
    """Put a tool of an archive where the unit tests find it; its time is the archive's, which tells of which it is."""
    time = archive.stat().st_mtime_ns
    if tool.exists() and tool.stat().st_mtime_ns == time:
        return
    with tarfile.open(archive) as tar:
        member = next(m for m in tar if Path(m.name).name == tool.name)
        content = tar.extractfile(member)
        assert content is not None, f"{tool.name} is a regular file"  # noqa: S101
        # Whole at any time: tests that began before may run it.
        part = tool.with_suffix(".part")
        part.write_bytes(content.read())
    part.chmod(0o755)
    os.utime(part, ns=(time, time))
    part.rename(tool)


def _grafana_standin(folder: Path, say: Callable[[str], None]) -> Path:
    """Pack the stand-in in Grafana's layout."""
    say("packing the stand-in for Grafana instead")
    source = TESTBED / "grafana_standin"
    files = sorted(p for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    archive = folder / f"grafana-{STANDIN_VERSION}.linux-{_architecture()}.tar.gz"
    version = archive.with_name("VERSION")
    version.write_text(STANDIN_VERSION)
    packed = [("VERSION", version), *((str(p.relative_to(source)), p) for p in files)]
    _pack(archive, f"grafana-v{STANDIN_VERSION}", packed)
    version.unlink()
    return archive


def _pack(archive: Path, top: str, files: Iterable[tuple[str, Path]]) -> None:
    """Write an archive whose bytes depend on nothing but the files."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, path in files:
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = path.stat().st_size
            member.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as content:
                tar.addfile(member, content)
    part = archive.with_suffix(".part")
    part.write_bytes(packed.getvalue())
    part.rename(archive)
