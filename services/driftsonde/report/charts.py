"""Charts out of points: what is drawn, and the labels that the page puts around it."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from driftsonde.report import svg
from driftsonde.report.axis import Tick, TimeAxis
from driftsonde.report.folding import Point
from driftsonde.report.formats import (
    format_count,
    format_metric,
    format_plural,
    format_time,
    name_of,
    unit_of,
)

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` (bottom) to `high` (top)."""

    low: float
    high: float

    def y(self, value: float) -> float:
        """Where a value is drawn; beyond the scale it stays at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return svg.HEIGHT * (1 - min(max(share, 0.0), 1.0))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart. `band`: draw the interval; `bars`: draw the thresholds; `css` names its colour."""

    name: str
    points: tuple[Point, ...]
    css: str
    band: bool = False
    bars: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """`y_ticks` in percent from the top, `x_ticks` from the left. `latest`: the last value, for small charts."""

    title: str
    plot: Markup
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    legend: tuple[tuple[str, str], ...]
    latest: str


def line_chart(
    axis: TimeAxis,
    metric: str,
    title: str,
    lines: Sequence[Line],
    *,
    in_sample_until_ms: int | None = None,
    floor: float | None = None,
    hover: bool = False,
    include: Sequence[float] = (),
) -> Chart:
    """Lines of one metric over time. `floor` is a value the scale begins at, `include` are some that it holds; `hover`
    gives every cell a tooltip."""
    extent = _extent(lines, (*include, *([] if floor is None else [floor])))
    scale, steps = nice_scale(extent, floor, unit=unit_of(metric, extent[1]))
    marks: list[Markup] = []
    if in_sample_until_ms is not None:
        marks.append(svg.rectangle(0, 0, axis.position(in_sample_until_ms), svg.HEIGHT, "in-sample"))
    marks.extend(svg.line([(0, scale.y(step)), (axis.cells, scale.y(step))], "grid") for step in steps)
    for entry in lines:
        marks.extend(_marks(entry, scale, metric))
    if hover:
        marks.extend(_hover(metric, lines[0].points))
    label = f"{title}. {_in_words(metric, lines[0].points)}"
    return Chart(
        title=title,
        plot=svg.plot(axis.cells, label, marks),
        x_ticks=axis.ticks(),
        y_ticks=tuple(Tick(scale.y(step), format_metric(metric, step)) for step in steps),
        legend=tuple(_legend(lines)),
        latest=format_metric(metric, lines[0].points[-1].value),
    )


def nice_scale(
    extent: tuple[float, float], floor: float | None = None, unit: float = 1.0
) -> tuple[Scale, tuple[float, ...]]:
    """A scale around the values, and three or four values on it that are round in their unit.

    >>> nice_scale((0.0, 0.93))[1]
    (0.0, 0.5, 1.0)
    >>> nice_scale((0.0, 2000.0), unit=60.0)[1]
    (0.0, 1200.0, 2400.0)
    """
    low, high = (value / unit for value in extent)
    if not high > low:
        margin = abs(low) * 0.05 or 0.5
        low, high = low - (0 if low == floor else margin), high + margin
    rough = (high - low) / 2.5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = tuple(float(f"{index * step * unit:.12g}") for index in range(first, last + 1))
    return Scale(values[0], values[-1]), values


def describe(metric: str, point: Point) -> str:
    """A point in words: when, how much, against what, over how many rows."""
    text = f"{format_time(point.start_ms)}: {name_of(metric)} {format_metric(metric, point.value)}"
    if math.isfinite(point.lower) and math.isfinite(point.upper):
        text += f" ({format_metric(metric, point.lower)} to {format_metric(metric, point.upper)})"
    if math.isfinite(point.threshold):
        text += f", limit {format_metric(metric, point.threshold)}"
    text += f", n {format_count(point.n)}"
    if point.windows > 1:
        text += f", {format_plural(point.windows, 'window')}"
    if point.breached:
        text += f", {point.breached} past the limit" if point.windows > 1 else ", past its limit"
    return text


def _extent(lines: Iterable[Line], include: Sequence[float]) -> tuple[float, float]:
    values = list(include)
    for entry in lines:
        for point in entry.points:
            values += [point.value, point.threshold if entry.bars else math.nan]
    known = [value for value in values if math.isfinite(value)]
    return (min(known), max(known)) if known else (0.0, 1.0)


def _marks(entry: Line, scale: Scale, metric: str) -> Iterator[Markup]:
    runs = list(_runs(entry.points))
    if entry.band:
        for run in runs:
            known = [point for point in run if math.isfinite(point.lower) and math.isfinite(point.upper)]
            if len(known) > 1:
                upper = [(point.cell + 0.5, scale.y(point.upper)) for point in known]
                lower = [(point.cell + 0.5, scale.y(point.lower)) for point in known]
                yield svg.area(upper, lower, f"band {entry.css}")
    if entry.bars:
        yield from _bar_lines(entry.points, scale)
    for run in runs:
        yield svg.line([(point.cell + 0.5, scale.y(point.value)) for point in run], f"line {entry.css}")
    for point in entry.points:
        if point.breached and math.isfinite(point.value):
            place = (point.cell + 0.5, scale.y(point.value))
            yield svg.dot(place, "breach", describe(metric, point))


def _bar_lines(points: Sequence[Point], scale: Scale) -> Iterator[Markup]:
    """The thresholds as steps, drawn through gaps: a bar holds whether there is data or not."""
    known = [point for point in points if math.isfinite(point.threshold)]
    if not known:
        return
    path: list[svg.XY] = []
    for point in known:
        level = scale.y(point.threshold)
        if path and path[-1][1] != level:
            path.append((point.cell, path[-1][1]))
        if not path or path[-1][1] != level:
            path.append((point.cell, level))
    path.append((known[-1].cell + 1, path[-1][1]))
    yield svg.line(path, "bar-line")


def _runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Points without a gap between them, of those that have a value."""
    run: list[Point] = []
    for point in points:
        if run and (point.cell > run[-1].cell + 1 or not math.isfinite(point.value)):
            yield run
            run = []
        if math.isfinite(point.value):
            run.append(point)
    if run:
        yield run


def _hover(metric: str, points: Sequence[Point]) -> Iterator[Markup]:
    for point in points:
        yield svg.rectangle(point.cell, 0, 1, svg.HEIGHT, "hit", describe(metric, point))


def _in_words(metric: str, points: Sequence[Point]) -> str:
    known = [point for point in points if math.isfinite(point.value)]
    if not known:
        return "No value is known."
    low, high = (choose(known, key=lambda point: point.value) for choose in (min, max))
    return (
        f"From {format_metric(metric, known[0].value)} to {format_metric(metric, known[-1].value)}, "
        f"lowest {format_metric(metric, low.value)} at {format_time(low.start_ms)}, "
        f"highest {format_metric(metric, high.value)} at {format_time(high.start_ms)}."
    )


def _legend(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    for entry in lines:
        if len(lines) > 1 or entry.band:
            yield f"key-line {entry.css}", entry.name
        if entry.band:
            yield f"key-band {entry.css}", f"{entry.name}'s interval" if len(lines) > 1 else "interval"
    if any(entry.bars and math.isfinite(point.threshold) for entry in lines for point in entry.points):
        yield "key-bar", "limit"
    if any(point.breached for entry in lines for point in entry.points):
        yield "key-breach", "past its limit"
