"""The state database in memory, for as long as the disk does not take a write: copied from the file, and
back.

It is bounded: when it is full, the oldest kill records and published incidents are dropped and counted. What
the agent decides (which log records are counted, originals of sysctls) is in it as well, so nothing is
counted twice."""

import sqlite3

from .database import connect, create_schema, transaction

MAX_BYTES = 8 << 20
PAGE_BYTES = 4096
COPIED_KILLS = 300
COPIED_INCIDENTS = 1000

_WHOLE = (
    "boot", "kill_line", "counter", "unidentified_kill", "pod", "note", "sysctl", "adjustment", "reported",
    "container_end", "container_signals", "kill_total",
)  # fmt: skip
"""Tables of which memory has every row."""
_NEWEST = {"incident": ("rowid", COPIED_INCIDENTS), "kill": ("number", COPIED_KILLS)}
"""Tables of which memory has the newest rows: the order, and how many."""


def new_memory_state() -> sqlite3.Connection:
    """Return an empty state database in memory."""
    connection = connect(":memory:")
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute(f"PRAGMA max_page_count={MAX_BYTES // PAGE_BYTES}")
    create_schema(connection)
    return connection


def copy_to_memory(disk: sqlite3.Connection, memory: sqlite3.Connection) -> None:
    """Fill an empty memory database from the file. Raises sqlite3.Error where the file cannot be read."""
    with transaction(memory):
        for table in _WHOLE:
            _copy(disk, memory, table)
        for table, (order, limit) in _NEWEST.items():
            _copy(disk, memory, table, suffix=f"ORDER BY {order} DESC LIMIT {limit}")


def copy_to_disk(memory: sqlite3.Connection, disk: sqlite3.Connection) -> None:
    """Bring the file up to date, or leave it as it is. Raises sqlite3.Error where it cannot be written."""
    with transaction(disk):
        for table in _WHOLE:
            disk.execute(f"DELETE FROM {table}")
        for table in (*_WHOLE, *_NEWEST):
            _copy(memory, disk, table)


def make_room(memory: sqlite3.Connection) -> int:
    """Drop the older half of the kill records, or of the published incidents where there is none.

    Returns how many rows were dropped.
    """
    dropped = memory.execute(
        "DELETE FROM kill WHERE number <= (SELECT (min(number) + max(number)) / 2 FROM kill)"
    ).rowcount
    if dropped:
        return dropped
    return memory.execute(
        "DELETE FROM incident WHERE published >= version AND rowid <= "
        "(SELECT (min(rowid) + max(rowid)) / 2 FROM incident)"
    ).rowcount


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str, *, suffix: str = "") -> None:
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    rows = source.execute(f"SELECT {names} FROM {table} {suffix}")
    target.executemany(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", rows)
