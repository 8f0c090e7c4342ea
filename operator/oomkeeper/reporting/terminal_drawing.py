"""Draw bars, rules and colours on a terminal, in UTF-8 or in plain ASCII."""

from typing import NamedTuple

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "alarm": "1;31"}


class Pen(NamedTuple):
    """How to draw on one output: its width in character cells, and whether it supports UTF-8 and colour."""

    width: int
    colour: bool
    unicode: bool

    def paint(self, text: str, style: str) -> str:
        """Return `text` in a style of `_STYLES`, or unchanged where the output has no colour."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colour and text else text

    def bar(self, share: float, cells: int) -> str:
        """Return a bar of `cells` characters: a share above 0 is always visible, one above 1 fills the
        bar."""
        share = min(max(share, 0.0), 1.0)
        if not self.unicode:
            full = round(share * cells) or (1 if share > 0 else 0)
            return "#" * full + "." * (cells - full)
        eighths = round(share * cells * 8) or (1 if share > 0 else 0)
        full, part = divmod(eighths, 8)
        text = "█" * full + (_EIGHTHS[part] if part else "")
        return text + "░" * (cells - len(text))

    def rule(self, title: str) -> str:
        """Return a line across the page with a title in it."""
        dash = "━" if self.unicode else "="
        head = f"{dash * 2} {title} "
        return head + dash * max(2, self.width - cells(head))

    @property
    def bullet(self) -> str:
        return "•" if self.unicode else "-"

    def wrap(self, text: str, *, indent: str = "", first: str | None = None) -> list[str]:
        """Wrap prose to the width. Paths and ids are never broken, so that they can be copied. With `first`
        there is a first line even if `text` is empty."""
        room = max(20, self.width)
        lines, line = [], indent if first is None else first
        used = cells(line)
        empty = True
        for word in text.split():
            length = cells(word)
            if not empty and used + 1 + length > room:
                lines.append(line)
                line, used, empty = indent, len(indent), True
            line += word if empty else f" {word}"
            used += length if empty else length + 1
            empty = False
        return lines if empty and first is None else [*lines, line]

    def fit(self, text: str, room: int, *, right: bool = False) -> str:
        """Return `text` in exactly `room` cells: padded (on the left with `right`) or cut with an
        ellipsis."""
        if cells(text) > room:
            mark = "…" if self.unicode else "~"
            while text and cells(text) + 1 > room:
                text = text[:-1]
            text += mark
        padding = " " * (room - cells(text))
        return padding + text if right else text + padding

    def encodable(self, text: str) -> str:
        """Return `text` in what the output can show: without UTF-8, non-ASCII characters become escapes."""
        return text if self.unicode else text.encode("ascii", "backslashreplace").decode("ascii")


def cells(text: str) -> int:
    """Return the terminal cells of printable text: 2 for East Asian wide characters, 0 for combining
    marks."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)
