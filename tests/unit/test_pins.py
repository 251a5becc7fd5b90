"""What `make pins` promises: it pins what upstream publishes for both architectures, or writes nothing."""

from __future__ import annotations

import difflib
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import pins

HOSTS = ("api.github.com", "github.com", "release-assets.githubusercontent.com", "dl.grafana.com")
ROLES = {
    "prometheus": """\
---
# Release to run.
prometheus_version: 3.13.2  # the LTS line
# sha256 of the archives.
prometheus_checksums:
  3.13.2:
    amd64: {a}
    arm64: {b}
  # What one went back to.
  3.13.1:
    amd64: {c}
# Where the archive comes from.
prometheus_url: "https://github.com/prometheus/prometheus/releases/download/v{{{{ prometheus_version }}}}/\\
  prometheus-{{{{ prometheus_version }}}}.linux-{{{{ prometheus_architecture }}}}.tar.gz"
# Unrelated, and as long as a checksum.
prometheus_flags: []
""",
    "grafana": """\
---
grafana_version: 13.2.3
grafana_checksums:
  13.2.3:
    amd64: {a}
    arm64: {b}
grafana_url: "https://dl.grafana.com/oss/release/grafana-{{{{ grafana_version }}}}\\
  .linux-{{{{ grafana_architecture }}}}.tar.gz"
""",
    "emr_node": "---\nemr_node_ports: []\n",
}
SPECS = """\
---
argument_specs:
  main:
    options: &options
      {role}_version:
        type: str
        default: {version}  # the same as in the defaults
        description: Release to run.
      {role}_checksums:
        type: dict
        default: {{}}
  validate:
    options: *options
"""
A, B, C, D, E, F = (letter * 64 for letter in "abcdef")
GITHUB = "https://github.com/prometheus/prometheus/releases/download"
GRAFANA = "https://dl.grafana.com/oss/release"


class Upstream(ThreadingHTTPServer):
    """A proxy behind which the hosts of upstream are this test's own, over TLS.

    `pages` holds the answers by address: a text, a status (0 is silence), or a redirection as "-> address"; `broken`
    has the addresses whose answer breaks off.
    """

    def __init__(self, folder: Path) -> None:
        self.pages: dict[str, str | int] = {}
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.silent = threading.Event()
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=upstream",
             "-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in HOSTS),
             "-addext", "keyUsage=digitalSignature,keyCertSign", "-keyout", key, "-out", self.certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.certificate, key)
        super().__init__(("127.0.0.1", 0), Connection)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        """Say nothing when make pins hangs up."""

    def releases(self, repository: str, *versions: str, previews: tuple[str, ...] = ()) -> None:
        """Publish versions, the newest first, thirty on a page."""
        url = f"https://api.github.com/repos/{repository}/releases"
        found = [{"tag_name": f"v{version}", "prerelease": version in previews} for version in versions]
        for release in found:
            self.pages[f"{url}/tags/{release['tag_name']}".replace("+", "%2B")] = json.dumps(release)
        for page in range(len(found) // 30 + 2):
            self.pages[f"{url}?per_page=30&page={page + 1}"] = json.dumps(found[page * 30 : page * 30 + 30])

    def prometheus(self, version: str, **checksums: str) -> None:
        """Publish a checksum file, which GitHub keeps on another host."""
        elsewhere = f"https://release-assets.githubusercontent.com/{version}"
        names = {**checksums, "windows": F}
        self.pages[f"{GITHUB}/v{version}/sha256sums.txt"] = f"-> {elsewhere}"
        self.pages[elsewhere] = "".join(
            f"{checksum}  prometheus-{version}.linux-{name}.tar.gz\n" for name, checksum in names.items()
        )

    def grafana(self, version: str, **files: str) -> None:
        """Publish a checksum file for each architecture."""
        for name, text in files.items():
            self.pages[f"{GRAFANA}/grafana-{version}.linux-{name}.tar.gz.sha256"] = text


class Connection(BaseHTTPRequestHandler):
    """One tunnel to one host of upstream."""

    protocol_version = "HTTP/1.1"
    server: Upstream
    host = ""

    def log_message(self, *_: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.host = self.path.removesuffix(":443")
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        # The request in the tunnel comes over the same connection.
        self.close_connection = False
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)

    def do_GET(self) -> None:
        url = f"https://{self.host}{self.path}" if self.host else self.path
        self.server.asked.append(url)
        page = self.server.pages.get(url, 404)
        if page == 0:
            self.server.silent.wait(20)
        status = page if isinstance(page, int) else 302 if page.startswith("-> ") else 200
        body = b"" if isinstance(page, int) else page.encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", str(page).removeprefix("-> "))
        self.send_header("Content-Length", str(len(body) + (url in self.server.broken)))
        self.end_headers()
        self.wfile.write(body)

    def finish(self) -> None:
        super().finish()
        self.connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    upstream = Upstream(tmp_path_factory.mktemp("tls"))
    yield upstream
    upstream.shutdown()
    upstream.server_close()


@pytest.fixture
def upstream(server: Upstream, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """Upstream with 3.13.4 and 3.15.0 of Prometheus, and 13.2.4 and 13.3.0 of Grafana."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    for memory in (server.pages, server.broken, server.asked):
        memory.clear()
    server.releases("prometheus/prometheus", "3.15.0", "3.13.4", "3.14.0", "3.13.3", "3.13.2", "3.13.1")
    server.prometheus("3.13.2", amd64=A, arm64=B)
    server.prometheus("3.13.4", amd64=C, arm64=D)
    server.prometheus("3.15.0", amd64=E, arm64=F)
    server.releases("grafana/grafana", "13.3.0", "12.4.9", "13.2.4", "13.2.3")
    server.grafana("13.2.3", amd64=A, arm64=B)
    server.grafana("13.2.4", amd64=C, arm64=D)
    server.grafana("13.3.0", amd64=E, arm64=F)
    return server


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    for role, defaults in ROLES.items():
        for folder in ("defaults", "meta"):
            (tmp_path / "roles" / role / folder).mkdir(parents=True)
        (tmp_path / "roles" / role / "defaults/main.yml").write_text(defaults.format(a=A, b=B, c=C))
        version = {"prometheus": "3.13.2", "grafana": "13.2.3"}.get(role)
        (tmp_path / "roles" / role / "meta/argument_specs.yml").write_text(SPECS.format(role=role, version=version))
    return tmp_path / "roles"


def contents(roles: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in roles.rglob("*") if path.is_file()}


def changes(before: dict[Path, str], roles: Path) -> list[str]:
    """Return the lines that went (-) and came (+), in the order of the files."""
    after = contents(roles)
    assert before.keys() == after.keys()
    found: list[str] = []
    for path in sorted(before):
        lines = difflib.ndiff(before[path].splitlines(), after[path].splitlines())
        found += [line[:1] + line[2:] for line in lines if line[:1] in "+-"]
    return found


Refuse = Callable[..., str]


@pytest.fixture
def refused(roles: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Run with arguments, see it fail and write nothing, and return what it says."""

    def run(*arguments: str) -> str:
        before = contents(roles)
        assert pins.main(list(arguments), roles) == 1
        assert contents(roles) == before
        return capsys.readouterr().err

    return run


# What is listed


def listed(roles: Path, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    assert pins.main([], roles) == 0
    return [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]


def test_the_newest_release_of_the_line_and_of_all_are_listed_with_what_is_known_of_their_checksums(
    upstream: Upstream, roles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned, published = "sha256: amd64 pinned, arm64 pinned", "sha256: amd64 published, arm64 published"
    assert listed(roles, capsys) == [
        ["grafana", "13.2.3", "pinned", pinned],
        ["grafana", "13.2.4", "newest of 13.2", published],
        ["grafana", "13.3.0", "newest", published],
        ["prometheus", "3.13.2", "pinned", pinned],
        ["prometheus", "3.13.4", "newest of 3.13", published],
        ["prometheus", "3.15.0", "newest", published],
    ]


def test_nothing_newer_is_one_line(upstream: Upstream, roles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upstream.releases("prometheus/prometheus", "3.13.2")
    assert listed(roles, capsys)[-1][:3] == ["prometheus", "3.13.2", "pinned, newest of 3.13, newest"]


def test_a_checksum_that_only_one_side_has_is_told(
    upstream: Upstream, roles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.prometheus("3.13.2", arm64=B)
    upstream.prometheus("3.13.4", amd64=C)
    told = {version: states for _, version, _, states in listed(roles, capsys)}
    assert told["3.13.2"] == "sha256: amd64 pinned but not published, arm64 pinned"
    assert told["3.13.4"] == "sha256: amd64 published, arm64 unknown"


def test_pre_releases_are_not_offered(upstream: Upstream, roles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = ("3.17.0", "3.16.0-rc.0", "3.15.0", "3.13.9", "3.13.4", "3.13.2")
    upstream.releases("prometheus/prometheus", *found, previews=("3.17.0", "3.13.9"))
    assert [row[1] for row in listed(roles, capsys)][3:] == ["3.13.2", "3.13.4", "3.15.0"]


def test_a_security_fix_is_newer_than_the_release_that_it_fixes(
    upstream: Upstream, roles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.releases("grafana/grafana", "13.2.3+security-02", "13.2.3+security-10", "13.2.3")
    assert listed(roles, capsys)[1][:3] == ["grafana", "13.2.3+security-10", "newest of 13.2, newest"]


def test_the_list_is_read_back_to_the_pinned_release(
    upstream: Upstream, roles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [f"2.{number}.0" for number in range(58)]
    upstream.releases("prometheus/prometheus", *others[:40], "3.13.10", *others[40:], "3.13.2", "3.99.0")
    assert [row[1] for row in listed(roles, capsys)][-1] == "3.13.10"
    assert len([url for url in upstream.asked if "prometheus/releases?" in url]) == 2


def test_a_pinned_checksum_that_upstream_changed_is_an_alarm(
    upstream: Upstream, roles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.grafana("13.2.3", amd64=A, arm64=E)
    assert pins.main([], roles) == 1
    out, error = capsys.readouterr()
    assert len(out.splitlines()) == 6
    assert error.startswith(
        f"ALARM: grafana 13.2.3 for arm64 is pinned with sha256 {B}, but upstream now publishes {E}"
    )


# What is written


def test_a_release_is_pinned_with_both_checksums_and_nothing_else_changes(upstream: Upstream, roles: Path) -> None:
    before = contents(roles)
    assert pins.main(["prometheus=3.13.4"], roles) == 0
    assert changes(before, roles) == [
        "-prometheus_version: 3.13.2  # the LTS line",
        "+prometheus_version: 3.13.4  # the LTS line",
        "+  3.13.4:",
        f"+    amd64: {C}",
        f"+    arm64: {D}",
        "-        default: 3.13.2  # the same as in the defaults",
        "+        default: 3.13.4  # the same as in the defaults",
    ]


def test_going_back_completes_the_checksums_that_are_there(upstream: Upstream, roles: Path) -> None:
    upstream.prometheus("3.13.1", amd64=C, arm64=D)
    before = contents(roles)
    assert pins.main(["prometheus=3.13.1"], roles) == 0
    assert [line for line in changes(before, roles) if line[0] == "+"] == [
        "+prometheus_version: 3.13.1  # the LTS line",
        f"+    arm64: {D}",
        "+        default: 3.13.1  # the same as in the defaults",
    ]


def test_pinning_what_is_pinned_changes_nothing(upstream: Upstream, roles: Path) -> None:
    before = contents(roles)
    assert pins.main(["prometheus=3.13.2", "grafana=13.2.3"], roles) == 0
    assert contents(roles) == before


def test_two_programs_are_pinned_at_once(upstream: Upstream, roles: Path) -> None:
    assert pins.main(["prometheus=3.15.0", "grafana=13.3.0"], roles) == 0
    assert {name: program.version for name, program in pins.programs(roles).items()} == {
        "prometheus": "3.15.0",
        "grafana": "13.3.0",
    }


def test_a_security_fix_can_be_pinned(upstream: Upstream, roles: Path) -> None:
    version = "13.2.3+security-01"
    upstream.releases("grafana/grafana", version)
    upstream.grafana(version, amd64=C, arm64=D)
    assert pins.main([f"grafana={version}"], roles) == 0
    grafana = pins.programs(roles)["grafana"]
    assert (grafana.version, grafana.checksums[version]) == (version, {"amd64": C, "arm64": D})


@pytest.mark.parametrize(
    "name", ["dist/grafana_13.2.4_24388279614_linux_{}.tar.gz", "grafana_13.2.4_1_linux_{}.tar.gz"]
)
def test_the_checksum_file_of_grafana_may_name_the_archive_as_it_was_built(
    upstream: Upstream, roles: Path, name: str
) -> None:
    upstream.grafana("13.2.4", amd64=f"{C}  {name.format('amd64')}\n", arm64=f"{D}  {name.format('arm64')}\n")
    assert pins.main(["grafana=13.2.4"], roles) == 0
    assert pins.programs(roles)["grafana"].checksums["13.2.4"] == {"amd64": C, "arm64": D}


def test_a_file_keeps_its_mode_and_is_replaced_as_a_whole(
    upstream: Upstream, roles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = roles / "prometheus/defaults/main.yml"
    defaults.chmod(0o640)
    before = contents(roles)
    replace = Path.replace

    def replaced(part: Path, target: Path) -> Path:
        assert target.read_text() == before[target]
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", replaced)
    assert pins.main(["prometheus=3.13.4"], roles) == 0
    assert defaults.stat().st_mode & 0o777 == 0o640


def test_a_disk_that_is_full_loses_nothing(upstream: Upstream, roles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(roles)
    write_text = Path.write_text

    def full(path: Path, text: str) -> int:
        write_text(path, text[:10])
        if "meta" in path.parts:
            raise OSError("No space left on device")
        return len(text)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        pins.main(["prometheus=3.13.4"], roles)
    assert contents(roles) == before


# What is refused


@pytest.mark.parametrize("version", ["3.13", "v3.13.4", "latest", "3.16.0-rc.0", "3.13.4/../3.15.0", "3.13.4\n"])
def test_what_is_no_version_is_refused_before_upstream_is_asked(
    upstream: Upstream, refused: Refuse, version: str
) -> None:
    assert f"prometheus={version}: not a release" in refused(f"prometheus={version}")
    assert upstream.asked == []


def test_a_version_that_is_no_release_is_refused(upstream: Upstream, refused: Refuse) -> None:
    assert "prometheus=3.13.99: no such release" in refused("prometheus=3.13.99")


def test_a_pre_release_is_refused(upstream: Upstream, refused: Refuse) -> None:
    upstream.releases("prometheus/prometheus", "3.15.0", previews=("3.15.0",))
    assert "prometheus=3.15.0: upstream calls it a pre-release" in refused("prometheus=3.15.0")


def test_an_unknown_program_is_refused(upstream: Upstream, refused: Refuse) -> None:
    assert "no emr_node: choose from grafana, prometheus" in refused("prometheus=3.13.4", "emr_node=1.0.0")


@pytest.mark.parametrize("argument", ["prometheus", "prometheus=", "=3.13.4", "prometheus=3.13.4=1"])
def test_what_is_no_assignment_is_refused(roles: Path, capsys: pytest.CaptureFixture[str], argument: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        pins.main([argument], roles)
    assert f"'{argument}' is not of the form prometheus=3.13.4" in capsys.readouterr().err


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize(("program", "version"), [("prometheus", "3.13.4"), ("grafana", "13.2.4")])
def test_a_release_without_the_checksum_of_an_architecture_is_refused(
    upstream: Upstream, refused: Refuse, program: str, version: str, architecture: str
) -> None:
    other = {"amd64": "arm64", "arm64": "amd64"}[architecture]
    del upstream.pages[f"{GRAFANA}/grafana-13.2.4.linux-{architecture}.tar.gz.sha256"]
    upstream.prometheus("3.13.4", **{other: C})
    message = refused(f"{program}={version}")
    assert f"{program}={version}: upstream publishes no sha256 for {architecture} beside https://" in message


def test_a_release_without_a_checksum_file_is_refused(upstream: Upstream, refused: Refuse) -> None:
    del upstream.pages[f"{GITHUB}/v3.13.4/sha256sums.txt"]
    assert "upstream publishes no sha256 for amd64 and arm64" in refused("prometheus=3.13.4")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>Sign in</html>",
        C[:-1],
        C + "0",
        "g" * 64,
        f"{C}  dist/grafana_13.2.4_1_linux_arm64.tar.gz\nnot a checksum",
        f"{C}\n{D}",
    ],
)
def test_a_malformed_checksum_file_is_refused(upstream: Upstream, refused: Refuse, text: str) -> None:
    upstream.grafana("13.2.4", arm64=text)
    assert "linux-arm64.tar.gz.sha256 is not a list of sha256 checksums" in refused("grafana=13.2.4")


def test_an_archive_that_is_listed_twice_is_refused(upstream: Upstream, refused: Refuse) -> None:
    upstream.pages["https://release-assets.githubusercontent.com/3.13.4"] = "".join(
        f"{checksum}  prometheus-3.13.4.linux-amd64.tar.gz\n" for checksum in (C, D)
    )
    assert "sha256sums.txt is not a list of sha256 checksums, each file once" in refused("prometheus=3.13.4")


@pytest.mark.parametrize(
    "name", ["grafana_13.2.3_1_linux_arm64", "grafana_13.2.4_1_linux_amd64", "grafana_13x2.4_1_linux_arm64"]
)
def test_the_checksum_of_another_archive_is_refused(upstream: Upstream, refused: Refuse, name: str) -> None:
    upstream.grafana("13.2.4", arm64=f"{D}  dist/{name}.tar.gz\n")
    assert "upstream publishes no sha256 for arm64" in refused("grafana=13.2.4")


def test_a_bare_checksum_is_no_entry_of_prometheus(upstream: Upstream, refused: Refuse) -> None:
    upstream.pages["https://release-assets.githubusercontent.com/3.13.4"] = C
    assert "upstream publishes no sha256 for amd64 and arm64" in refused("prometheus=3.13.4")


def test_a_checksum_that_upstream_changed_is_not_written(upstream: Upstream, refused: Refuse) -> None:
    upstream.prometheus("3.13.1", amd64=E, arm64=D)
    message = refused("grafana=13.2.4", "prometheus=3.13.1")
    assert f"ALARM: prometheus 3.13.1 for amd64 is pinned with sha256 {C}, but upstream now publishes {E}" in message


@pytest.mark.parametrize("protocol", ["http", "ftp", "file"])
def test_only_https_is_followed(upstream: Upstream, refused: Refuse, protocol: str) -> None:
    elsewhere = f"{protocol}://release-assets.githubusercontent.com/3.13.4"
    upstream.pages[elsewhere] = upstream.pages["https://release-assets.githubusercontent.com/3.13.4"]
    upstream.pages[f"{GITHUB}/v3.13.4/sha256sums.txt"] = f"-> {elsewhere}"
    assert elsewhere in refused("prometheus=3.13.4")
    assert elsewhere not in upstream.asked


def test_a_host_without_a_certificate_for_its_name_is_refused(
    upstream: Upstream, refused: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "api.github.com cannot be reached (" in (message := refused("prometheus=3.13.4"))
    assert "certificate" in message


@pytest.mark.parametrize(
    "url", ["http://github.com/prometheus/prometheus/releases/download/v1/a.tar.gz", "https://mirror.example.com/a"]
)
def test_a_url_that_is_not_upstreams_is_refused(roles: Path, refused: Refuse, url: str) -> None:
    path = roles / "prometheus/defaults/main.yml"
    path.write_text(re.sub(r"prometheus_url: .*\n.*", f"prometheus_url: {url}", path.read_text()))
    assert f"prometheus_url is {url}, neither a release on https://github.com" in refused("prometheus=3.13.4")


@pytest.mark.parametrize("file", ["defaults/main.yml", "meta/argument_specs.yml"])
def test_a_layout_that_cannot_be_edited_is_refused(upstream: Upstream, roles: Path, refused: Refuse, file: str) -> None:
    path = roles / "prometheus" / file
    path.write_text(path.read_text().replace("prometheus_version:", '"prometheus_version":'))
    assert f"{path} is not laid out as pins.py expects" in refused("prometheus=3.13.4")


# Without the internet


@pytest.mark.parametrize("arguments", [[], ["prometheus=3.13.4"]])
def test_without_internet_the_host_is_named(
    upstream: Upstream, refused: Refuse, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert refused(*arguments).startswith("api.github.com cannot be reached (")


def test_the_host_that_upstream_redirects_to_is_named(upstream: Upstream, refused: Refuse) -> None:
    upstream.pages[f"{GITHUB}/v3.13.4/sha256sums.txt"] = "-> https://elsewhere.example.com/sums"
    assert refused("prometheus=3.13.4").startswith("elsewhere.example.com cannot be reached (")


def test_a_host_that_is_silent_is_given_up(
    upstream: Upstream, refused: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "TIMEOUT_SECONDS", 0.5)
    upstream.pages[f"{GRAFANA}/grafana-13.2.4.linux-amd64.tar.gz.sha256"] = 0
    assert "dl.grafana.com cannot be reached (The read operation timed out)" in refused("grafana=13.2.4")
    upstream.silent.set()


def test_an_answer_that_breaks_off_counts_for_nothing(upstream: Upstream, refused: Refuse) -> None:
    upstream.broken.add(f"{GRAFANA}/grafana-13.2.4.linux-arm64.tar.gz.sha256")
    assert "dl.grafana.com cannot be reached (IncompleteRead(64 bytes read, 1 more" in refused("grafana=13.2.4")


def test_an_answer_that_is_an_error_is_told_with_its_address(upstream: Upstream, refused: Refuse) -> None:
    url = "https://api.github.com/repos/prometheus/prometheus/releases/tags/v3.13.4"
    upstream.pages[url] = 403
    assert refused("prometheus=3.13.4").startswith(f"{url} answers 403 Forbidden")


def test_an_answer_that_is_no_json_is_told_with_its_address(upstream: Upstream, refused: Refuse) -> None:
    url = "https://api.github.com/repos/prometheus/prometheus/releases/tags/v3.13.4"
    upstream.pages[url] = "<html>"
    assert refused("prometheus=3.13.4").startswith(f"{url} does not answer JSON")


def test_a_repository_that_is_gone_is_told(upstream: Upstream, refused: Refuse) -> None:
    url = "https://api.github.com/repos/prometheus/prometheus/releases?per_page=30&page=1"
    del upstream.pages[url]
    assert refused().startswith(f"{url} answers 404")


# The project's own roles

OWN = pins.programs(pins.ROLES)


def test_the_programs_of_the_project_are_known() -> None:
    assert OWN.keys() >= {"prometheus", "grafana", "backup_restic"}


@pytest.mark.parametrize("name", OWN)
def test_the_projects_own_files_can_be_edited(upstream: Upstream, tmp_path: Path, name: str) -> None:
    program = OWN[name]
    shutil.copytree(program.role, tmp_path / name)
    upstream.releases(program.upstream.repository, "99.0.0")
    archives = [program.archive("99.0.0", architecture) for architecture in pins.ARCHITECTURES]
    for archive, checksum in zip(archives, (C, D), strict=True):
        folder, _, file = archive.rpartition("/")
        upstream.pages[f"{archive}.sha256"] = checksum
        sums = f"{folder}/{program.upstream.checksum_file}"
        upstream.pages[sums] = f"{upstream.pages.get(sums, '')}{checksum}  {file}\n"
    before = contents(tmp_path)
    assert pins.main([f"{name}=99.0.0"], tmp_path) == 0
    assert changes(before, tmp_path) == [
        f"-{name}_version: {program.version}",
        f"+{name}_version: 99.0.0",
        "+  99.0.0:",
        f"+    amd64: {C}",
        f"+    arm64: {D}",
        f"-        default: {program.version}",
        "+        default: 99.0.0",
    ]
