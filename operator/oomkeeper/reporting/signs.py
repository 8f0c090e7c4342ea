"""Render the other signs of memory trouble, after the kills."""

from collections.abc import Iterator, Sequence

from oomkeeper.kernel.logs.signs import Sign

from .inline_code import code_parts

SIGNS_TITLE = "Other signs of memory trouble"


def signs_text(signs: Sequence[Sign], *, width: int) -> Iterator[str]:
    """Yield the section's lines for a terminal; nothing without signs."""
    from textwrap import wrap

    if not signs:
        return
    yield ""
    yield SIGNS_TITLE
    for message, lines in _by_message(signs):
        text = "".join(part.text for part in code_parts(f"{_lines_text(lines)}: {message}"))
        yield from wrap(text, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)


def signs_markdown(signs: Sequence[Sign]) -> Iterator[str]:
    """Yield the section as Markdown; nothing without signs."""
    from .explanation_markdown import prose

    if not signs:
        return
    yield f"\n## {SIGNS_TITLE}\n\n"
    for message, lines in _by_message(signs):
        yield f"- {_lines_text(lines)}: {prose(message)}\n"


def signs_rows(signs: Sequence[Sign]) -> list[tuple[str, str]]:
    """Return (lines, message) of each different message, for the HTML page."""
    return [(_lines_text(lines), message) for message, lines in _by_message(signs)]


def _by_message(signs: Sequence[Sign]) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for sign in signs:
        found.setdefault(sign.message, []).append(sign.line)
    return list(found.items())


def _lines_text(lines: Sequence[int]) -> str:
    shown = ", ".join(map(str, lines))
    return f"line {shown}" if len(lines) == 1 else f"lines {shown}"
