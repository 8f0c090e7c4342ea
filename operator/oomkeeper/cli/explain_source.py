"""The inputs of `explain`: a file, standard input, or this host's kernel log."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

from oomkeeper.kernel.logs.counts import LogCounts
from oomkeeper.kernel.logs.line_blocks import ByteStream
from oomkeeper.kernel.logs.oom_search.relevant import read_relevant_records
from oomkeeper.kernel.logs.open_log import LogUnreadableError, open_log
from oomkeeper.kernel.logs.signs import Sign
from oomkeeper.kernel.logs.tolerant.reading import TolerantReading
from oomkeeper.model.kill import Kill
from oomkeeper.model.log import LogRecord
from oomkeeper.model.times import format_time

from .errors import BadInput, complain
from .explain_input import BinaryFileError, Progress, TextInput

PROG = "oomkeeper explain"


class LogSource(Protocol):
    """Records of one log, and its counts once they are read."""

    what: str
    """Name of the log in a sentence."""
    counts: LogCounts
    error: str | None
    """Why reading ended before the end of the log; None if it did not."""

    def records(self) -> Iterator[LogRecord]: ...

    excerpt: bool
    """The text may be cut anywhere: reports without header and kill line count."""

    def signs(self) -> list[Sign]:
        """Return the other signs of memory trouble, once the log is read."""
        ...

    def dated(self, kill: Kill) -> Kill:
        """Return the kill with wall-clock time, if the source knows it."""
        ...

    def found(self) -> None:
        """Note that an event was found and is about to be printed."""
        ...


def open_source(name: str | None) -> LogSource:
    """Open the log called `name`, standard input for `-`, this host's log for None. Raises BadInput."""
    return open_sources([] if name is None else [name])


def open_sources(names: list[str]) -> LogSource:
    """Open several: the parts of a pstore dump, or the directory that has them. Raises BadInput."""
    if not names:
        return HostLog()
    if len(names) == 1 and not os.path.isdir(names[0]):  # noqa: PTH112 - see _plain_size
        return TextLog(names[0])
    from .explain_pstore import PartsLog, PstoreLog

    return PstoreLog(names[0]) if len(names) == 1 else PartsLog(names)


class TextLog:
    """A file or standard input, compressed or not, which a person hands in: it is read tolerantly."""

    excerpt = True

    def __init__(self, name: str) -> None:
        self.what = "standard input" if name == "-" else name
        self.counts = LogCounts()
        self.error: str | None = None
        self._tolerant = TolerantReading()
        try:
            stream = open_log(name)
            if name == "-" and sys.stdin.isatty():
                complain(PROG, "reading a log from the terminal; end it with Ctrl-D")
            self._progress = Progress(sys.stderr, _plain_size(name))
            self._input = TextInput(self.what, stream, progress=self._progress)
        except (LogUnreadableError, BinaryFileError) as error:
            raise BadInput(str(error)) from error

    def records(self) -> Iterator[LogRecord]:
        try:
            yield from read_relevant_records(self._stream(), counts=self.counts, tolerant=self._tolerant)
        except LogUnreadableError as error:
            # What was read so far is explained: a rotated .gz is often incomplete.
            self.error = str(error)
        finally:
            self._progress.clear()

    def _stream(self) -> ByteStream:
        first = self._input.head.partition(b"\n")[0]
        if not (b" Part" in first or first.startswith(b"dmesg-")):
            return self._input
        from .explain_pstore import in_log_order

        return in_log_order(self._input)

    def signs(self) -> list[Sign]:
        return self._tolerant.signs.found(kills=self._progress.kills)

    def dated(self, kill: Kill) -> Kill:
        return kill

    def found(self) -> None:
        self._progress.kills += 1
        self._progress.clear()


def _plain_size(name: str) -> int | None:
    if name == "-" or name.endswith((".gz", ".xz", ".bz2", ".zst")):
        return None
    return os.path.getsize(name) or None  # noqa: PTH202 - pathlib takes as long to import as a report to explain


def _stdin_waits() -> bool:
    """Return whether a log is piped or redirected although `-` is missing, without waiting or reading."""
    import fcntl
    import stat
    import struct
    import termios

    try:
        status = os.fstat(0)
        if stat.S_ISFIFO(status.st_mode):
            (waiting,) = struct.unpack("i", fcntl.ioctl(0, termios.FIONREAD, bytes(4)))
            return bool(waiting)
    except OSError:  # started without a standard input
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


class HostLog:
    """This host's kernel log from its oldest record on: /dev/kmsg, else what `dmesg` prints. Read
    strictly."""

    excerpt = False

    def __init__(self) -> None:
        self.what = "this host's kernel log"
        if _stdin_waits():
            complain(PROG, "explaining this host's kernel log; use - to explain standard input")
        self.counts = LogCounts()
        self.error: str | None = None
        # printk uses the scheduler's clock, which starts at boot and stops in suspend like CLOCK_MONOTONIC
        # (kernel/time/sched_clock.c); dmesg -T computes the same.
        self._booted_at = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)

    def records(self) -> Iterator[LogRecord]:
        from oomkeeper.kernel.kmsg import KmsgReader, KmsgUnreadableError

        try:
            reader = KmsgReader(after_seq=-1)
        except KmsgUnreadableError as error:
            yield from self._dmesg(str(error))
            return
        with closing(reader):
            for record in reader.read_available():
                self.counts.lines += 1
                if record.kernel:
                    self.counts.kernel += 1
                else:
                    self.counts.foreign += 1
                yield record
        if reader.lost:
            complain(PROG, f"{reader.lost} records were overwritten while the log was read")

    def _dmesg(self, why: str) -> Iterator[LogRecord]:
        import io
        import subprocess

        try:
            # Raw, because the other formats do not show which facility wrote a line.
            done = subprocess.run(["dmesg", "--raw"], capture_output=True, check=False)
        except OSError as error:
            raise BadInput(
                f"cannot read this host's kernel log: {why}; no dmesg: {error.strerror}"
            ) from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip() or f"exit {done.returncode}"
            raise BadInput(
                f"cannot read this host's kernel log: {why}; {said}; name a log file, or - for standard input"
            )
        yield from read_relevant_records(io.BytesIO(done.stdout), counts=self.counts)

    def signs(self) -> list[Sign]:
        return []

    def dated(self, kill: Kill) -> Kill:
        if kill.usec is None or kill.wall is not None:
            return kill
        return kill._replace(wall=format_time(self._booted_at + kill.usec / 1_000_000))

    def found(self) -> None:
        return
