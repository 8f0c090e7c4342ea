"""The connection to the state database, and its move to memory and back while the disk does not take a
write."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self

from oomkeeper.logformat import get_logger

from .database import (
    DATABASE_NAME,
    StateError,
    StateUnwritableError,
    check_database,
    connect,
    open_database,
    state_error,
    transaction,
)
from .memory_state import copy_to_disk, copy_to_memory, make_room, new_memory_state

log = get_logger(__name__)


class StateConnection:
    """A connection that one thread writes through, and others use one statement at a time."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.path = folder / DATABASE_NAME
        self._db = connection
        self._lock = threading.RLock()
        self._disk: sqlite3.Connection | None = None
        """The file's connection while the state is in memory, if it was open."""
        self._complete = True
        """Whether the memory holds what the file has."""
        self.problem: str | None = None
        """Why the state is in memory; None while it is on disk."""
        self.changes = 0
        """A number that differs after the loop's thread changed what is published: an incident, a
        ContainerKill, the account or a published note. The place in the kernel log, kills, pods and originals
        are not."""
        self.dropped = 0
        """Rows dropped from the bounded memory, since the start."""

    @classmethod
    def open(cls, folder: Path, *, create: bool = True) -> Self:
        """Open the state in `folder`. With `create` (for the holder of the folder's lock) make or migrate it.

        Raises StateError or one of its kinds.
        """
        return cls(folder, open_database(folder, create=create))

    @classmethod
    def in_memory(cls, folder: Path, *, problem: str) -> Self:
        """Return a store in memory for a file that cannot be opened, with what can be read of the file."""
        store = cls(folder, new_memory_state())
        store.problem = problem
        if store.path.exists() and store.path.stat().st_size > 0:
            store._complete = False
            with suppress(sqlite3.Error), closing(connect(store.path, exclusive=True)) as disk:
                copy_to_memory(disk, store._db)
                store._complete = True
        log.error("state kept in memory", error=problem, with_earlier_state=store._complete)
        return store

    def close(self) -> None:
        for connection in (self._db, self._disk):
            if connection is not None:
                connection.close()

    def check(self) -> None:
        """Raise CorruptStateError where the file is damaged."""
        check_database(self._db, path=self.path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that is done within the block, or nothing. Raises StateUnwritableError."""
        with self._lock:
            try:
                with transaction(self._db):
                    yield
            except sqlite3.Error as error:
                raise state_error(self.path, error) from error

    def _change(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Execute a statement on what is published; return the number of rows that it changed."""
        count = self._execute(sql, parameters).rowcount
        self.changes += count
        return count

    def _execute(self, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, parameters)
        except sqlite3.Error as error:
            raise state_error(self.path, error) from error

    def insert_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
        """Insert rows of another database into a table, as far as it has the columns; return how many."""
        mine = {row[1] for row in self._execute(f"PRAGMA table_info({table})")}
        kept = [number for number, column in enumerate(columns) if column in mine]
        names = ", ".join(columns[number] for number in kept)
        marks = ", ".join("?" * len(kept))
        count = 0
        with self.transaction():
            for row in rows:
                values = [row[number] for number in kept]
                self._execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", values)
                count += 1
        return count

    # -- the disk

    def go_to_memory(self, error: StateUnwritableError) -> None:
        """Continue in memory with what the file has; where the memory itself is full, make room in it.

        Whatever was not committed is read again from the kernel log, so the caller has to start from the
        store."""
        with self._lock:
            if self.problem is None:
                self.problem = str(error)
                self._disk, self._db = self._db, new_memory_state()
                try:
                    copy_to_memory(self._disk, self._db)
                except sqlite3.Error as unreadable:
                    self._complete = False
                    self.problem = f"{error}; {unreadable}"
                log.error("state kept in memory", error=error, with_earlier_state=self._complete)
                return
            dropped = make_room(self._db)
            if not dropped:
                raise error
            self.dropped += dropped
            log.warning("records dropped from memory", count=dropped)

    def return_to_disk(self) -> bool:
        """Bring the file up to date, where the disk takes writes again. Returns whether the memory was not
        needed: False where the caller has to start anew from the file, which the memory did not know."""
        with self._lock:
            try:
                disk = self._disk or open_database(self.folder)
                if self._complete:
                    copy_to_disk(self._db, disk)
                else:
                    disk.execute("INSERT OR REPLACE INTO note VALUES ('probe', 'null')")
            except (StateError, sqlite3.Error) as error:
                self.problem = str(error)
                return True
            complete = self._complete
            self._db.close()
            self._db, self._disk, self._complete, self.problem = disk, None, True, None
            log.info("state kept on disk again", dropped=self.dropped)
            return complete
