"""The state database: migrated from every release, set aside when unusable, kept in memory while the disk is
full."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from oomkeeper.agent import database
from oomkeeper.agent.database import (
    DATABASE_NAME,
    KEPT_QUARANTINED,
    CorruptStateError,
    NewerStateError,
    StateError,
    StateUnwritableError,
    hold_state,
    open_database,
)
from oomkeeper.agent.records import SysctlNote
from oomkeeper.agent.recovery import open_state
from oomkeeper.agent.schema import SCHEMA_VERSION
from oomkeeper.agent.store import Store

from .kill_samples import host_incident, recorded, status

SCHEMA_1 = """
CREATE TABLE boot (
    boot_id TEXT PRIMARY KEY, since TEXT NOT NULL, cursor INTEGER NOT NULL, vmstat_base INTEGER NOT NULL,
    recorded INTEGER NOT NULL DEFAULT 0, unattributed INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE kill_line (boot_id TEXT, seq INTEGER, PRIMARY KEY (boot_id, seq)) WITHOUT ROWID;
CREATE TABLE counter (
    boot_id TEXT, path TEXT, kills INTEGER NOT NULL, inode INTEGER, PRIMARY KEY (boot_id, path)
) WITHOUT ROWID;
CREATE TABLE kill (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, incident TEXT, container_id TEXT,
    time TEXT NOT NULL, record TEXT NOT NULL
);
CREATE TABLE incident (
    key TEXT PRIMARY KEY, document TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1,
    published INTEGER NOT NULL DEFAULT 0, silent INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX incident_silent ON incident (key) WHERE silent;
CREATE INDEX kill_container ON kill (container_id);
CREATE TABLE reported (container_id TEXT PRIMARY KEY, time TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE note (key TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sysctl (key TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE adjustment (
    pid INTEGER, start_time INTEGER, original INTEGER, applied INTEGER, name TEXT,
    PRIMARY KEY (pid, start_time)
) WITHOUT ROWID;
PRAGMA user_version=1;
"""
"""As release 0.1.0 made it."""

SCHEMA_2 = """
CREATE TABLE boot (
    boot_id TEXT PRIMARY KEY, since TEXT NOT NULL, cursor INTEGER NOT NULL, vmstat_base INTEGER NOT NULL,
    recorded INTEGER NOT NULL DEFAULT 0, unattributed INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE kill_line (boot_id TEXT, seq INTEGER, PRIMARY KEY (boot_id, seq)) WITHOUT ROWID;
CREATE TABLE counter (
    boot_id TEXT, path TEXT, kills INTEGER NOT NULL, inode INTEGER, PRIMARY KEY (boot_id, path)
) WITHOUT ROWID;
CREATE TABLE kill (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, incident TEXT, container_id TEXT,
    time TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX kill_container ON kill (container_id);
CREATE TABLE unidentified_kill (
    id TEXT PRIMARY KEY, pod_uid TEXT NOT NULL, kill TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX unidentified_kill_pod ON unidentified_kill (pod_uid);
CREATE TABLE incident (
    key TEXT PRIMARY KEY, document TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1,
    published INTEGER NOT NULL DEFAULT 0, undecided INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX incident_undecided ON incident (key) WHERE undecided;
CREATE TABLE reported (container_id TEXT PRIMARY KEY, time TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pod (uid TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE note (key TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sysctl (key TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE adjustment (
    pid INTEGER, start_time INTEGER, original INTEGER, applied INTEGER, name TEXT,
    PRIMARY KEY (pid, start_time)
) WITHOUT ROWID;
PRAGMA user_version=2;
"""

ROWS_1 = """
INSERT INTO boot VALUES ('b1', '2026-01-01T00:00:00.000000Z', 40, 7, 3, 1, 2);
INSERT INTO kill_line VALUES ('b1', 41);
INSERT INTO incident VALUES ('a-key', '{"apiVersion":"oomkeeper.dev/v1alpha1","kind":"OOMIncident",
"metadata":{"name":"db-0123456789","namespace":"ops","labels":{}},"spec":{"nodeName":"n",
"cause":"SystemSliceLimit","cgroup":"/db"},"status":{"cause":"SystemSliceLimit","count":3,
"kills":[],"history":[],"summary":"x"}}', 4, 3, 1);
INSERT INTO note VALUES ('sysctls', '[{"key":"vm.swappiness","desired":10}]');
INSERT INTO note VALUES ('panics', '{"seen":["p"],"count":1,"last":null}');
INSERT INTO note VALUES ('adopted', 'true');
INSERT INTO sysctl VALUES ('vm.swappiness', '{"original":60,"policy":"p","onRelease":"Keep","applied":10,
"boot":
"b1","kubeletStart":null,"drifts":[1750000000.5],"driftCount":1,"lastDrift":
"2026-01-01T00:00:00Z","suspectedWriter":"x"}');
INSERT INTO adjustment VALUES (1, 2, 0, 800, 'p/a');
"""


def make(folder: Path, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(folder / DATABASE_NAME) as connection:
        connection.executescript(script)
    connection.close()


def tables(folder: Path) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(folder / DATABASE_NAME)
    rows = connection.execute("SELECT type, name FROM sqlite_master ORDER BY name").fetchall()
    connection.close()
    return rows


def test_state_of_release_0_1_0_is_migrated_with_all_it_holds(tmp_path: Path) -> None:
    make(tmp_path, SCHEMA_1 + ROWS_1)
    store = Store.open(tmp_path)
    boot = store.boot("b1")
    assert boot is not None
    assert (boot.cursor, boot.vmstat_base, boot.recorded, boot.unattributed, boot.lost) == (40, 7, 3, 1, 2)
    [(key, incident)] = store.undecided_incidents()
    assert (key, status(incident).count, incident.spec.cgroup) == ("a-key", 3, "/db")
    assert [one.version for one in store.unpublished()] == [4]
    note = store.sysctls()["vm.swappiness"]
    assert (note.original, note.applied, note.boot, note.on_release) == (60, 10, "b1", "Keep")
    assert store.adjustments() == {(1, 2): (0, 800, "p/a")}
    assert store.note("adopted", bool) is True
    store.close()


@pytest.mark.parametrize("older", [SCHEMA_1, SCHEMA_2], ids=["1", "2"])
def test_migrated_and_new_databases_have_the_same_tables(tmp_path: Path, older: str) -> None:
    make(tmp_path / "old", older)
    Store.open(tmp_path / "old").close()
    Store.open(tmp_path / "new").close()
    assert tables(tmp_path / "old") == tables(tmp_path / "new")


def test_incidents_of_schema_2_stay_incidents(tmp_path: Path) -> None:
    row = ROWS_1.partition("INSERT INTO incident")[2].partition(";")[0]
    make(tmp_path, f"{SCHEMA_2}INSERT INTO incident{row};")
    store = Store.open(tmp_path)
    assert [key for key, _ in store.incidents()] == ["a-key"]
    assert [*store.container_kills()] == []
    store.close()


def test_migration_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, SCHEMA_1 + ROWS_1)
    before = tables(tmp_path)
    broken = {1: database.MIGRATIONS[1] + "INSERT INTO nowhere VALUES (1);"}
    monkeypatch.setattr(database, "MIGRATIONS", broken)
    with pytest.raises(StateError, match="nowhere"):
        open_database(tmp_path)
    assert tables(tmp_path) == before
    monkeypatch.undo()
    Store.open(tmp_path).close()


def test_command_without_the_lock_migrates_nothing(tmp_path: Path) -> None:
    make(tmp_path, SCHEMA_1)
    before = tables(tmp_path)
    with pytest.raises(StateError, match="older release"):
        Store.open(tmp_path, create=False)
    assert tables(tmp_path) == before


def test_newer_state_is_set_aside_and_its_originals_are_kept(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.put_sysctl("vm.swappiness", SysctlNote(original=60, applied=10, boot="b"))
    store.put_adjustment(pid=1, start_time=2, original=0, applied=800, name="p/a")
    store.put_incident("key", host_incident())
    store.close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
        connection.execute("ALTER TABLE sysctl ADD COLUMN later TEXT")
    connection.close()
    with pytest.raises(NewerStateError):
        Store.open(tmp_path)
    with open_store(tmp_path) as store:
        assert store.problem is None
        assert store.sysctls()["vm.swappiness"].original == 60
        assert store.adjustments() == {(1, 2): (0, 800, "p/a")}
        # The cluster has the incidents: the agent adopts them, for the note that it did is gone.
        assert [*store.incidents()] == []
    [aside] = set_aside(tmp_path, "newer")
    assert sqlite3.connect(aside).execute("SELECT count(*) FROM incident").fetchone() == (1,)


@pytest.mark.parametrize("damage", ["no database", "pages"])
def test_corrupt_state_is_set_aside_and_the_agent_starts(tmp_path: Path, damage: str) -> None:
    store = Store.open(tmp_path)
    for number in range(200):
        store.put_kill(
            kill_id=str(number), incident=None, container_id=None, time="t", record=recorded(str(number))
        )
    store.close()
    path = tmp_path / DATABASE_NAME
    data = path.read_bytes()
    path.write_bytes(b"no database " * 500 if damage == "no database" else data[:20_000] + bytes(60_000))
    with pytest.raises(CorruptStateError, match=DATABASE_NAME):
        Store.open(tmp_path).check()
    with open_store(tmp_path) as store:
        assert store.kills() == []
        store.put_note("x", 1)
    assert len(set_aside(tmp_path, "corrupt")) == 1


def test_only_the_newest_files_set_aside_are_kept(tmp_path: Path) -> None:
    for _ in range(KEPT_QUARANTINED + 2):
        (tmp_path / DATABASE_NAME).write_bytes(b"no database " * 500)
        open_state(tmp_path).close()
    assert len(set_aside(tmp_path, "corrupt")) == KEPT_QUARANTINED


def set_aside(folder: Path, label: str) -> list[Path]:
    """Databases that were renamed, without their journals."""
    found = folder.glob(f"{DATABASE_NAME}.{label}-*")
    return [path for path in found if not path.name.endswith(("-wal", "-shm"))]


class open_store:
    """A store that is closed at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Store:
        self._store = open_state(self._folder)
        return self._store

    def __exit__(self, *_error: object) -> None:
        self._store.close()


def fill_disk(store: Store) -> None:
    """Let SQLite fail as on a full disk: with SQLITE_FULL, in the file that is open."""
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages}")


def free_disk(store: Store) -> None:
    assert store._disk is not None
    store._disk.execute("PRAGMA max_page_count=1000000")


def fill(store: Store, first: int, number: int) -> None:
    for one in range(first, first + number):
        with store.transaction():
            store.put_kill(
                kill_id=f"b-{one}", incident="key", container_id=None, time="t", record=recorded(f"b-{one}")
            )


def test_full_disk_is_an_error_that_changes_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    fill(store, 0, 5)
    fill_disk(store)
    with pytest.raises(StateUnwritableError, match="full"):
        fill(store, 5, 500)
    kept = len(store.kills())
    assert 5 <= kept < 505
    store.go_to_memory(StateUnwritableError("full"))
    assert len(store.kills()) == kept
    store.close()


def test_state_in_memory_goes_back_to_the_disk_with_all_that_was_added(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.put_sysctl("vm.swappiness", SysctlNote(original=60))
    store.put_incident("key", host_incident(count=1))
    fill(store, 0, 5)
    fill_disk(store)
    store.go_to_memory(StateUnwritableError("database or disk is full"))
    assert store.problem == "database or disk is full"
    fill(store, 5, 20)
    store.drop_sysctl("vm.swappiness")
    store.put_incident("key", host_incident(count=2))
    # The disk is still full: the memory stays.
    assert store.return_to_disk()
    assert store.problem is not None
    free_disk(store)
    assert store.return_to_disk()
    assert store.problem is None
    store.close()
    again = Store.open(tmp_path)
    assert len(again.kills()) == 25
    assert again.sysctls() == {}
    [(_, incident)] = again.incidents()
    assert status(incident).count == 2
    again.close()


def test_memory_is_bounded_and_counts_what_it_drops(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.go_to_memory(StateUnwritableError("full"))
    number = 0
    while not store.dropped:
        assert number < 20_000
        try:
            fill(store, number, 100)
        except StateUnwritableError as error:
            store.go_to_memory(error)
        number += 100
    kept = len(store.kills())
    assert 0 < kept < number
    fill(store, number, 100)
    store.close()


@pytest.mark.parametrize("written_before", [True, False])
def test_full_disk_at_the_start_does_not_end_the_agent(tmp_path: Path, written_before: bool) -> None:
    """A real file system without a free block, as a node's after its logs have filled it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mount(disk, size="1m")
    except OSError as error:
        pytest.skip(f"cannot mount: {error}")
    try:
        state = disk / "state"
        state.mkdir()
        if written_before:
            store = Store.open(state)
            store.put_sysctl("vm.swappiness", SysctlNote(original=60))
            store.close()
        with (disk / "logs").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        with hold_state(state), open_store(state) as store:
            assert store.problem is not None
            assert ("vm.swappiness" in store.sysctls()) == written_before
            store.put_sysctl("kernel.panic", SysctlNote(original=10))
            assert store.return_to_disk()
            assert store.problem is not None
            (disk / "logs").unlink()
            assert store.return_to_disk()
            assert store.problem is None
        again = Store.open(state)
        assert "kernel.panic" in again.sysctls()
        assert ("vm.swappiness" in again.sysctls()) == written_before
        again.close()
    finally:
        umount(disk)


def mount(folder: Path, *, size: str) -> None:
    import subprocess

    if shutil.which("mount") is None:
        raise OSError("no mount command")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise OSError(done.stderr.strip())


def umount(folder: Path) -> None:
    import subprocess

    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_nothing_in_the_folder_is_changed_without_the_lock(tmp_path: Path) -> None:
    make(tmp_path, SCHEMA_1)
    before = (tmp_path / DATABASE_NAME).read_bytes()

    def start() -> None:
        with hold_state(tmp_path):
            open_state(tmp_path).close()

    with hold_state(tmp_path), pytest.raises(StateError, match="another oomkeeper agent"):
        start()
    assert (tmp_path / DATABASE_NAME).read_bytes() == before
