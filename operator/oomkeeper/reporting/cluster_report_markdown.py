"""Render a cluster report as Markdown for a ticket or a chat."""

from collections.abc import Iterator, Sequence

from oomkeeper.model.escaping import printable

from .cluster_report import ClusterReport
from .explanation_markdown import escape, prose
from .report_tables import (
    ADVICE_CAPTION,
    ADVICE_TITLE,
    BEGAN_TITLE,
    COVERAGE_TITLE,
    EMPTY,
    ReportTable,
    advice_sentences,
    began_sentences,
    report_title,
    tables,
    totals_text,
    window_text,
)


def report_markdown(report: ClusterReport, *, by: str | None, top: int) -> Iterator[str]:
    """Yield the document in parts. `by`: only this list, whole; else each list has at most `top` rows."""
    yield f"## {escape(report_title(report))}\n\n{escape(window_text(report))}\n\n"
    yield f"**{escape(totals_text(report))}**\n"
    for table in tables(report, by=by, top=top):
        yield from _table(table)
    if by is None and (began := began_sentences(report)):
        yield f"\n### {BEGAN_TITLE}\n\n"
        for where, sentence in began:
            yield f"- {escape(where)}: {escape(sentence)}\n"
    if by is None and report.advice:
        yield f"\n### {ADVICE_TITLE}\n\n"
        for place, row in enumerate(report.advice, 1):
            title, effect, where, message = advice_sentences(row)
            yield f"{place}. **{escape(title)}** ({effect}). {escape(where)}: {prose(message)}\n"
        yield f"\n{ADVICE_CAPTION}\n"
    yield f"\n### {COVERAGE_TITLE}\n\n"
    for sentence in report.coverage.sentences:
        yield f"- {escape(printable(sentence))}\n"


def _table(table: ReportTable) -> Iterator[str]:
    yield f"\n### {escape(table.title)}\n\n"
    if not table.rows:
        yield f"{EMPTY}\n"
        return
    yield _line(table.columns)
    yield _line(["---:" if column in table.numbers else "---" for column in table.columns])
    for row in table.rows:
        yield _line([escape(cell.text) for cell in row])
    if table.caption:
        yield f"\n{escape(table.caption)}\n"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |\n"
