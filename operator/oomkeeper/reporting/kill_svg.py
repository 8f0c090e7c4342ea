"""Bar charts as inline SVG: crisp at any size, coloured by the page's own style sheet, read out by a screen
reader.
"""

from collections.abc import Sequence
from html import escape

from .kill_page import Bar, Chart

_ROW = 30
_LABEL = 210
_BAR = 240
_WIDTH = 860
_LABEL_CHARS = 30


def chart_svg(chart: Chart) -> str:
    """One row a bar: label, track and fill, then the amount and the note. Everything is escaped."""
    height = _ROW * len(chart.bars)
    rows = "".join(_row(bar, place * _ROW) for place, bar in enumerate(chart.bars))
    spoken = escape(_spoken(chart.bars))
    box = f"0 0 {_WIDTH} {height}"
    return f'<svg class="chart" role="img" viewBox="{box}" aria-label="{spoken}">{rows}</svg>'


def _row(bar: Bar, top: int) -> str:
    kind = "hot" if bar.hot else "plain"
    middle = top + _ROW / 2 + 5
    label = bar.label if len(bar.label) <= _LABEL_CHARS else bar.label[: _LABEL_CHARS - 1] + "…"
    drawn = ""
    if bar.share is not None:
        # A sliver stays visible: something is not nothing.
        length = max(min(max(bar.share, 0.0), 1.0) * _BAR, 1.5 if bar.share > 0 else 0.0)
        drawn = (
            f'<rect class="track" x="{_LABEL}" y="{top + 7}" width="{_BAR}" height="16" rx="3"/>'
            f'<rect class="fill {kind}" x="{_LABEL}" y="{top + 7}" width="{length:.1f}" height="16" rx="3"/>'
        )
    start = _LABEL + _BAR + 14 if bar.share is not None else _LABEL
    note = f'<tspan class="note {kind}" dx="10">{escape(bar.note)}</tspan>' if bar.note else ""
    return (
        f"<g><title>{escape(bar.label)}: {escape(bar.value)} {escape(bar.note)}</title>"
        f'<text class="label" x="0" y="{middle:g}">{escape(label)}</text>{drawn}'
        f'<text class="value" x="{start}" y="{middle:g}">{escape(bar.value)}{note}</text></g>'
    )


def _spoken(bars: Sequence[Bar]) -> str:
    return "; ".join(f"{bar.label} {bar.value} {bar.note}".strip() for bar in bars)
