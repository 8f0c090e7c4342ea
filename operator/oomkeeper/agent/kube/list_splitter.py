"""Take the items out of a list's JSON while it arrives, so that no list is ever held as a whole.

250 pods of 23 KiB are 6 MiB of text and several times that as Python objects: too much for the agent's
memory limit.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)
"""A whole string, or a bracket, or the quote of a string that is not complete yet."""
_ITEMS_DEPTH = 2
"""Nesting inside `{"items": [`."""


class ListSplitter:
    """Splits `{..., "items": [item, ...], ...}` into its items, as bytes, and the rest.

    `items` may come before or after `metadata`: the API server writes custom resources with sorted keys.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._scanned = 0
        self._depth = 0
        self._string = b""
        """The string read last: before a `[` in the outermost object that is the array's key."""
        self._in_items = False
        self._item_from: int | None = None
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the items that `data` completes."""
        self._buffer += data
        kept_from = 0
        for token in _TOKEN.finditer(self._buffer, self._scanned):
            start, end = token.span()
            text = self._buffer[start:end] if end - start < 16 else b""
            if text == b'"':
                break  # the rest of this string is still to come
            self._scanned = end
            if text in (b"{", b"["):
                if self._in_items and self._depth == _ITEMS_DEPTH and self._item_from is None:
                    self._item_from = start
                if self._depth == 1 and text == b"[" and self._string == b'"items"':
                    self._in_items = True
                    self._rest += self._buffer[kept_from:end]
                self._depth += 1
            elif text in (b"}", b"]"):
                self._depth -= 1
                if self._item_from is not None and self._depth == _ITEMS_DEPTH:
                    yield self._buffer[self._item_from : end]
                    self._item_from, kept_from = None, end
                elif self._in_items and self._depth < _ITEMS_DEPTH:
                    self._in_items, kept_from = False, start
            elif self._depth == 1:
                self._string = text
        self._forget(kept_from)

    def _forget(self, kept_from: int) -> None:
        """Drop what has been yielded, and keep the list's own fields apart."""
        if self._item_from is not None:
            kept_from = self._item_from
        elif self._in_items:
            kept_from = self._scanned
        else:
            self._rest += self._buffer[kept_from : self._scanned]
            kept_from = self._scanned
        self._buffer = self._buffer[kept_from:]
        self._scanned -= kept_from
        if self._item_from is not None:
            self._item_from = 0

    @property
    def held_bytes(self) -> int:
        """What is kept of the list: an item that is not complete, and the list without its items."""
        return len(self._buffer) + len(self._rest)

    def rest(self) -> bytes:
        """Return the list without its items, once all has been fed: `{..., "items": [], ...}`."""
        return bytes(self._rest) + self._buffer
