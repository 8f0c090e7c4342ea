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
from .broken import BrokenLine, Last
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
)
from .journal import SpreadJson
from .rawkmsg import DICTIONARY
from .runon import split_run_on
from .runs import (
    BARE_PLAIN,
    BARE_ROW,
    KEPT_RECORDS,
    RECORD_MAX_BYTES,
    bare_run,
    foreign_run,
    framed_run,
)

_MAX_BETWEEN = 8
_PROBES = 6
_PATIENCE_BYTES = 4096

_new = tuple.__new__
_IS_KERNEL = itemgetter(LogRecord._fields.index("kernel"))
_INNER_STAMP = lazy(rb"\[ *\d+\.\d{6}\](?: ?\[ *[TC]\d+\])? ")


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
        self._broken = BrokenLine()
        self._between = 0
        self._kind: Kind | None = None
        """Framing of the last framed line; None before the first, and again in a bare report."""
        self._owner_kernel = True
        self._prefix_bytes = 0
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
        plain_to = -1
        while at < len(block):
            if at > plain_to:
                # To the next line with an escape, which no run may hold.
                escaped = block.find(fast.escape[:1], at)  # many times as fast as for two bytes
                if escaped >= 0:
                    escaped = block.find(fast.escape, escaped)
                plain_to = max(at, block.rfind(b"\n", at, escaped) + 1) if escaped >= 0 else len(block)
            run = framed_run(block, at, plain_to, layout) if layout is not None else None
            if run is None and layout is not None:
                run = foreign_run(block, at, layout)
            if run is not None:
                self._append_runs([run])
                at, patience = at + len(run.lines), _PATIENCE_BYTES
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
                    logged, again = bare_run(block, at)
                    if logged:
                        self._append_runs(logged)
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

    def _append_runs(self, logged: list[Logged]) -> None:
        """Appends whole records, the last few singly: `_append_fragment` looks for a line among them."""
        kept: list[LogRecord] = []
        while logged and len(kept) < KEPT_RECORDS:
            last = logged.pop()
            if isinstance(last, LogRun):
                rest, records = last.without_last(KEPT_RECORDS - len(kept))
                kept = [*records, *kept]
                if rest is not None:
                    logged.append(rest)
            else:
                kept = [last, *kept]
        self._done += self._out
        self._before += len(self._out)
        for item in logged:
            self._done.append(item)
            size = 1
            if isinstance(item, LogRun):
                size = len(item)
                if item.kernel:
                    self._counts.kernel += size
                else:
                    self._counts.foreign += size
            self._before += size
        self._out = kept
        self._last, self._seen = -1, 0

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
            self._broken.forget()
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
        self._broken.begin(record.text, width)
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
            self._broken.forget()
            return True
        return False

    def _split_last(self) -> None:
        parts = split_run_on(self._out[-1])
        if len(parts) > 1:
            self._out[-1:] = parts
            self._last = len(self._out) - 1
            self._broken.forget()

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
        self._broken.begin(text, width)
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
            self._broken.forget()

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
        last = Last(self._out[self._last], self._kind, self._prefix_bytes)
        if not self._broken.goes_on(last, rest, columns=self._table_columns):
            return False
        joined = self._broken.join(last, rest, width)
        if len(joined) <= RECORD_MAX_BYTES:
            self._out[self._last] = last.record._replace(text=joined)
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
        self._broken.begin(text, width)
        return True

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
            yield from reversed(item.texts()) if isinstance(item, LogRun) else (item.text,)

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
