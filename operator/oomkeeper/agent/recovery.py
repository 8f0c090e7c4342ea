"""Open the state when the agent starts, whatever state the file is in.

A damaged file, and one of a newer release, is renamed and a new one is made: the agent then adopts its
incidents from the cluster. A file that the disk does not let it open or write is used in memory."""

import sqlite3
from pathlib import Path

from oomkeeper.logformat import get_logger

from .database import (
    CorruptStateError,
    NewerStateError,
    StateError,
    StateUnwritableError,
    connect,
    quarantine,
)
from .store import Store

log = get_logger(__name__)

_ORIGINALS = ("sysctl", "adjustment", "kill_total")
"""Tables whose rows are taken over from a file that is set aside: without the first two, the values that
oomkeeper has written would count as the node's own; without the last one, the counters of kills would start
again."""


def open_state(folder: Path) -> Store:
    """Return the state, to be used by the holder of the folder's lock. Raises StateError where the folder
    cannot be used at all."""
    try:
        return _open_checked(folder)
    except (CorruptStateError, NewerStateError) as error:
        return _start_anew(folder, error)
    except StateUnwritableError as error:
        return Store.in_memory(folder, problem=str(error))


def _open_checked(folder: Path) -> Store:
    store = Store.open(folder)
    try:
        store.check()
        store.probe("start")
    except StateError:
        store.close()
        raise
    return store


def _start_anew(folder: Path, error: StateError) -> Store:
    label = "newer" if isinstance(error, NewerStateError) else "corrupt"
    try:
        moved = quarantine(folder, label=label)
        store = Store.open(folder)
    except OSError as failure:
        return Store.in_memory(folder, problem=f"{error}; it cannot be renamed: {failure}")
    except StateUnwritableError as failure:
        return Store.in_memory(folder, problem=str(failure))
    taken = _take_originals(moved, store)
    log.error("state database set aside", path=moved, error=error, originals=taken)
    return store


def _take_originals(source: Path, store: Store) -> int:
    """Copy what is readable of the originals; return how many rows."""
    taken = 0
    try:
        old = connect(source)
        for table in _ORIGINALS:
            columns = [row[1] for row in old.execute(f"PRAGMA table_info({table})")]
            taken += store.insert_rows(table, columns, old.execute(f"SELECT * FROM {table}"))
        old.close()
    except (sqlite3.Error, StateError) as error:
        log.warning("originals not read", path=source, error=error)
    return taken
