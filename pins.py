"""The releases that the roles pin: which newer ones upstream has, and how one of them is pinned.

`make pins` lists them, and `make pins SET=prometheus=3.13.4` writes a version together with the sha256 of its archives
into the role. Every sha256 is upstream's own word, from the checksum file that it publishes beside the archives.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import re
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent / "roles"
ARCHITECTURES = ("amd64", "arm64")
TIMEOUT_SECONDS = 20.0
RELEASES_PER_PAGE = 30
# Pre-releases have a suffix. Grafana counts the security fixes between two releases, as in 13.0.1+security-01.
VERSION = re.compile(r"\d+\.\d+\.\d+(\+security-\d+)?")
CHECKSUM_LINE = re.compile(r"[0-9a-f]{64}( [ *]\S+)?")
# Of what is on GitHub, by repository, where it has another name than most.
CHECKSUM_FILES = {"restic/restic": "SHA256SUMS"}
# What is said of a checksum, by whether the role has it and whether upstream has it.
STATES = {
    (True, True): "pinned",
    (True, False): "pinned but not published",
    (False, True): "published",
    (False, False): "unknown",
}


class PinsError(Exception):
    """What the user is told: what was found, and what to do."""


class NotFoundError(PinsError):
    """There is nothing at an address."""


@dataclass(frozen=True)
class Upstream:
    """Where a program's releases and checksums are published.

    :param repository: the repository on GitHub that lists the releases, as in prometheus/prometheus
    :param checksum_file: name of the checksum file beside the archive
    :param entry: regular expression of what follows the archive's sha256 in that file
    """

    repository: str
    checksum_file: str
    entry: str

    @property
    def releases(self) -> str:
        """Address of the list of releases."""
        return f"https://api.github.com/repos/{self.repository}/releases"


@dataclass(frozen=True)
class Program:
    """What a role installs from upstream: the role's folder, what its variables start with, and their values."""

    role: Path
    name: str
    version: str
    checksums: dict[str, dict[str, str]]
    url: str

    @property
    def upstream(self) -> Upstream:
        """Where the releases come from. Raises PinsError where the role's URL is not upstream's."""
        if on_github := re.match(r"https://github\.com/([^/]+/[^/]+)/releases/download/", self.url):
            return Upstream(on_github[1], CHECKSUM_FILES.get(on_github[1], "sha256sums.txt"), r" [ *]{archive}")
        if self.url.startswith("https://dl.grafana.com/oss/release/"):
            # GitHub lists every release of Grafana, but has no archives. The checksum file holds the checksum alone, or
            # (first for 12.4.3) with the name that the archive had where it was built.
            entry = r"(  (dist/)?grafana_{version}_\d+_linux_{architecture}\.tar\.gz)?"
            return Upstream("grafana/grafana", "{archive}.sha256", entry)
        raise PinsError(
            f"{self.name}_url is {self.url}, neither a release on https://github.com nor below "
            "https://dl.grafana.com/oss/release: teach pins.py where its checksums are."
        )

    def archive(self, version: str, architecture: str) -> str:
        """Return the address of the archive of a version (as in 3.13.4) for an architecture (amd64 or arm64)."""
        url = self.url.replace(f"{{{{ {self.name}_version }}}}", version)
        return url.replace(f"{{{{ {self.name}_architecture }}}}", architecture)


def programs(roles: Path) -> dict[str, Program]:
    """Return by name the programs that have a version, checksums and a URL in the defaults of a role."""
    found = {}
    for path in sorted(roles.glob("*/defaults/main.yml")):
        defaults = yaml.safe_load(path.read_text())
        for name in (key.removesuffix("_version") for key in defaults if key.endswith("_version")):
            version, checksums, url = (defaults.get(f"{name}_{what}") for what in ("version", "checksums", "url"))
            if version and checksums and url:
                found[name] = Program(path.parents[1], name, version, checksums, url)
    return found


class _HttpsAlone(urllib.request.HTTPSHandler):
    """Names the host that cannot be reached, and follows no redirection to anything but https."""

    # Before the handlers of other protocols.
    handler_order = 499

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        try:
            return super().https_open(req)
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(req.full_url, error) from error

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        raise PinsError(f"{req.full_url}, where upstream redirects to, is not https. Nothing was written.")

    ftp_open = http_open


def _unreachable(url: str, error: Exception) -> PinsError:
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    return PinsError(
        f"{urllib.parse.urlsplit(url).hostname} cannot be reached ({reason}). Nothing was written. "
        "Run this where the internet is reachable; https_proxy may name a proxy."
    )


def fetch(url: str) -> str:
    """Return the text at an https address. Raises NotFoundError, or PinsError that names the host or the address."""
    try:
        with urllib.request.build_opener(_HttpsAlone).open(url, timeout=TIMEOUT_SECONDS) as response:
            return str(response.read(), "utf-8", "replace")
    except urllib.error.HTTPError as error:
        kind = NotFoundError if error.code == 404 else PinsError
        raise kind(f"{url} answers {error.code} {error.reason}. Nothing was written.") from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from error


def fetch_json(url: str) -> Any:
    """Return what the JSON at an https address says. Raises what fetch raises, and PinsError for another format."""
    try:
        return json.loads(fetch(url))
    except ValueError as error:
        raise PinsError(f"{url} does not answer JSON: {error}. Nothing was written.") from error


def released(program: Program) -> list[str]:
    """Return the releases of a program since the pinned one, which is among them, in ascending order."""
    versions = {program.version}
    for page in itertools.count(1):
        releases = fetch_json(f"{program.upstream.releases}?per_page={RELEASES_PER_PAGE}&page={page}")
        tags = {release["tag_name"]: release["prerelease"] for release in releases}
        finals = {tag.removeprefix("v") for tag, prerelease in tags.items() if not prerelease}
        versions |= {version for version in finals if VERSION.fullmatch(version)}
        # The newest come first: behind the pinned one there is nothing newer.
        if f"v{program.version}" in tags or not releases:
            break
    return sorted(versions, key=_order)


def _order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def notable(program: Program) -> dict[str, str]:
    """Return by version what the pinned one, the newest of its line (as in 3.13) and the newest of all are called."""
    versions = released(program)
    major, minor, *_ = _order(program.version)
    of_line = [version for version in versions if _order(version)[:2] == [major, minor]]
    names: dict[str, list[str]] = {}
    for version, name in (
        (program.version, "pinned"),
        (of_line[-1], f"newest of {major}.{minor}"),
        (versions[-1], "newest"),
    ):
        names.setdefault(version, []).append(name)
    return {version: ", ".join(called) for version, called in names.items()}


def published(program: Program, version: str) -> dict[str, str]:
    """Return the sha256 that upstream publishes for a version by architecture, for as many as it does.

    Raises PinsError for a checksum file that is something else.
    """
    checksums = {}
    for architecture in ARCHITECTURES:
        archive = program.archive(version, architecture)
        name = archive.rpartition("/")[2]
        url = urllib.parse.urljoin(archive, program.upstream.checksum_file.format(archive=name))
        try:
            lines = fetch(url).splitlines()
        except NotFoundError:
            continue
        entry = program.upstream.entry.format(
            archive=re.escape(name), version=re.escape(version), architecture=architecture
        )
        entries = [line for line in lines if re.fullmatch(rf".{{64}}{entry}", line)]
        if not lines or len(entries) > 1 or not all(CHECKSUM_LINE.fullmatch(line) for line in lines):
            raise PinsError(f"{url} is not a list of sha256 checksums, each file once. Nothing was written.")
        if entries:
            checksums[architecture] = entries[0][:64]
    return checksums


def alarms(program: Program, version: str, checksums: dict[str, str]) -> list[str]:
    """Return what to say about pinned checksums that are not the ones that upstream publishes by architecture."""
    pinned = program.checksums.get(version, {})
    return [
        f"ALARM: {program.name} {version} for {architecture} is pinned with sha256 {pinned[architecture]}, "
        f"but upstream now publishes {checksum}: the archive was replaced, or one of the two is forged. "
        f"Nothing was written. Find out from upstream before you change {program.name}_checksums."
        for architecture, checksum in checksums.items()
        if pinned.get(architecture, checksum) != checksum
    ]


def pin(program: Program, version: str) -> dict[Path, str]:
    """Return the role's files, by path, with a version and its checksums in them. Raises PinsError."""
    if not VERSION.fullmatch(version):
        raise PinsError(f"{program.name}={version}: not a release; one looks like 3.13.4 or 13.0.1+security-01.")
    try:
        release = fetch_json(f"{program.upstream.releases}/tags/{urllib.parse.quote(f'v{version}')}")
    except NotFoundError as error:
        raise PinsError(f"{program.name}={version}: no such release. {error}") from error
    if release["prerelease"]:
        raise PinsError(f"{program.name}={version}: upstream calls it a pre-release. Nothing was written.")
    checksums = published(program, version)
    if missing := [architecture for architecture in ARCHITECTURES if architecture not in checksums]:
        raise PinsError(
            f"{program.name}={version}: upstream publishes no sha256 for {' and '.join(missing)} beside "
            f"{program.archive(version, missing[0])}. Nothing was written. Choose another release."
        )
    if changed := alarms(program, version, checksums):
        raise PinsError("\n".join(changed))
    return _defaults(program, version, checksums) | _argument_specs(program, version)


def _defaults(program: Program, version: str, checksums: dict[str, str]) -> dict[Path, str]:
    path = program.role / "defaults/main.yml"
    text = path.read_text()
    expected = yaml.safe_load(text)
    expected[f"{program.name}_version"] = version
    expected[f"{program.name}_checksums"].setdefault(version, {}).update(checksums)

    known = program.checksums.get(version, {})
    new = "".join(f"    {key}: {checksum}\n" for key, checksum in checksums.items() if key not in known)
    block = f"\n{program.name}_checksums:\n"
    if known:
        text = re.sub(rf"(?m)^  {re.escape(version)}:\n(    .*\n)*", lambda match: match[0] + new, text)
    else:
        text = text.replace(block, f"{block}  {version}:\n{new}")
    text = re.sub(rf"(?m)^({program.name}_version:) \S+", rf"\1 {version}", text)
    return {path: _checked(path, text, expected)}


def _argument_specs(program: Program, version: str) -> dict[Path, str]:
    path = program.role / "meta/argument_specs.yml"
    text = path.read_text()
    expected = yaml.safe_load(text)
    expected["argument_specs"]["main"]["options"][f"{program.name}_version"]["default"] = version

    option = rf"(?m)^(( +){program.name}_version:\n(?:\2  .*\n)*?\2  default:) \S+"
    return {path: _checked(path, re.sub(option, rf"\1 {version}", text), expected)}


def _checked(path: Path, text: str, expected: Any) -> str:
    # Edited as text, because a YAML library would drop the comments: so it is read again.
    if yaml.safe_load(text) != expected:
        raise PinsError(f"{path} is not laid out as pins.py expects. Nothing was written. Edit it by hand.")
    return text


def write(files: dict[Path, str]) -> None:
    """Replace the files at the paths by texts, all of them and each as a whole."""
    parts = {path: path.with_suffix(".part") for path in files}
    try:
        for path, part in parts.items():
            part.write_text(files[path])
            shutil.copymode(path, part)
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def show(known: dict[str, Program]) -> None:
    """Print the notable releases of the programs. Raises PinsError where upstream's checksums are not the pinned."""
    changed = []
    for program in known.values():
        for version, label in notable(program).items():
            checksums, pinned = published(program, version), program.checksums.get(version, {})
            states = [f"{name} {STATES[name in pinned, name in checksums]}" for name in ARCHITECTURES]
            print(f"{program.name:14} {version:20} {label:32} sha256: {', '.join(states)}")
            changed += alarms(program, version, checksums)
    if changed:
        raise PinsError("\n".join(changed))


def set_pins(known: dict[str, Program], wanted: dict[str, str]) -> None:
    """Write the wanted version of each program into its role, all or none. Raises PinsError."""
    if unknown := wanted.keys() - known.keys():
        raise PinsError(f"There is no {', '.join(sorted(unknown))}: choose from {', '.join(known)}.")
    files: dict[Path, str] = {}
    for name, version in wanted.items():
        files |= pin(known[name], version)
    write(files)
    for name, version in wanted.items():
        print(f"{name} {known[name].version} -> {version}, with the sha256 for {' and '.join(ARCHITECTURES)}")


def _assignment(text: str) -> list[str]:
    if not re.fullmatch("[^=]+=[^=]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form prometheus=3.13.4")
    return text.split("=")


def main(arguments: list[str], roles: Path = ROLES) -> int:
    """Show the pins, or set those named by arguments (as in prometheus=3.13.4); return the exit status."""
    parser = argparse.ArgumentParser(prog="make pins", usage="make pins [SET='PROGRAM=VERSION ...']")
    parser.add_argument("set", nargs="*", type=_assignment)
    wanted = dict(parser.parse_args(arguments).set)
    try:
        if wanted:
            set_pins(programs(roles), wanted)
        else:
            show(programs(roles))
    except PinsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
