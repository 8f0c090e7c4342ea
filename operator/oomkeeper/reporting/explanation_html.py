"""Render explanations as one self-contained HTML file: no requests, no scripts, for light, dark and print.

The templates are package data (`templates/`); jinja2 escapes every value (autoescape)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from oomkeeper.kernel.logs.signs import Sign
from oomkeeper.resources.killrecord import KillRecord

from . import explanation
from .explanation import explanation_of
from .inline_code import code_parts
from .kill_charts import Bar
from .kill_overview import OVERVIEW_COLUMNS, OVERVIEW_NUMBERS, Overview, numbered
from .signs import SIGNS_TITLE, signs_rows

_LONGEST_WORD = 40
"""Characters of a word in code that is never broken: a longer one is a path and would not fit a phone."""
_LEAST_PERCENT = 0.6
"""Length of the shortest bar that is visible."""


class _Titles(NamedTuple):
    victims: str = explanation.VICTIMS_TITLE
    advice: str = explanation.ADVICE_TITLE
    what_if: str = explanation.WHAT_IF_TITLE
    uncertain: str = explanation.UNCERTAIN_TITLE


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
    environment = _environment()
    article = environment.get_template("kill.html")
    overview = Overview()
    with SpooledTemporaryFile(max_size=8 << 20, mode="w+", encoding="utf-8") as articles:
        for number, kill in numbered(kills):
            overview.add(kill)
            articles.write(article.render(page=explanation_of(kill), number=number))
        articles.seek(0)
        title = f"{overview.sentence()}, explained" if overview.total else "No OOM event"
        yield environment.get_template("head.html").render(title=title)
        if not overview.total:
            yield "<article><h1>No OOM event was found.</h1></article>\n"
        if overview.total > 1:
            yield environment.get_template("overview.html").render(
                overview=overview, columns=OVERVIEW_COLUMNS, numbers=OVERVIEW_NUMBERS
            )
        while part := articles.read(1 << 16):
            yield part
    if signs is not None and (rows := signs_rows(signs())):
        yield environment.get_template("signs.html").render(title=SIGNS_TITLE, rows=rows)
    yield "<footer>Written by oomkeeper.</footer></main></body></html>\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("oomkeeper.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["code_parts"] = code_parts
    environment.filters["bar_percent"] = _bar_percent
    environment.globals.update(
        longest_word=_LONGEST_WORD,
        titles=_Titles(),
        victim_columns=explanation.VICTIM_COLUMNS,
        victim_numbers=explanation.VICTIM_NUMBERS,
        what_if_columns=explanation.WHAT_IF_COLUMNS,
    )
    return environment


def _bar_percent(bar: Bar) -> float:
    """Return the length of a bar in per cent: something is always visible, and more than all is all."""
    share = min(max(bar.share or 0.0, 0.0), 1.0)
    return max(share * 100, _LEAST_PERCENT) if share else 0.0
