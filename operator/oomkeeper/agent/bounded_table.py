"""Tables that remember the newest entries only."""

from typing import Any


def drop_oldest(table: dict[Any, Any], *, most: int) -> None:
    """Drop the entries that were put in first, until no more than `most` are left."""
    while len(table) > most:
        del table[next(iter(table))]
