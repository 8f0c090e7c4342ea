"""Join pr_cont() pieces, which /dev/kmsg gives as records of their own, to their lines as they arrive.

The kernel appends a piece to its record while that is the newest; where another CPU has printed in between,
or the record is full, the piece gets a record with the flag `c` (printk.c vprintk_store(), LOG_CONT; 5.10 on)
or `+` (3.5 to 4.9). The `oom-kill:` line is made of such pieces to this day (dump_oom_summary()). A line that
is known to lack its end is held back: for a few records, or until the log has nothing more. A piece that
arrives later stays a record of its own. A `Killed process` line is printed whole and never held back.
"""

from collections.abc import Iterator

from oomkeeper.model.log import LogRecord

from .line_kinds import find_line

_HELD_RECORDS = 5
"""At most so many records are between a line and its piece; the reader of files looks back as far."""


class FragmentJoiner:
    """Takes records and returns them in the same order, pieces joined. Only the kernel's own records of one
    caller are joined."""

    def __init__(self) -> None:
        self._held: list[LogRecord] = []
        """Empty, or a line that lacks its end and the records after it."""

    def feed(self, record: LogRecord, *, fragment: bool) -> Iterator[LogRecord]:
        """Yield the records that are known to be complete now."""
        if fragment and record.kernel:
            for at in range(len(self._held) - 1, -1, -1):
                before = self._held[at]
                if before.kernel and before.caller == record.caller and _lacks_end(before):
                    self._held[at] = before._replace(text=before.text + record.text)
                    break
            else:
                self._held.append(record)
        else:
            self._held.append(record)
        yield from self._whole()

    def drain(self) -> Iterator[LogRecord]:
        """Yield the records held back, because the log has nothing more. What the caller does not consume
        stays held."""
        while self._held:
            yield self._held.pop(0)

    def _whole(self) -> Iterator[LogRecord]:
        while self._held and (len(self._held) > _HELD_RECORDS or not _lacks_end(self._held[0])):
            yield self._held.pop(0)


def _lacks_end(record: LogRecord) -> bool:
    if not record.kernel or b"Killed process " in record.text:
        return False
    line = find_line(record.text)
    return line is not None and line.complete is not None and not line.is_whole(record.text)
