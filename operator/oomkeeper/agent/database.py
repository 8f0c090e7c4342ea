"""The state folder: one SQLite file, opened and migrated; set aside when it cannot be used; locked by one
agent."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oomkeeper.logformat import get_logger

from .schema import MIGRATIONS, SCHEMA, SCHEMA_VERSION, statements

log = get_logger(__name__)

DATABASE_NAME = "oomkeeper.db"
LOCK_NAME = "lock"
BUSY_SECONDS = 30.0
KEPT_QUARANTINED = 3
"""Databases set aside that are kept; older ones are removed."""


class StateError(Exception):
    """The state folder cannot be used; the message names the file and the reason."""


class StateUnwritableError(StateError):
    """The disk does not take a write: it is full, read-only or broken."""


class CorruptStateError(StateError):
    """The file is not a SQLite database, or is damaged."""


class NewerStateError(StateError):
    """The file was written by a newer release."""


def state_error(path: Path, error: sqlite3.Error | OSError) -> StateError:
    """Return the StateError that an error of SQLite or of the file system is."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    kind = StateError
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        kind = CorruptStateError
    elif primary in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    ):
        kind = StateUnwritableError
    return kind(f"{path}: {error}")


def open_database(folder: Path, *, create: bool = True) -> sqlite3.Connection:
    """Open the state database.

    With `create` it is made where missing and migrated where older: only the holder of the folder's lock may
    do that. Raises StateError or one of its kinds."""
    path = folder / DATABASE_NAME
    try:
        if create:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not path.exists():
            raise StateError(f"{folder}: no state database; `oomkeeper node --state-dir {folder}` creates it")
        connection = connect(path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            _migrate(connection, path=path, create=create)
        except BaseException:
            connection.close()
            raise
    except (OSError, sqlite3.Error) as error:
        raise state_error(path, error) from error
    return connection


def connect(path: Path | str, *, exclusive: bool = False) -> sqlite3.Connection:
    """Open a connection that several threads may use, one at a time. Raises sqlite3.Error.

    `exclusive`: without shared memory, for which a full disk has no room; no other process can read
    meanwhile."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if exclusive:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-256")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def create_schema(connection: sqlite3.Connection) -> None:
    """Make the newest schema in an empty database."""
    for statement in statements(SCHEMA):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _migrate(connection: sqlite3.Connection, *, path: Path, create: bool) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise NewerStateError(
            f"{path}: written by a newer release (schema {version}, this release has {SCHEMA_VERSION})"
        )
    if version == SCHEMA_VERSION:
        return
    if not create:
        raise StateError(
            f"{path}: written by an older release (schema {version}, this release has {SCHEMA_VERSION}); "
            "the agent migrates it when it starts"
        )
    with transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            create_schema(connection)
            return
        for step in range(version, SCHEMA_VERSION):
            for statement in statements(MIGRATIONS[step]):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    log.info("state database migrated", path=path, from_schema=version, to_schema=SCHEMA_VERSION)


def check_database(connection: sqlite3.Connection, *, path: Path) -> None:
    """Raise CorruptStateError where a structure of the file is damaged."""
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise state_error(path, error) from error
    if found != "ok":
        raise CorruptStateError(f"{path}: {found}")


def quarantine(folder: Path, *, label: str) -> Path:
    """Rename the database, so that a new one can be made; return its new path.

    Its journal goes with it. Raises OSError.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = folder / f"{DATABASE_NAME}.{label}-{stamp}"
    number = 1
    while target.exists():
        target = folder / f"{DATABASE_NAME}.{label}-{stamp}-{number}"
        number += 1
    (folder / DATABASE_NAME).rename(target)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            (folder / (DATABASE_NAME + suffix)).rename(f"{target}{suffix}")
    _remove_old(folder)
    return target


def _remove_old(folder: Path) -> None:
    kept = [path for path in folder.glob(f"{DATABASE_NAME}.*-*") if not path.name.endswith(("-wal", "-shm"))]
    for path in sorted(kept, key=lambda one: one.stat().st_mtime)[:-KEPT_QUARANTINED]:
        for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            name.unlink(missing_ok=True)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit all that is done within the block, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def hold_state(folder: Path) -> Iterator[None]:
    """Be the only agent on this state folder, before anything in it is changed.

    Raises StateError when another agent is.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = _open_lock(folder)
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


def _open_lock(folder: Path) -> int:
    """Open the lock file; the folder itself where a full disk has no room for a new file."""
    try:
        return os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
