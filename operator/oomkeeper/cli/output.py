"""Write kills to standard output in the format that `--output` names, for every verb that prints kills.

Each format's renderer is imported on demand.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from msgspec.json import encode

from oomkeeper.kernel.logs.signs import Sign
from oomkeeper.reporting.signs import signs_markdown, signs_text
from oomkeeper.resources.killrecord import KillRecord

from .terminal import terminal_of

TEXT, JSON, MARKDOWN, HTML = OUTPUTS = ("text", "json", "markdown", "html")

Kills = Iterable[KillRecord]


def write_kills(
    kills: Kills,
    *,
    output: str,
    stream: TextIO | None = None,
    more: Callable[[], Mapping[str, Any]] | None = None,
    nothing: Callable[[], str] | None = None,
    signs: Callable[[], Sequence[Sign]] | None = None,
) -> None:
    """Write `kills` as they arrive.

    `more` returns further keys of the JSON document and is called after the last kill. `nothing` returns the
    sentence for people where there was no kill, `signs` the other signs of memory trouble. Text adapts to the
    terminal; the other forms are UTF-8 whatever the locale.
    """
    stream = sys.stdout if stream is None else stream
    if output == TEXT:
        for page in _text(kills, stream, nothing, signs):
            stream.write(page)
            stream.flush()
        return
    if output == JSON:
        parts = _json(kills, more, signs)
    elif output == MARKDOWN:
        parts = _markdown(kills, nothing, signs)
    else:
        from oomkeeper.reporting.explanation_html import html_parts

        parts = html_parts(kills, signs=signs)
    # Bytes, because the locale's encoding may not have a comm's characters; a stream without a byte buffer
    # (of a test) takes text.
    binary = getattr(stream, "buffer", None)
    for part in parts:
        if binary is None:
            stream.write(part)
        else:
            binary.write(part.encode("utf-8"))
    stream.flush()


_More = Callable[[], Mapping[str, Any]] | None
_Nothing = Callable[[], str] | None
_Signs = Callable[[], Sequence[Sign]] | None


def _text(kills: Kills, stream: TextIO, nothing: _Nothing, signs: _Signs) -> Iterator[str]:
    from oomkeeper.reporting.explanation_text import text_pages

    means = terminal_of(stream)
    empty = True
    for page in text_pages(kills, width=means.width, colour=means.colour, unicode=means.unicode):
        empty = False
        yield page
    after = [nothing()] if empty and nothing is not None else []
    if signs is not None:
        after += signs_text(signs(), width=means.width)
    for line in after:
        yield (
            f"{line}\n" if means.unicode else f"{line}\n".encode("ascii", "backslashreplace").decode("ascii")
        )


def _json(kills: Kills, more: _More, signs: _Signs) -> Iterator[str]:
    """Yield one document with one line per kill, for `jq` and for `grep`."""
    import json

    yield '{"kills": ['
    between = "\n"
    for kill in kills:
        yield between + encode(kill).decode()
        between = ",\n"
    yield "]" if between == "\n" else "\n]"
    if signs is not None:
        yield f', "signs": {json.dumps([sign._asdict() for sign in signs()], ensure_ascii=False)}'
    for key, value in (more() if more is not None else {}).items():
        yield f", {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
    yield "}\n"


def _markdown(kills: Kills, nothing: _Nothing, signs: _Signs) -> Iterator[str]:
    from oomkeeper.reporting.explanation_markdown import escape, markdown_pages

    empty = True
    for page in markdown_pages(kills):
        empty = False
        yield page
    if empty and nothing is not None:
        yield f"{escape(nothing())}\n"
    if signs is not None:
        yield from signs_markdown(signs())
