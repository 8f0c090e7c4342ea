"""From lines to records: decide for each line whether it begins a record, continues one, or comes from
another program."""

import re
from collections.abc import Sequence
from operator import attrgetter

from oomkeeper.model.log import LogRecord

from ..escapes import decode_kmsg, decode_rsyslog
from ..lazy import lazy
from .broken_lines.broken_line import BrokenLine, Last
from .broken_lines.line_kinds import (
    KNOWN_START,
    MEM_INFO_REST,
    TABLE_HEADER,
    TABLE_ROW,
    TABLE_ROW_START,
    find_line,
    is_further_line,
)
from .broken_lines.run_on import RUN_ON_MIN_BYTES, split_run_on
from .counts import LogCounts
from .entries import EntryReaders
from .formats.detect import find_frame, strip_quote
from .formats.dmesg import parse_dmesg
from .formats.frame import Frame, Kind
from .formats.journal_export import ExportReader
from .formats.kmsg_text import DICTIONARY
from .formats.other_programs import ELISION, looks_foreign
from .formats.syslog import parse_other_program
from .line_blocks import clean
from .plain_lines import read_plain_lines
from .tolerant.reading import TolerantReading

RECORD_MAX_BYTES = 64 * 1024
"""Further lines beyond it are dropped; printk's own bound is 1 KiB, the largest statistics of a cgroup are 5
KiB."""
_MAX_FOREIGN_BETWEEN = 8
"""A kernel record may continue after at most so many lines of other programs."""
_QUOTE_DEPTH = 3
"""A string of JSON inside a string of JSON inside JSON is read, deeper ones are not."""
_FRAGMENT_RECORDS = 5
"""How far back the record of a pr_cont() piece may be."""
_new = tuple.__new__
_BRACKET, _HASH, _BACKSLASH = b"[#\\"
"""Bytes as numbers, which are found in a fifth of the time."""
_OOM_TAG = lazy(rb"\[ ?oom[-_ ]?kill(?:er)? ?\] ", re.IGNORECASE)
"""A tag that people write before the kernel's text."""
_ONE_LINE = (b"Memory cgroup out of memory: ", b"Out of memory: ", b"Killed process ")
"""Records that never have a second line: an indented line after one was broken off it."""
_IS_KERNEL = attrgetter("kernel")
_INNER_STAMP = lazy(rb"\[ *\d+\.\d{6}\](?: ?\[ *[TC]\d+\])? ")


class Assembler:
    """Takes blocks of whole lines in order and returns the records that are known to be complete."""

    def __init__(
        self, counts: LogCounts, *, tolerant: TolerantReading | None = None, first_line: int = 1
    ) -> None:
        """Read strictly, or tolerantly with `tolerant` (see tolerant/__init__.py); `first_line` is the number
        of the first line."""
        self._counts = counts
        self._tolerant = tolerant
        self._line_number = first_line - 1
        self._quoting = 0
        """Depth of text inside text, while the lines that another line quotes are read."""
        self._out: list[LogRecord] = []
        """Records that were not returned yet."""
        self._last = -1
        """Index in `_out` of the record that may still continue; -1: none."""
        self._broken = BrokenLine()
        self._foreign_between = 0
        self._kind: Kind | None = None
        """Framing of the last framed line; None before the first, and again in a bare report."""
        self._owner_kernel = True
        """False if the last framed line came from another program."""
        self._prefix_bytes = 0
        self._columns = 0
        """Number of columns of the last task table, without the pid in brackets and the name; 0 before the
        first."""
        self._entries = EntryReaders()
        self._export = ExportReader()

    def feed(self, block: bytes) -> list[LogRecord]:
        """Return the records that the block completed. `block` ends with a newline."""
        if self._export.active or self._export.begins(block):
            for frame in self._export.feed(block):
                self._begin(frame, 0)
            return self._take(keep_last=False)
        lines = clean(block).split(b"\n")
        lines.pop()  # empty: the block ends with a newline
        if self._tolerant is not None:
            self._tolerant.learn(block)
        at = 0
        while at < len(lines):
            if not (taken := self._plain_lines(lines, at)):
                self._physical_line(lines[at])
            at += taken or 1
        self._quoting = 0
        return self._take(keep_last=True)

    def finish(self) -> list[LogRecord]:
        """Return the records held back, at the end of the stream."""
        for frame in self._export.finish():
            self._begin(frame, 0)
        if (entry := self._entries.finish()) is not None:
            self._begin(entry, 0)
        return self._take(keep_last=False)

    def _take(self, *, keep_last: bool) -> list[LogRecord]:
        held = self._last if keep_last and self._last >= 0 else len(self._out)
        done, self._out = self._out[:held], self._out[held:]
        self._last = 0 if self._out else -1
        kernel = sum(map(_IS_KERNEL, done))
        self._counts.kernel += kernel
        self._counts.foreign += len(done) - kernel
        return done

    def _plain_lines(self, lines: Sequence[bytes], at: int) -> int:
        """Read the plain lines from `lines[at]` on that are of the same kind as the line before; return how
        many. The same as `_physical_line` one by one, but faster."""
        tolerant = self._tolerant
        if self._entries.active or (tolerant is not None and tolerant.strips):
            return 0
        last = self._out[self._last].text if self._last >= 0 and not self._announced() else None
        records = read_plain_lines(lines, at, kind=self._kind, kernel=self._owner_kernel, last=last)
        if not records:
            return 0
        if tolerant is not None:
            tolerant.signs.see_all(records, self._line_number + 1)
        self._line_number += len(records)
        self._out += records
        text, width = records[-1].text, len(lines[at + len(records) - 1])
        self._last = len(self._out) - 1 if records[-1].kernel else -1
        if self._kind is not None:
            self._owner_kernel, self._prefix_bytes = records[-1].kernel, width - len(text)
        self._broken.begin(text, width)
        self._foreign_between = 0
        return len(records)

    def _physical_line(self, line: bytes) -> None:
        """Read one line of the log; tolerantly without a prefix that a tool put before all of them."""
        if self._tolerant is not None:
            self._line_number += 1
            rest = self._tolerant.strip(line)
            self._quoting = int(rest is not line)
            line = rest
        self._line(line)

    def _line(self, line: bytes) -> None:
        if line[:1] == b"[" and not self._entries.active:
            # printk's stamp or a row of the task table: what follows does not apply to it.
            if self._kind is None and TABLE_ROW_START.match(line):
                if self._last >= 0 and self._out[self._last].text[:1] == b"[":
                    self._plain(line, len(line))  # a row after a row or the title, as most lines of a report
                else:
                    self._bare(line)
            elif (frame := parse_dmesg(line)) is not None:
                self._begin(frame, len(line))
            else:
                self._bare(line)
            return
        if (
            line[3:4] == b" "
            and not self._entries.active
            and (frame := parse_other_program(line)) is not None
        ):
            self._begin(frame, len(line))
            return
        line = strip_quote(line)
        if not line or line.isspace():
            return
        if self._entries.active or self._entries.begins(line):
            taken, entry = self._entries.take(line)
            if entry is not None:
                self._begin(entry, 0)
            if taken:
                return
        if line[:1] in (b" ", b"\t") and self._kind is not None and self._continues(line):
            return
        if (frame := find_frame(line)) is not None:
            self._begin(frame, len(line))
        else:
            self._bare(line)

    # Framed lines.

    def _begin(self, frame: Frame, width: int) -> None:
        record = frame.record
        if self._tolerant is not None:
            if frame.unknown_writer:
                self._unknown(record)
                return
            if record.kernel:
                self._tolerant.signs.see_kernel(record.text, self._line_number)
            else:
                self._tolerant.signs.see(record.text, self._line_number)
            if self._quoting:
                record = record._replace(quoted=True)
            if record.text[:1] == b"[" and record.kernel and (tag := _OOM_TAG.match(record.text)):
                record = record._replace(text=record.text[tag.end() :])
        if (frame.fragment or record.text[:1] == b",") and record.kernel and self._append_fragment(record):
            return
        self._out.append(record)
        self._last = len(self._out) - 1 if record.kernel else -1
        self._kind = frame.kind
        self._owner_kernel = record.kernel
        self._prefix_bytes = frame.prefix_bytes
        self._broken.begin(record.text, width)
        self._foreign_between = 0
        self._note_columns(record.text)
        if len(record.text) >= RUN_ON_MIN_BYTES and record.kernel and frame.kind in (Kind.DMESG, Kind.SYSLOG):
            self._split_last()

    def _append_fragment(self, record: LogRecord) -> bool:
        """Append a pr_cont() piece that became a record of its own to the line that it belongs to; records of
        another CPU may be between."""
        for at in range(len(self._out) - 1, max(-1, len(self._out) - 1 - _FRAGMENT_RECORDS), -1):
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

    def _continues(self, line: bytes) -> bool:
        """Take a line that is indented as dmesg and journalctl indent the further lines of a record, or is
        the dictionary of a kmsg record."""
        if self._kind is Kind.KMSG and DICTIONARY.match(line):
            return True
        if self._last >= 0 and TABLE_ROW.match(self._out[self._last].text):
            return False  # a row is one line; this one was broken between two columns
        indent = len(line) - len(line.lstrip(b" \t"))
        if not max(8, self._prefix_bytes - 1) <= indent:
            return False
        if not self._owner_kernel:
            self._out.append(LogRecord(text=line.strip(), kernel=False))
            return True
        if self._last < 0:
            return False
        one_line = self._out[self._last].text.startswith(_ONE_LINE)
        if (one_line or indent > self._prefix_bytes + 1) and self._join(line.strip(), len(line)):
            return True
        self._extend(line[min(indent, self._prefix_bytes) :])
        return True

    # Bare lines.

    def _bare(self, line: bytes) -> None:
        if self._kind is not None and not self._owner_kernel:
            # The further lines of a process's message are its own, whatever they look like.
            self._foreign(line)
            return
        stripped = line.strip()
        if KNOWN_START.match(stripped):
            if self._last >= 0 and self._announced() and self._join_unindented(line, stripped):
                return
            self._kind = None
            self._plain(line.lstrip(), len(line))
        elif ELISION.match(line) or looks_foreign(stripped):
            if self._tolerant is None or not self._quote(stripped):
                self._foreign(line)
        elif (
            (self._tolerant is not None and self._after_grep(line))
            or (self._last >= 0 and self._join_unindented(line, stripped))
            or (self._tolerant is not None and self._prefixed(line))
        ):
            return
        elif (
            _BRACKET in line
            and (stamp := _INNER_STAMP.search(line))
            and (frame := find_frame(line[stamp.start() :])) is not None
        ):
            self._begin(frame, len(line))  # a program wrote to the console at the same time
        elif self._kind is None:
            self._plain(line, len(line))
        elif self._last >= 0 and is_further_line(self._out[self._last].text, line):
            self._extend(line)
        else:
            self._foreign(line)

    def _join_unindented(self, line: bytes, stripped: bytes) -> bool:
        """Join the line without its indentation, of which one blank may belong to the broken line. Between
        the columns of a table one always does."""
        if line[:1].isspace() and TABLE_ROW.match(self._out[self._last].text):
            stripped = b" " + stripped
        elif line[:2].lstrip():
            stripped = line
        return self._join(stripped, len(line))

    def _announced(self) -> bool:
        """Return True if the last line breaks off before words that usually begin a line: `Out of memory:`
        before `Killed process`."""
        text = self._out[self._last].text
        if text[:1] in (b"M", b"O"):
            return text.startswith((b"Memory cgroup", b"Out of"))
        return not text or text.isspace()

    def _plain(self, text: bytes, width: int) -> None:
        if _HASH in text and b"#0" in text:
            text = decode_rsyslog(text)
        if _BACKSLASH in text and b"\\x0a" in text:
            text = text.replace(b"\\x0a", b"\n")
        if self._tolerant is not None:
            self._tolerant.signs.see_kernel(text, self._line_number)
        self._out.append(_new(LogRecord, (text, None, None, None, None, None, True, bool(self._quoting))))
        self._last = len(self._out) - 1
        self._broken.begin(text, width)
        self._foreign_between = 0
        if text[:1] == b"[":
            self._note_columns(text)

    def _foreign(self, line: bytes) -> None:
        self._out.append(LogRecord(text=line[:RECORD_MAX_BYTES], kernel=False))
        self._foreign_between += 1
        if self._foreign_between > _MAX_FOREIGN_BETWEEN:
            self._last = -1

    def _extend(self, line: bytes) -> None:
        record = self._out[self._last]
        if len(record.text) + len(line) < RECORD_MAX_BYTES:
            self._out[self._last] = record._replace(text=record.text + b"\n" + line)
            self._broken.forget()

    # Tolerant reading.

    def _unknown(self, record: LogRecord) -> None:
        """Take a record whose format names no writer."""
        if self._quote(record.text):
            return
        self._foreign(record.text)
        self._last = -1
        if not self._quoting:
            # The lines after it are not known to be of the same writer.
            self._kind, self._owner_kernel = None, True

    def _after_grep(self, line: bytes) -> bool:
        """Take a framed line behind a file name, line number or host name: it continues no broken line."""
        assert self._tolerant is not None
        rest = self._tolerant.after_grep(line)
        if rest is not None:
            self._line(rest)
        return rest is not None

    def _prefixed(self, line: bytes) -> bool:
        """Take a bare line that has an unknown prefix, or quotes the kernel."""
        assert self._tolerant is not None
        found = self._tolerant.prefixed_frame(line)
        if found is not None:
            frame, prefix_bytes = found
            self._begin(frame._replace(prefix_bytes=frame.prefix_bytes + prefix_bytes), len(line))
            return True
        return self._quote(line)

    def _quote(self, text: bytes) -> bool:
        """Read the kernel messages that a text quotes; return False if there are none."""
        assert self._tolerant is not None
        if self._quoting >= _QUOTE_DEPTH or (quoted := self._tolerant.quoted(text)) is None:
            self._tolerant.signs.see(text, self._line_number)
            return False
        owner = self._kind, self._owner_kernel, self._prefix_bytes
        if not self._owner_kernel:
            self._kind, self._owner_kernel = None, True
        self._quoting += 1
        for frame in quoted.frames:
            self._begin(frame, 0)
        for line in quoted.lines:
            self._line(line)
        self._quoting -= 1
        self._kind, self._owner_kernel, self._prefix_bytes = owner
        return True

    # Broken lines.

    def _join(self, rest: bytes, width: int) -> bool:
        """Join `rest` to the last record if it was broken off there. One blank before it may belong to the
        line."""
        text = self._out[self._last].text
        if self._kind is Kind.KMSG and b"\\x" in rest:
            rest = decode_kmsg(rest)
            if not rest.strip():
                return False
        if text.strip() == b"[" and self._join_stamp(rest, width):
            return True
        if text.startswith(b"active_anon:") and MEM_INFO_REST.match(rest) and not text[-1:].isspace():
            self._extend(rest if rest[:1] == b" " else b" " + rest)
            return True
        last = _new(Last, (self._out[self._last], self._kind, self._prefix_bytes))
        if not self._broken.goes_on(last, rest, columns=self._columns):
            return False
        joined = self._broken.join(last, rest, width)
        if len(joined) <= RECORD_MAX_BYTES:
            self._out[self._last] = last.record._replace(text=joined)
            self._note_columns(joined)
        return True

    def _join_stamp(self, rest: bytes, width: int) -> bool:
        """Take `1475.123456] text` after a line that was broken at the blank inside the stamp."""
        frame = find_frame(b"[" + rest)
        if frame is None or frame.record.usec is None:
            return False
        text, usec, caller = frame.record.text, frame.record.usec, frame.record.caller
        self._out[self._last] = self._out[self._last]._replace(text=text, usec=usec, caller=caller)
        self._broken.begin(text, width)
        return True

    def _note_columns(self, text: bytes) -> None:
        if b"pid" in text[:6] and (header := TABLE_HEADER.match(text)) is not None:
            self._columns = len(header[1].split())
