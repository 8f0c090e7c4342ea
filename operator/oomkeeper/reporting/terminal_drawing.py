"""Drawing within a terminal's means: bars, rules and colours, in UTF-8 or in plain ASCII."""

from typing import NamedTuple

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "alarm": "1;31"}


class Pen(NamedTuple):
    """How to draw on one output: its width in character cells, and whether it takes UTF-8 and colour."""

    width: int
    colour: bool
    unicode: bool

    def paint(self, text: str, style: str) -> str:
        """`text` in a style of `_STYLES`, or as it is where the output has no colour."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colour and text else text

    def bar(self, share: float, cells: int) -> str:
        """A bar of `cells` characters: anything above nothing shows, and more than all fills it."""
        share = min(max(share, 0.0), 1.0)
        if not self.unicode:
            full = round(share * cells) or (1 if share > 0 else 0)
            return "#" * full + "." * (cells - full)
        eighths = round(share * cells * 8) or (1 if share > 0 else 0)
        full, part = divmod(eighths, 8)
        text = "█" * full + (_EIGHTHS[part] if part else "")
        return text + "░" * (cells - len(text))

    def rule(self, title: str) -> str:
        """A line across the page with a title in it."""
        dash = "━" if self.unicode else "="
        head = f"{dash * 2} {title} "
        return head + dash * max(2, self.width - cells(head))

    @property
    def bullet(self) -> str:
        return "•" if self.unicode else "-"

    def wrap(self, text: str, *, indent: str = "", first: str | None = None) -> list[str]:
        """Prose within the width. A path or an id is never broken, so that it can be copied whole. With
        `first` there is a first line even where `text` has no word."""
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

    def fit(self, text: str, room: int) -> str:
        """`text` in exactly `room` cells: padded on the right, or cut with an ellipsis."""
        if cells(text) > room:
            mark = "…" if self.unicode else "~"
            while text and cells(text) + 1 > room:
                text = text[:-1]
            text += mark
        return text + " " * (room - cells(text))

    def encodable(self, text: str) -> str:
        """`text` in what the output can show: outside UTF-8, non-ASCII characters as escapes."""
        return text if self.unicode else text.encode("ascii", "backslashreplace").decode("ascii")


def cells(text: str) -> int:
    """Terminal cells of printable text: 2 for East Asian wide characters, none for combining marks."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)
