"""Drift by column: who drifted most, and the heat map."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from driftsonde.report import svg
from driftsonde.report.axis import TimeAxis
from driftsonde.report.charts import describe
from driftsonde.report.folding import Fold, Point, excess, fold
from driftsonde.report.formats import (
    format_metric,
    format_time,
)
from driftsonde.report.results import ColumnWindow, Results, Series, SeriesKey

SHOWN_COLUMNS = 20
DETAILED_COLUMNS = 6
LISTED_COLUMNS = 500

# Upper ends of the heat map's classes, as multiples of the bar; the last class is open.
LEVELS = (0.5, 1.0, 2.0, 5.0)
RATES = ("missing_rate", "unseen_rate", "out_of_range_rate")

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
    rates = [series for metric in RATES if (series := results.main(metric, name))]
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
        f"at {format_time(column.worst_start_ms)}, past its limit in {column.breached} of {len(column.psi.n)} windows"
    )
    return svg.plot(axis.cells, label, marks, height=10)
