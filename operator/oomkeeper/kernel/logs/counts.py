"""What a reader of a log has seen so far."""

from types import SimpleNamespace


class LogCounts(SimpleNamespace):
    """Counted while reading; final once the reader is exhausted.

    `lines` are physical lines, `kernel` and `foreign` are records, so a kernel record of five lines adds 5
    and 1.
    """

    lines: int
    """Lines of the input, blank ones and the rest of wrapped ones included."""
    kernel: int
    """Records taken for the kernel's own."""
    foreign: int
    """Records of other writers: daemons, containers, text between the reports. Never evidence."""
    skipped: int
    """Lines in which `read_relevant_records` found no trace of an OOM, and which it did not assign to a
    writer."""
    truncated: int
    """Lines longer than the bound, of which only the beginning was kept."""

    def __init__(self) -> None:
        super().__init__(lines=0, kernel=0, foreign=0, skipped=0, truncated=0)
