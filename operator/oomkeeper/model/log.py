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


def count_newlines(data: bytes | bytearray) -> int:
    """How many newlines `data` has. Taking them out uses memchr(3) and is three times as fast as count() of a
    single byte."""
    return len(data) - len(data.replace(b"\n", b""))


RUN_TEXT_MAX_BYTES = 4000
"""printk() cuts a record at about 1 KiB."""


class LogRun:
    """Consecutive records of one writer and of one line each, of which only the text is there yet.

    Nine in ten lines of a report do nothing but fill its sections: to make a record, or even a bytes object,
    of each costs more than all that is done with what it says.
    """

    __slots__ = ("_wall_and_level", "caller", "kernel", "lines", "uptime", "width")

    def __init__(
        self,
        lines: bytes,
        *,
        width: int = 0,
        caller: bytes | None = None,
        kernel: bool = True,
        uptime: slice | None = None,
        wall_and_level: Callable[[bytes], tuple[str | None, int | None]] | None = None,
    ) -> None:
        self.lines = lines
        """What was read, with a newline before every line and none at the end: one line at least, and no text
        longer than `RUN_TEXT_MAX_BYTES`."""
        self.width = width
        """Bytes of framing before the text of each line."""
        self.caller = caller
        """The one that all records have."""
        self.kernel = kernel
        """The same: either all are the kernel's or none is."""
        self.uptime = uptime
        """Where in each line the seconds since boot stand, with six decimals; None where there are none."""
        self._wall_and_level = wall_and_level

    def __len__(self) -> int:
        return count_newlines(self.lines)

    def record(self, line: bytes) -> LogRecord:
        """The record of one of the lines."""
        wall, level = self._wall_and_level(line) if self._wall_and_level is not None else (None, None)
        return LogRecord(line[self.width :], self.usec(line), wall, None, self.caller, level, self.kernel)

    def usec(self, line: bytes) -> int | None:
        """The record's, of one of the lines."""
        return None if self.uptime is None else int(line[self.uptime].replace(b".", b""))

    def records(self) -> Iterator[LogRecord]:
        """All of them."""
        return map(self.record, self.lines.split(b"\n")[1:])

    def texts(self, *, most: int = -1) -> list[bytes]:
        """Those of all records, or of so many."""
        width = self.width
        lines = self.lines.split(b"\n")[1:] if most < 0 else self.lines.split(b"\n", most + 1)[1 : most + 1]
        return [line[width:] for line in lines]

    def joined(self) -> bytes:
        """The texts with newlines between."""
        return b"\n".join(self.texts()) if self.width else self.lines[1:]

    def holds(self, words: bytes) -> bool:
        """Whether one of the texts does; `words` has no newline."""
        at = self.lines.find(words)
        while at >= 0 and at - self.lines.rfind(b"\n", 0, at) <= self.width:
            at = self.lines.find(words, at + 1)
        return at >= 0

    def part(self, begin: int, end: int | None = None) -> "LogRun":
        """The records of the lines between two places in `lines`; at the first stands a newline, and at the
        second one or the end."""
        return LogRun(
            self.lines[begin:end],
            width=self.width,
            caller=self.caller,
            kernel=self.kernel,
            uptime=self.uptime,
            wall_and_level=self._wall_and_level,
        )

    def without_last(self, number: int) -> "tuple[LogRun | None, list[LogRecord]]":
        """The run without so many of its last records, or None where nothing is left; and these."""
        end = len(self.lines)
        for _ in range(number):
            end = max(0, self.lines.rfind(b"\n", 0, end))
        return self.part(0, end) if end else None, [*self.part(end).records()]


Logged = LogRecord | LogRun
"""What a log comes in as: records, many at once where they are plain."""


def singly(logged: Iterable[Logged]) -> Iterator[LogRecord]:
    """Every record by itself."""
    for item in logged:
        if isinstance(item, LogRun):
            yield from item.records()
        else:
            yield item
