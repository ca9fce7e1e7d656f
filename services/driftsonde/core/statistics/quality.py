"""Data quality from stored counts and their history: numbers with intervals, no verdicts.

Missing, unseen and out-of-range rates, refused types and duplicates are shares of rows: `share_of_rows` and, against the baseline,
`share_rise`. ValueError naming the argument: a count below 0 or above its rows, a confidence outside (0, 1).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import as_counts
from driftsonde.core.statistics.intervals import Interval, wilson

# Makes the median absolute deviation of normal values their standard deviation.
_NORMAL_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `n` rows (NaN without rows), or a difference of shares, with its interval."""

    n: int
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Volume:
    """`rows` against the `expected` ones: their `ratio` (NaN where none were expected), and `score`, the deviation in robust standard
    deviations of the history."""

    rows: int
    expected: float
    ratio: float
    score: float


def share_of_rows(count: int, rows: int, confidence: float) -> Share:
    """count / rows with Wilson's interval, e.g. the missing rate of a column.

    >>> share_of_rows(5, 100, 0.95).value
    0.05
    """
    interval = wilson(count, rows, confidence)
    return Share(rows, count / rows if rows else math.nan, interval)


def share_rise(reference_count: int, reference_rows: int, count: int, rows: int, confidence: float) -> Share:
    """The share now minus the share in the baseline, in [-1, 1], both as samples.

    Interval: Newcombe's hybrid of the two Wilson intervals, d - sqrt((p - l)^2 + (U - P)^2) to d + sqrt((u - p)^2 +
    (P - L)^2), never degenerate. NaN and [-1, 1] where a side has no rows. Source: Newcombe, Stat. Med. 17(8), 1998, method 10.

    >>> rise = share_rise(10, 1000, 60, 1000, 0.95)
    >>> round(rise.value, 3), rise.interval.lower > 0.03
    (0.05, True)
    """
    before = share_of_rows(reference_count, reference_rows, confidence)
    after = share_of_rows(count, rows, confidence)
    if not (reference_rows and rows):
        return Share(rows, math.nan, Interval(-1.0, 1.0))
    value = after.value - before.value
    down = math.hypot(after.value - after.interval.lower, before.interval.upper - before.value)
    up = math.hypot(after.interval.upper - after.value, before.value - before.interval.lower)
    return Share(rows, value, Interval(max(-1.0, value - down), min(1.0, value + up)))


def type_change_rate(refused: int, accepted: int, confidence: float) -> Share:
    """The share of rows whose column came in another type than the baseline's: a batch that does so is refused as a whole.

    >>> type_change_rate(refused=20, accepted=80, confidence=0.95).value
    0.2
    """
    return share_of_rows(refused, refused + accepted, confidence)


def duplicate_rate(rows: int, distinct: int, confidence: float) -> Share:
    """The share of rows that repeat the id of another one, (rows - distinct) / rows.

    >>> duplicate_rate(rows=100, distinct=97, confidence=0.95).value
    0.03
    """
    if not 0 <= distinct <= rows:
        raise ValueError(f"distinct must lie between 0 and rows = {rows}, got {distinct}")
    return share_of_rows(rows - distinct, rows, confidence)


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
