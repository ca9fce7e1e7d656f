"""Scores by outcome: exact while there are few distinct ones, on a fine grid once there are many. Order-free.

Whether points are exact depends on how many distinct scores were ever put in, nothing else: so the order and the grouping
of merges leave the result alone. A score that was taken out again stays, with a count of 0, for the same reason.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.events import Floats, Ints
from driftsonde.core.grid import cell_starts, cells_of

# Beyond this many distinct scores they are rounded: to 512 values for each halving towards 0, and towards 1; to 4 where
# the scores of overconfident models are.
EXACT_POINTS = 2_048
_DROPPED_BITS = 3
_FAR = 2.0**-20
_FAR_DROPPED_BITS = 10


@dataclass(frozen=True, slots=True)
class Points:
    """values: float64[m] in [0, 1], ascending and distinct; negatives, positives: int64[m] rows by label."""

    values: Floats
    negatives: Ints
    positives: Ints
    coarse: bool


NO_POINTS = Points(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), coarse=False)


def gather_points(scores: Floats, positive: npt.NDArray[np.bool_], signs: Ints) -> Points:
    """The points of rows: scores in [0, 1], their labels, and +1 or -1 to put the row in or take it out.

    >>> points = gather_points(np.array([0.5, 0.25, 0.5]), np.array([True, False, False]), np.array([1, 1, 1]))
    >>> points.values.tolist(), points.negatives.tolist(), points.positives.tolist()
    ([0.25, 0.5], [1, 1], [0, 1])
    """
    counts = np.stack([np.where(positive, 0, signs), np.where(positive, signs, 0)], axis=1)
    return _collect(scores, counts, coarse=False)


def merge_points(left: Points, right: Points) -> Points:
    """The points of both."""
    if not len(right.values):
        return left
    if not len(left.values):
        return right
    values = np.concatenate([left.values, right.values])
    negatives = np.concatenate([left.negatives, right.negatives])
    positives = np.concatenate([left.positives, right.positives])
    return _collect(values, np.stack([negatives, positives], axis=1), left.coarse or right.coarse)


def _collect(values: Floats, counts: Ints, coarse: bool) -> Points:
    """Add up the counts (int64[rows, 2]) of equal values, rounded if need be."""
    distinct, place = np.unique(_round(values) if coarse else values, return_inverse=True)
    if not coarse and len(distinct) > EXACT_POINTS:
        return _collect(values, counts, coarse=True)
    totals = np.zeros((len(distinct), 2), dtype=np.int64)
    np.add.at(totals, place, counts)
    return Points(distinct, totals[:, 0], totals[:, 1], coarse)


def _round(scores: Floats) -> Floats:
    """The same grid near 0 and, mirrored, near 1; monotone, and rounding twice changes nothing."""
    return np.where(scores < 0.5, _floor(scores), 1 - _floor(1 - scores))


def _floor(scores: Floats) -> Floats:
    cells = cells_of(scores)
    dropped = np.where(scores < _FAR, _FAR_DROPPED_BITS, _DROPPED_BITS)
    return cell_starts((cells >> dropped) << dropped)
