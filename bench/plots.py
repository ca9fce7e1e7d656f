"""The growth curves as one SVG file: a small plot for each of what grows, on axes that say how far from flat it is."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from bench.figures import Entry, Figure
from bench.report import format_number

_WIDTH, _HEIGHT, _MARGIN, _GAP = 250, 150, 46, 30
_STYLE = (
    "text{font:11px sans-serif;fill:#444}.title{font-weight:bold}"
    ".line{fill:none;stroke:#2563eb;stroke-width:2}.dot{fill:#2563eb}.grid{stroke:#ddd}"
)


def draw_growth(entries: Iterable[Entry]) -> str:
    """ "" where no curve was measured. x is the logarithm of what grows, y starts at 0."""
    points: dict[str, list[Figure]] = {}
    for entry in entries:
        if isinstance(entry, Figure) and entry.curve:
            points.setdefault(entry.curve, []).append(entry)
    curves = [*points.items()]
    if not curves:
        return ""
    width = len(curves) * (_WIDTH + _GAP) + _MARGIN
    height = _HEIGHT + 2 * _MARGIN
    plots = "".join(
        _plot(curve, sorted(group, key=lambda figure: figure.at), _MARGIN + number * (_WIDTH + _GAP))
        for number, (curve, group) in enumerate(curves)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Growth curves"><style>{_STYLE}</style>{plots}</svg>\n'
    )


def _plot(curve: str, figures: Sequence[Figure], left: float) -> str:
    low, high = math.log10(figures[0].at), math.log10(figures[-1].at)
    top = max(figure.value for figure in figures) * 1.1 or 1.0
    bottom = _MARGIN + _HEIGHT

    def place(figure: Figure) -> tuple[float, float]:
        share = (math.log10(figure.at) - low) / ((high - low) or 1.0)
        return left + share * (_WIDTH - _GAP), bottom - figure.value / top * _HEIGHT

    places = [place(figure) for figure in figures]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    marks = [
        f'<text class="title" x="{left}" y="{_MARGIN - 14}">{escape(figures[0].unit)} by {escape(curve)}</text>',
        f'<line class="grid" x1="{left}" y1="{bottom}" x2="{left + _WIDTH - _GAP}" y2="{bottom}"/>',
        f'<polyline class="line" points="{line}"/>',
    ]
    for figure, (x, y) in zip(figures, places, strict=True):
        marks += [
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(figure.name)}</title></circle>',
            f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="middle">{format_number(figure.value)}</text>',
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{figure.at:,.0f}</text>',
        ]
    return "".join(marks)
