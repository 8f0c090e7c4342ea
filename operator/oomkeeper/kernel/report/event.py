"""The records of one event while they arrive.

A report is a sequence of sections, each opened by a line that `kinds` knows: the header and its call trace,
the counters, the statistics, Mem-Info, the slab table, the task table, the summary. They are parsed only when
the event is complete or asked for."""

from typing import NamedTuple

from ...model.log import LogRecord
from .kinds import Kind
from .tasks import rows_of

MAX_EVENT_BYTES = 24 << 20
"""More than a table of 200,000 tasks needs; the rest of a longer event is left out, and `truncated` is
set."""
CHECK_EVERY = 4096
_COPIED_SECTIONS = 16
"""The first sections of a report, which a copy of its lines repeats."""
_RECORD_BYTES = 60
"""Cost of a bytes object and its place in a list, besides the text."""

_USAGE, _STATISTICS = b"memory: usage ", b"Memory cgroup stats for "


class Section(NamedTuple):
    """A line that opens a part of a report, and the lines after it."""

    kind: Kind
    opener: bytes
    body: list[bytes]
    """Texts of records, which may contain newlines."""


_DECIDING = frozenset((Kind.KILLED, Kind.EXITING, Kind.NO_KILLABLE, Kind.PANIC))
_PROVING_NOTHING = frozenset((Kind.CONTEXT, Kind.REAPED))


class Draft:
    """Mutable; only `assemble` writes it and only `build` reads it."""

    def __init__(self, record: LogRecord) -> None:
        """Begin an event, with the time and sequence number of its first record."""
        self.caller = record.caller
        self.usec = record.usec
        self.wall = record.wall
        self.first_seq = record.seq
        self.last_seq = record.seq
        self.last_usec: int | None = None
        self.sections: list[Section] = []
        self.body: list[bytes] = []
        """The body of the last section."""
        self.kinds: set[Kind] = set()
        """Of the lines so far."""
        self.killed: list[bytes] = []
        self.kill_seqs: list[int] = []
        self.after: list[tuple[Kind, bytes]] = []
        """Lines after the decision: group, reaped, already exiting, panic."""
        self.size_bytes = 0
        self.truncated = False
        self.head_cut = False
        """The text began inside this event."""
        self.lost_before = 0
        self.table_pids: frozenset[bytes] | None = None
        """Cache of `pids()`."""
        self.sysrq = False
        """`sysrq: Manual OOM execution` came right before."""
        self.memcg_trace = False
        """A call trace of a memory cgroup's shortage came right before, without a header."""
        self.idle = 0
        """Records since the last one that belonged here."""

    def open_section(self, kind: Kind, text: bytes, usec: int | None, seq: int | None) -> None:
        """Begin the part of the report that this line opens."""
        self.body = []
        self.sections.append(Section(kind, text, self.body))
        self._count(kind, text, usec, seq)

    def is_copy(self, record: LogRecord) -> bool:
        """Return True for a line of the report that a person copied twice, as from a scrolling terminal: its
        text is known and its stamp not newer."""
        if record.usec is None or self.last_usec is None or record.usec > self.last_usec:
            return False
        # (Statistics of thousands of cgroups have a section each.)
        return any(section.opener == record.text for section in self.sections[:_COPIED_SECTIONS])

    def add_body(self, text: bytes) -> bool:
        """Append a line to the section that is open. Return True every `CHECK_EVERY` lines: it may be no
        report any more."""
        self.size_bytes += len(text) + _RECORD_BYTES
        if self.size_bytes > MAX_EVENT_BYTES:
            self.truncated = True
            return False
        self.body.append(text)
        return not len(self.body) & (CHECK_EVERY - 1)

    def add_kill(self, record: LogRecord) -> None:
        """Add a `Killed process` line."""
        self.killed.append(record.text)
        if record.seq is not None:
            self.kill_seqs.append(record.seq)
        self._count(Kind.KILLED, record.text, record.usec, record.seq)

    def add_after(self, kind: Kind, record: LogRecord) -> None:
        """Add a line that comes after, or besides, the kill."""
        self.after.append((kind, record.text))
        self._count(kind, record.text, record.usec, record.seq)

    def has(self, kind: Kind) -> bool:
        """Return True if the event has a line of that kind."""
        return kind in self.kinds

    @property
    def decided(self) -> bool:
        """True if the line with the outcome is there."""
        return not self.kinds.isdisjoint(_DECIDING)

    @property
    def has_memcg_statistics(self) -> bool:
        """True with the usage and the statistics of a memory cgroup: only an OOM report prints them
        (mem_cgroup_print_oom_meminfo())."""
        openers = [section.opener for section in self.sections if section.kind is Kind.CONTEXT]
        return any(opener.startswith(_USAGE) for opener in openers) and any(
            opener.startswith(_STATISTICS) for opener in openers
        )

    @property
    def strong(self) -> bool:
        """True if a line proves an OOM event; memory statistics alone do not."""
        return not self.kinds <= _PROVING_NOTHING

    def opener(self, kind: Kind) -> bytes | None:
        """Return the first line of that kind that opened a section, or None."""
        return next((section.opener for section in self.sections if section.kind is kind), None)

    def pids(self) -> frozenset[bytes]:
        """Return the pids of the rows of the task table, as printed."""
        if self.table_pids is None:
            found = (pid for section in self.sections for pid, _ in rows_of(section.body))
            self.table_pids = frozenset(pid for pid in found if pid.isdigit())
        return self.table_pids

    def _count(self, kind: Kind, text: bytes, usec: int | None, seq: int | None) -> None:
        self.kinds.add(kind)
        self.size_bytes += len(text) + _RECORD_BYTES
        self.idle = 0
        if seq is not None:
            self.last_seq = seq
        if usec is not None:
            self.last_usec = usec
