"""Data quality from stored counts and their history: numbers, no verdicts. Shares of rows are in `core.input_numbers`."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import as_counts

# Makes the median absolute deviation of normal values their standard deviation.
_NORMAL_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Volume:
    """`rows` against the `expected` ones: their `ratio` (NaN where none were expected), and `score`, the deviation in robust standard
    deviations of the history."""

    rows: int
    expected: float
    ratio: float
    score: float


def is_constant(present: int, minimum: float, maximum: float) -> bool:
    """Whether a numeric column has one value in at least two rows; from its extremes, so exact. Missing rows do not count.

    >>> is_constant(10, 3.0, 3.0), is_constant(10, 3.0, 3.5), is_constant(1, 3.0, 3.0)
    (True, False, False)
    """
    if present < 0:
        raise ValueError(f"present must be a number of rows, got {present}")
    return present > 1 and minimum == maximum


def is_constant_category(counts: npt.ArrayLike) -> bool:
    """Whether all rows with a known value, at least two, have the same one: counts over the vocabulary and, last, the unseen values.

    Unseen values may differ among themselves, so a column of nothing else is not called constant.

    >>> is_constant_category([0, 9, 0]), is_constant_category([1, 9, 0]), is_constant_category([0, 0, 9])
    (True, False, False)
    """
    cells = as_counts("counts", counts, allow_empty=True)
    known = cells[:-1]
    return bool(known.sum() > 1 and (known > 0).sum() == 1 and cells[-1] == 0)


def freshness_s(newest_event_ms: int, clock_ms: int) -> float:
    """How far the newest event lies behind a clock, in seconds, at least 0 (an event may carry a time a little ahead).

    >>> freshness_s(newest_event_ms=1_000, clock_ms=61_000)
    60.0
    """
    return max(0, clock_ms - newest_event_ms) / 1000


def volume(rows: int, history: npt.ArrayLike, period: int = 1, min_history: int = 5) -> Volume | None:
    """A window's rows against those of earlier windows, oldest first; None with fewer than `min_history` comparable ones.

    Comparable are the windows a whole number of periods before (e.g. 168 hourly windows for the time of the week);
    where these are too few, all. expected = their median; score = (rows - expected) / max(1.4826 MAD, sqrt(expected), 1):
    the floor is the spread of independent arrivals, so that a very even history does not make every window strange. One outage in
    the history moves neither. ValueError: rows < 0, period or min_history < 1, a history that is no counts.
    Source: Iglewicz & Hoaglin, How to Detect and Handle Outliers (1993), the modified z-score.

    >>> volume(0, [98, 103, 100, 97, 102]).score
    -10.0
    >>> volume(10, [98, 103]) is None
    True
    """
    if rows < 0:
        raise ValueError(f"rows must not be negative, got {rows}")
    if period < 1 or min_history < 1:
        raise ValueError(f"period and min_history must be at least 1, got {period} and {min_history}")
    known = np.asarray(history, dtype=np.float64)
    if known.size == 0:
        return None
    earlier = as_counts("history", known, allow_empty=True)
    comparable = earlier[::-1][period - 1 :: period]
    used = comparable if comparable.size >= min_history else earlier
    if used.size < min_history:
        return None
    expected = float(np.median(used))
    spread = max(_NORMAL_MAD * float(np.median(np.abs(used - expected))), math.sqrt(expected), 1.0)
    return Volume(rows, expected, rows / expected if expected else math.nan, (rows - expected) / spread)
