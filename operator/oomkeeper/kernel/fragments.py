"""Puts pr_cont() pieces that /dev/kmsg gives as records of their own to their lines, as they come.

The kernel appends a piece to its record while that is the newest; where another CPU has printed in between,
or the record is full, the piece gets a record with the flag `c` (printk.c vprintk_store(), LOG_CONT; 5.10 on)
or `+` (3.5 to 4.9). The `oom-kill:` line is made of such pieces to this day (dump_oom_summary()). A line that
is known to lack its end is held back for it: for a few records, or until the log holds nothing more. A piece
that comes after that is given as the record that it is. A `Killed process` line is printed whole and never
waits.
"""

from collections.abc import Iterator

from oomkeeper.model.log import LogRecord

from .logs.grammar import find_line

_HELD_RECORDS = 5
"""So many may come between a line and its piece; readers of files look as far back."""


class FragmentJoiner:
    """Takes records in order and gives them in order, pieces joined. Only the kernel's own of one caller are
    put together."""

    def __init__(self) -> None:
        self._held: list[LogRecord] = []
        """Empty, or a line that lacks its end and what came after it."""

    def feed(self, record: LogRecord, *, fragment: bool) -> Iterator[LogRecord]:
        """The records that are known to be whole now."""
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
        """What is held, where nothing more is there to wait for. What is not taken stays held."""
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
