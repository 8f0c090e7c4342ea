"""Puts together again what a mailer, a pager or a PDF broke.

Three breakers are known: mailers break at a blank and drop it; PDFs and browsers break at a blank and keep
it, or after a hyphen, or anywhere in a long word; terminals break at their width wherever that is. Whether a
blank is to be put back follows from the place.
"""

from ..lazy import lazy
from .grammar import Line

_WORD_END = lazy(
    rb"(?:kB|KB|\)|,|[:=]\d+(?=\Z)|\b(?:invoked|[Kk]ill(?:ed)?|process|[Oo]ut|of|[Mm]emory:?|cgroup|"
    rb"reaped|now|as|result|limit|usage|"
    rb"failcnt|score|or|sacrifice|Task|Node|Node \d+))\Z"
)
_WORD_START = lazy(rb"(?!kB|KB)[A-Za-z_(=]")
_BEFORE_NUMBER = lazy(rb"(?:kB|KB|\)| =|,|\b(?:process|failcnt|limit|usage|score|Node))\Z")
"""Between these a report always has a blank, so that one was dropped even where the width says that a
terminal cut the line."""
TERMINAL_WIDTHS = frozenset({80, 100, 120, 132, 160})
_IN_COMM = lazy(rb",task=[^,]{1,15}\Z")
_PAGE_WIDTH = 120
"""A longer line was left long by a mailer, which breaks at blanks only; and only comm has blanks in an
oom-kill line."""
_INSIDE_BEFORE = lazy(rb"(?:[=|(/]|(?<=[a-z])-|\d-)\Z")
_INSIDE_AFTER = lazy(rb"(?:,|\)|\||kB\b|KB\b|:\d|=(?=\S))")


def join(pieces: list[bytes], widths: list[int], *, line: Line | None, cut_at: int | None) -> bytes:
    """The text of one line from its pieces.

    `widths` are the lengths of the physical lines that the pieces came from, `cut_at` the width at which a
    terminal cut this stream's lines.
    """
    text = pieces[0]
    for width, piece in zip(widths, pieces[1:], strict=False):
        solid = line is not None and line.solid and not (width > _PAGE_WIDTH and _IN_COMM.search(text))
        text += _between(text, piece, solid=solid, cut=width == cut_at) + piece
    return text


def _between(before: bytes, after: bytes, *, solid: bool, cut: bool) -> bytes:
    if not before or before[-1:].isspace() or after[:1].isspace():
        return b""
    if solid:
        return b""
    near = max(0, len(before) - 40)
    if (_WORD_START.match(after) and _WORD_END.search(before, near)) or (
        after[:1].isdigit() and _BEFORE_NUMBER.search(before, near)
    ):
        return b" "
    if cut or _INSIDE_BEFORE.search(before, near) or _INSIDE_AFTER.match(after):
        return b""
    return b" "
