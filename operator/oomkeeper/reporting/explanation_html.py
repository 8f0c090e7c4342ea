"""Render explanations as one self-contained HTML file: no requests, no scripts, for light, dark and print."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from tempfile import SpooledTemporaryFile
from typing import Any

from .explanation import (
    ADVICE_TITLE,
    UNCERTAIN_TITLE,
    VICTIM_COLUMNS,
    VICTIMS_TITLE,
    WHAT_IF_COLUMNS,
    WHAT_IF_TITLE,
    Explanation,
    explanation_of,
)
from .kill_overview import OVERVIEW_COLUMNS, Overview, numbered
from .kill_style import STYLE
from .kill_svg import chart_html

_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
"""


def render_html(kills: Iterable[Mapping[str, Any]]) -> str:
    """Render all kills as one document; see `html_parts`."""
    return "".join(html_parts(kills))


def html_parts(kills: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the document in parts, to be written one after the other.

    `kills` are JSON objects of the edge contract (`kill_json`). Every text of a kill is escaped. The overview
    comes first but is known last, so the articles wait in a temporary file beyond 8 MiB, never all in memory.
    """
    overview = Overview()
    with SpooledTemporaryFile(max_size=8 << 20, mode="w+", encoding="utf-8") as articles:
        for number, kill in numbered(kills):
            overview.add(kill)
            articles.write("".join(_article(explanation_of(kill), number=number)))
        articles.seek(0)
        title = "No OOM event" if not overview.total else overview.sentence()
        yield f"{_HEAD}<title>{escape(title)}, explained</title><style>{STYLE}</style></head><body><main>\n"
        if not overview.total:
            yield "<article><h1>No OOM event was found.</h1></article>\n"
        if overview.total > 1:
            yield (
                f'<section class="overview"><h1>{escape(title)}</h1>'
                f"{chart_html(overview.causes())}"
                f"{_table(OVERVIEW_COLUMNS, overview.rows())}"
                f"{''.join(f'<p>{escape(said)}</p>' for said in overview.growth())}</section>\n"
            )
        while part := articles.read(1 << 16):
            yield part
    yield "<footer>Written by oomkeeper.</footer></main></body></html>\n"


def _article(page: Explanation, *, number: int | None) -> Iterator[str]:
    title = page.title if number is None else f"{number}. {page.title}"
    yield (
        f'<article id="kill-{number or 1}"><header><span class="kind">{escape(title)}</span> '
        f'<span class="when">{escape(page.when)}</span><h1>{escape(page.summary)}</h1>'
        f'<span class="badge cause">{escape(page.cause)}</span>'
        f'<span class="badge">confidence: {escape(page.confidence)}</span></header>'
    )
    yield f"<h2>Why</h2><p>{escape(page.why)}</p><h2>{VICTIMS_TITLE}</h2>"
    yield _table(VICTIM_COLUMNS, page.victims) if page.victims else f"<p>{escape(page.no_victim)}</p>"
    for chart in page.charts:
        yield f"<h2>{escape(chart.title)}</h2>{chart_html(chart)}"
        if chart.caption:
            yield f'<p class="caption">{escape(chart.caption)}</p>'
    if page.advice:
        yield f"<h2>{ADVICE_TITLE}</h2><ol>"
        for remedy, message in page.advice:
            yield (
                f"<li><b>{escape(remedy)}:</b> {escape(message)}</li>"
                if remedy
                else f"<li>{escape(message)}</li>"
            )
        yield "</ol>"
    if page.what_if:
        yield f"<h2>{WHAT_IF_TITLE}</h2>{_table(WHAT_IF_COLUMNS, page.what_if)}"
    if page.uncertain:
        yield f'<h2>{UNCERTAIN_TITLE}</h2><div class="doubt"><ul>'
        yield "".join(f"<li>{escape(sentence)}</li>" for sentence in page.uncertain)
        yield "</ul></div>"
    if page.details:
        rows = "".join(
            f"<tr><th>{escape(label)}</th><td>{escape(value)}</td></tr>" for label, value in page.details
        )
        yield f'<details open><summary>Details</summary><table class="details">{rows}</table></details>'
    yield "</article>\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{_cells(columns, row)}</tr>" for row in rows)
    return f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cells(columns: Sequence[str], row: Sequence[str]) -> str:
    """Return cells with their column's name, which a narrow page shows beside them."""
    return "".join(
        f'<td data-column="{escape(column)}">{escape(cell)}</td>'
        for column, cell in zip(columns, row, strict=True)
    )
