"""One drifting column from close by: over time, before and in its worst window, and all of its numbers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from driftsonde.report import svg
from driftsonde.report.axis import TimeAxis
from driftsonde.report.charts import Chart, Line, line_chart
from driftsonde.report.drift import RATES, RankedColumn
from driftsonde.report.folding import Fold, Point, fold
from driftsonde.report.formats import (
    format_metric,
    format_moment,
    format_percent,
    format_plural,
    format_time,
    name_of,
)
from driftsonde.report.results import BinCount, Results

_TABLE_METRICS = ("psi", "js_divergence", "ks", "wasserstein", *RATES)
_BINS_SHOWN = 24


@dataclass(frozen=True, slots=True)
class BarPair:
    """One bin, before and after: shares in percent as texts, and as bars."""

    label: str
    before: str
    after: str
    before_bar: Markup
    after_bar: Markup


@dataclass(frozen=True, slots=True)
class ColumnDetail:
    """A drifting column from close by. `rows`: the table behind the chart, `header` its heads."""

    name: str
    anchor: str
    sentence: str
    chart: Chart
    rates: tuple[Chart, ...]
    bins: tuple[BarPair, ...]
    bins_note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def column_detail(
    axis: TimeAxis,
    results: Results,
    column: RankedColumn,
    anchor: str,
    bins: Sequence[BinCount],
) -> ColumnDetail:
    """One column: PSI over time, its rates, its distribution before and in its worst window, and the numbers."""
    points = fold(axis, column.psi, Fold.WORST)
    until_ms = results.baseline_end_ms
    chart = line_chart(
        axis,
        "psi",
        f"PSI of {column.name}",
        [Line("PSI", points, "one", bars=True)],
        in_sample_until_ms=until_ms,
        floor=0.0,
        hover=True,
    )
    rates = tuple(_rate_charts(axis, results, column.name))
    pairs, note = pairs_of(bins)
    header, rows = _table(axis, results, column.name)
    return ColumnDetail(column.name, anchor, _sentence(column), chart, rates, pairs, note, header, rows)


def _sentence(column: RankedColumn) -> str:
    windows = format_plural(len(column.psi.n), "window")
    worst = (
        f"PSI {format_metric('psi', column.worst_psi)}, the limit is {format_metric('psi', column.worst_bar)}"
    )
    text = f"Worst in the window of {format_moment(column.worst_start_ms)}: {worst}. "
    text += f"Past its limit in {column.breached:,} of {windows}."
    if column.rates_breached:
        text += f" Its data quality was past its limit in {format_plural(column.rates_breached, 'window')}."
    return text


def _rate_charts(axis: TimeAxis, results: Results, name: str) -> Iterator[Chart]:
    for metric in RATES:
        series = results.main(metric, name)
        if series is not None:
            points = fold(axis, series, Fold.WORST)
            title = name_of(metric).capitalize()
            yield line_chart(axis, metric, title, [Line(title, points, "one", bars=True)], floor=0.0)


def pairs_of(bins: Sequence[BinCount]) -> tuple[tuple[BarPair, ...], str]:
    """The bins as pairs of bars, all to one scale; none that is empty before and after, and of very many the ones that hold
    most."""
    before_total = max(1, sum(entry.reference_count for entry in bins))
    after_total = max(1, sum(entry.count for entry in bins))
    shares = [(entry.reference_count / before_total, entry.count / after_total) for entry in bins]
    filled = [place for place, pair in enumerate(shares) if max(pair)]
    order = sorted(filled, key=lambda place: (-max(shares[place]), place))
    shown = sorted(order[:_BINS_SHOWN])
    longest = max((max(pair) for pair in shares), default=1.0) or 1.0
    pairs = tuple(
        BarPair(
            label=bins[place].label,
            before=format_percent(shares[place][0]),
            after=format_percent(shares[place][1]),
            before_bar=svg.share_bar(shares[place][0] / longest, "before"),
            after_bar=svg.share_bar(shares[place][1] / longest, "after"),
        )
        for place in shown
    )
    left_out = {"with smaller shares": len(filled) - len(shown), "empty in both": len(bins) - len(filled)}
    notes = [f"{format_plural(count, 'bin')} {what} left out." for what, count in left_out.items() if count]
    return pairs, " ".join(notes)


def _table(
    axis: TimeAxis, results: Results, name: str
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """One row a cell, one column a metric; the PSI's row says the bar and the rows."""
    known = {
        metric: {point.cell: point for point in fold(axis, series, Fold.WORST)}
        for metric in _TABLE_METRICS
        if (series := results.main(metric, name)) is not None
    }
    psi = known["psi"]
    header = ("Window", "Rows", "Limit", *(name_of(metric) for metric in known))
    rows = [
        (
            format_time(point.start_ms),
            f"{point.n:,}",
            format_metric("psi", point.threshold),
            *(_cell(metric, points.get(cell)) for metric, points in known.items()),
        )
        for cell, point in psi.items()
    ]
    return header, tuple(rows)


def _cell(metric: str, point: Point | None) -> str:
    if point is None:
        return format_metric(metric, math.nan)
    return format_metric(metric, point.value) + (" ▲" if point.breached else "")
