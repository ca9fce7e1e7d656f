"""Scores by outcome: exact while there are few distinct ones, on a fine grid once there are many. Order-free.

Whether points are exact depends on how many distinct scores were ever put in, nothing else: so the order and the grouping
of merges leave the result alone. A score that was taken out again stays, with a count of 0, for the same reason.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from driftsonde.core.events import Floats, Ints
from driftsonde.core.grid import cell_starts, cells_of
from driftsonde.core.strata import sort_stably

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


def gather_points(
    scores: Floats, positive: npt.NDArray[np.bool_], signs: Ints, group: Ints, groups: int
) -> list[Points]:
    """The points of the rows of each group: scores in [0, 1], their labels, +1 or -1 to put the row in or take it out, and
    the group of each row.

    >>> rows = np.array([0.5, 0.25, 0.5]), np.array([True, False, False]), np.array([1, 1, 1])
    >>> (points,) = gather_points(*rows, group=np.zeros(3, dtype=np.int64), groups=1)
    >>> points.values.tolist(), points.negatives.tolist(), points.positives.tolist()
    ([0.25, 0.5], [1, 1], [0, 1])
    """
    order = np.argsort(scores)
    order = order[sort_stably(group[order], groups)]
    scores, positive, signs, group = scores[order], positive[order], signs[order], group[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (scores[1:] != scores[:-1]) | (group[1:] != group[:-1])
    begins = np.flatnonzero(new)
    if not len(begins):
        return [NO_POINTS] * groups
    negatives, positives = (np.add.reduceat(np.where(of, signs, 0), begins) for of in (~positive, positive))
    values, bounds = scores[begins], np.searchsorted(group[begins], np.arange(groups + 1)).tolist()
    return [
        _bounded(Points(values[low:high], negatives[low:high], positives[low:high], coarse=False))
        for low, high in pairwise(bounds)
    ]


def merge_points(left: Points, right: Points) -> Points:
    """The points of both. Quickest if the right ones are the fewer."""
    if not len(right.values):
        return left
    if not len(left.values):
        return right
    if left.coarse is not right.coarse:
        left, right = _coarsen(left), _coarsen(right)
    place = np.searchsorted(left.values, right.values)
    new = left.values[np.minimum(place, len(left.values) - 1)] != right.values
    place += np.cumsum(new) - new
    added = place[new]
    old = np.ones(len(left.values) + len(added), dtype=np.bool_)
    old[added] = False
    values = np.empty(len(old))
    values[old], values[added] = left.values, right.values[new]
    negatives, positives = np.zeros((2, len(old)), dtype=np.int64)
    negatives[old], positives[old] = left.negatives, left.positives
    negatives[place] += right.negatives
    positives[place] += right.positives
    return _bounded(Points(values, negatives, positives, left.coarse))


def _bounded(points: Points) -> Points:
    return _coarsen(points) if len(points.values) > EXACT_POINTS else points


def _coarsen(points: Points) -> Points:
    """The points rounded, those that become equal added up; rounded ones as they are."""
    if points.coarse:
        return points
    values = _round(points.values)
    new = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=new[1:])  # rounding keeps the order
    begins = np.flatnonzero(new)
    negatives, positives = (
        np.add.reduceat(counts, begins) for counts in (points.negatives, points.positives)
    )
    return Points(values[begins], negatives, positives, coarse=True)


def _round(scores: Floats) -> Floats:
    """The same grid near 0 and, mirrored, near 1; monotone, and rounding twice changes nothing."""
    return np.where(scores < 0.5, _floor(scores), 1 - _floor(1 - scores))


def _floor(scores: Floats) -> Floats:
    cells = cells_of(scores)
    dropped = np.where(scores < _FAR, _FAR_DROPPED_BITS, _DROPPED_BITS)
    return cell_starts((cells >> dropped) << dropped)
