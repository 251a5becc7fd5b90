"""The release archives that a local node installs.

The real ones, pinned by the roles, where upstream can be reached. Else Prometheus and Alertmanager are Debian's
packages, repacked in upstream's layout, and Grafana is the stand-in that lies beside this file.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

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
apt-get "$@" --quiet=2 update
cd /out
apt-get "$@" --quiet=2 download $PACKAGES
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
}


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
    prometheus = _upstream("prometheus", folder, say) or _debian("prometheus", "sid", folder, image, say)
    alertmanager = _upstream("alertmanager", folder, say) or _debian("alertmanager", "sid", folder, image, say)
    grafana = _upstream("grafana", folder, say) or _grafana_standin(folder, say)
    _extract(prometheus, folder.parent / "promtool")
    _extract(alertmanager, folder.parent / "amtool")
    return (
        _variables("prometheus", prometheus, older)
        | _variables("alertmanager", alertmanager)
        | _variables("grafana", grafana)
    )


def _architecture() -> str:
    return ARCHITECTURES[os.uname().machine]


def _variables(role: str, *archives: Path) -> dict[str, Any]:
    """Return the role's variables for the first of its archives, with the checksums of all."""
    suffix = f".linux-{_architecture()}.tar.gz"
    versions = {archive.name.removeprefix(f"{role}-").removesuffix(suffix): archive for archive in archives}
    return {
        f"{role}_version": next(iter(versions)),
        f"{role}_checksums": {v: {_architecture(): _sha256(archive)} for v, archive in versions.items()},
        f"{role}_url": f"{SERVER}/{role}-{{{{ {role}_version }}}}.linux-{_architecture()}.tar.gz",
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        try:
            with urllib.request.urlopen(url, timeout=10) as response, part.open("wb") as file:
                say(f"downloading {role} {version} ({int(response.headers['Content-Length']) >> 20} MB)")
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
    say(f"repacking the {role} of Debian {suite}")
    packages, layout = DEBIAN[role]
    work = folder / "debian"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    done = subprocess.run(
        ["docker", "run", "--rm", f"--volume={work}:/out", f"--env=OWNER={os.getuid()}:{os.getgid()}",
         f"--env=SUITE={suite}", f"--env=PACKAGES={packages}", image, "sh", "-c", DOWNLOAD_DEBS],
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ArchiveError(f"Debian's packages {packages} cannot be had:\n{done.stderr.strip()}")
    version = (work / "version").read_text().split("-")[0]
    archive = folder / f"{role}-{version}.linux-{_architecture()}.tar.gz"
    files = [(name, work / "tree" / "usr" / path) for name, path in layout.items()]
    _pack(archive, archive.name.removesuffix(".tar.gz"), files)
    shutil.rmtree(work)
    kept.symlink_to(archive.name)
    return archive


def _extract(archive: Path, tool: Path) -> None:
    """Put a tool of an archive where the unit tests find it."""
    if tool.exists() and tool.stat().st_mtime > archive.stat().st_mtime:
        return
    with tarfile.open(archive) as tar:
        member = next(m for m in tar if Path(m.name).name == tool.name)
        content = tar.extractfile(member)
        assert content is not None, f"{tool.name} is a regular file"  # noqa: S101
        tool.write_bytes(content.read())
    tool.chmod(0o755)


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
