"""The node's memory: one SQLite file that a kill -9 at any instant leaves whole.

One transaction carries a kill, what it changes in its incident, the account and the place in the kernel
log, so a kill is counted once or (when the process died before the commit) read again from the log. WAL
with synchronous=NORMAL survives the death of the process; a power cut may lose the last commits, which is
no loss here, for the kernel's log and counters are gone with it as well.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from oomkeeper.resources.killrecord import RecordedKill
from oomkeeper.resources.oomincident import OOMIncident

from .records import SysctlNote

T = TypeVar("T")

DATABASE_NAME = "oomkeeper.db"
SCHEMA_VERSION = 1
KEPT_KILLS = 10_000
"""Kill records kept for `oomkeeper kills`; the account and the incidents count on beyond them."""

_SCHEMA = """
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
"""


class StateError(Exception):
    """The state folder cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How the kernel's count of OOM kills compares with the kills recorded. Counts of processes, over all
    boots kept."""

    recorded: int
    unattributed: int
    """Counted by /proc/vmstat and seen nowhere else."""
    lost_records: int
    """Kernel log records overwritten before they were read."""
    since: str | None

    @property
    def vmstat_oom_kill(self) -> int:
        """Growth of /proc/vmstat's oom_kill while the account was kept."""
        return self.recorded + self.unattributed


class Store:
    """One connection to the state file. Each thread opens its own."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection

    @classmethod
    def open(cls, folder: Path, *, create: bool = True) -> Self:
        """Open (and where `create`, make) the state in `folder`. Raises StateError."""
        path = folder / DATABASE_NAME
        try:
            if create:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif not path.exists():
                raise StateError(
                    f"{folder}: no state of oomkeeper there; `oomkeeper node --state-dir {folder}` makes it"
                )
            connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA cache_size=-256")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                with _transaction(connection):
                    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                        for statement in filter(str.strip, _SCHEMA.split(";")):
                            connection.execute(statement)
                        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise StateError(
                    f"{path}: written by another release (schema {version}, this one reads {SCHEMA_VERSION})"
                )
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"{path}: {error}") from error
        return cls(path, connection)

    def close(self) -> None:
        self._db.close()

    @property
    def changes(self) -> int:
        """Grows with every row that this connection changes."""
        return self._db.total_changes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        with _transaction(self._db):
            yield

    # -- the kernel log's place and the account

    def boot(self, boot_id: str) -> "BootRow | None":
        row = self._db.execute(
            "SELECT boot_id, since, cursor, vmstat_base, recorded, unattributed, lost FROM boot "
            "WHERE boot_id = ?",
            (boot_id,),
        ).fetchone()
        return BootRow(*row) if row else None

    def boot_before(self, boot_id: str, time: str) -> str | None:
        """The boot that was running at `time`, as far as the agent was there to note it; never `boot_id`."""
        row = self._db.execute(
            "SELECT boot_id FROM boot WHERE boot_id != ? AND since <= ? ORDER BY since DESC LIMIT 1",
            (boot_id, time),
        ).fetchone()
        return row[0] if row else None

    def start_boot(
        self,
        *,
        boot_id: str,
        since: str,
        cursor: int,
        vmstat_base: int,
        counters: Mapping[str, tuple[int, int | None]],
    ) -> "BootRow":
        """Begin a boot's account. `counters`: cgroup -> (kills that it has counted already, inode)."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO boot (boot_id, since, cursor, vmstat_base) VALUES (?, ?, ?, ?)",
                (boot_id, since, cursor, vmstat_base),
            )
            self._db.execute("DELETE FROM counter")  # those of an earlier boot
            for path, (kills, inode) in counters.items():
                self.put_counter(boot_id, path, kills=kills, inode=inode)
        return BootRow(boot_id, since, cursor, vmstat_base, 0, 0, 0)

    def counters(self, boot_id: str) -> dict[str, tuple[int, int | None]]:
        """Cgroup -> (its kills that are accounted for, inode)."""
        rows = self._db.execute("SELECT path, kills, inode FROM counter WHERE boot_id = ?", (boot_id,))
        return {row[0]: (row[1], row[2]) for row in rows}

    def put_counter(self, boot_id: str, path: str, *, kills: int, inode: int | None) -> None:
        self._db.execute("INSERT OR REPLACE INTO counter VALUES (?, ?, ?, ?)", (boot_id, path, kills, inode))

    def keep_counters(self, boot_id: str, paths: Iterable[str]) -> None:
        """Forget every counter but these: the cgroups of the others are gone."""
        gone = self.counters(boot_id).keys() - set(paths)
        self._db.executemany(
            "DELETE FROM counter WHERE boot_id = ? AND path = ?", [(boot_id, path) for path in gone]
        )

    def move_cursor(self, boot_id: str, cursor: int, *, lost: int | None) -> None:
        """Everything up to `cursor` is dealt with; `lost` are the records lost up to there, None to leave
        that as it is."""
        self._db.execute(
            "UPDATE boot SET cursor = ?, lost = coalesce(?, lost) WHERE boot_id = ? AND cursor <= ?",
            (cursor, lost, boot_id, cursor),
        )
        self._db.execute("DELETE FROM kill_line WHERE boot_id != ? OR seq <= ?", (boot_id, cursor))

    def set_unattributed(self, boot_id: str, unattributed: int) -> None:
        self._db.execute("UPDATE boot SET unattributed = ? WHERE boot_id = ?", (unattributed, boot_id))

    def account(self) -> Account:
        row = self._db.execute(
            "SELECT sum(recorded), sum(unattributed), sum(lost), min(since) FROM boot"
        ).fetchone()
        return Account(recorded=row[0] or 0, unattributed=row[1] or 0, lost_records=row[2] or 0, since=row[3])

    # -- kills

    def add_kill_lines(self, boot_id: str, seqs: tuple[int, ...]) -> int:
        """Note the log records that report a killed process; how many of them are new is added to
        `recorded` and returned."""
        before = self._db.total_changes
        self._db.executemany(
            "INSERT OR IGNORE INTO kill_line VALUES (?, ?)", [(boot_id, seq) for seq in seqs]
        )
        new = self._db.total_changes - before
        if new:
            self._db.execute("UPDATE boot SET recorded = recorded + ? WHERE boot_id = ?", (new, boot_id))
        return new

    def add_traced_kill(self, boot_id: str) -> None:
        """Add a kill that no log record reports to `recorded`."""
        self._db.execute("UPDATE boot SET recorded = recorded + 1 WHERE boot_id = ?", (boot_id,))

    def kill_lines(self, boot_id: str) -> list[int]:
        """Log records with a killed process that are counted, of those that the cursor has not passed; in
        order."""
        rows = self._db.execute("SELECT seq FROM kill_line WHERE boot_id = ? ORDER BY seq", (boot_id,))
        return [row[0] for row in rows]

    def kill(self, kill_id: str) -> "KillRow | None":
        row = self._db.execute("SELECT incident, time, record FROM kill WHERE id = ?", (kill_id,)).fetchone()
        return KillRow(incident=row[0], time=row[1], record=_decode(row[2], RecordedKill)) if row else None

    def put_kill(
        self,
        *,
        kill_id: str,
        incident: str | None,
        container_id: str | None,
        time: str,
        record: RecordedKill,
    ) -> None:
        """Store or renew one kill's record. The incident that a kill was once counted in stays."""
        self._db.execute(
            "INSERT INTO kill (id, incident, container_id, time, record) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET incident = coalesce(incident, excluded.incident), "
            "container_id = excluded.container_id, record = excluded.record",
            (kill_id, incident, container_id, time, _encode(record)),
        )
        self._db.execute("DELETE FROM kill WHERE number <= (SELECT max(number) FROM kill) - ?", (KEPT_KILLS,))

    def kills(self, *, limit: int | None = None) -> list[RecordedKill]:
        """Return the stored kill records, oldest first; `limit` keeps the newest."""
        rows = self._db.execute(
            "SELECT record FROM kill ORDER BY number DESC LIMIT ?", (-1 if limit is None else limit,)
        )
        return [_decode(row[0], RecordedKill) for row in rows][::-1]

    def incident_of_container(self, container_id: str) -> list[str]:
        """Keys of the incidents that hold a kill of this container."""
        rows = self._db.execute(
            "SELECT DISTINCT incident FROM kill WHERE container_id = ? AND incident IS NOT NULL",
            (container_id,),
        )
        return [row[0] for row in rows]

    # -- incidents

    def incident(self, key: str) -> OOMIncident | None:
        row = self._db.execute("SELECT document FROM incident WHERE key = ?", (key,)).fetchone()
        return _decode(row[0], OOMIncident) if row else None

    def put_incident(self, key: str, incident: OOMIncident) -> None:
        """Store the incident as one to be published."""
        undecided = incident.status is not None and any(
            kill.visibility is None for kill in incident.status.kills
        )
        self._db.execute(
            "INSERT INTO incident (key, document, silent) VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE "
            "SET document = excluded.document, silent = excluded.silent, version = version + 1",
            (key, _encode(incident), undecided),
        )

    def adopt_incident(self, key: str, incident: OOMIncident) -> None:
        """Take over an incident that an earlier state of this node has published."""
        self._db.execute(
            "INSERT INTO incident (key, document, version, published) VALUES (?, ?, 1, 1)",
            (key, _encode(incident)),
        )

    def unpublished(self) -> list["UnpublishedIncident"]:
        """Return every incident that the API server does not have in its newest version."""
        rows = self._db.execute(
            "SELECT key, version, document FROM incident WHERE published < version ORDER BY rowid"
        )
        return [UnpublishedIncident(row[0], row[1], _decode(row[2], OOMIncident)) for row in rows]

    def mark_published(self, key: str, version: int) -> None:
        self._db.execute("UPDATE incident SET published = max(published, ?) WHERE key = ?", (version, key))

    def incidents(self) -> Iterator[tuple[str, OOMIncident]]:
        for key, document in self._db.execute("SELECT key, document FROM incident").fetchall():
            yield key, _decode(document, OOMIncident)

    def undecided_incidents(self) -> Iterator[tuple[str, OOMIncident]]:
        """Yield the incidents with a recent kill that kubelet may still report."""
        for key, document in self._db.execute("SELECT key, document FROM incident WHERE silent").fetchall():
            yield key, _decode(document, OOMIncident)

    def note_reported(self, container_id: str, time: str) -> bool:
        """Note that kubelet reported this container OOMKilled; True the first time."""
        before = self._db.total_changes
        self._db.execute("INSERT OR IGNORE INTO reported VALUES (?, ?)", (container_id, time))
        return self._db.total_changes > before

    # -- sysctls and adjustments

    def sysctls(self) -> dict[str, SysctlNote]:
        """Return what is noted of each sysctl that was written."""
        rows = self._db.execute("SELECT key, document FROM sysctl")
        return {row[0]: _decode(row[1], SysctlNote) for row in rows}

    def put_sysctl(self, key: str, note: SysctlNote) -> None:
        self._db.execute("INSERT OR REPLACE INTO sysctl VALUES (?, ?)", (key, _encode(note)))

    def drop_sysctl(self, key: str) -> None:
        self._db.execute("DELETE FROM sysctl WHERE key = ?", (key,))

    def note(self, key: str, kind: type[T]) -> T | None:
        """Return what is noted under a name; None where nothing is."""
        row = self._db.execute("SELECT document FROM note WHERE key = ?", (key,)).fetchone()
        return _decode(row[0], kind) if row else None

    def put_note(self, key: str, value: object) -> None:
        """Note a value under a name; nothing is written where it is there already."""
        self._db.execute(
            "INSERT INTO note VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET document = excluded.document "
            "WHERE document != excluded.document",
            (key, _encode(value)),
        )

    def adjustments(self) -> dict[tuple[int, int], tuple[int, int, str]]:
        """(pid, start time in ticks) -> (original value, applied value, name of the rule)."""
        rows = self._db.execute("SELECT pid, start_time, original, applied, name FROM adjustment")
        return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}

    def put_adjustment(self, *, pid: int, start_time: int, original: int, applied: int, name: str) -> None:
        self._db.execute(
            "INSERT INTO adjustment VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (pid, start_time) DO UPDATE SET applied = excluded.applied, name = excluded.name",
            (pid, start_time, original, applied, name),
        )

    def drop_adjustment(self, *, pid: int, start_time: int) -> None:
        self._db.execute("DELETE FROM adjustment WHERE pid = ? AND start_time = ?", (pid, start_time))


@dataclass(frozen=True, slots=True, kw_only=True)
class KillRow:
    """One stored kill."""

    incident: str | None
    """Key of the incident that counts it; None while it waits for its pod."""
    time: str
    record: RecordedKill


@dataclass(frozen=True, slots=True)
class UnpublishedIncident:
    """An incident whose newest version the API server does not have."""

    key: str
    version: int
    incident: OOMIncident


@dataclass(frozen=True, slots=True)
class BootRow:
    """One boot's place in the kernel log and its part of the account."""

    boot_id: str
    since: str
    cursor: int
    vmstat_base: int
    recorded: int
    unattributed: int
    lost: int


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _decode(text: str, kind: type[T]) -> T:
    return msgspec.json.decode(text, type=kind)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def hold_state(folder: Path) -> Iterator[None]:
    """Be the only agent on this state folder. Raises StateError when another one is."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{folder}: {error}") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(f"{folder}: another oomkeeper agent is using it") from error
        yield
    finally:
        os.close(fd)
