"""Group records into OOM events.

oom_lock (mm/oom_kill.c) allows one OOM report to be printed at a time, so a new header always ends the event
before it. Other messages come in between: those of another caller id (CONFIG_PRINTK_CALLER) are left out, and
of the rest `build` reads only what it knows. The header is rate-limited to 10 per 5 s (`oom_rs`), the kill
line is not: a kill line without a report before it is an event of its own, unless memory.oom.group announced
further victims.

At most two events are held: one whose report is being read (`_open`), and one that is decided and may still
get the lines that follow a kill (`_done`): further victims of a group, the reaper, a panic."""

from collections.abc import Iterable, Iterator, Sequence

from ...model.kill import Kill
from ...model.log import LogRecord
from .before import Before
from .build import build
from .event import CHECK_EVERY, Draft
from .killline import parse_killed
from .kinds import HEADER_MARK, HEADS, Kind, kind_of
from .oomkill import parse_summary
from .quoted_kills import QuotedKills

_IDLE_RECORDS = 2000
"""A decided event is closed after so many other records."""
_DONE_USEC = 5_000_000
_OPEN_USEC = 120_000_000
"""880 tasks over a slow serial console take seconds; an unfinished report older than two minutes was cut
off."""
_NEAR_RECORDS = 100
"""A kill line so many records after a loss is unrelated to it."""
_MAX_LINE_BYTES = 4096
_MAX_RECORD_BYTES = 1 << 16
"""printk() cuts a record at about 1 KiB, the reader of /dev/kmsg at 8; the kernel prints nothing longer, and
long texts would make patterns slow."""
_MAX_SECTION_LINES = 32768
"""Kernels before 4.2 print a line per CPU and zone; nothing but the task table is longer."""
_COUNTERS = (b"memory: usage ", b"memory+swap: usage ", b"Memory cgroup stats for ")
_NONE: tuple[Kill, ...] = ()
_ONLY_REAPED = frozenset((Kind.REAPED,))


class ReportAssembler:
    """Takes one record after the other; memory is bounded by the two largest reports.

    `feed` returns closed events; `pending` returns the open one, so that an agent can publish a kill at its
    `Killed process` line (`decided`), and again with the same `first_seq` when it is closed."""

    def __init__(self, *, excerpt: bool = False) -> None:
        """Read a live log, or with `excerpt` a text that a person cut out of one: there the statistics of a
        cgroup and the line of the oom_reaper count as events of their own, and quoted kills only once."""
        self._excerpt = QuotedKills() if excerpt else None
        self._before = Before()
        self._open: Draft | None = None
        self._done: Draft | None = None
        self._seen_any = False
        self._lost = 0
        self._since_lost = 0
        self._cached: Kill | None = None

    def feed(self, record: LogRecord) -> Sequence[Kill]:
        """Take one record and return the events that it closed. Text that a process wrote (`kernel=False`) is
        never evidence and changes nothing."""
        if not record.kernel:
            return _NONE
        text = record.text
        self._cached = None
        if len(text) > _MAX_LINE_BYTES:
            text = _bounded(text)
            record = record._replace(text=text)
        if text[:5] in HEADS or text.find(HEADER_MARK) >= 0:
            if self._excerpt is not None and self._excerpt.is_echo(record):
                return _NONE
            kind = kind_of(text)
            if kind is not None:
                closed = self._expire(kind, record) + self._take(kind, record)
                self._seen_any = True
                return closed
        # Not a line that decides anything: part of the open report, or unrelated.
        self._seen_any = True
        draft = self._open
        if draft is None:
            self._before.see(text)
            if self._lost:
                self._forget_lost()
            return self._age(record.usec) if self._done is not None else _NONE
        caller = record.caller
        if (caller is None or caller == draft.caller or draft.caller is None) and draft.add_body(text):
            return self._check_stale(draft)
        return _NONE

    def feed_all(self, records: Iterable[LogRecord]) -> Iterator[Kill]:
        """Take all records and yield what `feed` returns for each."""
        feed = self.feed
        for record in records:
            # Most records are lines of processes, or of the open report: what `feed` does with those, without
            # a call (test_feed_all_is_feed_for_each).
            text, _, _, _, caller, _, kernel, _ = record
            if not kernel:
                continue
            draft = self._open
            if (
                draft is not None
                and (caller is None or caller == draft.caller)
                and len(text) <= _MAX_LINE_BYTES
                and text[:5] not in HEADS
                and text.find(HEADER_MARK) < 0
            ):
                self._cached = None
                if draft.add_body(text) and (stale := self._check_stale(draft)):
                    yield from stale
            elif kills := feed(record):
                yield from kills

    def lost(self, records: int) -> None:
        """Note that so many records are missing before the next one (sequence gap, EPIPE). They count for the
        open event, or for the next one if it comes soon and its beginning may be among them."""
        if self._open is not None:
            self._open.lost_before += records
            self._cached = None
        else:
            self._lost += records
            self._since_lost = 0

    def pending(self) -> Kill | None:
        """Return the latest event that is not closed, as far as it is known; None unless one is proven. Cheap
        to call again while nothing is fed."""
        if self._cached is None:
            for draft in (self._open, self._done):
                if draft is not None and draft.strong:
                    self._cached = build(draft, closed=False)
                    break
        return self._cached

    @property
    def decided(self) -> bool:
        """True if the outcome of the pending event is known: a kill line, a panic, nothing killable."""
        draft = self._open if self._open is not None and self._open.strong else self._done
        return draft is not None and draft.decided

    def flush(self) -> Sequence[Kill]:
        """Close and return the open events: the text ended here, or a live source has nothing more."""
        self._cached = None
        closed = self._close_done()
        if self._open is not None:
            draft, self._open = self._open, None
            if self._proven(draft):
                closed += (build(draft, closed=True),)
        return closed

    def _take(self, kind: Kind, record: LogRecord) -> tuple[Kill, ...]:
        if kind is Kind.HEADER:
            closed = self._close_all()
            self._lost = 0  # A report with its header lacks nothing of what was lost before.
            self._begin(record).open_section(kind, record.text, record.usec, record.seq)
            return closed
        if kind is Kind.KILLED:
            return self._kill(record)
        if kind is Kind.REAPED:
            return self._reaped(record)
        if kind is Kind.SYSRQ:
            closed = self._close_all()
            self._before.sysrq()
            return closed
        if kind in (Kind.GROUP, Kind.EXITING, Kind.NO_KILLABLE, Kind.PANIC):
            return self._outcome(kind, record)
        return self._report_line(kind, record)

    def _report_line(self, kind: Kind, record: LogRecord) -> tuple[Kill, ...]:
        """Take a line of a report before its outcome: add it to the open report, or begin one whose head is
        missing."""
        draft = self._open
        closed = _NONE
        if self._excerpt is not None and draft is not None and draft.is_copy(record):
            return _NONE
        repeated = draft is not None and (
            self._is_next_excerpt(draft, record) if kind is Kind.CONTEXT else draft.has(kind)
        )
        if draft is None or repeated:
            closed = self._close_open() if repeated else _NONE
            if kind is not Kind.CONTEXT:
                closed = self._close_done() + closed
            draft = self._begin(record)
        draft.open_section(kind, record.text, record.usec, record.seq)
        return closed

    def _is_next_excerpt(self, draft: Draft, record: LogRecord) -> bool:
        """Return True for the usage of another report, if the one that is open has nothing but statistics."""
        if self._excerpt is None or draft.strong or not record.text.startswith(b"memory: usage "):
            return False
        return draft.has_memcg_statistics

    def _kill(self, record: LogRecord) -> tuple[Kill, ...]:
        draft = self._open
        if draft is not None and draft.strong and _contradicts(draft, record):
            closed = self._close_all()
            draft = self._begin(record)
            draft.add_kill(record)
            self._done, self._open = draft, None
            return closed
        if draft is not None and (draft.strong or _leads_to_kill(draft)):
            closed = self._close_done()
            draft.add_kill(record)
            self._done, self._open = draft, None
            return closed
        self._open = None
        done = self._done
        if done is not None and _joins(done, record):
            done.add_kill(record)
            return _NONE
        closed = self._close_done()
        draft = self._begin(record)
        draft.add_kill(record)
        self._done, self._open = draft, None
        return closed

    def _outcome(self, kind: Kind, record: LogRecord) -> tuple[Kill, ...]:
        if self._open is not None and (self._open.strong or kind is not Kind.GROUP):
            closed = self._close_done()
            self._open.add_after(kind, record)
            if self._open.decided:
                self._done, self._open = self._open, None
            return closed
        if self._done is not None and _continues(self._done, kind):
            self._done.add_after(kind, record)
            return _NONE
        closed = self._close_done()
        draft = self._begin(record)
        draft.add_after(kind, record)
        self._done, self._open = draft, None
        return closed

    def _reaped(self, record: LogRecord) -> tuple[Kill, ...]:
        draft = self._done or self._open
        closed = _NONE
        if self._excerpt is not None and (draft is None or draft.kinds == _ONLY_REAPED):
            closed = self._close_done()
            draft = self._begin(record)
            self._done, self._open = draft, None
        if draft is not None:
            draft.add_after(Kind.REAPED, record)
        return closed

    # Drafts.

    def _begin(self, record: LogRecord) -> Draft:
        draft = Draft(record)
        draft.lost_before, self._lost = self._lost, 0
        draft.head_cut = not self._seen_any
        draft.sysrq, draft.memcg_trace = self._before.take()
        self._open = draft
        return draft

    def _forget_lost(self) -> None:
        self._since_lost += 1
        if self._since_lost > _NEAR_RECORDS:
            self._lost = 0

    def _age(self, usec: int | None) -> tuple[Kill, ...]:
        done = self._done
        assert done is not None
        done.idle += 1
        if done.idle > _IDLE_RECORDS or _later(usec, done, _DONE_USEC):
            return self._close_done()
        return _NONE

    def _expire(self, kind: Kind, record: LogRecord) -> tuple[Kill, ...]:
        """Close events that are too old to continue. The summary is never printed without its header, so it
        belongs to the open report, however far apart the times in an edited text are."""
        closed = _NONE
        if self._done is not None and _later(record.usec, self._done, _DONE_USEC):
            closed = self._close_done()
        if (
            self._open is not None
            and kind is not Kind.OOM_KILL
            and _later(record.usec, self._open, _OPEN_USEC)
        ):
            closed += self._close_open()
        return closed

    def _check_stale(self, draft: Draft) -> tuple[Kill, ...]:
        """Close a report whose section has thousands of lines, unless it is the task table: the report was
        cut off."""
        recent = draft.body[-CHECK_EVERY:]
        if sum(text[:1] == b"[" for text in recent) * 4 > len(recent):
            return _NONE
        if len(draft.body) < _MAX_SECTION_LINES:
            return _NONE
        draft.body.clear()
        draft.truncated = True
        return self._close_all()

    def _close_all(self) -> tuple[Kill, ...]:
        return self._close_done() + self._close_open()

    def _close_open(self) -> tuple[Kill, ...]:
        draft, self._open = self._open, None
        return (build(draft, closed=True),) if draft is not None and self._proven(draft) else _NONE

    def _proven(self, draft: Draft) -> bool:
        return draft.strong or (self._excerpt is not None and draft.has_memcg_statistics)

    def _close_done(self) -> tuple[Kill, ...]:
        draft, self._done = self._done, None
        return (build(draft, closed=True),) if draft is not None else _NONE


def parse_records(records: Iterable[LogRecord], *, excerpt: bool = False) -> Iterator[Kill]:
    """Yield every OOM event in a stream of records, in order, each as soon as it is closed. `excerpt` as for
    `ReportAssembler`."""
    assembler = ReportAssembler(excerpt=excerpt)
    yield from assembler.feed_all(records)
    yield from assembler.flush()


def _bounded(text: bytes) -> bytes:
    """Cut text that is longer than any line (with newlines in it: any record) that a kernel prints."""
    if b"\n" not in text:
        return text[:_MAX_LINE_BYTES]
    return b"\n".join(line[:_MAX_LINE_BYTES] for line in text[:_MAX_RECORD_BYTES].split(b"\n"))


def _later(now_usec: int | None, draft: Draft, gap_usec: int) -> bool:
    last = draft.last_usec
    return last is not None and now_usec is not None and now_usec - last > gap_usec


def _leads_to_kill(draft: Draft) -> bool:
    """Return True if the next kill line belongs to this report without a head. Mem-Info alone may come from
    sysrq-m or a failed allocation."""
    openers = [section.opener for section in draft.sections]
    if any(opener.startswith(_COUNTERS) for opener in openers):
        return True
    return openers[-1].startswith((b"[", b"Tasks state"))


def _joins(done: Draft, record: LogRecord) -> bool:
    """Return True if a kill line without a report belongs to the decided event: memory.oom.group kills
    several processes, which the task table, if printed, lists."""
    if not done.has(Kind.GROUP):
        return False
    if not done.killed:
        return True  # the log begins inside the group kill
    if record.text[:5] != done.killed[0][:5]:
        return False
    victim = parse_killed(record.text)
    if victim is None:
        return False
    pids = done.pids()
    return not pids or b"%d" % victim.pid in pids


def _contradicts(draft: Draft, record: LogRecord) -> bool:
    """Return True if the report chose one process and the kill line names a different one: the chosen one was
    already gone, which older kernels do not print, and the kill is a later event whose report was
    rate-limited. A thread may replace its group leader (find_lock_task_mm()); it has another pid, but usually
    the same comm."""
    if draft.has(Kind.CHOSEN):
        return False
    line = draft.opener(Kind.OOM_KILL)
    summary = parse_summary(line) if line is not None else None
    victim = parse_killed(record.text)
    if summary is None or summary.pid is None or victim is None:
        return False
    return victim.pid != summary.pid and victim.comm != summary.comm


def _continues(done: Draft, kind: Kind) -> bool:
    if kind is Kind.GROUP:
        return done.has(Kind.KILLED) and not done.has(Kind.GROUP)
    if kind is Kind.PANIC:
        return done.has(Kind.NO_KILLABLE) and not done.has(Kind.PANIC)
    return kind is Kind.EXITING and done.has(Kind.GROUP)
