"""What is asked of a Grafana, to compare the stand-in with the genuine one.

``python -m tests.unit.grafana_cases ARCHIVE`` asks the genuine Grafana of an archive and writes its answers to
``grafana_answers.json``, to which ``test_grafana_answers.py`` holds both.
"""

from __future__ import annotations

import http.client
import json
import re
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.grafana_sources import stored_sources

from tests.integration.open_routes import ELSE, OPEN
from tests.unit.grafana_program import ADMIN, PROMETHEUS_PASSWORD, Grafana, board, serving_prometheus, source, until

TABLE = Path(__file__).with_name("grafana_answers.json")
# Nothing goes to the internet; the stand-in asks for nothing anyway.
QUIET = """
[analytics]
reporting_enabled = false
check_for_updates = false
check_for_plugin_updates = false
[plugins]
preinstall_disabled = true
public_key_retrieval_disabled = true
"""
WRONG = (ADMIN[0], "wrong-password")
TELLING = (
    "message",
    "messageId",
    "status",
    "database",
    "name",
    "login",
    "access",
    "isDefault",
    "readOnly",
    "redirectUrl",
)
Answer = list[Any]
Case = Callable[[Grafana, str], Iterator[tuple[str, Answer]]]


def answer(grafana: Grafana, path: str, body: Any = None, **options: Any) -> Answer:
    """Return the status and the telling part of an answer."""
    status, content = grafana.call(path, body, **options)
    return [status, {key: content[key] for key in TELLING if key in content} if isinstance(content, dict) else {}]


def stranger(grafana: Grafana, method: str, path: str) -> Answer:
    """Return the status that somebody without a login gets, and the path to which that leads."""
    with closing(http.client.HTTPConnection("127.0.0.1", grafana.port, timeout=30)) as connection:
        connection.request(method, path, "{}" if method == "POST" else None, {"Content-Type": "application/json"})
        found = connection.getresponse()
        return [found.status, (found.getheader("Location") or "").split("?")[0]]


# Two parts of Grafana reach for this lock at a start, and the one that comes too late calls it an error.
RACE = "Server lock for secret migration already exists"


def errors(grafana: Grafana) -> list[str]:
    """Return the messages of all errors in the log, without what differs from run to run."""
    lines = [line for line in grafana.logged().splitlines() if "level=error" in line and RACE not in line]
    found = {(re.search(r"logger=(\S+)", line), re.search(r'msg="([^"]*)"', line)) for line in lines}
    return sorted({f"{logger[1] if logger else ''}: {message[1] if message else ''}" for logger, message in found})


def logins(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """Who gets in, what is counted, and when the right password does not help any more."""

    def form(user: str, password: str) -> Answer:
        return answer(grafana, "/login", {"user": user, "password": password}, auth=None)

    with grafana.running():
        yield "right", answer(grafana, "/api/user")
        yield "in capitals", answer(grafana, "/api/user", auth=("ADMIN", ADMIN[1]))
        yield "by e-mail", answer(grafana, "/api/user", auth=("Admin@localhost", ADMIN[1]))
        yield "with a space", answer(grafana, "/api/user", auth=(" admin", ADMIN[1]))
        yield "unknown", answer(grafana, "/api/user", auth=("nobody", ADMIN[1]))
        yield "without a password", answer(grafana, "/api/user", auth=("admin", ""))
        yield "none", answer(grafana, "/api/user", auth=None)
        yield "form, right", form(*ADMIN)
        yield "form, wrong", form(*WRONG)
        yield "wrong", answer(grafana, "/api/user", auth=WRONG)
        yield "wrong, in capitals", answer(grafana, "/api/user", auth=("ADMIN", WRONG[1]))
        yield "wrong, by e-mail", answer(grafana, "/api/user", auth=("admin@localhost", WRONG[1]))
        yield "fourth wrong", answer(grafana, "/api/user", auth=WRONG)
        yield "right after four", answer(grafana, "/api/user")
        yield "fifth wrong", answer(grafana, "/api/user", auth=WRONG)
        yield "right after five", answer(grafana, "/api/user")
        yield "form, right after five", form(*ADMIN)
        yield "wrong after five", answer(grafana, "/api/user", auth=WRONG)
        yield "by e-mail after five", answer(grafana, "/api/user", auth=("admin@localhost", ADMIN[1]))
        yield "in capitals after five", answer(grafana, "/api/user", auth=("ADMIN", ADMIN[1]))
        reset = grafana.cli("admin", "reset-admin-password", "--password-from-stdin", stdin=f"{ADMIN[1]}\n")
        yield "password set anew", [reset.returncode]
        yield "right after that", answer(grafana, "/api/user")
        with closing(sqlite3.connect(grafana.root / "data/grafana.db")) as database:
            counted = database.execute(
                "SELECT username, count(*) FROM login_attempt GROUP BY username ORDER BY username"
            )
            yield "counted", [dict(counted.fetchall())]
            yield (
                "kinds",
                [*database.execute("SELECT DISTINCT typeof(created), ip_address FROM login_attempt").fetchall()[0]],
            )
            (user,) = database.execute(
                "SELECT login, email, length(salt), length(password), is_admin FROM user"
            ).fetchall()
            yield "user", list(user)


def open_routes(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """What a stranger is answered, with the defaults of Grafana itself but for its metrics."""
    grafana.ini(more=f"{QUIET}[metrics]\nenabled = false\n[auth.anonymous]\nhide_version = true")
    routes = [*OPEN, *((method, path) for method, path in (line.split() for line in ELSE.split("\n")[1:-1]))]
    with grafana.running():
        for method, path in sorted(set(routes)):
            yield f"{method} {path}", stranger(grafana, method, path)


def metrics_by_default(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """They are open to everybody."""
    with grafana.running():
        yield "stranger", stranger(grafana, "GET", "/metrics")
        yield "health", [grafana.call("/api/health", auth=None)[1].keys() >= {"version", "commit"}]


def metrics_with_a_login(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """They have one of their own."""
    grafana.ini(more=f"{QUIET}[metrics]\nbasic_auth_username = metrics\nbasic_auth_password = secret")
    with grafana.running():
        yield "stranger", stranger(grafana, "GET", "/metrics")
        for login in (("metrics", "secret"), ("metrics", "wrong"), ADMIN):
            yield ":".join(login), [grafana.ask("/metrics", auth=login)[0]]
        yield "elsewhere", answer(grafana, "/api/user", auth=("metrics", "secret"))


def metrics_with_half_a_login(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """Then there is none."""
    grafana.ini(more=f"{QUIET}[metrics]\nenabled = whatever\nbasic_auth_username = metrics")
    with grafana.running():
        yield "stranger", stranger(grafana, "GET", "/metrics")


def data_sources(grafana: Grafana, prometheus: str) -> Iterator[tuple[str, Answer]]:
    """What is read leniently, what is refused, and how far a refused reload has come."""
    reload = "/api/admin/provisioning/datasources/reload"
    extra: dict[str, Any] = {"isDefualt": True, "acces": "direct"}
    alertmanager = {"name": "am", "uid": "am", "type": "alertmanager", "access": "sideways", "url": prometheus}
    grafana.datasources(source(uid="prom", **extra), alertmanager, source("later", uid="later"))
    with grafana.running():
        yield "unknown keys", answer(grafana, "/api/datasources/uid/prom")
        yield "an unknown access", answer(grafana, "/api/datasources/uid/am")
        yield "health without a backend", answer(grafana, "/api/datasources/uid/am/health")
        yield "health of a source that is not there", answer(grafana, "/api/datasources/uid/none/health")
        yield "reload", answer(grafana, reload, {})
        before = source(uid="prom", url="http://before.invalid", isDefault=True)
        moved = {**alertmanager, "uid": "moved"}
        grafana.datasources(before, moved, source("later", uid="later", url="http://after.invalid"))
        yield "reload with another uid", answer(grafana, reload, {})
        yield "which is not there", answer(grafana, "/api/datasources/uid/moved")
        found = [[uid, grafana.call(f"/api/datasources/uid/{uid}")[1]["url"]] for uid in ("prom", "later")]
        yield "what came before it, and after it", [dict(found)]
        delete = [{"name": "am", "orgId": 1}]
        grafana.datasources(before, moved, source("later", uid="later"), deleteDatasources=delete)
        yield "reload that deletes it first", answer(grafana, reload, {})
        yield "which is there", answer(grafana, "/api/datasources/uid/moved")
        grafana.datasources(source("one", uid="one", isDefault=True), source("two", uid="two", isDefault=True))
        yield "reload with two defaults", answer(grafana, reload, {})
        yield "sources after that", [[found["uid"] for found in grafana.call("/api/datasources")[1]]]
        grafana.datasources(source("same", uid="later"))
        yield "reload with the uid of another name", answer(grafana, reload, {})


def two_defaults(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """Grafana does not start."""
    grafana.datasources(source("one", uid="one", isDefault=True), source("two", uid="two", isDefault=True))
    process = grafana.start()
    yield "exit status", [process.wait(60)]
    reason = "Only one datasource per organization can be marked as default"
    yield "reason", [reason in grafana.logged()]


def dashboards(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """Which files are taken, as what, and where they are shown."""

    panel = {"panel-1": {"kind": "Panel", "spec": {"id": 1, "title": "A"}}}
    layout = {"kind": "GridLayout", "spec": {"items": []}}

    def resource(name: str, version: str, **metadata: Any) -> dict[str, Any]:
        spec = {"title": f"Title {name}", "elements": panel, "layout": layout}
        if version.startswith("v1"):
            spec = board(f"Title {name}", "")
        about = {"name": name, **metadata}
        return {"apiVersion": f"dashboard.grafana.app/{version}", "kind": "Dashboard", "metadata": about, "spec": spec}

    grafana.provider(folder="General")
    grafana.dashboard("classic.json", **board("Classic", "classic", id=7))
    grafana.dashboard("v1.json", **resource("v1", "v1beta1"))
    grafana.dashboard("v2.json", **resource("v2", "v2beta1"))
    grafana.dashboard("v2-stable.json", **resource("v2-stable", "v2"))
    grafana.dashboard("v99.json", **resource("v99", "v99"))
    grafana.dashboard("nameless.json", **{**resource("nameless", "v1beta1"), "metadata": {}})
    grafana.dashboard("kindless.json", **{**resource("kindless", "v1beta1"), "kind": "Folder"})
    grafana.dashboard("untitled.json", **{**resource("untitled", "v1beta1"), "spec": {"panels": []}})
    grafana.dashboard("namespace.json", **resource("namespace", "v1beta1", namespace="elsewhere"))
    grafana.dashboard("default.json", **resource("default", "v1beta1", namespace="default"))
    annotations = {"grafana.app/folder": "some-folder"}
    grafana.dashboard("folder.json", **resource("folder", "v1beta1", annotations=annotations))
    grafana.dashboard("spec.json", title="Spec", elements=panel, layout=layout)
    grafana.dashboard("empty-spec.json", title="Empty spec", elements={}, layout={})
    grafana.dashboard("no-title.json", uid="no-title", panels=[])
    grafana.dashboard("bad-uid.json", **board("Bad uid", "white space"))
    (grafana.dashboards / "mark.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(board("Mark", "mark")).encode())
    (grafana.dashboards / "broken.json").write_text("{")
    with grafana.running():
        until(lambda: len(grafana.titles()) >= 9, "provisioned", 30)
        yield "titles", [sorted(grafana.titles())]
        for uid in ("classic", "v1", "v2", "v2-stable", "default", "namespace", "folder", "mark"):
            status, content = grafana.call(f"/api/dashboards/uid/{uid}")
            meta = content.get("meta", {})
            yield (
                uid,
                [status, content.get("dashboard", {}).get("title"), meta.get("folderTitle"), meta.get("provisioned")],
            )
        (folder,) = grafana.call("/api/folders")[1]
        yield "the folder", [folder["title"], folder["uid"] not in {"", "general"}]
        saved = {"dashboard": board("Mine", "classic"), "overwrite": True}
        yield "saving over a provisioned one", answer(grafana, "/api/dashboards/db", saved)


def folders_of_dashboards(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """Where the dashboards of subfolders are shown."""
    files = {"root": "", "one": "Spark jobs", "two": "data", "deep": "data/deep", "hidden": ".git"}
    options = {"path": str(grafana.dashboards), "foldersFromFilesStructure": True}
    grafana.provider(folder="", options=options)
    with grafana.running():
        # Nothing is there yet.
        yield "titles at first", [sorted(grafana.titles())]
        for uid, folder in files.items():
            (grafana.dashboards / folder).mkdir(parents=True, exist_ok=True)
            grafana.dashboard(f"{folder}/{uid}.json".lstrip("/"), **board("Same" if folder else "Root", uid))
        until(lambda: len(grafana.titles()) >= 4, "provisioned", 30)
        found = grafana.call("/api/search?type=dash-db")[1]
        yield "folders", [{each["uid"]: each.get("folderTitle") for each in found}]


def table_of_data_sources(grafana: Grafana, prometheus: str) -> Iterator[tuple[str, Answer]]:
    """Which of them the database holds as users' own."""
    grafana.datasources(source("one", uid="one"), source("two", uid="two", editable=False), prune=True)
    own = source("Own", uid="own", access="proxy") | {"type": "grafana-testdata-datasource", "url": prometheus}
    database = str(grafana.root / "data/grafana.db")
    yield "before the first start", [stored_sources(database)]
    with grafana.running():
        yield "added", answer(grafana, "/api/datasources", own)
        yield "of users", [stored_sources(database)]
        yield "reload", answer(grafana, "/api/admin/provisioning/datasources/reload", {})
        yield "of users after a reload", [stored_sources(database)]
        yield "deleted", answer(grafana, "/api/datasources/uid/own", method="DELETE")
        yield "of users after that", [stored_sources(database)]


def no_folder_of_dashboards(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """Whether Grafana starts where a provider's folder is missing."""
    grafana.dashboards.rmdir()
    process = grafana.start()
    until(lambda: process.poll() is not None or "HTTP Server Listen" in grafana.logged(), "a decision", 120)
    yield "starts", [process.poll() is None]
    process.terminate()
    process.wait(60)


def one_uid_twice(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """Nothing fails visibly, and nothing is written any more."""
    grafana.dashboard("a.json", **board("First", "one"))
    grafana.dashboard("b.json", **board("Other", "two"))
    grafana.dashboard("c.json", **board("Copy", "one"))
    with grafana.running():
        until(lambda: "Other" in grafana.titles(), "provisioned", 30)
        yield "dashboards", [len(grafana.titles())]
        grafana.dashboard("b.json", **board("Changed", "two"))
        until(lambda: "Not saving new dashboard due to restricted" in grafana.logged(), "restricted", 30)
        yield "titles", ["Changed" in grafana.titles()]


def another_secret_key(grafana: Grafana, prometheus: str) -> Iterator[tuple[str, Answer]]:
    """What is provisioned is encrypted anew; the secrets of users' own sources are lost."""
    secret = {"basicAuth": True, "basicAuthUser": "grafana", "access": "proxy"}
    provisioned = {"secureJsonData": {"basicAuthPassword": PROMETHEUS_PASSWORD.replace("$", "$$")}, **secret}
    grafana.datasources(source("provisioned", uid="provisioned", **provisioned | {"url": prometheus}))
    own = source("own", uid="own", **secret, secureJsonData={"basicAuthPassword": PROMETHEUS_PASSWORD})
    uids = ("provisioned", "own")

    def states() -> dict[str, Any]:
        return {uid: answer(grafana, f"/api/datasources/uid/{uid}/health") for uid in uids}

    grafana.ini(more=f"secret_key = the-first-key\n{QUIET}")
    with grafana.running():
        yield "added", answer(grafana, "/api/datasources", own | {"url": prometheus})
        yield "health", [states()]
    grafana.ini(more=f"secret_key = another-key\n{QUIET}")
    with grafana.running():
        yield "health with another key", [states()]
        query = {"refId": "A", "expr": "up", "datasource": {"uid": "own"}}
        body = {"queries": [query], "from": "now-1h", "to": "now"}
        yield "query with another key", [grafana.call("/api/ds/query", body)[0]]
        yield "login", answer(grafana, "/api/user")
    grafana.ini(more=f"secret_key = the-first-key\n{QUIET}")
    with grafana.running():
        yield "health with the first key again", [states()]


def plugins(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """Which of them it takes, from the folder that their section names and below it."""
    sections = []
    for name in ("acme-allowed-panel", "acme-unsigned-panel"):
        folder = grafana.root / "unpacked" / name / "1.2.0" / "top"
        folder.mkdir(parents=True)
        about = {"id": name, "name": name, "type": "panel", "info": {"version": "1.2.0"}}
        (folder / "plugin.json").write_text(json.dumps({**about, "dependencies": {"grafanaDependency": ">=9.0.0"}}))
        (folder / "module.js").write_text("")
        sections.append(f"[plugin.{name}]\npath = {folder.parent}")
    allowed = f"{QUIET}allow_loading_unsigned_plugins = acme-allowed-panel\n"
    grafana.ini(more=allowed + "\n".join(sections))
    with grafana.running():
        for name in ("acme-allowed-panel", "acme-unsigned-panel", "acme-none-panel"):
            status, content = grafana.call(f"/api/plugins/{name}/settings")
            yield name, [status, content.get("message"), content.get("info", {}).get("version")]
        yield "stranger", stranger(grafana, "GET", "/api/plugins/acme-allowed-panel/settings")


def below_a_path(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """Where it serves that leaves no path to a proxy, and where it sends who asks elsewhere."""
    root = "https://x.example.com/team/grafana/"
    grafana.ini(more=f"{QUIET}[server]\nroot_url = {root}\nserve_from_sub_path = true\n[metrics]\nenabled = true")
    with grafana.running():
        for path in ("/api/health", "/api/user", "/login", "/metrics", "/d/a"):
            yield path, stranger(grafana, "GET", path)
            if path != "/login":  # a page, which the stand-in does not have
                yield f"/team/grafana{path}", stranger(grafana, "GET", f"/team/grafana{path}")


def errors_of_a_start(grafana: Grafana, _: str) -> Iterator[tuple[str, Answer]]:
    """None, unless a folder is missing for which Grafana looks."""
    with grafana.running():
        grafana.call("/api/user")
    yield "all there", errors(grafana)
    for folder in (grafana.root / "plugins", *sorted((grafana.root / "provisioning").iterdir())):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        with grafana.running():
            grafana.call("/api/user")
        yield f"without {folder.relative_to(grafana.root)}", errors(grafana)
        folder.mkdir()


CASES: dict[str, Case] = {
    function.__name__: function
    for function in (
        logins,
        open_routes,
        metrics_by_default,
        metrics_with_a_login,
        metrics_with_half_a_login,
        data_sources,
        two_defaults,
        dashboards,
        folders_of_dashboards,
        table_of_data_sources,
        no_folder_of_dashboards,
        one_uid_twice,
        another_secret_key,
        plugins,
        below_a_path,
        errors_of_a_start,
    )
}


def ask(case: str, root: Path, home: Path) -> dict[str, Answer]:
    """Ask the Grafana that lies in a folder.

    :param case: name of one of CASES
    :param root: an empty folder for its files
    :param home: its release
    :returns: its answers by what was asked
    """
    grafana = Grafana(root, home)
    grafana.ini(more=QUIET)
    with serving_prometheus() as port:
        found = dict(CASES[case](grafana, f"http://127.0.0.1:{port}"))
    # As the file has it: JSON knows no tuples.
    return dict(json.loads(json.dumps(found)))


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a release and return its top folder; without what the pages alone need."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, (m for m in tar if not m.name.endswith(".map")), filter="tar")
    (top,) = folder.iterdir()
    return top


def main() -> None:
    """Record the answers of the genuine Grafana in an archive."""
    with tempfile.TemporaryDirectory() as work:
        home = unpack(Path(sys.argv[1]), Path(work) / "release")
        table: dict[str, Any] = {"recorded of": (home / "VERSION").read_text().strip()}
        for case in CASES:
            root = Path(work) / case
            root.mkdir()
            table[case] = ask(case, root, home)
            print(f"{case}: {len(table[case])} answers")
        TABLE.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
