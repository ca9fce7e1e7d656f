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
    cells = axis.cells_of(series.starts_ms)
    bounds = np.flatnonzero(np.diff(cells)) + 1
    places: list[Ints] = np.split(np.arange(len(cells), dtype=np.int64), bounds)
    return tuple(_point(series.take(part), int(cells[part[0]]), how) for part in places if len(part))


def weighted_mean(values: Floats, n: Ints) -> float:
    """The mean weighted by n over the entries that are numbers; NaN where there are none."""
    known = np.isfinite(values) & (n > 0)
    return float(np.average(values[known], weights=n[known])) if known.any() else float("nan")


def excess(series: Series) -> Floats:
    """How often the bar goes into the value; where there is no bar, the value itself. -inf for what is no number."""
    bars = np.where(np.isfinite(series.threshold) & (series.threshold > 0), series.threshold, 1.0)
    return np.where(np.isfinite(series.value), series.value / bars, -np.inf)


def _point(part: Series, cell: int, how: Fold) -> Point:
    def one(values: Floats) -> float:
        return float(values[worst]) if how is Fold.WORST else weighted_mean(values, part.n)

    worst = int(np.lexsort((-excess(part), ~part.breached))[0])
    return Point(
        cell=cell,
        start_ms=int(part.starts_ms[0]),
        end_ms=int(part.ends_ms[-1]),
        windows=len(part.n),
        n=int(part.n.sum()),
        value=one(part.value),
        lower=one(part.lower),
        upper=one(part.upper),
        threshold=one(part.threshold),
        breached=int(part.breached.sum()),
    )
