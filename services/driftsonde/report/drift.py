"""Drift by column: who drifted most, the heat map, and each of the worst columns from close by."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from driftsonde.report import svg
from driftsonde.report.axis import TimeAxis
from driftsonde.report.charts import Chart, Line, describe, line_chart
from driftsonde.report.folding import Fold, Point, excess, fold
from driftsonde.report.formats import (
    format_metric,
    format_moment,
    format_percent,
    format_plural,
    format_time,
    name_of,
)
from driftsonde.report.results import BinCount, ColumnWindow, Results, Series, SeriesKey

SHOWN_COLUMNS = 20
DETAILED_COLUMNS = 6
LISTED_COLUMNS = 500

# Upper ends of the heat map's classes, as multiples of the bar; the last class is open.
LEVELS = (0.5, 1.0, 2.0, 5.0)
_RATES = ("missing_rate", "unseen_rate", "out_of_range_rate")
_TABLE_METRICS = ("psi", "js_divergence", "ks", "wasserstein", *_RATES)
_BINS_SHOWN = 24

# A little more than a cell, so that no seam shows between neighbours.
_CELL_WIDTH = 1.1


@dataclass(frozen=True, slots=True)
class RankedColumn:
    """A column by its worst window: the breached one furthest beyond its bar, or else the furthest one."""

    name: str
    psi: Series
    worst: int
    breached: int
    rates_breached: int

    @property
    def worst_start_ms(self) -> int:
        return int(self.psi.starts_ms[self.worst])

    @property
    def worst_psi(self) -> float:
        return float(self.psi.value[self.worst])

    @property
    def worst_bar(self) -> float:
        return float(self.psi.threshold[self.worst])


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One column's strip; the texts stand beside it. `anchor` is "" for a column without a detail."""

    name: str
    anchor: str
    strip: Markup
    worst: str
    worst_at: str
    bar: str
    breached: int
    windows: int


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


def rank_columns(results: Results) -> tuple[RankedColumn, ...]:
    """All columns with a PSI, the one that is furthest beyond its bar first."""
    ranked = [column for name in results.columns() if (column := _ranked(results, name))]
    return tuple(
        sorted(
            ranked, key=lambda c: (-min(c.breached, 1), -float(excess(c.psi)[c.worst]), -c.breached, c.name)
        )
    )


def _ranked(results: Results, name: str) -> RankedColumn | None:
    psi = results.main("psi", name)
    if psi is None or not np.isfinite(psi.value).any():
        return None
    worst = int(np.lexsort((-excess(psi), ~psi.breached))[0])
    rates = [series for metric in _RATES if (series := results.main(metric, name))]
    rates_breached = sum(int(series.breached.sum()) for series in rates)
    return RankedColumn(name, psi, worst, int(psi.breached.sum()), rates_breached)


def detailed(ranked: Sequence[RankedColumn]) -> tuple[RankedColumn, ...]:
    """The columns shown from close by: those that breached, or else the first one."""
    breached = [column for column in ranked if column.breached or column.rates_breached]
    return tuple((breached or list(ranked[:1]))[:DETAILED_COLUMNS])


def wanted_windows(results: Results, columns: Iterable[RankedColumn]) -> tuple[ColumnWindow, ...]:
    """The worst window of each column, for which counts are needed."""
    return tuple(
        ColumnWindow(version, results.main_variant, column.name, column.worst_start_ms)
        for column in columns
        for version in [_version_of(results, column)]
    )


def _version_of(results: Results, column: RankedColumn) -> str:
    """The version whose value the merged series took for the worst window: that of the most rows."""
    found: list[tuple[int, str]] = []
    for key, series in results.series.items():
        if key == SeriesKey(key.version, results.main_variant, "", column.name, "psi"):
            at = np.flatnonzero(series.starts_ms == column.worst_start_ms)
            found += [(-int(series.n[place]), key.version) for place in at]
    return min(found)[1]


def heat_rows(
    axis: TimeAxis, ranked: Sequence[RankedColumn], anchors: Mapping[str, str]
) -> tuple[HeatRow, ...]:
    """The heat map's rows for the first columns."""
    return tuple(
        HeatRow(
            name=column.name,
            anchor=anchors.get(column.name, ""),
            strip=_strip(axis, column),
            worst=format_metric("psi", column.worst_psi),
            worst_at=format_time(column.worst_start_ms),
            bar=format_metric("psi", column.worst_bar),
            breached=column.breached,
            windows=len(column.psi.n),
        )
        for column in ranked[:SHOWN_COLUMNS]
    )


def summary_row(column: RankedColumn) -> tuple[str, ...]:
    """A column as a row of texts: name, worst PSI, its bar, when, breached windows of all."""
    return (
        column.name,
        format_metric("psi", column.worst_psi),
        format_metric("psi", column.worst_bar),
        format_time(column.worst_start_ms),
        f"{column.breached:,} of {len(column.psi.n):,}",
    )


def level_of(point: Point) -> int:
    """The class of a cell: 0 is far below the bar, `len(LEVELS)` far above it.

    A cell without a bar is classed against 0.2, the usual reading of PSI.
    """
    bar = point.threshold if math.isfinite(point.threshold) and point.threshold > 0 else 0.2
    return int(np.searchsorted(LEVELS, point.value / bar, side="left"))


def _strip(axis: TimeAxis, column: RankedColumn) -> Markup:
    points = [point for point in fold(axis, column.psi, Fold.WORST) if math.isfinite(point.value)]
    marks = [
        svg.rectangle(point.cell, 0, _CELL_WIDTH, 10, f"heat{level_of(point)}", describe("psi", point))
        for point in points
    ]
    marks += [svg.rectangle(point.cell, 7.5, _CELL_WIDTH, 2.5, "notch") for point in points if point.breached]
    label = (
        f"PSI of {column.name} over time: at most {format_metric('psi', column.worst_psi)} "
        f"at {format_time(column.worst_start_ms)}, breached in {column.breached} of {len(column.psi.n)} windows"
    )
    return svg.plot(axis.cells, label, marks, height=10)


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
    pairs, note = _pairs(bins)
    header, rows = _table(axis, results, column.name)
    return ColumnDetail(column.name, anchor, _sentence(column), chart, rates, pairs, note, header, rows)


def _sentence(column: RankedColumn) -> str:
    windows = format_plural(len(column.psi.n), "window")
    worst = f"PSI {format_metric('psi', column.worst_psi)} against {format_metric('psi', column.worst_bar)}"
    text = f"Worst in the window of {format_moment(column.worst_start_ms)}: {worst}. "
    text += f"Above its threshold in {column.breached:,} of {windows}."
    if column.rates_breached:
        text += f" Its data quality breached {format_plural(column.rates_breached, 'time')}."
    return text


def _rate_charts(axis: TimeAxis, results: Results, name: str) -> Iterable[Chart]:
    for metric in _RATES:
        series = results.main(metric, name)
        if series is not None:
            points = fold(axis, series, Fold.WORST)
            title = name_of(metric).capitalize()
            yield line_chart(axis, metric, title, [Line(title, points, "one", bars=True)], floor=0.0)


def _pairs(bins: Sequence[BinCount]) -> tuple[tuple[BarPair, ...], str]:
    """The bins as pairs of bars, all to one scale; of very many the ones that hold most."""
    before_total = max(1, sum(entry.reference_count for entry in bins))
    after_total = max(1, sum(entry.count for entry in bins))
    shares = [(entry.reference_count / before_total, entry.count / after_total) for entry in bins]
    order = sorted(range(len(bins)), key=lambda place: (-max(shares[place]), place))
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
    left_out = len(bins) - len(shown)
    note = f"{format_plural(left_out, 'bin')} with smaller shares left out." if left_out else ""
    return pairs, note


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
    header = ("Window", "Rows", "Threshold", *(name_of(metric) for metric in known))
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
