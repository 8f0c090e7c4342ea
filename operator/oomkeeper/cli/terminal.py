"""Detect what an output stream can show: its width, colour, and UTF-8."""

import os
from collections.abc import Mapping
from typing import NamedTuple, TextIO

PIPE_WIDTH = 100
"""Columns without a terminal: fits a ticket and a pager."""
MAX_WIDTH = 120
"""Longer lines of prose are tiring to read."""


class Terminal(NamedTuple):
    """The capabilities of one output stream."""

    width: int
    colour: bool
    unicode: bool


def terminal_of(stream: TextIO, environ: Mapping[str, str] | None = None) -> Terminal:
    """Inspect `stream` and the environment (default: the process's own).

    Colour only on a terminal, and not if NO_COLOR has a value (no-color.org) or TERM=dumb. COLUMNS
    overrides the terminal's width.
    """
    environ = os.environ if environ is None else environ
    tty = stream.isatty()
    return Terminal(
        width=_width(stream if tty else None, environ),
        colour=tty and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb",
        unicode=_takes_utf8(stream, environ),
    )


def _width(terminal: TextIO | None, environ: Mapping[str, str]) -> int:
    columns = environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() else 0
    if not width and terminal is not None:
        try:
            width = os.get_terminal_size(terminal.fileno()).columns
        except OSError:  # a terminal without a size, such as a serial console
            width = 80
    return min(MAX_WIDTH, width or PIPE_WIDTH)


def _takes_utf8(stream: TextIO, environ: Mapping[str, str]) -> bool:
    if (stream.encoding or "").lower().replace("-", "").replace("_", "") != "utf8":
        return False
    everything, ctype, lang = (environ.get(key, "") for key in ("LC_ALL", "LC_CTYPE", "LANG"))
    # In the C locale Python switches itself to UTF-8 and sets LC_CTYPE (PEP 538, 540), so its encoding is
    # not evidence of the terminal's; the configured locale is.
    if everything:
        return _names_utf8(everything)
    if lang in ("C", "POSIX") and ctype in ("", "C.UTF-8", "C.utf8", "UTF-8"):
        return False
    chosen = ctype or lang
    return _names_utf8(chosen) if chosen else True


def _names_utf8(locale: str) -> bool:
    return "utf-8" in locale.lower() or "utf8" in locale.lower()
