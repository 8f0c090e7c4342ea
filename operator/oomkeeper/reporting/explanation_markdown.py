"""Render explanations as Markdown for a ticket, in the dialect of GitHub and GitLab (tables, details
blocks)."""

import re
from collections.abc import Iterable, Iterator, Sequence

from oomkeeper.kernel.lazy import lazy
from oomkeeper.resources.killrecord import KillRecord

from .explanation import (
    ADVICE_TITLE,
    UNCERTAIN_TITLE,
    VICTIM_COLUMNS,
    VICTIM_NUMBERS,
    VICTIMS_TITLE,
    WHAT_IF_COLUMNS,
    WHAT_IF_TITLE,
    Explanation,
    explanation_of,
)
from .inline_code import code_parts
from .kill_charts import Chart
from .kill_overview import OVERVIEW_COLUMNS, OVERVIEW_NUMBERS, Overview, numbered

# Characters that start markup inside a line: code, emphasis, links, tags, entities, cells, strikethrough,
# mathematics. An underscore inside a word starts none (CommonMark 6.2), so oom_score_adj stays readable.
_SPECIAL = lazy(r"[\\`*\[\]<>|~&$]|(?<![^\W_])_|_(?![^\W_])")
_LINE_START = lazy(r"^(\s*)([-+=#]|\d+(?=[.)](?:\s|$)))")
# Mentions, issue numbers and bare addresses become links after rendering, where a backslash does not help.
_LINKS = lazy(r"(?i)(?<!\w)[@#](?=\w)|\bwww(?=\.)|\b(?:https?|ftp)(?=://)")


def escape(text: str) -> str:
    """Escape `text` so that Markdown shows it unchanged, without markup, tags, links or mentions."""
    text = _SPECIAL.sub(lambda match: "\\" + match[0], text)
    text = _LINKS.sub(lambda match: match[0] + "&#8203;", text)
    return _LINE_START.sub(
        lambda match: match[1] + (f"{match[2]}\\" if match[2].isdigit() else f"\\{match[2]}"), text
    )


def code(text: str) -> str:
    """Return `text` as a code span within a table cell, which is shown unchanged and never a link."""
    return _code_span(text).replace("|", "\\|")


def _code_span(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def prose(text: str) -> str:
    """Return a sentence with its commands as code spans."""
    return "".join(_code_span(part.text) if part.is_code else escape(part.text) for part in code_parts(text))


def render_markdown(kills: Iterable[KillRecord]) -> str:
    """Render all kills as one document; see `markdown_pages`."""
    return "".join(markdown_pages(kills))


def markdown_pages(kills: Iterable[KillRecord]) -> Iterator[str]:
    """Yield one section per kill as it arrives; after several, a table of how often each kind occurred.

    Every text of a kill is escaped.
    """
    overview = Overview()
    for number, kill in numbered(kills):
        overview.add(kill)
        yield "\n".join(markdown_page(explanation_of(kill), number=number)) + "\n"
    if overview.total > 1:
        yield (
            "\n".join(
                [
                    f"## {escape(overview.sentence())}",
                    "",
                    *markdown_table(OVERVIEW_COLUMNS, overview.rows(), numbers=OVERVIEW_NUMBERS),
                    *(line for said in overview.growth() for line in ("", escape(said))),
                ]
            )
            + "\n"
        )


def markdown_page(page: Explanation, *, number: int | None = None) -> Iterator[str]:
    """Yield the lines of one explanation."""
    title = page.title if number is None else f"{number}. {page.title}"
    yield f"## {escape(title)}, {escape(page.when)}"
    yield ""
    yield f"**{escape(page.summary)}**"
    yield ""
    yield f"**Why:** {escape(page.cause)}, confidence {escape(page.confidence)}. {escape(page.why)}"
    yield ""
    yield f"### {VICTIMS_TITLE}"
    yield ""
    if page.victims:
        yield from markdown_table(VICTIM_COLUMNS, page.victims, numbers=VICTIM_NUMBERS)
    else:
        yield escape(page.no_victim)
    yield ""
    for chart in page.charts:
        yield from _chart(chart)
    if page.advice:
        yield f"### {ADVICE_TITLE}"
        yield ""
        for place, (remedy, message) in enumerate(page.advice, 1):
            yield (
                f"{place}. **{escape(remedy)}**: {prose(message)}" if remedy else f"{place}. {prose(message)}"
            )
        yield ""
    if page.what_if:
        yield f"### {WHAT_IF_TITLE}"
        yield ""
        yield from _rows(
            WHAT_IF_COLUMNS,
            ((code(setting), escape(outcome), escape(why)) for setting, outcome, why in page.what_if),
        )
        yield ""
    if page.uncertain:
        yield f"### {UNCERTAIN_TITLE}"
        yield ""
        yield from (f"- {prose(sentence)}" for sentence in page.uncertain)
        yield ""
    if page.details:
        yield "<details><summary>Details</summary>"
        yield ""
        yield from _rows(("detail", "value"), ((escape(label), code(value)) for label, value in page.details))
        yield ""
        yield "</details>"
        yield ""


def _chart(chart: Chart) -> Iterator[str]:
    yield f"### {escape(chart.title)}"
    yield ""
    yield from markdown_table(
        ("", "amount", "", ""),
        [
            (bar.label, bar.value, "" if bar.share is None else _blocks(bar.share), bar.note)
            for bar in chart.bars
        ],
        numbers=frozenset({"amount"}),
    )
    if chart.caption:
        yield ""
        yield f"_{escape(chart.caption)}_"
    yield ""


def _blocks(share: float) -> str:
    full = min(20, round(share * 20) or (1 if share > 0 else 0))
    return "█" * full + "░" * (20 - full)


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Yield the lines of a table; every cell is escaped, and those in `numbers` are right-aligned."""
    return _rows(columns, (tuple(escape(cell) for cell in row) for row in rows), numbers=numbers)


def _rows(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: frozenset[str] = frozenset()
) -> Iterator[str]:
    yield f"| {' | '.join(escape(column) for column in columns)} |"
    yield f"|{''.join('---:|' if column in numbers else '---|' for column in columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
