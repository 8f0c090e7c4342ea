"""The demo's output: headings, short paragraphs, commands with their output, verified facts.

Colour on a terminal only. Output is flushed immediately, because programs that the demo starts write to
the same stream.
"""

import shlex
import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

from oomkeeper.cli.terminal import terminal_of

_STYLES = {"title": "1;36", "command": "1", "quiet": "2", "fact": "32", "missing": "33", "failed": "1;31"}


class DemoError(Exception):
    """A step did not happen as narrated; the message says which."""


class Narrator:
    """Writes to one stream, and collects the closing summary."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._means = terminal_of(self._stream)
        self._steps = 0
        self.shown: list[str] = []
        """Shown and verified, one line each."""
        self.missing: list[str] = []
        """Not shown, with the reason, one line each."""
        self._last: list[str] = []

    @property
    def on_terminal(self) -> bool:
        return self._stream.isatty()

    def title(self, text: str) -> None:
        """Begin a part of the demo."""
        rule = "=" * min(self._means.width, 78)
        self._write(
            f"\n{self._paint(rule, 'title')}\n{self._paint(text, 'title')}\n{self._paint(rule, 'title')}\n"
        )

    def step(self, text: str) -> None:
        """Begin a step; steps are numbered through the whole demo."""
        self._steps += 1
        self._write(f"\n{self._paint(f'{self._steps}. {text}', 'title')}\n")

    def say(self, text: str) -> None:
        """Write a paragraph: what is done now, and why."""
        self._write(self._wrapped(text, indent="   ") + "\n")

    def quiet(self, text: str) -> None:
        """Write the progress of something long."""
        self._write(self._paint(f"   {text}", "quiet") + "\n")

    def command(self, words: Sequence[str] | str) -> None:
        """Write a command as a user would type it."""
        line = words if isinstance(words, str) else shlex.join(words)
        self._write("\n" + self._paint(f"$ {line}", "command") + "\n")

    def output(self, text: str) -> None:
        """Write a program's output unchanged."""
        self._write(text if text.endswith("\n") or not text else text + "\n")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Write rows of cells; the first row is the heading."""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self._write("   " + "  ".join(cells).rstrip() + "\n")

    def fact(self, holds: bool, text: str) -> None:
        """Write a fact that was just checked. Raises DemoError if it does not hold."""
        if not holds:
            raise DemoError(f"not as expected: {text}")
        self._write(self._paint(self._wrapped(text, indent="   ", first="   ok: "), "fact") + "\n")

    def done(self, text: str) -> None:
        """Add to the summary what was shown."""
        self.shown.append(text)

    def not_shown(self, what: str, *, why: str) -> None:
        """Write what is left out, and the exact reason."""
        self.missing.append(f"{what}: {why}")
        self._write(
            self._paint(self._wrapped(f"{what}: {why}", indent="   ", first="   not shown: "), "missing")
            + "\n"
        )

    def last(self, text: str) -> None:
        """Keep a line for the end, after the summary, such as the path of a file that stays."""
        self._last.append(text)

    def failed(self, text: str) -> None:
        """Write the line that explains an exit code other than 0."""
        self._write(
            "\n" + self._paint(self._wrapped(f"FAILED: {text}", indent="        ", first=""), "failed") + "\n"
        )

    def summary(self, *, seconds: float) -> None:
        """Write what was shown, and what was not."""
        self.title(f"What you have seen, in {seconds:.0f} s")
        for text in self.shown:
            self._write(self._paint(self._wrapped(text, indent="   ", first=" + "), "fact") + "\n")
        for text in self.missing:
            self._write(
                self._paint(self._wrapped(f"not shown: {text}", indent="   ", first=" - "), "missing") + "\n"
            )
        for text in self._last:
            # Never wrapped: a path is copied.
            self._write(f"\n{text}\n")

    def _wrapped(self, text: str, *, indent: str, first: str | None = None) -> str:
        width = min(self._means.width, 100)
        lines = textwrap.wrap(
            " ".join(text.split()), width, initial_indent=indent if first is None else first,
            subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        return "\n".join(lines)

    def _paint(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._means.colour else text

    def _write(self, text: str) -> None:
        if not self._means.unicode:
            text = text.encode("ascii", "backslashreplace").decode("ascii")
        self._stream.write(text)
        self._stream.flush()
