"""A sketch: the mergeable, deterministic summary of a set of rows.

What the positions of its arrays mean is the business of a layout (`inputs`, `outcomes`); merging needs no layout.
Counts are integers and order-free. Sums are floating point, so whoever adds them fixes the order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from driftsonde.core.events import Floats, Ints
from driftsonde.core.points import NO_POINTS, Points, merge_points
from driftsonde.core.signals import derive_id

# How many unseen values are kept by name in each sketch: those with the smallest hash, a rule that does not
# depend on the order of merging, so that the counts of the values that survive are exact.
UNSEEN_KEPT = 32

Unseen = dict[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Sketch:
    """counts: int64[bins]; sums: float64[sums]; lows and highs: float64[extremes], +inf and -inf where there is no
    value; unseen: rows by (column, value), bounded; points: scores by outcome."""

    counts: Ints
    sums: Floats
    lows: Floats
    highs: Floats
    unseen: Unseen = field(default_factory=dict)
    points: Points = NO_POINTS


def empty_sketch(bins: int, sums: int, extremes: int) -> Sketch:
    """The neutral element of merging for a layout of these sizes."""
    return Sketch(
        counts=np.zeros(bins, dtype=np.int64),
        sums=np.zeros(sums),
        lows=np.full(extremes, np.inf),
        highs=np.full(extremes, -np.inf),
    )


def add(left: Sketch, right: Sketch) -> Sketch:
    """The sketch of both sets of rows; sums are added in this order. Sizes must agree."""
    if left.counts.shape != right.counts.shape or left.sums.shape != right.sums.shape:
        raise ValueError(
            f"sketches of different layouts: {left.counts.shape}, {left.sums.shape} and "
            f"{right.counts.shape}, {right.sums.shape}"
        )
    return Sketch(
        counts=left.counts + right.counts,
        sums=add_sums(left.sums, right.sums),
        lows=np.minimum(left.lows, right.lows),
        highs=np.maximum(left.highs, right.highs),
        unseen=merge_unseen((left.unseen, right.unseen)),
        points=merge_points(left.points, right.points),
    )


def add_sums(left: Floats, right: Floats) -> Floats:
    """Sums of absurd values are infinite, and NaN where they are so with both signs; that is no reason to warn."""
    with np.errstate(over="ignore", invalid="ignore"):
        return left + right


def merge_unseen(parts: Iterable[Unseen]) -> Unseen:
    """Counts by value, cut to the `UNSEEN_KEPT` values with the smallest hash; order-free.

    >>> merge_unseen([{("country", "XX"): 2}, {("country", "XX"): 1}])
    {('country', 'XX'): 3}
    """
    totals: Unseen = {}
    for part in parts:
        for key, count in part.items():
            totals[key] = totals.get(key, 0) + count
    if len(totals) <= UNSEEN_KEPT:
        return totals
    kept = sorted(totals, key=lambda key: derive_id(*key))[:UNSEEN_KEPT]
    return {key: totals[key] for key in kept}
