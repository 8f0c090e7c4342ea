"""The records of one event while it is being put together.

A report is a sequence of sections, each opened by a line that `kinds` knows: the header and its call trace,
the counters, the statistics, Mem-Info, the slab table, the task table, the summary. Nothing of them is read
before the event is complete or asked for."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from ...model.log import LogRecord, LogRun
from .kinds import Kind

MAX_EVENT_BYTES = 24 << 20
"""More text than a table of 200,000 tasks needs; of an event beyond it the rest is left out, and `truncated`
says so."""
_RECORD_BYTES = 60
"""What a bytes object and its place in a list cost besides the text."""

_new = tuple.__new__

Body = list[bytes | LogRun]
"""What follows the line that opened a section: texts of single records, which may themselves hold newlines,
and runs of records, most of which nobody ever looks at."""


def each(body: Body, *, most: int = -1) -> Iterator[bytes]:
    """The texts of all records; of a run only of so many, where `most` is given."""
    for item in body:
        if isinstance(item, LogRun):
            yield from item.texts(most=most)
        else:
            yield item


def joined(body: Body) -> bytes:
    """The same with newlines between."""
    return b"\n".join([item.joined() if isinstance(item, LogRun) else item for item in body])


def hold(body: Body, words: bytes) -> bool:
    """Whether one of the texts does."""
    return any(item.holds(words) if isinstance(item, LogRun) else words in item for item in body)


def rows_of(body: Body) -> Iterator[tuple[bytes, bytes]]:
    """What begins as the rows of a table of tasks do, each with the pid as printed."""
    for text in each(body):
        if text[:1] == b"[":
            yield text[1:].partition(b"]")[0].strip(), text


class Section(NamedTuple):
    """A line that opens a part of a report, and what follows it."""

    kind: Kind
    opener: bytes
    body: Body


_DECIDING = frozenset((Kind.KILLED, Kind.EXITING, Kind.NO_KILLABLE, Kind.PANIC))
_PROVING_NOTHING = frozenset((Kind.CONTEXT, Kind.REAPED))


class Draft:
    """Mutable; only `assemble` writes it and only `build` reads it."""

    def __init__(self, record: LogRecord) -> None:
        """Takes its time and place from the first record."""
        self.caller = record.caller
        self.usec = record.usec
        self.wall = record.wall
        self.first_seq = record.seq
        self.last_seq = record.seq
        self.last_usec: int | None = None
        self.sections: list[Section] = []
        self.body: Body = []
        """The body of the last section."""
        self.body_records = 0
        """How many it holds."""
        self.kinds: set[Kind] = set()
        """Of the lines that were seen."""
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
        """The pids of the task table, once somebody asked."""
        self.idle = 0
        """Records since the last one that belonged here."""

    def open_section(self, kind: Kind, text: bytes, usec: int | None, seq: int | None) -> None:
        """Begin the part of the report that this line opens."""
        self.body = []
        self.body_records = 0
        self.sections.append(_new(Section, (kind, text, self.body)))
        self._count(kind, text, usec, seq)

    def add_body(self, text: bytes) -> None:
        """Append a line to the section that is open."""
        self.size_bytes += len(text) + _RECORD_BYTES
        if self.size_bytes > MAX_EVENT_BYTES:
            self.truncated = True
        else:
            self.body.append(text)
            self.body_records += 1

    def add_run(self, run: LogRun) -> bool:
        """Append several; False, and nothing is done, where they would go beyond the bound."""
        records = len(run)
        text_bytes = len(run.lines) - records * (run.width + 1)
        if not self.has_room(text_bytes, records):
            return False
        self.size_bytes += text_bytes + records * _RECORD_BYTES
        self.body.append(run)
        self.body_records += records
        return True

    def has_room(self, size_bytes: int, records: int) -> bool:
        """Whether so many records more with so much text are within the bound."""
        return self.size_bytes + size_bytes + records * _RECORD_BYTES <= MAX_EVENT_BYTES

    def count_body(self, known: int) -> None:
        """Take note of the texts after the first `known` items that were appended to `body` directly; only
        where there was room for them."""
        added = self.body[known:]
        self.body_records += len(added)
        self.size_bytes += sum(map(len, added)) + len(added) * _RECORD_BYTES

    def last_body(self, records: int) -> list[bytes]:
        """The texts of so many of the last records of the section that is open, or of all."""
        last_first = (
            text
            for item in reversed(self.body)
            for text in (reversed(item.texts()) if isinstance(item, LogRun) else (item,))
        )
        return [*islice(last_first, records)][::-1]

    def add_kill(self, record: LogRecord) -> None:
        """Note a `Killed process` line."""
        self.killed.append(record.text)
        if record.seq is not None:
            self.kill_seqs.append(record.seq)
        self._count(Kind.KILLED, record.text, record.usec, record.seq)

    def add_after(self, kind: Kind, record: LogRecord) -> None:
        """Note a line that comes after, or besides, the kill."""
        self.after.append((kind, record.text))
        self._count(kind, record.text, record.usec, record.seq)

    def has(self, kind: Kind) -> bool:
        """Whether a line of that kind was seen."""
        return kind in self.kinds

    @property
    def decided(self) -> bool:
        """The line that says what came of it is there."""
        return not self.kinds.isdisjoint(_DECIDING)

    @property
    def strong(self) -> bool:
        """Proven an OOM event: some line says so, not merely memory statistics."""
        return not self.kinds <= _PROVING_NOTHING

    def opener(self, kind: Kind) -> bytes | None:
        """The first line of that kind that opened a section."""
        return next((section.opener for section in self.sections if section.kind is kind), None)

    def pids(self) -> frozenset[bytes]:
        """The pids of the task table's rows, as printed."""
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
