"""How much of a log was read, and how it was classified."""

from types import SimpleNamespace


class LogCounts(SimpleNamespace):
    """Counters that a reader updates; final when the reader is exhausted.

    `lines` counts physical lines, `kernel` and `foreign` count records: a kernel record of five lines adds 5
    to `lines` and 1 to `kernel`.
    """

    lines: int
    """Lines of the input, including blank lines and the rests of broken lines."""
    kernel: int
    """Records classified as the kernel's own."""
    foreign: int
    """Records of other writers: daemons, containers, text between the reports. Never evidence."""
    skipped: int
    """Lines that `read_relevant_records` left out because no OOM report is near. They count as neither
    `kernel` nor `foreign`."""
    truncated: int
    """Lines longer than the bound, of which only the beginning was kept."""

    def __init__(self) -> None:
        super().__init__(lines=0, kernel=0, foreign=0, skipped=0, truncated=0)
