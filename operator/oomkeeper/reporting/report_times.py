"""Times as reports print them."""

from oomkeeper.model.escaping import printable


def minute_text(time: str) -> str:
    """Format `2026-11-21T02:00:10Z` as `2026-11-21 02:00`."""
    return printable(time[:16].replace("T", " "))
