"""The program on the node that backs up and restores, without restic."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import backup
import pytest

ONE, TWO = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVRZ"
Moving = Callable[[Path], None]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder as Prometheus has it."""
    folder = tmp_path / "data"
    for name in (f"{ONE}/chunks/000001", f"{ONE}/meta.json", "wal/00000000", "wal/00000001", "chunks_head/1", "lock"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture(autouse=True)
def _own_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the services' users be the one of the tests."""
    monkeypatch.setattr(pwd, "getpwnam", lambda _: pwd.getpwuid(os.getuid()))


def below(folder: Path) -> set[str]:
    return set(backup.sizes(folder))


def test_the_log_and_the_blocks_are_copied_and_nothing_else(data: Path, tmp_path: Path) -> None:
    (data / "wal/checkpoint.00000001.tmp").mkdir()
    assert backup.copy_metrics(data, tmp_path / "copy") == 1
    assert below(tmp_path / "copy") == {f"{ONE}/chunks/000001", f"{ONE}/meta.json", "wal/00000000", "wal/00000001"}
    assert (tmp_path / f"copy/{ONE}/meta.json").samefile(data / f"{ONE}/meta.json")


def a_new_checkpoint(data: Path) -> None:
    (data / "wal/checkpoint.00000000").mkdir()


def a_segment_goes(data: Path) -> None:
    (data / "wal/00000000").unlink()


def a_block_is_compacted(data: Path) -> None:
    shutil.copytree(data / ONE, data / TWO)
    shutil.rmtree(data / ONE)


@pytest.mark.parametrize("change", [a_new_checkpoint, a_segment_goes, a_block_is_compacted])
def test_what_prometheus_changes_meanwhile_is_copied_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Moving
) -> None:
    copies: list[str] = []
    copy_tree = backup.copy_tree

    def changing(source: Path, target: Path, copy: Any) -> None:
        copy_tree(source, target, copy)
        copies.append(source.name)
        if len(copies) == 2:
            change(data)

    # At the second one, of a block, only what happens to blocks matters.
    if change is not a_block_is_compacted:
        copies.append("")
    monkeypatch.setattr(backup, "copy_tree", changing)
    backup.copy_metrics(data, tmp_path / "copy")
    assert copies.count("wal") == 2
    assert below(tmp_path / "copy") == {name for name in below(data) if not name.startswith(("chunks_head", "lock"))}


def test_a_folder_that_never_rests_is_no_backup(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "copy_tree", lambda *_: os.utime(data))
    numbers = iter(range(1000))
    monkeypatch.setattr(backup, "names", lambda _: {f"segment-{next(numbers)}"})
    with pytest.raises(backup.BackupError, match="changed while it was copied"):
        backup.copy_metrics(data, tmp_path / "copy")


def test_what_cannot_be_copied_is_said_as_it_is(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, _: str) -> None:
        raise OSError(28, "No space left on device", source)

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(backup.BackupError, match="No space left"):
        backup.copy_metrics(data, tmp_path / "copy")


def test_a_database_is_copied_while_somebody_writes_it(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "grafana.db") as writer:
        writer.execute("CREATE TABLE dashboard (title TEXT)")
        writer.execute("INSERT INTO dashboard VALUES ('kept')")
        writer.commit()
        writer.execute("INSERT INTO dashboard VALUES ('not yet')")
        backup.copy_database(tmp_path / "grafana.db", tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT title FROM dashboard").fetchall() == [("kept",)]


@pytest.mark.parametrize("change", ["missing", "cut off", "no manifest"])
def test_a_snapshot_that_is_not_whole_is_refused(tmp_path: Path, change: str) -> None:
    (tmp_path / "wal").write_text("all of it")
    (tmp_path / "manifest.json").write_text(json.dumps({"key_sha256": "", "files": backup.sizes(tmp_path)}))
    assert backup.whole(tmp_path, "abc")["files"] == {"wal": 9}
    if change == "cut off":
        (tmp_path / "wal").write_text("all")
    else:
        (tmp_path / {"missing": "wal", "no manifest": "manifest.json"}[change]).unlink()
    with pytest.raises(backup.BackupError, match="snapshot abc is not"):
        backup.whole(tmp_path, "abc")


# A stand-in with one snapshot; what it is told is in the file `told`, and the command in `failing` fails.
RESTIC = """#!/bin/sh
here=$PWD
cd "$RESTIC_CACHE_DIR" && echo "$*" >>told
case "$2" in
init) mkdir "$RESTIC_REPOSITORY" && touch "$RESTIC_REPOSITORY/config" ;;
backup) rm -rf saved && cp -R "$here" saved && echo '{"snapshot_id": "abcdef0123456789"}' ;;
restore) cp -R saved/. "$5" ;;
stats) echo '{"total_size": 1000}' ;;
snapshots) echo '[{"id": "abcdef01", "short_id": "abcdef01", "hostname": "node", "time": "2026-01-01T00:00:00Z"}]' ;;
esac
[ -e "$RESTIC_REPOSITORY/config" ] && [ "$2" != "$(cat failing 2>/dev/null)" ] && exit
echo "Fatal: $2 fails" >&2
exit 1
"""


@pytest.fixture
def node(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the settings of a node that has made a backup."""
    monkeypatch.setattr(backup, "LOCK", tmp_path / "lock")
    (tmp_path / "restic").write_text(RESTIC)
    (tmp_path / "restic").chmod(0o755)
    (tmp_path / "grafana").mkdir()
    sqlite3.connect(tmp_path / "grafana/grafana.db").close()
    (tmp_path / "key").write_text("k" * 32)
    (tmp_path / "grafana.ini").touch()
    found = settings(
        tmp_path,
        grafana_ini=str(tmp_path / "grafana.ini"),
        restic=str(tmp_path / "restic"), environment={}, repository=str(tmp_path / "repository"), password_file="",
        cache=str(tmp_path), staging=str(tmp_path / "staging"), said=str(tmp_path / "said"), host="node",
        keep={"daily": 7}, secrets={backup.KEY: str(tmp_path / "key")}, restored_secrets=str(tmp_path / "restored"),
    )  # fmt: skip
    backup.Restic(found).open(create=True)
    backup.create(found)
    return found


def test_a_repository_that_does_not_answer_is_not_waited_for(
    node: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "ANSWERS", 0.5)
    # What it has started holds its output, as ssh does.
    (tmp_path / "restic").write_text("#!/bin/sh\necho 'dial tcp: no such host, retrying' >&2\nsleep 600 & wait\n")
    with pytest.raises(backup.BackupError, match=r"does not answer within 0\.5 s\. restic: dial tcp: no such host"):
        backup.Restic(node).open(create=True)


def test_a_backup_is_told_and_what_was_staged_is_gone(node: dict[str, Any], tmp_path: Path) -> None:
    assert "snapshot abcdef01: metrics (1 blocks" in (tmp_path / "said").read_text()
    assert not (tmp_path / "staging").exists()


def test_blocks_that_were_saved_are_not_read_again(node: dict[str, Any], tmp_path: Path) -> None:
    (told,) = (line for line in (tmp_path / "told").read_text().splitlines() if " backup " in line)
    assert "--ignore-ctime" in told


@pytest.mark.parametrize("lacking", ["wal", "grafana/grafana.db"])
def test_what_is_not_there_is_no_backup_that_takes_the_place_of_whole_ones(
    node: dict[str, Any], data: Path, tmp_path: Path, lacking: str
) -> None:
    path = data / lacking if lacking == "wal" else tmp_path / lacking
    path.rename(tmp_path / "away")
    told = (tmp_path / "told").read_text()
    with pytest.raises(backup.BackupError, match=rf"there is no new backup, .*{path} is not there.* disk mounted"):
        backup.create(node)
    assert "forget" not in (tmp_path / "told").read_text().removeprefix(told)


def test_a_node_without_grafana_needs_no_database_but_saves_the_one_it_has(
    node: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "grafana.ini").unlink()
    backup.create(node)
    assert "Grafana's database" in (tmp_path / "said").read_text()
    (tmp_path / "grafana/grafana.db").unlink()
    backup.create(node)
    assert "Grafana" not in (tmp_path / "said").read_text()


@pytest.mark.parametrize("name", ["wal", ONE, "plugins"])
def test_a_folder_that_is_a_link_is_no_backup(node: dict[str, Any], data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "grafana/plugins").mkdir()
    path = tmp_path / "grafana/plugins" if name == "plugins" else data / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(backup.BackupError, match=rf"{path} is a link, which is not followed"):
        backup.create(node)


@pytest.mark.parametrize("action", ["create", "restore"])
def test_prometheus_keeps_room_on_its_disk(node: dict[str, Any], monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    free = backup.SPARE + 999
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2 * free, free, free))
    backup.create(node)
    backup.refuse_full_disk(Path(node["staging"]), 999)
    sparse = Path(node["metrics"], "wal/00000001")
    os.truncate(sparse, 1000)
    with pytest.raises(backup.BackupError, match=r"needs 0 MB, .* make room there.* backup_staging_dir"):
        backup.create(node) if action == "create" else backup.restore(node, "latest", "", running=True)


def test_the_disk_of_the_metrics_is_looked_at_too_where_it_is_another_one(
    node: dict[str, Any], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(backup.sizes(data).values()) - len("chunks_head/1lock")
    shutil.rmtree(data)
    Path(node["database"]).unlink()
    looked: list[tuple[Path, int]] = []
    monkeypatch.setattr(backup, "refuse_full_disk", lambda folder, needed: looked.append((folder, needed)))
    # Of memory, and so of another disk than the folder of the tests.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        node["staging"] = f"{memory}/staging"
        backup.restore(node, "latest", "", running=False)
        assert looked == [(Path(node["staging"]), 1000), (data.parent, size)]


def test_a_link_of_the_service_is_not_followed(node: dict[str, Any], data: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("of root alone")
    (tmp_path / "grafana/plugins").mkdir()
    for link in (data / "wal/00000002", tmp_path / "grafana/plugins/module.js"):
        link.symlink_to(tmp_path / "theirs")
    backup.create(node)
    saved = [path for path in (tmp_path / "saved").rglob("*") if path.name in ("00000002", "module.js")]
    assert [path.is_symlink() for path in saved] == [True, True]
    assert not [
        name for name in json.loads((tmp_path / "saved/manifest.json").read_text())["files"] if "module" in name
    ]


def test_what_came_late_is_saved_too(node: dict[str, Any], data: Path) -> None:
    (data / "wbl").mkdir()
    (data / "wbl/00000000").write_text("late")
    backup.create(node)
    shutil.rmtree(data)
    Path(node["database"]).unlink()
    backup.restore(node, "latest", "", running=False)
    assert (data / "wbl/00000000").read_text() == "late"


def test_a_database_that_has_no_place_is_told(
    node: dict[str, Any], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(data)
    backup.restore({**node, "database": ""}, "latest", "", running=False)
    assert "Grafana's SQLite database NOT" in capsys.readouterr().out


def test_a_repository_that_is_away_is_not_begun_anew(node: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "repository").rename(tmp_path / "away")
    with pytest.raises(backup.BackupError, match=r"there is no new backup, .* cannot be read"):
        backup.create(node)
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("command", ["check", "forget"])
def test_a_backup_that_is_saved_is_named_whatever_comes_after_it(
    node: dict[str, Any], tmp_path: Path, command: str
) -> None:
    (tmp_path / "failing").write_text(command)
    with pytest.raises(backup.BackupError, match=f"snapshot abcdef01 is saved, but .* restic {command}"):
        backup.create(node)


def test_a_database_without_its_secret_key_is_no_backup(node: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "key").unlink()
    with pytest.raises(backup.BackupError, match=r"there is no new backup, .* grafana_secret_key"):
        backup.create(node)


def test_the_lock_that_a_kill_left_is_in_nobodys_way(node: dict[str, Any], tmp_path: Path) -> None:
    told = [line.split()[1:] for line in (tmp_path / "told").read_text().splitlines()]
    # What comes before the removal of such locks asks for none.
    assert told[told.index(["unlock"]) - 1] == ["cat", "config", "--no-lock"]


def test_a_restore_can_be_run_again_until_the_controller_has_the_secrets(
    node: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    before = below(data) - {"chunks_head/1", "lock"}
    for folder in (data, tmp_path / "grafana"):
        shutil.rmtree(folder)
    for _ in range(2):
        backup.restore(node, "latest", "", running=False)
        assert below(data) == before
        assert (tmp_path / f"restored/{backup.KEY}").read_text() == "k" * 32
        # As where it was cut off meanwhile, and somebody took them away.
        shutil.rmtree(tmp_path / "restored")
    # It has them: this is what the playbook does then.
    (tmp_path / "mark").unlink()
    with pytest.raises(backup.BackupError, match="would be overwritten"):
        backup.restore(node, "latest", "", running=False)


def test_blocks_that_join_a_prometheus_that_runs_leave_no_mark(
    node: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    shutil.rmtree(data / ONE)
    backup.restore(node, "latest", "", running=True)
    assert (data / ONE / "meta.json").exists()
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "restored").exists()


SNAPSHOTS = [
    {"id": "aaa111", "short_id": "aaa", "hostname": "node", "time": "2026-01-01T00:00:00Z"},
    {"id": "bbb222", "short_id": "bbb", "hostname": "other", "time": "2026-01-02T00:00:00Z"},
    {"id": "ccc333", "short_id": "ccc", "hostname": "node", "time": "2026-01-03T00:00:00Z"},
]


@pytest.mark.parametrize(("wanted", "found"), [("latest", "ccc"), ("bbb", "bbb"), ("aaa111", "aaa")])
def test_the_newest_of_this_node_or_the_one_that_is_named_is_taken(wanted: str, found: str) -> None:
    assert backup.chosen(SNAPSHOTS, wanted, "node")["short_id"] == found


@pytest.mark.parametrize("wanted", ["", "a"])
def test_a_name_that_is_that_of_several_is_refused(wanted: str) -> None:
    several = [*SNAPSHOTS, {**SNAPSHOTS[0], "id": "abc444", "short_id": "abc"}]
    with pytest.raises(backup.BackupError, match=r"more than one snapshot .*abc of node"):
        backup.chosen(several, wanted, "node")


@pytest.mark.parametrize(("wanted", "host"), [("latest", "new-node"), ("ddd", "node")])
def test_where_there_is_none_those_that_there_are_are_named(wanted: str, host: str) -> None:
    with pytest.raises(backup.BackupError, match="bbb of other, 2026-01-02"):
        backup.chosen(SNAPSHOTS, wanted, host)


def settings(folder: Path, **other: Any) -> dict[str, Any]:
    places = {"metrics": str(folder / "data"), "grafana": str(folder / "grafana"), "mark": str(folder / "mark")}
    return {**places, "database": str(folder / "grafana/grafana.db"), **other}


def test_what_is_there_is_not_overwritten_but_what_an_interrupted_restore_has_placed(
    data: Path, tmp_path: Path
) -> None:
    with pytest.raises(backup.BackupError, match="wal would be overwritten"):
        backup.refuse_newer_data(settings(tmp_path), "abc", running=False)
    backup.refuse_newer_data(settings(tmp_path), "abc", running=True)
    (tmp_path / "mark").write_text("abc")
    backup.refuse_newer_data(settings(tmp_path), "abc", running=False)
    with pytest.raises(backup.BackupError, match="would be overwritten"):
        backup.refuse_newer_data(settings(tmp_path), "another", running=False)


def test_a_database_on_another_machine_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "grafana").mkdir()
    (tmp_path / "grafana/grafana.db").touch()
    with pytest.raises(backup.BackupError, match="would be overwritten"):
        backup.refuse_newer_data(settings(tmp_path), "abc", running=False)
    backup.refuse_newer_data(settings(tmp_path, database=""), "abc", running=False)


def test_an_interrupted_restore_of_metrics_is_completed(data: Path, tmp_path: Path) -> None:
    stage, target = tmp_path / "stage", tmp_path / "new"
    backup.copy_metrics(data, stage)
    before = below(stage)
    # It was cut off after the block, and before the log.
    shutil.copytree(stage / ONE, target / ONE)
    assert backup.place_metrics(stage, target) == 0
    assert below(target) == before


def test_blocks_join_those_that_are_there_and_the_log_stays(data: Path, tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    backup.copy_metrics(data, stage)
    (stage / ONE).rename(stage / TWO)
    (data / "wal/00000001").write_text("newer")
    assert backup.place_metrics(stage, data) == 1
    assert (data / TWO / "meta.json").exists()
    assert (data / "wal/00000001").read_text() == "newer"


def test_the_database_of_a_grafana_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage/grafana.db").write_text("old")
    (tmp_path / "grafana").mkdir()
    (tmp_path / "grafana/grafana.db").write_text("newer")
    backup.place_grafana(tmp_path / "stage", tmp_path / "grafana", str(tmp_path / "grafana/grafana.db"))
    assert (tmp_path / "grafana/grafana.db").read_text() == "newer"


def test_a_database_of_another_name_is_saved_and_goes_back_to_its_place(
    node: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    """As grafana_ini.database.path has it."""
    node["database"] = str(tmp_path / "grafana/more/mine.db")
    (tmp_path / "grafana/more").mkdir()
    with contextlib.closing(sqlite3.connect(node["database"])) as database:
        database.execute("CREATE TABLE mine (x)")
    (tmp_path / "grafana/plugins/by-hand").mkdir(parents=True)
    (tmp_path / "grafana/plugins/by-hand/x").touch()
    backup.create(node)
    for folder in (data, tmp_path / "grafana"):
        shutil.rmtree(folder)
    backup.restore(node, "latest", "", running=False)
    with contextlib.closing(sqlite3.connect(node["database"])) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    assert (tmp_path / "grafana/plugins/by-hand/x").exists()
    assert not (tmp_path / "grafana/grafana.db").exists()
    # Of two nodes with one PostgreSQL, what was put there by hand is of use all the same.
    shutil.rmtree(tmp_path / "grafana")
    (said,) = backup.place_grafana(tmp_path / "saved", tmp_path / "grafana", "")
    assert "which stays in the snapshot" in said


def test_secrets_are_for_root_alone(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage/grafana_secret_key").write_text("key")
    assert backup.place_secrets(tmp_path / "stage", tmp_path / "secrets") == ["1 secrets"]
    assert (tmp_path / "secrets/grafana_secret_key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_place_of_the_staging_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").touch()
    (tmp_path / "staging").symlink_to(tmp_path / "elsewhere")
    with backup.staging(tmp_path / "staging") as stage:
        assert not stage.is_symlink()
    assert (tmp_path / "elsewhere/kept").exists()
