"""Read one log tolerantly: what the assembler asks about lines whose format names no writer."""

from collections.abc import Iterator
from typing import NamedTuple

from ...lazy import lazy
from ..broken_lines.line_kinds import KNOWN_START
from ..formats.detect import find_frame
from ..formats.frame import Frame
from ..formats.journal_entry import entry_frame
from ..formats.journal_json import fields_of
from ..formats.json_text import loads
from ..formats.syslog_record import syslog_frame
from ..signs import Signs
from .json_strings import Entry, strings_of
from .markup import may_be_marked_up, plain_text
from .prefixes import Prefixes, strip_grep
from .sentences import holds_sentence, sentences_in

_PREFIX_MAX_BYTES = 160
_TAG = lazy(rb"(?:\A|[^:\s]\s+|[|\]>]\s*)kernel(?:\[-\])?: ")
_STAMP = lazy(rb"\[ *\d+\.\d{1,9}\](?: ?\[ *[TC]\d+\])? ")


class Quoted(NamedTuple):
    """Lines found inside a line, to be read as lines of the log; or a frame that is already complete."""

    lines: list[bytes]
    frames: list[Frame]


class TolerantReading:
    """The state of one log: learned prefixes, the member of JSON documents that has the lines, and signs."""

    def __init__(self) -> None:
        self.signs = Signs()
        self._prefixes = Prefixes()
        self._json_keys: set[str] = set()

    def learn(self, block: bytes) -> None:
        """Learn prefixes from a block of lines, before its lines are read."""
        self._prefixes.learn(block)

    @property
    def strips(self) -> bool:
        """False as long as no prefix is known, so that `strip` changes nothing."""
        return self._prefixes.known

    def strip(self, line: bytes) -> bytes:
        """Return the line without a learned prefix."""
        return self._prefixes.strip(line)

    def after_grep(self, line: bytes) -> bytes | None:
        """Return the framed line behind a file name, line number or host name, or None."""
        return strip_grep(line)

    def prefixed_frame(self, line: bytes) -> tuple[Frame, int] | None:
        """Return (frame, length of the prefix) of a line that has an unknown prefix before the kernel's tag
        or stamp, or None."""
        if tag := _TAG.search(line, 0, _PREFIX_MAX_BYTES):
            return syslog_frame(line, tag.end(), wall=None, level=None, kernel=True), 0
        if stamp := _STAMP.search(line, 0, _PREFIX_MAX_BYTES):
            frame = find_frame(line[stamp.start() :])
            return None if frame is None else (frame, stamp.start())
        return None

    def quoted(self, text: bytes) -> Quoted | None:
        """Return the kernel messages inside a text of an unknown writer, or None."""
        if text[:1] in (b"{", b"["):
            found = self._of_json(text)
            if found is not None:
                return found if found.lines or found.frames else None
        if may_be_marked_up(text):
            plain = plain_text(text).strip()
            if plain != text and _is_kernel_line(plain):
                return Quoted([plain], [])
            text = plain
        lines = [sentence for _, sentence in sentences_in(text)]
        return Quoted(lines, []) if lines else None

    def _of_json(self, text: bytes) -> Quoted | None:
        """Return None for what is not JSON."""
        try:
            document = loads(text)
        except (ValueError, RecursionError):
            return None
        found = Quoted([], [])
        for item in strings_of(document):
            if isinstance(item, Entry):
                frame = entry_frame(fields_of(item.fields))
                if frame.record.kernel:
                    found.frames.append(frame)
                elif frame.unknown_writer:
                    found.lines.extend(self._of_string("MESSAGE", frame.record.text))
            else:
                found.lines.extend(self._of_string(item.key, item.text))
        return found

    def _of_string(self, key: str, text: bytes) -> Iterator[bytes]:
        lines = text.splitlines()
        if any(map(_is_kernel_line, lines)):
            self._json_keys.add(key)
        elif key not in self._json_keys:
            # A sentence in the middle of a string shows nothing about the other strings.
            for line in lines:
                yield from (sentence for _, sentence in sentences_in(line))
            return
        yield from lines


def _is_kernel_line(line: bytes) -> bool:
    if KNOWN_START.match(line.lstrip()):
        return True
    frame = find_frame(line)
    if frame is None:
        return False
    return frame.record.kernel or (frame.unknown_writer and holds_sentence(line))
