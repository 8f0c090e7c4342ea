"""One record of the kernel's log, whatever text or device it was read from."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple


class LogRecord(NamedTuple):
    """One kernel log record with its framing taken off.

    `text` is bytes: the kernel prints whatever a process put into its comm.
    """

    text: bytes
    """The message without level, timestamp, host, tag or caller prefix, and without the trailing newline. A
    record of several lines (the memcg statistics of kernels before 6.5, Mem-Info) holds them joined by
    b"\\n"."""
    usec: int | None = None
    """Microseconds since boot, as the kernel stamped it (`[12345.678901]`); None where the text has none."""
    wall: str | None = None
    """The wall-clock time that the source gave, RFC 3339 where it could be made so; None where it gave
    none."""
    seq: int | None = None
    """Sequence number from /dev/kmsg (Documentation/ABI/testing/dev-kmsg)."""
    caller: bytes | None = None
    """`T1234` or `C0`, from kernels with CONFIG_PRINTK_CALLER."""
    level: int | None = None
    """Log level 0 to 7 where the source gave it."""
    kernel: bool = True
    """False for text that a process wrote (/dev/kmsg facility other than 0): never evidence."""


class LogRun:
    """Consecutive records of one writer, of which only the texts are there yet.

    Nine in ten lines of a report do nothing but fill its sections: to make a record of each costs more than
    all that is done with its text.
    """

    __slots__ = ("_record", "caller", "kernel", "longest", "texts")

    def __init__(
        self,
        texts: list[bytes],
        *,
        caller: bytes | None = None,
        kernel: bool = True,
        record: Callable[[int], LogRecord] | None = None,
    ) -> None:
        self.texts = texts
        """Never empty."""
        self.caller = caller
        """The one that all records have."""
        self.kernel = kernel
        """The same: either all are the kernel's or none is."""
        self.longest = max(map(len, texts))
        """Bytes of the longest text, or more."""
        self._record = record

    def __len__(self) -> int:
        return len(self.texts)

    def record(self, at: int) -> LogRecord:
        """The record of the text at `at`."""
        if self._record is None:
            return LogRecord(self.texts[at], caller=self.caller, kernel=self.kernel)
        return self._record(at)

    def records(self) -> Iterator[LogRecord]:
        """All of them."""
        return map(self.record, range(len(self.texts)))


Logged = LogRecord | LogRun
"""What a log comes in as: records, many at once where they are plain."""


def singly(logged: Iterable[Logged]) -> Iterator[LogRecord]:
    """Every record by itself."""
    for item in logged:
        if isinstance(item, LogRun):
            yield from item.records()
        else:
            yield item
