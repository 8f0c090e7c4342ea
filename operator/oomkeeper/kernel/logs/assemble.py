"""From lines to records: decides for each line whether it begins a record, goes on with one, or is another
program's.

Most lines of a log have one framing. One pattern per framing takes all of a block's lines apart in one call;
only the lines that it leaves over, and those that may belong to the record before, are looked at one by one.
"""

from collections.abc import Iterator
from itertools import chain, islice
from operator import itemgetter

from oomkeeper.model.log import Logged, LogRecord, LogRun

from ..lazy import lazy
from .blocks import clean
from .columns import RUN_ON_BYTES, Columns, Taken
from .counts import LogCounts
from .escapes import decode_kmsg, decode_octal
from .export import ExportReader, VerboseReader
from .fast import Fast, fast_for, layout_for
from .foreign import ELISION, looks_foreign
from .frame import Frame, Kind
from .framing import find_frame, strip_quote
from .grammar import (
    KNOWN_START,
    MEM_INFO_REST,
    STATISTIC,
    TABLE_HEADER,
    TABLE_ROW,
    find_line,
    row_rest,
)
from .journal import SpreadJson
from .rawkmsg import DICTIONARY
from .rejoin import TERMINAL_WIDTHS, breaks_token, join
from .runon import split_run_on
from .runs import (
    BARE_PLAIN,
    BARE_ROW,
    KEPT_RECORDS,
    LEAST_BYTES,
    RECORD_MAX_BYTES,
    bare_run,
    foreign_run,
    framed_run,
)

_MAX_BETWEEN = 8
_MAX_PIECES = 64
_PROBES = 6
_PATIENCE_BYTES = 4096

_new = tuple.__new__
_IS_KERNEL = itemgetter(LogRecord._fields.index("kernel"))
_INNER_STAMP = lazy(rb"\[ *\d+\.\d{6}\](?: ?\[ *[TC]\d+\])? ")
_ANNOUNCED = lazy(rb"(?:Memory cgroup out of|Out of)(?: memory(?: \(oom_kill_allocating_task\))?:?)?\s*\Z")


class Assembler:
    """Takes blocks of whole lines in order; gives the records that are known to be complete."""

    def __init__(self, counts: LogCounts) -> None:
        self._counts = counts
        self._done: list[Logged] = []
        """What comes before `_out`, and nothing can be added to any more."""
        self._out: list[LogRecord] = []
        self._before = 0
        """Records of the stream before `_out`."""
        self._searched = 0
        """Records of the stream in which the header of a table was looked for."""
        self._seen = 0
        """Length of `_out` when a line was last looked at singly."""
        self._last = -1
        """Where the record that may still go on stands in `_out`; -1: none."""
        self._pieces: list[bytes] = []
        self._widths: list[int] = []
        """The broken line of the last record, as found, and the lengths of the physical lines."""
        self._between = 0
        self._kind: Kind | None = None
        """Framing of the last framed line; None before the first, and again in a bare report."""
        self._owner_kernel = True
        self._prefix_bytes = 0
        self._broken_at: dict[int, int] = {}
        """Lengths of the lines that were broken, and how many had each: a terminal cuts all at one, a mailer
        at many."""
        self._columns = 0
        self._fast_prefix_bytes = 0
        self._json = SpreadJson()
        self._verbose = VerboseReader()
        self._export = ExportReader()

    def feed(self, block: bytes) -> list[Logged]:
        """Records that the block completed, the plain ones in runs."""
        if self._export.active or self._export.begins(block):
            for frame in self._export.feed(block):
                self._begin(frame, 0)
            return self._take(keep=False)
        block = clean(block)
        fast = self._probe(block)
        if fast is None:
            self._feed_bare(block)
        else:
            self._feed_framed(block, *fast)
        return self._take(keep=True)

    def finish(self) -> list[Logged]:
        """The records held back, at the end of the stream."""
        for frame in self._export.finish():
            self._begin(frame, 0)
        if (entry := self._verbose.finish()) is not None:
            self._begin(entry, 0)
        return self._take(keep=False)

    def _probe(self, block: bytes) -> tuple[Fast, bytes] | None:
        """The fast pattern that fits the most of a few lines spread over the block, and one of them."""
        votes: dict[Fast, int] = {}
        sample: dict[Fast, bytes] = {}
        for number in range(_PROBES):
            start = block.rfind(b"\n", 0, len(block) * number // _PROBES) + 1
            line = block[start : block.find(b"\n", start)]
            if (fast := fast_for(line)) is not None and fast.takes(line):
                votes[fast] = votes.get(fast, 0) + 1
                sample[fast] = line
        if not votes:
            return None
        best = max(
            votes, key=lambda fast: (not fast.foreign, votes[fast])
        )  # the kernel's pattern takes others' lines too
        if (frame := find_frame(sample[best])) is None:
            return None
        self._fast_prefix_bytes = frame.prefix_bytes
        return best, sample[best]

    # The fast ways. Each appends whole records and hands what it cannot take to _line().

    def _feed_framed(self, block: bytes, fast: Fast, sample: bytes) -> None:
        layout = layout_for(sample)
        at, patience = 0, _PATIENCE_BYTES
        while at < len(block):
            if layout is not None and (found := layout.pattern.match(block, at)):
                end = found.end()
                if end - at >= LEAST_BYTES and (run := framed_run(block[at:end], layout, fast)) is not None:
                    self._append_run(run)
                    at, patience = end, _PATIENCE_BYTES
                    continue
            if layout is not None and layout.foreign and (found := layout.foreign.match(block, at)):
                end = found.end()
                if end - at >= LEAST_BYTES:
                    self._append_run(foreign_run(block[at:end], layout))
                    at, patience = end, _PATIENCE_BYTES
                    continue
            # What does not fit is taken with what stands around it, the more the more often.
            end = len(block) if layout is None else block.find(b"\n", at + patience) + 1 or len(block)
            patience *= 2
            self._feed_columns(block[at:end], fast)
            at = end
        self._catch_up(fast.kind)

    def _feed_columns(self, block: bytes, fast: Fast) -> None:
        lines = Columns(block, fast)
        for taken, begin, end in lines.runs():
            if taken is Taken.KERNEL:
                self._out += lines.records(begin, end)
            elif taken is Taken.FOREIGN:
                self._out += lines.foreign(begin, end)
            else:
                for at in range(begin, end):
                    self._catch_up(fast.kind)
                    self._line(lines.other(at))

    def _feed_bare(self, block: bytes) -> None:
        at = again = 0
        while at < len(block):
            if at >= again and self._kind is None and self._prefix_bytes == self._fast_prefix_bytes:
                self._catch_up(None)
                if not self._waits():
                    run, again = bare_run(block, at)
                    if run is not None:
                        self._append_run(run)
                        at = again
                        continue
            end = block.find(b"\n", at)
            self._bare_line(block[at:end])
            at = end + 1
        self._catch_up(None)

    def _bare_line(self, line: bytes) -> None:
        if self._kind is None and BARE_ROW.match(line):
            self._out.append(_new(LogRecord, (line, None, None, None, None, None, True)))
            return
        self._catch_up(None)
        if self._kind is None and BARE_PLAIN.match(line) and not self._waits():
            self._plain(line, len(line))
            self._seen = len(self._out)
        else:
            self._line(line)

    def _append_run(self, run: LogRun) -> None:
        self._done += self._out
        self._before += len(self._out)
        self._out = [run.record(at) for at in range(max(0, len(run) - KEPT_RECORDS), len(run))]
        self._last, self._seen = -1, 0
        del run.texts[-KEPT_RECORDS:]
        if run.texts:
            self._before += len(run)
            self._done.append(run)
            if run.kernel:
                self._counts.kernel += len(run)
            else:
                self._counts.foreign += len(run)

    def _waits(self) -> bool:
        """Whether the next line may belong to what was begun, whatever it looks like."""
        return self._verbose.active or self._json.active or (self._last >= 0 and self._announced())

    def _catch_up(self, kind: Kind | None) -> None:
        """Takes note of records that a fast loop appended."""
        if len(self._out) != self._seen:
            self._seen = len(self._out)
            self._owner_kernel = self._out[-1].kernel
            self._last = self._seen - 1 if self._owner_kernel else -1
            self._kind = kind
            self._prefix_bytes = self._fast_prefix_bytes
            self._pieces = []
            self._between = 0

    # One line at a time.

    def _line(self, line: bytes) -> None:
        line = strip_quote(line)
        stripped = line.strip()
        if not stripped:
            return
        for reader in (self._verbose, self._json):
            if reader.active or reader.begins(line):
                taken, entry = reader.take(line)
                if entry is not None:
                    self._begin(entry, 0)
                if taken:
                    self._seen = len(self._out)
                    return
        if self._kind is not None and self._continues(line):
            self._seen = len(self._out)
            return
        if (frame := find_frame(line)) is not None:
            self._begin(frame, len(line))
        else:
            self._bare(line, stripped)
        self._seen = len(self._out)

    def _continues(self, line: bytes) -> bool:
        """Takes a line that is indented as dmesg and journalctl indent a record's further lines, or is a kmsg
        record's dictionary."""
        if line[:1] not in (b" ", b"\t"):
            return False
        if self._kind is Kind.KMSG and DICTIONARY.match(line):
            return True
        if self._last >= 0 and TABLE_ROW.match(self._out[self._last].text):
            return False  # a row is one line; what looks indented was cut between two columns
        indent = len(line) - len(line.lstrip(b" \t"))
        if not max(8, self._prefix_bytes - 1) <= indent:
            return False
        if not self._owner_kernel:
            self._out.append(LogRecord(text=line.strip(), kernel=False))
            return True
        if self._last < 0:
            return False
        if indent > self._prefix_bytes + 1 and self._rest(line.strip(), len(line)):
            return True
        self._extend(line[min(indent, self._prefix_bytes) :])
        return True

    def _begin(self, frame: Frame, width: int) -> None:
        record = frame.record
        if (frame.fragment or record.text[:1] == b",") and record.kernel and self._append_fragment(record):
            return
        self._out.append(record)
        self._last = len(self._out) - 1 if record.kernel else -1
        self._kind = frame.kind
        self._owner_kernel = record.kernel
        self._prefix_bytes = frame.prefix_bytes
        self._pieces, self._widths = [record.text], [width]
        self._between = 0
        if record.kernel and frame.kind in (Kind.DMESG, Kind.SYSLOG) and len(record.text) >= RUN_ON_BYTES:
            self._split_last()

    def _append_fragment(self, record: LogRecord) -> bool:
        """Puts a pr_cont() piece that got a record of its own to the line that it belongs to; another CPU's
        may stand between."""
        for at in range(len(self._out) - 1, max(-1, len(self._out) - 6), -1):
            before = self._out[at]
            if not before.kernel or before.caller != record.caller:
                continue
            line = find_line(before.text)
            if line is None or line.complete is None or line.is_whole(before.text):
                continue
            self._out[at] = before._replace(text=before.text + record.text)
            self._pieces = []
            return True
        return False

    def _split_last(self) -> None:
        parts = split_run_on(self._out[-1])
        if len(parts) > 1:
            self._out[-1:] = parts
            self._last = len(self._out) - 1
            self._pieces = []

    def _bare(self, line: bytes, stripped: bytes) -> None:
        known = KNOWN_START.match(stripped) is not None
        if self._kind is not None and not self._owner_kernel:
            # A process chose what its message's further lines say, so they are its own, whatever they look
            # like.
            self._foreign(line)
        elif not known and (ELISION.match(line) or looks_foreign(stripped)):
            self._foreign(line)
        elif (
            self._last >= 0
            and (not known or self._announced())
            and self._rest(self._unindented(line, stripped), len(line))
        ):
            return
        elif (
            not known
            and b"[" in line
            and (stamp := _INNER_STAMP.search(line))
            and (frame := find_frame(line[stamp.start() :])) is not None
        ):
            self._begin(frame, len(line))  # a console that a program wrote to at the same time
        elif known:
            self._kind = None
            self._plain(line.lstrip(), len(line))
        elif self._kind is None:
            self._plain(line, len(line))
        elif self._last >= 0 and self._is_further_line(line):
            self._extend(line)
        else:
            self._foreign(line)

    def _unindented(self, line: bytes, stripped: bytes) -> bytes:
        """The line without its indentation, of which one blank may be the broken line's own. Between the
        columns of a table one always is."""
        if line[:1].isspace() and TABLE_ROW.match(self._out[self._last].text):
            return b" " + stripped
        return line if line[:2].lstrip() else stripped

    def _announced(self) -> bool:
        """Whether the last line breaks off where one that looks like a beginning goes on: `Out of memory:`
        before `Killed process`."""
        text = self._out[self._last].text
        return text.startswith((b"Memory cgroup", b"Out of")) or not text.strip()

    def _plain(self, text: bytes, width: int) -> None:
        if b"#0" in text:
            text = decode_octal(text)
        if b"\\x0a" in text:
            text = text.replace(b"\\x0a", b"\n")
        self._out.append(_new(LogRecord, (text, None, None, None, None, None, True)))
        self._last = len(self._out) - 1
        self._pieces, self._widths = [text], [width]
        self._between = 0

    def _foreign(self, line: bytes) -> None:
        self._out.append(LogRecord(text=line[:RECORD_MAX_BYTES], kernel=False))
        self._between += 1
        if self._between > _MAX_BETWEEN:
            self._last = -1

    def _is_further_line(self, line: bytes) -> bool:
        """Whether old journalctl's unindented further line of a record of several lines."""
        text = self._out[self._last].text
        if text.startswith(b"Memory cgroup stats for") or b"\nanon " in text[:40]:
            return STATISTIC.match(line) is not None
        return text.startswith(b"active_anon:") and MEM_INFO_REST.match(line) is not None

    def _extend(self, line: bytes) -> None:
        record = self._out[self._last]
        if len(record.text) + len(line) < RECORD_MAX_BYTES:
            self._out[self._last] = record._replace(text=record.text + b"\n" + line)
            self._pieces = []

    # Broken lines.

    def _rest(self, rest: bytes, width: int) -> bool:
        """Joins `rest` to the last record if it is what was broken off there. One blank before it may be the
        line's own."""
        text = self._out[self._last].text
        if self._kind is Kind.KMSG and b"\\x" in rest:
            rest = decode_kmsg(rest)
            if not rest.strip():
                return False
        if text.strip() == b"[" and self._stamp_was_cut(rest, width):
            return True
        if text.startswith(b"active_anon:") and MEM_INFO_REST.match(rest) and not text[-1:].isspace():
            self._extend(rest if rest[:1] == b" " else b" " + rest)
            return True
        if not self._belongs(text, rest):
            return False
        if len(self._pieces) >= _MAX_PIECES:
            return False
        if not self._pieces:
            self._pieces, self._widths = [text], [self._width()]
        self._pieces.append(rest)
        self._widths.append(width)
        if len(self._broken_at) < _MAX_PIECES:
            self._broken_at[self._widths[-2]] = self._broken_at.get(self._widths[-2], 0) + 1
        joined = join(self._pieces, self._widths, line=find_line(text), cut_at=self._cut_at())
        if self._kind in (None, Kind.SYSLOG) and b"#0" in joined:
            joined = decode_octal(joined)
        if len(joined) <= RECORD_MAX_BYTES:
            self._out[self._last] = self._out[self._last]._replace(text=joined)
            if (header := TABLE_HEADER.match(joined)) is not None:
                self._columns = len(header[1].split())
        return True

    def _stamp_was_cut(self, rest: bytes, width: int) -> bool:
        """Takes `1475.123456] text` after a line that ends at the blank inside the stamp."""
        frame = find_frame(b"[" + rest)
        if frame is None or frame.record.usec is None:
            return False
        text, usec, caller = frame.record.text, frame.record.usec, frame.record.caller
        self._out[self._last] = self._out[self._last]._replace(text=text, usec=usec, caller=caller)
        self._pieces, self._widths = [text], [width]
        return True

    def _belongs(self, text: bytes, rest: bytes) -> bool:
        if not text.strip():
            return self._kind is not None  # a mailer left the stamp alone before a word that did not fit
        if self._kind is Kind.KMSG and self._pieces_of_lines(text, rest):
            return True
        line = find_line(text)
        if line is None:
            if self._kind is not None and len(text) <= 15 and rest.startswith(b"invoked oom"):
                return True  # the stamp and the comm alone fitted
            return (
                TABLE_ROW.match(text) is not None
                and not KNOWN_START.match(rest)
                and row_rest(text, rest, self._table_columns())
            )
        if KNOWN_START.match(rest) and not (_ANNOUNCED.match(text) and rest.startswith(b"Kill")):
            return False
        width = self._width()
        at_edge = width == self._cut_at() or (not self._broken_at and width in TERMINAL_WIDTHS)
        if line.complete is not None and line.is_whole(text) and not rest.startswith(b","):
            # Whole as far as it goes, but a terminal may have cut its last number.
            return at_edge and text[-1:].isdigit() and rest.isdigit() and len(rest) <= 6
        if (
            line.goes_on.match(rest.lstrip())
            or breaks_token(text, rest)
            or (at_edge and self._kind is not None)
        ):
            return True
        # Among framed lines a bare one cannot be a record, so it need only be that it did not fit before.
        first_word = len(rest.split(None, 1)[0])
        return (
            self._kind is not None
            and line.complete is not None
            and max(width, self._prefix_bytes + len(text)) + first_word >= 60
        )

    def _pieces_of_lines(self, text: bytes, rest: bytes) -> bool:
        """Whether `rest` is from a record of several lines, which /dev/kmsg keeps on one: nothing else there
        has an escaped newline, and nothing else is too long to go on in the line before."""
        first_word = len(rest.split(None, 1)[0])
        return b"\n" in rest or (b"\n" in text and self._width() + first_word >= 60)

    def _cut_at(self) -> int | None:
        """The width at which a terminal cuts this stream's lines, or None where they were broken
        otherwise."""
        if len(self._broken_at) != 1:
            return None
        ((width, times),) = self._broken_at.items()
        return width if times >= 2 or width in TERMINAL_WIDTHS else None

    def _width(self) -> int:
        """Length of the line that the last record came from."""
        if self._pieces:
            return self._widths[-1]
        record = self._out[self._last]
        width = self._prefix_bytes + len(record.text)
        if self._kind is Kind.SYSLOG and record.usec is not None:  # whose prefix ends at the tag
            width += max(5, len(str(record.usec // 1_000_000))) + len("[.123456] ")
            width += max(6, len(record.caller)) + 2 if record.caller else 0
        return width

    def _table_columns(self) -> int:
        """Of the table that the last record is in. A record is searched for its header once, but for the last
        one, which may not be whole yet."""
        last = self._before + len(self._out) - 1
        texts = (record.text for record in reversed(self._out))
        for text in islice(chain(texts, self._done_texts()), last + 1 - self._searched):
            if text[:1] == b"[" and (header := TABLE_HEADER.match(text)) is not None:
                self._columns = len(header[1].split())
                break
        self._searched = last
        return self._columns

    def _done_texts(self) -> Iterator[bytes]:
        for item in reversed(self._done):
            yield from reversed(item.texts) if isinstance(item, LogRun) else (item.text,)

    def _take(self, *, keep: bool) -> list[Logged]:
        held = self._last if keep and self._last >= 0 else len(self._out)
        done, self._out = self._out[:held], self._out[held:]
        self._before += held
        self._last = 0 if self._out else -1
        self._seen = len(self._out)
        if self._done:
            ready, self._done = self._done + done, []
            done = [item for item in ready if not isinstance(item, LogRun)]
        else:
            ready = [*done]
        kernel = sum(map(_IS_KERNEL, done))
        self._counts.kernel += kernel
        self._counts.foreign += len(done) - kernel
        return ready
