"""What a reader of a log has seen so far."""

from dataclasses import dataclass


@dataclass(slots=True)
class LogCounts:
    """Counted while reading; final once the reader is exhausted.

    `lines` are physical lines, `kernel` and `foreign` are records, so a kernel record of five lines adds 5
    and 1.
    """

    lines: int = 0
    """Lines of the input, blank ones and the rest of wrapped ones included."""
    kernel: int = 0
    """Records taken for the kernel's own."""
    foreign: int = 0
    """Records of other writers: daemons, containers, text between the reports. Never evidence."""
    skipped: int = 0
    """Lines in which `read_relevant_records` found no trace of an OOM, and which it did not assign to a
    writer."""
    truncated: int = 0
    """Lines longer than the bound, of which only the beginning was kept."""
