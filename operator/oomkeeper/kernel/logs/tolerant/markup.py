"""Undo what web pages and quoting do to a line."""

from ...lazy import lazy

_ENTITY = lazy(rb"&(?:gt|lt|amp|quot|apos|nbsp|#\d{1,6}|#x[0-9a-fA-F]{1,5});")
_TAG = lazy(rb"</?(?:a|b|br|code|div|font|li|p|pre|span|strong|tbody|td|th|tr|tt|ul)\b[^<>]{0,200}>")
_CLOSERS = lazy(rb"(?:\\+[rnt]|[\"'`,;}\]\s])+\Z")
_NBSP = b"\xc2\xa0"


def plain_text(line: bytes) -> bytes:
    """Return the line without HTML tags and entities, and with blanks for non-breaking spaces."""
    if b"<" in line:
        line = _TAG.sub(b"", line)
    if b"&" in line and _ENTITY.search(line):
        from html import unescape  # takes a millisecond that other logs need not pay

        line = unescape(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return line.replace(_NBSP, b" ") if _NBSP in line else line


def may_be_marked_up(line: bytes) -> bool:
    """Return True if `plain_text` may change the line."""
    return _NBSP in line or b"</" in line or b"<" in line or _ENTITY.search(line) is not None


def strip_closers(text: bytes) -> bytes:
    """Return the text without quotes, brackets and escaped line ends at its end."""
    return (
        _CLOSERS.sub(b"", text[-200:]) if len(text) <= 200 else text[:-200] + _CLOSERS.sub(b"", text[-200:])
    )
