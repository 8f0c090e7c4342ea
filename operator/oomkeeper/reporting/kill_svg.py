"""Bar charts of the HTML page: labels and figures are text, which wraps and can be copied; the bar alone is
an inline SVG, drawn by shares, so that it is as wide as the page leaves it."""

from html import escape

from .explanation import Bar, Chart


def chart_html(chart: Chart) -> str:
    """One row a bar: label, track and fill, then the amount and the note. Everything is escaped."""
    return f'<div class="chart">{"".join(map(_row, chart.bars))}</div>'


def _row(bar: Bar) -> str:
    kind = "hot" if bar.hot else "plain"
    note = f' <span class="note {kind}">{escape(bar.note)}</span>' if bar.note else ""
    return (
        f'<div class="bar"><span class="label">{escape(bar.label)}</span>{_drawn(bar, kind)}'
        f'<span class="value">{escape(bar.value)}{note}</span></div>'
    )


def _drawn(bar: Bar, kind: str) -> str:
    """Nothing for a screen reader: the figures beside it say the same."""
    if bar.share is None:
        return '<span class="nobar"></span>'
    # A sliver stays visible: something is not nothing.
    length = max(min(max(bar.share, 0.0), 1.0) * 100, 0.6 if bar.share > 0 else 0.0)
    return (
        f'<svg class="drawn" aria-hidden="true"><rect class="track" width="100%" height="100%" rx="3"/>'
        f'<rect class="fill {kind}" width="{length:.1f}%" height="100%" rx="3"/></svg>'
    )
