"""Drift of what a model's decisions rest on, from the logged attributions (SHAP, LIME or the like) of each feature.

An attribution column is numeric, so its distribution per feature is compared by `distances` as any other. Here: the importance of
the features, and how its ranking moves. An importance is the mean size of a feature's attributions over rows; either norm
of "size" fits: mean |a|, or the root mean square, which a sketch's sum of squares gives exactly (`root_mean_square`).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray, as_count_pair


@dataclass(frozen=True, slots=True)
class ImportanceShift:
    """`differences`: float64[F], current minus baseline importance in the attribution's unit; `relative`: the same over the baseline's
    (NaN where that is 0); `share_moved`: the total variation between both importances as shares, in [0, 1]."""

    differences: FloatArray
    relative: FloatArray
    share_moved: float


def root_mean_square(total_squares: float, n: int) -> float:
    """sqrt(sum a^2 / n), the attribution's unit; NaN without rows. ValueError: negative arguments.

    >>> root_mean_square(8.0, 2)
    2.0
    """
    if n < 0 or total_squares < 0:
        raise ValueError(f"total_squares and n must not be negative, got {total_squares} and {n}")
    return math.sqrt(total_squares / n) if n else math.nan


def ranking_ndcg(baseline: npt.ArrayLike, current: npt.ArrayLike) -> float:
    """NDCG of the current ranking with the baseline's importances as gains, in (0, 1]; 1 where the order is the same.

    sum_i gain(i-th feature by current importance) / log2(i + 1), over the same sum in the baseline's own order. Features of
    equal current importance share the mean of their gains, so the result does not depend on their order. SageMaker Clarify
    alarms below 0.90. Arguments of shape (F,), importances >= 0, in the same order of features.
    ValueError: unequal lengths, negative or non-finite, or all 0 on a side: without importance there is no ranking.
    Source: Järvelin & Kekäläinen, ACM Trans. Inf. Syst. 20(4), 2002; ties as scikit-learn's `ndcg_score`.

    >>> ranking_ndcg([3.0, 2.0, 1.0], [30.0, 20.0, 10.0])
    1.0
    >>> round(ranking_ndcg([3.0, 2.0, 1.0], [1.0, 2.0, 3.0]), 4)
    0.79
    """
    gains, scores = as_count_pair("baseline", baseline, "current", current)
    discounts = 1 / np.log2(np.arange(2, gains.size + 2))
    _, group, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    mean_gain = np.bincount(group, gains) / sizes
    discount = np.add.reduceat(discounts, np.cumsum(sizes) - sizes)
    return min(1.0, float(mean_gain @ discount) / float(np.sort(gains)[::-1] @ discounts))


def importance_shift(baseline: npt.ArrayLike, current: npt.ArrayLike) -> ImportanceShift:
    """How each feature's importance has moved; arguments and errors as `ranking_ndcg`.

    >>> shift = importance_shift([3.0, 1.0], [2.0, 2.0])
    >>> shift.differences.tolist(), shift.share_moved
    ([-1.0, 1.0], 0.25)
    """
    before, after = as_count_pair("baseline", baseline, "current", current)
    differences = after - before
    relative = np.divide(differences, before, out=np.full_like(before, math.nan), where=before > 0)
    moved = float(np.abs(after / after.sum() - before / before.sum()).sum()) / 2
    return ImportanceShift(differences, relative, moved)
