"""Records in, finished events out: which lines belong to one OOM event.

oom_lock (mm/oom_kill.c) lets one OOM report be printed at a time, so a new header always ends the event
before it. Other messages come in between: those of another caller id (CONFIG_PRINTK_CALLER) are left out, and
of the rest `build` reads only what it knows. The header is rate-limited to 10 per 5 s (`oom_rs`), the kill
line is not: a kill line that no report precedes is an event of its own, unless memory.oom.group announced
further victims.

At most two events are held: one whose report is being read (`_open`), and one that is decided and may still
get what follows a kill (`_done`): further victims of a group, the reaper, a panic."""

from collections.abc import Iterable, Iterator, Sequence

from ...model.kill import Kill
from ...model.log import Logged, LogRecord, LogRun
from .build import build
from .event import Body, Draft
from .killline import parse_killed
from .kinds import HEADER_MARK, HEADS, Kind, heads_after, kind_of
from .oomkill import parse_summary

_IDLE_RECORDS = 2000
"""After that many records of something else a decided event gets nothing any more."""
_DONE_USEC = 5_000_000
_OPEN_USEC = 120_000_000
"""880 tasks over a slow serial console take seconds; an unfinished report older than two minutes was cut."""
_NEAR_RECORDS = 100
"""A kill line so many records after a loss has nothing to do with it."""
_MAX_LINE_BYTES = 4096
_MAX_RECORD_BYTES = 1 << 16
"""printk() cuts a record at about 1 KiB, /dev/kmsg's reader at 8; more is no kernel's, and would make
expressions slow."""
_CHECK_EVERY = 4096
_MAX_SECTION_LINES = 32768
"""Kernels before 4.2 print a line per CPU and zone; nothing but the task table is longer."""
_COUNTERS = (b"memory: usage ", b"memory+swap: usage ", b"Memory cgroup stats for ")
_HEADER_WORD = HEADER_MARK.split()[0]
"""Found some times as fast as one that holds a blank, which a table is full of."""
_NONE: tuple[Kill, ...] = ()


class ReportAssembler:
    """Feed it one record after the other; memory is bounded by the two largest reports.

    `feed` returns events that nothing can be added to; `pending` the one that is still open, so that an agent
    may publish a kill at its `Killed process` line (`decided`) and again, by the same `first_seq`, when it is
    closed."""

    def __init__(self) -> None:
        self._open: Draft | None = None
        self._done: Draft | None = None
        self._seen_any = False
        self._lost = 0
        self._since_lost = 0
        self._cached: Kill | None = None

    def feed(self, record: LogRecord) -> Sequence[Kill]:
        """Take one record. Text that a process wrote (`kernel=False`) is never evidence and changes
        nothing."""
        if not record.kernel:
            return _NONE
        text = record.text
        self._cached = None
        if len(text) > _MAX_LINE_BYTES:
            text = _bounded(text)
            record = record._replace(text=text)
        if text[:5] in HEADS or HEADER_MARK in text:
            kind = kind_of(text)
            if kind is not None:
                closed = self._expire(kind, record) + self._take(kind, record)
                self._seen_any = True
                return closed
        # A line that no event hangs on: part of the open report, or none of our business.
        self._seen_any = True
        draft = self._open
        if draft is None:
            if self._lost:
                self._forget_lost()
            return self._age(record.usec) if self._done is not None else _NONE
        caller = record.caller
        if caller is None or caller == draft.caller or draft.caller is None:
            draft.add_body(text)
            if draft.body_records % _CHECK_EVERY == 0 and not draft.truncated:
                return self._check_stale(draft)
        return _NONE

    def feed_run(self, run: LogRun) -> Sequence[Kill]:
        """What `feed` gives for one record after the other."""
        if not run.kernel:
            return _NONE
        lines, width = run.lines, run.width
        kills: list[Kill] = []
        begin = 0
        for at, context in _marked(run):
            if begin < at:
                kills += self._fill(run, begin, at)
            begin = lines.find(b"\n", at + 1)
            if begin < 0:
                begin = len(lines)
            line = lines[at + 1 : begin]
            draft = self._open
            if context and draft is not None and self._done is None:
                # Most often, and all that feed() would do of it.
                usec = run.usec(line)
                if not _later(usec, draft, _OPEN_USEC):
                    self._cached = None
                    draft.open_section(Kind.CONTEXT, line[width:], usec, None)
                    continue
            kills += self.feed(run.record(line))
        if begin < len(lines):
            kills += self._fill(run, begin, len(lines))
        return kills

    def _fill(self, run: LogRun, begin: int, end: int) -> Sequence[Kill]:
        """Take lines that no event hangs on. A section that grew beyond the next check is checked after
        them."""
        draft = self._open
        if draft is None and self._done is None and not self._lost:
            self._seen_any, self._cached = True, None
            return _NONE
        part = run.part(begin, end)
        if draft is not None and (run.caller is None or draft.caller is None or run.caller == draft.caller):
            checks = draft.body_records // _CHECK_EVERY
            if draft.add_run(part):
                self._seen_any, self._cached = True, None
                return self._check_stale(draft) if draft.body_records // _CHECK_EVERY > checks else _NONE
        kills: list[Kill] = []
        for record in part.records():
            kills += self.feed(record)
        return kills

    def feed_all(self, records: Iterable[Logged]) -> Iterator[Kill]:
        """What `feed` gives for one record after the other.

        Nine in ten lines of a report do nothing but fill the section that is open. They are appended right
        here, at a quarter of what a call costs; whatever else a line may mean is `feed`'s to say."""
        feed = self.feed
        draft: Draft | None = None
        body: Body = []
        known = room = 0
        owner: bytes | None = None
        for record in records:
            if isinstance(record, LogRun):
                if draft is not None:
                    draft.count_body(known)
                yield from self.feed_run(record)
                draft = self._open
                room = 0
                if draft is not None:
                    known = len(draft.body)
                continue
            text = record.text
            if (
                len(body) < room
                and text[:5] not in HEADS
                and HEADER_MARK not in text
                and record.kernel
                and len(text) <= _MAX_LINE_BYTES
                and (owner is None or record.caller is None or record.caller == owner)
            ):
                body.append(text)
                continue
            if draft is not None:
                draft.count_body(known)
            kills = feed(record)
            draft = self._open
            if draft is not None:
                body, owner = draft.body, draft.caller
                known = len(body)
                room = 0
                if draft.has_room(_CHECK_EVERY * _MAX_LINE_BYTES, _CHECK_EVERY):
                    # Up to the next line at which feed() looks whether this is a report at all.
                    room = known + _CHECK_EVERY - 1 - draft.body_records % _CHECK_EVERY
            else:
                room = 0
            if kills:
                yield from kills
        if draft is not None:
            draft.count_body(known)

    def lost(self, records: int) -> None:
        """Say that so many records are missing before the next one (sequence gap, EPIPE). They count for the
        event that is open, else for the next one if it comes soon and its beginning may be among them."""
        if self._open is not None:
            self._open.lost_before += records
            self._cached = None
        else:
            self._lost += records
            self._since_lost = 0

    def pending(self) -> Kill | None:
        """The latest event that is not closed, as far as it is known; None without one that is proven. Cheap
        to ask again while nothing is fed."""
        if self._cached is None:
            for draft in (self._open, self._done):
                if draft is not None and draft.strong:
                    self._cached = build(draft, closed=False)
                    break
        return self._cached

    @property
    def decided(self) -> bool:
        """True when the pending event's outcome is known: a kill line, a panic, nothing killable."""
        draft = self._open if self._open is not None and self._open.strong else self._done
        return draft is not None and draft.decided

    def flush(self) -> Sequence[Kill]:
        """Close and return what is open: the text ended here, or a live source went quiet."""
        self._cached = None
        closed = self._close_done()
        if self._open is not None:
            draft, self._open = self._open, None
            if draft.strong:
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
            self._reaped(record)
            return _NONE
        if kind in (Kind.GROUP, Kind.EXITING, Kind.NO_KILLABLE, Kind.PANIC):
            return self._outcome(kind, record)
        return self._report_line(kind, record)

    def _report_line(self, kind: Kind, record: LogRecord) -> tuple[Kill, ...]:
        """A line that stands in a report before its outcome: join the open one, or begin one whose head is
        missing."""
        draft = self._open
        closed = _NONE
        repeated = draft is not None and kind is not Kind.CONTEXT and draft.has(kind)
        if draft is None or repeated:
            closed = self._close_open() if repeated else _NONE
            if kind is not Kind.CONTEXT:
                closed = self._close_done() + closed
            draft = self._begin(record)
        draft.open_section(kind, record.text, record.usec, record.seq)
        return closed

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

    def _reaped(self, record: LogRecord) -> None:
        draft = self._done or self._open
        if draft is not None:
            draft.add_after(Kind.REAPED, record)

    # Life of a draft
    # -------------------------------------------------------------------------------------------------

    def _begin(self, record: LogRecord) -> Draft:
        draft = Draft(record)
        draft.lost_before, self._lost = self._lost, 0
        draft.head_cut = not self._seen_any
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
        """Close what is too old to go on. The summary is never printed without its header, so it belongs to
        the report that is open however much time the clocks of a spliced text put in between."""
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
        """A section that goes on for thousands of lines is the task table, or the report was cut and this is
        something else."""
        recent = draft.last_body(_CHECK_EVERY)
        if sum(text[:1] == b"[" for text in recent) * 4 > len(recent):
            return _NONE
        if draft.body_records < _MAX_SECTION_LINES:
            return _NONE
        draft.body.clear()
        draft.truncated = True
        return self._close_all()

    def _close_all(self) -> tuple[Kill, ...]:
        return self._close_done() + self._close_open()

    def _close_open(self) -> tuple[Kill, ...]:
        draft, self._open = self._open, None
        return (build(draft, closed=True),) if draft is not None and draft.strong else _NONE

    def _close_done(self) -> tuple[Kill, ...]:
        draft, self._done = self._done, None
        return (build(draft, closed=True),) if draft is not None else _NONE


def parse_records(records: Iterable[Logged]) -> Iterator[Kill]:
    """Every OOM event in a stream of records, in order, each as soon as it is closed."""
    assembler = ReportAssembler()
    yield from assembler.feed_all(records)
    yield from assembler.flush()


def _marked(run: LogRun) -> list[tuple[int, bool]]:
    """Where in `run.lines` the newline stands before each line that an event may hang on, and before a few
    others; and whether the line is known to be CONTEXT."""
    lines = run.lines
    marked = [(found.start(), found.lastindex == 1) for found in heads_after(run.width).finditer(lines)]
    found = lines.find(_HEADER_WORD)
    if found >= 0:
        places = dict(marked)
        while found >= 0:
            places[lines.rfind(b"\n", 0, found)] = False
            found = lines.find(_HEADER_WORD, found + 1)
        marked = sorted(places.items())
    return marked


def _bounded(text: bytes) -> bytes:
    """Cut what is longer than any line (or, with newlines in it, than any record) that a kernel prints."""
    if b"\n" not in text:
        return text[:_MAX_LINE_BYTES]
    return b"\n".join(line[:_MAX_LINE_BYTES] for line in text[:_MAX_RECORD_BYTES].split(b"\n"))


def _later(now_usec: int | None, draft: Draft, gap_usec: int) -> bool:
    last = draft.last_usec
    return last is not None and now_usec is not None and now_usec - last > gap_usec


def _leads_to_kill(draft: Draft) -> bool:
    """A report whose head is missing, with nothing but statistics: does the kill line belong to it? A
    Mem-Info alone may be sysrq-m's or a failed allocation's."""
    openers = [section.opener for section in draft.sections]
    if any(opener.startswith(_COUNTERS) for opener in openers):
        return True
    return openers[-1].startswith((b"[", b"Tasks state"))


def _joins(done: Draft, record: LogRecord) -> bool:
    """Does a kill line that no report precedes belong to the decided event? Only memory.oom.group kills more
    than one; the table of tasks, where it was printed, says whom."""
    if not done.has(Kind.GROUP) or not done.killed or record.text[:5] != done.killed[0][:5]:
        return False
    victim = parse_killed(record.text)
    if victim is None:
        return False
    pids = done.pids()
    return not pids or b"%d" % victim.pid in pids


def _contradicts(draft: Draft, record: LogRecord) -> bool:
    """True where the report chose one process and the kill line names quite another: the chosen one was gone
    already, which older kernels do not say, and the kill is a later event whose report was
    rate-limited. A thread may stand in for its group leader (find_lock_task_mm()); it has another pid, but
    mostly the same comm."""
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
