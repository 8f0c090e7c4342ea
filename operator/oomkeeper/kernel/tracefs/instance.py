"""An instance of oomkeeper's own: a directory in `instances/` with a ring buffer and events of its own.

It takes nothing from other users of tracing, and goes on recording when its reader dies: the next reads on.
The reader holds a lock (flock(2)) on the directory, so on a kernel with several agents one of them has it.
"""

import contextlib
import errno
import fcntl
import os
import re
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path

from ..bounded_read import read_text
from .events import TraceEvent, decode
from .formats import EventFormat, TraceFormatError, parse_format
from .location import TracefsUnavailableError
from .pages import PageLayout, parse_layout, parse_page
from .spool import PageSpool, Spooled, SpoolError

CLOCK = "mono"
"""CLOCK_MONOTONIC. The default clock differs between CPUs by up to milliseconds."""
_BYTE_ORDER = sys.byteorder
_time_ns = attrgetter("time_ns")
_LOST = re.compile(r"^(?:overrun|commit overrun|dropped events): (\d+)$", re.MULTILINE)
_READ = re.compile(r"^read events: (\d+)$", re.MULTILINE)


class InstanceBusyError(TracefsUnavailableError):
    """Another agent of this kernel reads the instance."""


class TraceInstance:
    """One instance, configured and recording. Used from one thread."""

    def __init__(
        self,
        root: Path,
        name: str,
        *,
        events: Mapping[str, str | None],
        buffer_kib: int,
        joins_cpus: bool = False,
        spool: Path | None = None,
        boot_id: str = "",
    ) -> None:
        """`root` is tracefs. `events`: name -> filter. `buffer_kib` is for all CPUs together; the kernel
        gives each CPU two pages at least. `joins_cpus`: what is concluded from the events of several CPUs, so
        none may be missing between them. `spool`: the file for what was read, so that the next reader of this
        boot begins with it, or asks for it (`take_spooled`); where it cannot be used, `spool_problem` says
        why.

        Makes the instance where there is none. Raises InstanceBusyError and TracefsUnavailableError.
        """
        self.folder = root / "instances" / name
        self._fds: list[int] = []
        self._later: list[TraceEvent] = []
        """Events read, and not returned yet."""
        self._complete_since: int | None = None
        """Where events before one of those were overwritten: the time since which none is missing."""
        self.made = made = not self.folder.exists()
        """Whether the instance is new: nothing was recorded before."""
        self._inherited = joins_cpus and not made
        """Whether another reader may have read from it, and this one has not."""
        self._spool: PageSpool | None = None
        self._spooled: Spooled | None = None
        """Read by earlier readers, and not returned yet by this one."""
        self.has_spooled = False
        """Whether it begins with what earlier readers of this boot have read."""
        self.spool_problem: str | None = None
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._fds.append(os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            fcntl.flock(self._fds[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._configure(events, buffer_kib=buffer_kib)
            self._formats = {
                fmt.id: (event, fmt) for event in events if (fmt := _format(root, event)) is not None
            }
            self._layout = _layout(root)
            self._pipes = [self._open(pipe) for pipe in _per_cpu(self.folder, "trace_pipe_raw")]
            if spool is not None:
                self._open_spool(spool, boot_id=boot_id)
        except BlockingIOError as error:
            self.close()
            raise InstanceBusyError(f"{self.folder}: another agent of this kernel reads it") from error
        except (OSError, TraceFormatError) as error:
            self.close()
            if made:
                with contextlib.suppress(OSError):  # the first error is the one to report
                    self.folder.rmdir()
            raise TracefsUnavailableError(_why(error, self.folder)) from error

    def fileno_of_cpus(self) -> tuple[int, ...]:
        """Return the descriptors to poll: one per CPU, readable when it has a record."""
        return tuple(self._pipes)

    def read(self, *, until_ns: int | None = None) -> tuple[list[TraceEvent], int | None]:
        """Return what was recorded between the last call and `until_ns` (default: now), by time; and, where
        records were overwritten in the meantime, the time since which none is missing. Times are nanoseconds
        of CLOCK. Raises OSError and TraceFormatError."""
        # The CPUs are read one after the other. What happens meanwhile is left to the next call: of a process
        # that moves from a CPU read already to one still to be read, its last events would come first.
        until = time.monotonic_ns() if until_ns is None else until_ns
        found, complete_since = self._later, self._complete_since
        spooled, self._spooled = self._spooled, None
        if spooled is not None:
            complete_since = spooled.since_ns or None
            for page in spooled.pages:
                complete_since = self._take(page, found, complete_since)
        inherited, self._inherited = self._inherited, False
        for pipe in self._pipes:
            for number, page in enumerate(self._pages(pipe)):
                # A reader that was killed may have taken the events of one CPU, and not yet those of another.
                first = inherited and number == 0
                complete_since = self._take(page, found, complete_since, first=first)
        found.sort(key=_time_ns)
        at = bisect_left(found, until, key=_time_ns)
        self._later = found[at:]
        self._complete_since = complete_since if complete_since and complete_since > until else None
        return found[:at], complete_since

    def take_spooled(self) -> list[TraceEvent]:
        """Return what earlier readers of this boot had read, by time; `read` is then without it. Raises
        TraceFormatError."""
        spooled, self._spooled = self._spooled, None
        found: list[TraceEvent] = []
        for page in spooled.pages if spooled is not None else ():
            self._take(page, found, None)
        found.sort(key=_time_ns)
        return found

    @property
    def skew_ns(self) -> int:
        """How much the trace's clock is ahead of the log's, as far as the file for the next reader has it."""
        return self._spool.skew_ns if self._spool is not None else 0

    def keep_skew(self, skew_ns: int) -> None:
        """Keep that for the next reader, where there is a file."""
        if self._spool is not None:
            self._spool.keep_skew(skew_ns)

    def lost(self) -> int:
        """Return the number of records that were overwritten or dropped since the instance was made."""
        return self._count(_LOST)

    def close(self) -> None:
        """Stop reading. The instance goes on recording."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        for fd in self._fds:
            os.close(fd)
        self._fds = []
        self._pipes = []

    def remove(self) -> None:
        """Stop reading, and remove the instance from the kernel. Raises OSError."""
        lock = os.dup(self._fds[0])
        self._drop_spool()
        self.close()  # an instance with an open file cannot be removed
        try:
            self.folder.rmdir()
        finally:
            os.close(lock)

    def _configure(self, events: Mapping[str, str | None], *, buffer_kib: int) -> None:
        clock = read_text(self.folder / "trace_clock")
        if f"[{CLOCK}]" not in clock:
            (self.folder / "trace_clock").write_text(CLOCK)  # empties the buffer
        each = max(8, buffer_kib // (os.cpu_count() or 1))
        size = self.folder / "buffer_size_kb"
        now = read_text(size).split()[0]  # rounded up to whole pages by the kernel
        if not now.isdigit() or not each <= int(now) <= 2 * each:
            size.write_text(str(each))
        percent = self.folder / "buffer_percent"
        if percent.exists():  # since 5.0; before, poll() reports any record
            percent.write_text("0")
        for event, condition in events.items():
            where = self.folder / "events" / event
            if condition is not None:
                (where / "filter").write_text(condition)
            (where / "enable").write_text("1")
        (self.folder / "tracing_on").write_text("1")

    def _open(self, pipe: Path) -> int:
        self._fds.append(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        return self._fds[-1]

    def _open_spool(self, path: Path, *, boot_id: str) -> None:
        try:
            self._spool = PageSpool(
                path,
                boot_id=boot_id,
                layout=self._layout,
                records_read=lambda: self._count(_READ),
                made=self.made,
            )
        except OSError as error:
            self.spool_problem = f"{path}: {error.strerror}"
            return
        self._spooled, self._spool.inherited = self._spool.inherited, None  # some 300 KiB, needed once
        self.has_spooled = self._spooled is not None
        if self.has_spooled:
            self._inherited = False

    def _drop_spool(self) -> None:
        spool, self._spool = self._spool, None
        if spool is not None:
            with contextlib.suppress(OSError):  # one that stays lacks pages, and the next reader notices
                spool.discard()

    def _pages(self, pipe: int) -> Iterator[bytes]:
        while True:
            try:
                page = self._page(pipe)
            except BlockingIOError:
                return
            if not page:
                return
            yield page

    def _page(self, pipe: int) -> bytes:
        if self._spool is not None:
            try:
                return self._spool.read(pipe)
            except SpoolError as error:
                self.spool_problem = str(error)
                self._drop_spool()
        return os.read(pipe, self._layout.page_bytes)

    def _take(
        self, page: bytes, found: list[TraceEvent], complete_since: int | None, *, first: bool = False
    ) -> int | None:
        """Add a page's events to `found`, and return since when none is missing. `first`: what came before
        it is not known."""
        parsed = parse_page(page, self._layout)
        for time_ns, record in parsed.records:
            known = self._formats.get(int.from_bytes(record[:2], _BYTE_ORDER))
            if known is not None:
                found.append(decode(known[0], known[1], time_ns, record))
        if parsed.records and (parsed.lost or first):
            return max(complete_since or 0, parsed.records[0][0])
        return complete_since

    def _count(self, which: re.Pattern[str]) -> int:
        total = 0
        for file in _per_cpu(self.folder, "stats"):
            with contextlib.suppress(OSError):
                total += sum(map(int, which.findall(read_text(file))))
        return total


def remove_instance(root: Path, name: str) -> bool:
    """Remove an instance that no agent reads; return whether there was one. Raises InstanceBusyError and
    TracefsUnavailableError."""
    folder = root / "instances" / name
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TracefsUnavailableError(_why(error, folder)) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.rmdir()
    except BlockingIOError as error:
        raise InstanceBusyError(f"{folder}: another agent of this kernel reads it") from error
    except OSError as error:
        raise TracefsUnavailableError(_why(error, folder)) from error
    finally:
        os.close(fd)
    return True


def _format(root: Path, event: str) -> EventFormat | None:
    return parse_format(read_text(root / "events" / event / "format"))


def _layout(root: Path) -> PageLayout:
    return parse_layout(read_text(root / "events" / "header_page"))


def _per_cpu(folder: Path, name: str) -> list[Path]:
    return sorted((folder / "per_cpu").glob(f"cpu*/{name}"))


def _why(error: OSError | TraceFormatError, folder: Path) -> str:
    if isinstance(error, TraceFormatError):
        return f"{folder}: {error}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return (
            f"{error.filename or folder}: {error.strerror}: tracing needs root, in a container `privileged`, "
            "and a kernel that is not locked down (lockdown=confidentiality)"
        )
    if error.errno == errno.ENOENT:
        return f"{error.filename or folder}: this kernel does not have it"
    return f"{error.filename or folder}: {error.strerror}"
