"""What a soak has shown, as a table and as a drawing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

_WIDTH, _HEIGHT, _MARGIN, _GAP = 720, 150, 60, 50
_COLOURS = ("#2563eb", "#dc2626", "#16a34a", "#9333ea", "#d97706")
_STYLE = "text{font:11px sans-serif;fill:#444}.title{font-weight:bold}.grid{stroke:#ddd}.line{fill:none;stroke-width:1.5}"


@dataclass(frozen=True, slots=True)
class Sample:
    """at_s: since the start. By process the resident memory, by service the lag in messages."""

    at_s: float
    memory_mb: Mapping[str, float]
    lag: Mapping[str, float]
    windows: int
    sent: int


@dataclass(frozen=True, slots=True)
class Result:
    """caught_up_s: from the last row sent until all are archived."""

    rows_per_s: float
    minutes: float
    sent: int
    windows_judged: int
    caught_up_s: float
    about: Mapping[str, str]
    samples: tuple[Sample, ...]


def growth_mb_per_hour(times_s: Sequence[float], memory_mb: Sequence[float]) -> float:
    """The slope of the best line through the last two thirds: what fills up at the start is not growth.

    >>> growth_mb_per_hour([0, 600, 1200, 1800], [10, 100, 101, 102])
    6.0
    """
    first = len(times_s) // 3
    if len(times_s) - first < 2:
        return 0.0
    slope = np.polyfit(times_s[first:], memory_mb[first:], 1)[0]
    return round(float(slope) * 3_600, 1) + 0.0


def render(result: Result, date: str) -> str:
    """Markdown."""
    samples = result.samples
    times_s = [sample.at_s for sample in samples]
    achieved = (samples[-1].sent - samples[0].sent) / max(times_s[-1] - times_s[0], 1e-9)
    lines = [
        f"# Soak: {result.minutes:g} minutes at {result.rows_per_s:,.0f} rows/s",
        "",
        f"{date}. Sent {result.sent:,} rows ({achieved:,.0f} a second), {result.windows_judged} windows seen; all were "
        f"archived {result.caught_up_s:.1f} s after the last one was sent.",
        "",
        "| process | at first, MB | at most, MB | at last, MB | growth in the last two thirds, MB/h | lag at most | lag at last |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in samples[0].memory_mb:
        memory = [sample.memory_mb[name] for sample in samples]
        lag = [sample.lag.get(name, 0.0) for sample in samples]
        lags = f"{max(lag):,.0f} | {lag[-1]:,.0f}" if name in samples[0].lag else "– | –"
        lines.append(
            f"| {name} | {memory[0]:.0f} | {max(memory):.0f} | {memory[-1]:.0f} "
            f"| {growth_mb_per_hour(times_s, memory)} | {lags} |"
        )
    lines += [
        "",
        f"The judge held {max(sample.windows for sample in samples)} windows at most. Lag is in messages: of 1,000 rows, for the judge one sketch.",
        "",
        *(f"* {name}: {value}" for name, value in result.about.items()),
    ]
    return "\n".join(lines) + "\n"


def draw(result: Result) -> str:
    """Memory, lag and windows over time, as an SVG file."""
    samples = result.samples
    names, services = tuple(samples[0].memory_mb), tuple(samples[0].lag)
    panels = (
        _panel(samples, 0, "resident memory, MB", names, lambda sample, name: sample.memory_mb[name]),
        _panel(samples, 1, "lag, messages", services, lambda sample, name: sample.lag[name]),
        _panel(samples, 2, "windows held by the judge", ("judge",), lambda sample, _: float(sample.windows)),
    )
    height = 3 * (_HEIGHT + _GAP) + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + 2 * _MARGIN + 60} {height}" role="img" '
        f'aria-label="Soak"><style>{_STYLE}</style>{"".join(panels)}</svg>\n'
    )


def _panel(
    samples: Sequence[Sample],
    number: int,
    title: str,
    names: Iterable[str],
    value: Callable[[Sample, str], float],
) -> str:
    names = tuple(names)
    top_y = _MARGIN + number * (_HEIGHT + _GAP)
    bottom_y = top_y + _HEIGHT
    top = max((value(sample, name) for sample in samples for name in names), default=0.0) * 1.05 or 1.0
    last_s = samples[-1].at_s or 1.0
    marks = [
        f'<text class="title" x="{_MARGIN}" y="{top_y - 8}">{escape(title)}</text>',
        *(
            f'<line class="grid" x1="{_MARGIN}" y1="{y}" x2="{_MARGIN + _WIDTH}" y2="{y}"/>'
            for y in (top_y, bottom_y)
        ),
        f'<text x="{_MARGIN - 6}" y="{top_y + 4}" text-anchor="end">{top:,.0f}</text>',
        f'<text x="{_MARGIN - 6}" y="{bottom_y + 4}" text-anchor="end">0</text>',
        f'<text x="{_MARGIN + _WIDTH}" y="{bottom_y + 16}" text-anchor="end">{last_s / 60:.1f} min</text>',
    ]
    for index, name in enumerate(names):
        colour = _COLOURS[index % len(_COLOURS)]
        points = " ".join(
            f"{_MARGIN + sample.at_s / last_s * _WIDTH:.1f},{bottom_y - value(sample, name) / top * _HEIGHT:.1f}"
            for sample in samples
        )
        marks.append(f'<polyline class="line" stroke="{colour}" points="{points}"/>')
        marks.append(
            f'<text x="{_MARGIN + _WIDTH + 6}" y="{top_y + 12 + 14 * index}" style="fill:{colour}">{escape(name)}</text>'
        )
    return "".join(marks)
