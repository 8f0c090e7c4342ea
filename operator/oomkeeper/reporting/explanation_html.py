"""Render explanations as one self-contained HTML file: no requests, for light, dark and print. Its one script
sorts and searches tables; without it everything is still there."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

from oomkeeper.kernel.logs.signs import Sign
from oomkeeper.resources.killrecord import KillRecord

from . import explanation
from .explanation import explanation_of
from .html_page import environment, page_head
from .kill_overview import OVERVIEW_COLUMNS, OVERVIEW_NUMBERS, Overview, numbered
from .signs import SIGNS_TITLE, signs_rows


class _Titles(NamedTuple):
    victims: str = explanation.VICTIMS_TITLE
    advice: str = explanation.ADVICE_TITLE
    what_if: str = explanation.WHAT_IF_TITLE
    uncertain: str = explanation.UNCERTAIN_TITLE
    processes: str = explanation.PROCESSES_TITLE


_GLOBALS = {
    "titles": _Titles(),
    "victim_columns": explanation.VICTIM_COLUMNS,
    "victim_numbers": explanation.VICTIM_NUMBERS,
    "process_columns": explanation.PROCESS_COLUMNS,
    "process_numbers": explanation.PROCESS_NUMBERS,
    "what_if_columns": explanation.WHAT_IF_COLUMNS,
}


def render_html(kills: Iterable[KillRecord]) -> str:
    """Render all kills as one document; see `html_parts`."""
    return "".join(html_parts(kills))


def html_parts(
    kills: Iterable[KillRecord], *, signs: Callable[[], Sequence[Sign]] | None = None
) -> Iterator[str]:
    """Yield the document in parts, to be written one after the other. `signs` returns the other signs of
    memory trouble and is called after the last kill.

    The overview comes first but is known last, so the articles wait in a temporary file beyond 8 MiB, never
    all in memory.
    """
    templates = environment()
    article = templates.get_template("kill.html", globals=_GLOBALS)
    overview = Overview()
    with SpooledTemporaryFile(max_size=8 << 20, mode="w+", encoding="utf-8") as articles:
        for number, kill in numbered(kills):
            overview.add(kill)
            articles.write(article.render(page=explanation_of(kill), number=number))
        articles.seek(0)
        title = f"{overview.sentence()}, explained" if overview.total else "No OOM event"
        yield page_head(title=title, styles=("templates/style.css",), scripts=("templates/tables.js",))
        yield "<body><main>\n"
        if not overview.total:
            yield "<article><h1>No OOM event was found.</h1></article>\n"
        if overview.total > 1:
            yield templates.get_template("overview.html").render(
                overview=overview, columns=OVERVIEW_COLUMNS, numbers=OVERVIEW_NUMBERS
            )
        while part := articles.read(1 << 16):
            yield part
    if signs is not None and (rows := signs_rows(signs())):
        yield templates.get_template("signs.html").render(title=SIGNS_TITLE, rows=rows)
    yield "<footer>Written by oomkeeper.</footer></main></body></html>\n"
