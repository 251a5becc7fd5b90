#!/usr/bin/python3
"""Back up this node's metrics, Grafana's database and secrets with restic, or restore them: ``backup.py COMMAND``.

The role backup puts it on the node; the unit emr-monitoring-backup.service and the playbooks run it as root. What it
says is for people; what went wrong is one line that begins with ``error:``, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import bz2
import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CONFIG = Path("/etc/emr-monitoring-backup")
LOCK = Path("/run/emr-monitoring-backup.lock")
TAG = "emr-monitoring"
# A block of Prometheus: the name of its folder is an ULID.
BLOCK = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\Z")
# A folder that Prometheus changes while it is copied is copied again.
ATTEMPTS = 20
# How long restic waits while another node that shares the repository has it for itself.
WAIT = "--retry-lock=10m"
# restic's status where it could not read some files, and saved the others.
INCOMPLETE = 3
# How many seconds the repository has to answer the first question. restic itself would try for a quarter of an hour.
ANSWERS = 60
# The logs of Prometheus beside its blocks: of what comes in order, and of what comes late.
LOGS = ("wal", "wbl")
# What stays free on the disk of the metrics, which is Prometheus' own.
SPARE = 256 << 20
# What a backup holds beside the folder prometheus.
DATABASE, PLUGINS, SECRETS, MANIFEST = "grafana.db", "plugins", "secrets", "manifest.json"
# The secret that the database cannot be read without.
KEY = "grafana_secret_key"


class BackupError(Exception):
    """It cannot be backed up or restored; the message says why, and what to do."""


class Restic:
    """The repository, as restic reaches it. No login or password is in the list of processes."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Take from the role's settings how the repository is reached."""
        self.program = settings["restic"]
        self.environment = {
            **os.environ,
            **settings["environment"],
            "RESTIC_REPOSITORY": settings["repository"],
            "RESTIC_PASSWORD_FILE": settings["password_file"],
            "RESTIC_CACHE_DIR": settings["cache"],
        }

    def ask(
        self, *arguments: str, cwd: Path | None = None, limit: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of restic's, whatever its status will be.

        :param limit: how many seconds it may take
        :raises BackupError: with what it has said, where it takes longer
        """
        command = [self.program, WAIT, *arguments]
        with subprocess.Popen(
            command,
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, said = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                # With what it has started, such as ssh.
                os.killpg(process.pid, signal.SIGKILL)
                out, said = process.communicate()
                done = subprocess.CompletedProcess(command, process.returncode, out, said)
                raise BackupError(f"it does not answer within {limit:g} s. restic: {last_words(done)}") from None
        return subprocess.CompletedProcess(command, process.returncode, out, said)

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """Return what a command of restic's says.

        :raises BackupError: with what restic says, where it fails
        """
        done = self.ask(*arguments, cwd=cwd)
        if done.returncode:
            raise BackupError(f"restic {arguments[0]}: {last_words(done)}")
        return done.stdout

    def open(self, create: bool) -> None:
        """Have a repository that can be read.

        :param create: whether one is made where there is none
        :raises BackupError: with what restic says, such as that the password is wrong
        """
        # A lock that a kill left would be in its way, and it can only be removed of a repository that can be read.
        found = self.ask("cat", "config", "--no-lock", limit=ANSWERS)
        if found.returncode and create:
            # It makes none where one is, whatever its password.
            made = self.ask("init")
            if not made.returncode:
                print("made a new repository")
                return
        if found.returncode:
            raise BackupError(f"the repository cannot be read. restic: {last_words(found)}")
        # Of locks, those of processes that are gone.
        self.run("unlock")

    def snapshots(self) -> list[dict[str, Any]]:
        """Return this project's snapshots, the oldest first."""
        found = json.loads(self.run("snapshots", "--json", "--tag", TAG))
        return sorted(found or [], key=lambda snapshot: str(snapshot["time"]))


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """Return the end of what a program said."""
    return " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the lock.

    :raises BackupError: another process has it
    """
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError("another backup or restore runs: wait until it is over") from None
        yield


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make a folder for root alone, and remove it in any case; one that was left by a kill goes first."""
    remove(folder)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder with what is in it, or a link in its place."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def copy_metrics(data: Path, target: Path) -> int:
    """Copy the metrics of a Prometheus that runs; return the number of blocks.

    The write-ahead logs first, then the blocks: what moves from one to the other meanwhile is in both, which Prometheus
    sees. What was there in the beginning has to be there in the end, and no new checkpoint, or all is done again.

    :raises BackupError: it changed each time
    """
    for _ in range(ATTEMPTS):
        remove(target)
        target.mkdir(mode=0o700)
        with unless_gone():
            logs = segments(data)
            for name in LOGS:
                if (data / name).is_dir():
                    copy_tree(data / name, target / name, shutil.copy2)
            now = segments(data)
            if logs - now or any(name.startswith("checkpoint") for _, name in now - logs):
                continue
            blocks = {name for name in names(data) if BLOCK.match(name)}
            for name in sorted(blocks):
                copy_tree(data / name, target / name, link)
            if blocks <= names(data):
                return len(blocks)
    raise BackupError(f"{data} changed while it was copied, {ATTEMPTS} times: try again")


def segments(data: Path) -> set[tuple[str, str]]:
    """Return what is in the logs of a Prometheus: log and name."""
    return {(log, name) for log in LOGS if (data / log).is_dir() for name in names(data / log)}


@contextlib.contextmanager
def unless_gone() -> Iterator[None]:
    """Go on where a file has gone since its folder was listed."""
    try:
        yield
    except FileNotFoundError:
        pass
    except shutil.Error as error:
        # One of each file of a folder: source, target and what went wrong.
        others = [why for _, _, why in error.args[0] if "[Errno 2]" not in str(why)]
        if others:
            raise BackupError(str(others[0])) from None


def names(folder: Path) -> set[str]:
    """Return the names in a folder but those of what is being made."""
    return {entry.name for entry in folder.iterdir() if not entry.name.endswith(".tmp")}


def copy_tree(source: Path, target: Path, copy: Any) -> None:
    """Copy a folder, with or without its bytes. A link in it stays one: root would read what it leads to.

    :raises BackupError: it is a link itself
    """
    if source.is_symlink():
        raise BackupError(
            f"{source} is a link, which is not followed: have the folder there itself, or mount its disk there"
        )
    shutil.copytree(source, target, symlinks=True, copy_function=copy, ignore=shutil.ignore_patterns("*.tmp"))


def link(source: str, target: str) -> None:
    """Have a file in a second place: another name of it, or a copy where that is another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def copy_database(database: Path, target: Path) -> None:
    """Copy the database of a Grafana that runs.

    :raises BackupError: the copy is not whole
    """
    source = sqlite3.connect(f"file:{urllib.parse.quote(str(database))}?mode=ro", uri=True, timeout=60)
    with contextlib.closing(source), contextlib.closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        found = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise BackupError(f"the copy of {database} is not whole: {found}")


def create(settings: dict[str, Any]) -> None:
    """Make a backup, see that the repository is whole, and only then remove what need not be kept any longer.

    :raises BackupError: with what went wrong, and whether there is a new backup all the same
    """
    began = time.time()
    repository = Restic(settings)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone())
            # One that was there and is away, such as on a disk that is not mounted, is not begun anew.
            repository.open(create=False)
            snapshot, parts = stage_and_save(settings, repository)
        except (BackupError, OSError, sqlite3.Error) as error:
            raise BackupError(f"there is no new backup, and those before it are as they were. {error}") from None
        try:
            repository.run("check")
            keep = [f"--keep-{period}={number}" for period, number in settings["keep"].items()]
            host = settings["host"]
            repository.run("forget", "--tag", TAG, "--host", host, "--group-by", "host,tags", "--prune", *keep)
        except BackupError as error:
            raise BackupError(f"snapshot {snapshot} is saved, but see to the repository. {error}") from None
    say(settings, f"snapshot {snapshot}: {', '.join(parts)}, in {time.time() - began:.1f} s")


def stage_and_save(settings: dict[str, Any], repository: Restic) -> tuple[str, list[str]]:
    """Save what there is; return the name of the snapshot, and what it holds.

    :raises BackupError: not all of it could be saved
    """
    with staging(Path(settings["staging"])) as stage:
        data = Path(settings["metrics"])
        database, plugins = settings["database"], Path(settings["grafana"]) / PLUGINS
        # Nobody asks for the database of a Grafana that is not there, unless it has left one.
        if database and not Path(settings["grafana_ini"]).exists() and not Path(database).exists():
            database = ""
        # The newest backup is what a restore takes, and for it older ones go.
        if missing := [path for path in (str(data / "wal"), database) if path and not Path(path).exists()]:
            raise BackupError(
                f"{' and '.join(missing)} is not there, and a backup without it would take the place of whole ones. Is "
                "its disk mounted, and has site.yml run? Where it lies elsewhere now, run backup.yml once more"
            )
        refuse_full_disk(stage, copied(data, database, plugins, stage))
        held = [f"metrics ({copy_metrics(data, stage / 'prometheus')} blocks and what is newer)"]
        if database:
            copy_database(Path(database), stage / DATABASE)
            held.append("Grafana's database")
        if plugins.is_dir():
            copy_tree(plugins, stage / PLUGINS, shutil.copy2)
        kept = [name for name, path in settings["secrets"].items() if Path(path).exists()]
        if (stage / DATABASE).exists() and KEY not in kept:
            raise BackupError(f"the node has not the {KEY} of {database}, without which it is of no use: run site.yml")
        (stage / SECRETS).mkdir(mode=0o700)
        for name in kept:
            shutil.copyfile(settings["secrets"][name], stage / SECRETS / name)
        if kept:
            held.append(f"{len(kept)} secrets")
        key = stage / SECRETS / KEY
        digest = hashlib.sha256(key.read_bytes().strip()).hexdigest() if key.exists() else ""
        manifest = {"key_sha256": digest, "files": sizes(stage)}
        (stage / MANIFEST).write_text(json.dumps(manifest, indent=1))
        return save(repository, settings["host"], stage), held


def copied(data: Path, database: str, plugins: Path, stage: Path) -> int:
    """Return how many bytes a backup needs in its folder: blocks take none where that is on their file system."""
    folders = [data / name for name in LOGS] + [plugins]
    if data.stat().st_dev != stage.stat().st_dev:
        folders += [data / name for name in names(data) if BLOCK.match(name)]
    needed = Path(database).stat().st_size if database else 0
    for path in (path for folder in folders if folder.is_dir() for path in folder.rglob("*")):
        with unless_gone():
            needed += path.lstat().st_size
    return needed


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Leave Prometheus room on a disk.

    :raises BackupError: with what is free, and what is needed
    """
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise BackupError(
            f"{folder} needs {needed >> 20} MB, and of {free >> 20} MB that are free there {SPARE >> 20} MB stay so: "
            "make room there. Where it is that of backup_staging_dir, this may be a folder on another disk"
        )


def say(settings: dict[str, Any], sentence: str) -> None:
    """Say what came of a backup, to the journal and to the playbook."""
    print(sentence)
    Path(settings["said"]).write_text(f"{sentence}\n")


def save(repository: Restic, host: str, stage: Path) -> str:
    """Save a folder in the repository; return the name of the snapshot.

    :raises BackupError: not all could be saved; there is no such snapshot then
    """
    # A block has a new time of change, of its inode, by the link in the staging folder, and would be read again for it.
    done = repository.ask("backup", "--json", "--ignore-ctime", "--tag", TAG, "--host", host, ".", cwd=stage)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    snapshot = next((str(line["snapshot_id"])[:8] for line in lines if "snapshot_id" in line), "")
    if done.returncode == INCOMPLETE and snapshot:
        repository.run("forget", snapshot)
    if done.returncode or not snapshot:
        raise BackupError(f"restic backup: {last_words(done)}")
    return snapshot


def sizes(folder: Path) -> dict[str, int]:
    """Return the size of each file below a folder, by its path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def look(settings: dict[str, Any], wanted: str, running: bool) -> None:
    """See that there is a snapshot to restore, and that nothing is in its way.

    :raises BackupError: with the reason
    """
    repository = Restic(settings)
    repository.open(create=False)
    refuse_newer_data(settings, chosen(repository.snapshots(), wanted, settings["host"])["short_id"], running)


def restore(settings: dict[str, Any], wanted: str, key_sha256: str, running: bool) -> None:
    """Bring back what a snapshot holds.

    :param wanted: name of the snapshot, or ``latest`` for the newest of this node
    :param key_sha256: SHA-256 of Grafana's secret key, as the controller knows it; empty where it knows none
    :param running: whether to add the blocks to metrics that are there, and nothing else
    :raises BackupError: with the reason; what was there before is as it was
    """
    began = time.time()
    # The services are to enter the folders above theirs.
    os.umask(0o022)
    repository = Restic(settings)
    with alone(), staging(Path(settings["staging"])) as stage:
        repository.open(create=False)
        snapshot = chosen(repository.snapshots(), wanted, settings["host"])
        refuse_newer_data(settings, snapshot["short_id"], running)
        size = json.loads(repository.run("stats", "--mode=restore-size", "--json", snapshot["short_id"]))["total_size"]
        refuse_full_disk(stage, size)
        repository.run("restore", snapshot["short_id"], "--target", str(stage))
        manifest = whole(stage, snapshot["short_id"])
        if key_sha256 and manifest["key_sha256"] and manifest["key_sha256"] != key_sha256 and not running:
            raise BackupError(
                f"snapshot {snapshot['short_id']} was made with another {KEY} than the controller has, "
                "with which Grafana could not read the passwords of its data sources: set grafana_secret_key to the "
                "old one, or take the file of this name out of monitoring_secrets_dir for the one in the backup"
            )
        metrics = Path(settings["metrics"])
        disk = next(folder for folder in (metrics, *metrics.parents) if folder.exists())
        if disk.stat().st_dev != stage.stat().st_dev:
            refuse_full_disk(disk, sum(sizes(stage / "prometheus").values()))
        # It stays until the controller has the secrets: what is cut off before can be run again.
        if not running:
            mark = Path(settings["mark"])
            mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.write_text(snapshot["short_id"])
        added = place_metrics(stage / "prometheus", metrics)
        placed = [f"{added} blocks"]
        if not running:
            placed += place_grafana(stage, Path(settings["grafana"]), settings["database"])
            placed += place_secrets(stage / SECRETS, Path(settings["restored_secrets"]))
    name, made = snapshot["short_id"], snapshot["time"][:19]
    print(f"snapshot {name} of {made}: {', '.join(placed)}, in {time.time() - began:.1f} s")


def chosen(snapshots: list[dict[str, Any]], wanted: str, host: str) -> dict[str, Any]:
    """Return the snapshot that is meant.

    :raises BackupError: there is none, or more than one; with those that there are
    """
    newest = wanted == "latest"
    found = [each for each in snapshots if (each["hostname"] == host if newest else each["id"].startswith(wanted))]
    if len(found) == 1 or (found and newest):
        return found[-1]
    known = "; ".join(f"{each['short_id']} of {each['hostname']}, {each['time'][:19]}" for each in snapshots[-10:])
    raise BackupError(
        f"the repository has {'more than one' if found else 'no'} snapshot {'of ' + host if newest else wanted}. "
        + (f"Name one by backup_snapshot: {known}" if known else "It has none at all")
    )


def refuse_newer_data(settings: dict[str, Any], snapshot: str, running: bool) -> None:
    """Refuse to restore over what is there, unless it is what an interrupted restore of the same snapshot placed.

    :raises BackupError: with what is there
    """
    mark = Path(settings["mark"])
    if running or (mark.exists() and mark.read_text() == snapshot):
        return
    in_the_way = [str(Path(settings["metrics"]) / "wal"), settings["database"]]
    if there := [path for path in in_the_way if path and Path(path).exists()]:
        raise BackupError(
            f"{' and '.join(there)} would be overwritten. To add the blocks of the backup to the metrics that are "
            "there, and nothing else, run again with -e backup_into_running=true; to begin anew, uninstall with "
            "-e uninstall_purge_data=true first"
        )


def whole(stage: Path, snapshot: str) -> dict[str, Any]:
    """Return the manifest of a restored snapshot.

    :raises BackupError: a file is missing, or not as long as it was
    """
    try:
        manifest: dict[str, Any] = json.loads((stage / MANIFEST).read_text())
    except (OSError, ValueError):
        raise BackupError(f"snapshot {snapshot} is not one of this project: it has no {MANIFEST}") from None
    found = sizes(stage)
    if missing := [name for name, size in manifest["files"].items() if found.get(name) != size]:
        raise BackupError(f"snapshot {snapshot} is not whole: {', '.join(missing[:5])} is missing or cut off")
    return manifest


def place_metrics(source: Path, data: Path) -> int:
    """Move blocks to where Prometheus has its own; return how many. The log goes where there is none, and last."""
    if not source.is_dir():
        return 0
    make_folder(data, "prometheus")
    new = [name for name in sorted(names(source)) if BLOCK.match(name) and not (data / name).exists()]
    for name in new:
        own(source / name, "prometheus")
        move(source / name, data / name)
    # The one that tells a Prometheus with data from a bare one goes last.
    for name in reversed(LOGS):
        if (source / name).exists() and not (data / "wal").exists() and not (data / name).exists():
            own(source / name, "prometheus")
            move(source / name, data / name)
    return len(new)


def place_grafana(stage: Path, folder: Path, database: str) -> list[str]:
    """Put Grafana's database and plugins to where it looks for them; return what was put.

    :param database: its path; empty where it is on another machine
    """
    targets = {PLUGINS: folder / PLUGINS, **({DATABASE: Path(database)} if database else {})}
    placed = {name: target for name, target in targets.items() if (stage / name).exists()}
    if placed:
        make_folder(folder, "grafana")
    for name, target in placed.items():
        make_folder(target.parent, "grafana")
        if not target.exists():
            own(stage / name, "grafana")
            if name == DATABASE:
                (stage / name).chmod(0o640)
            move(stage / name, target)
    if DATABASE in placed:
        return ["Grafana's database"]
    kept = "Grafana's SQLite database NOT, which stays in the snapshot, since grafana_database names another one"
    return [kept] if (stage / DATABASE).exists() else []


def place_secrets(source: Path, target: Path) -> list[str]:
    """Put the secrets to where a run of site.yml takes them over from; return what was put."""
    found = sorted(names(source)) if source.is_dir() else []
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in found:
        part = target / f".{name}"
        part.touch(mode=0o600)
        part.write_bytes((source / name).read_bytes())
        part.rename(target / name)
    return [f"{len(found)} secrets"] if found else []


def make_folder(folder: Path, user: str) -> None:
    """Have a folder of a service; one that is there stays as it is."""
    if not folder.exists():
        folder.mkdir(mode=0o750, parents=True)
        own(folder, user)


def own(path: Path, user: str) -> None:
    """Give what root alone has, a file or a folder with what is in it, to a service."""
    owner, group = pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid
    for each in (path, *(path.rglob("*") if path.is_dir() else ())):
        os.chown(each, owner, group, follow_symlinks=False)


def move(source: Path, target: Path) -> None:
    """Move a file or a folder; where it is copied to another file system, it has its name only once it is whole."""
    try:
        source.rename(target)
    except OSError:
        part = target.with_name(f".{target.name}.restoring")
        remove(part) if part.is_dir() else part.unlink(missing_ok=True)
        shutil.move(source, part)
        part.rename(target)


def unpack(archive: Path, program: Path) -> None:
    """Make a program of its .bz2."""
    part = program.with_suffix(".part")
    with bz2.open(archive) as packed, part.open("wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    part.chmod(0o755)
    part.rename(program)


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="backup.py", description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG, help="folder of settings.json and the password")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("create", help="make a backup")
    opening = commands.add_parser("open", help="see that the repository can be read")
    opening.add_argument("--create", action="store_true", help="make one where there is none")
    restoring = commands.add_parser("restore", help="bring back what a snapshot holds")
    restoring.add_argument("--snapshot", default="latest")
    restoring.add_argument("--key-sha256", default="")
    restoring.add_argument("--running", action="store_true", help="add blocks to metrics that are there")
    restoring.add_argument("--look", action="store_true", help="say whether it can be restored")
    unpacking = commands.add_parser("unpack", help="make a program of its .bz2")
    unpacking.add_argument("archive", type=Path)
    unpacking.add_argument("program", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.command == "unpack":
            unpack(arguments.archive, arguments.program)
            return 0
        settings = json.loads((arguments.config / "settings.json").read_text())
        settings["password_file"] = str(arguments.config / "password")
        if arguments.command == "create":
            try:
                create(settings)
            except (BackupError, OSError, sqlite3.Error) as error:
                say(settings, f"error: {error}")
                return 1
        elif arguments.command == "open":
            Restic(settings).open(create=arguments.create)
        elif arguments.look:
            look(settings, arguments.snapshot, arguments.running)
        else:
            restore(settings, arguments.snapshot, arguments.key_sha256, arguments.running)
    except (BackupError, OSError, sqlite3.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
