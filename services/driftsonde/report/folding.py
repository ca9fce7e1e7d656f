"""A series laid over the time axis: one point a cell, which stands for all windows of the cell."""

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from driftsonde.core.events import Floats, Ints
from driftsonde.report.axis import TimeAxis
from driftsonde.report.results import Series


class Fold(Enum):
    """What stands for several windows: the one furthest beyond its bar, or their mean weighted by n."""

    WORST = auto()
    MEAN = auto()


@dataclass(frozen=True, slots=True)
class Point:
    """[start_ms, end_ms) holds `windows` windows, `breached` of them over their bar; n is the sum over them."""

    cell: int
    start_ms: int
    end_ms: int
    windows: int
    n: int
    value: float
    lower: float
    upper: float
    threshold: float
    breached: int


def fold(axis: TimeAxis, series: Series, how: Fold) -> tuple[Point, ...]:
    """The points of a series in the order of time; cells without a window have none."""
    if not len(series.n):
        return ()
    cells = axis.cells_of(series.starts_ms)
    firsts = np.flatnonzero(np.diff(cells, prepend=-1))
    lasts = np.append(firsts[1:], len(cells)) - 1
    numbers = (series.value, series.lower, series.upper, series.threshold)
    if how is Fold.WORST:
        worst = np.lexsort((-excess(series), ~series.breached, cells))[firsts]
        folded = [values[worst] for values in numbers]
    else:
        folded = [_means(values, series.n, firsts) for values in numbers]
    columns = (
        cells[firsts],
        series.starts_ms[firsts],
        series.ends_ms[lasts],
        lasts - firsts + 1,
        np.add.reduceat(series.n, firsts),
        *folded,
        np.add.reduceat(series.breached.astype(np.int64), firsts),
    )
    # Python's own numbers: a page formats some thousands of them, one by one.
    return tuple(Point(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


def weighted_mean(values: Floats, n: Ints) -> float:
    """The mean weighted by n over the entries that are numbers; NaN where there are none."""
    known = np.isfinite(values) & (n > 0)
    return float(np.average(values[known], weights=n[known])) if known.any() else float("nan")


def excess(series: Series) -> Floats:
    """How often the bar goes into the value; where there is no bar, the value itself. -inf for what is no number."""
    bars = np.where(np.isfinite(series.threshold) & (series.threshold > 0), series.threshold, 1.0)
    return np.where(np.isfinite(series.value), series.value / bars, -np.inf)


def _means(values: Floats, n: Ints, firsts: Ints) -> Floats:
    """`weighted_mean` of each of the parts that begin at `firsts`."""
    weights = np.where(np.isfinite(values), n, 0)
    sums = np.add.reduceat(np.where(weights > 0, values, 0.0) * weights, firsts)
    totals = np.add.reduceat(weights, firsts)
    means = np.full(len(firsts), np.nan)
    np.divide(sums, totals, out=means, where=totals > 0)
    return means
