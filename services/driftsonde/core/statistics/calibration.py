"""From scores to probabilities: a monotone map over score bins, learned from baseline rows with labels.

Everything is per score bin, bins in ascending order of score: rows, the sum of their scores and the positive labels.
"""

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray, as_count_pair, as_counts, check_cells
from driftsonde.core.statistics.performance import expected_calibration_error

FOLDS = 3


def pool_adjacent_violators(values: npt.ArrayLike, weights: npt.ArrayLike) -> FloatArray:
    """The non-decreasing vector closest to `values` in the weighted mean square, float64[B]; weights >= 0.

    An entry of weight 0 takes part in nothing and is interpolated between its neighbours (the nearest one at an end).
    ValueError: unequal lengths, no bin, a value that is not finite, weights that are no counts or sum to 0.
    Source: Ayer, Brunk, Ewing, Reid & Silverman, Ann. Math. Stat. 26(4), 1955.

    >>> pool_adjacent_violators([0.1, 0.5, 0.3, 0.9], [1, 1, 1, 1]).tolist()
    [0.1, 0.4, 0.4, 0.9]
    """
    weight = as_counts("weights", weights)
    target = np.asarray(values, dtype=np.float64)
    if target.shape != weight.shape or not np.isfinite(target[weight > 0]).all():
        raise ValueError(f"values must be {weight.size} finite numbers, got shape {target.shape}")
    used = np.flatnonzero(weight > 0)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, entries
    for value, size in zip(target[used].tolist(), weight[used].tolist(), strict=True):
        mean, total, entries = value, size, 1
        while blocks and blocks[-1][0] >= mean:
            before, before_total, before_entries = blocks.pop()
            mean = (before * before_total + mean * total) / (before_total + total)
            total, entries = total + before_total, entries + before_entries
        blocks.append((mean, total, entries))
    fitted = np.repeat([mean for mean, _, _ in blocks], [entries for _, _, entries in blocks])
    return np.asarray(np.interp(np.arange(weight.size), used, fitted), dtype=np.float64)


def stratified_folds(labels: npt.ArrayLike, folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """The fold of each row, int64[n]: the i-th row of each label goes to fold i mod `folds`. Deterministic.

    >>> stratified_folds([1, 0, 1, 1, 0, 1], 3).tolist()
    [0, 0, 1, 2, 1, 0]
    """
    known = np.asarray(labels)
    place = np.zeros(known.size, dtype=np.int64)
    for label in np.unique(known):
        mine = known == label
        place[mine] = np.arange(int(mine.sum())) % folds
    return place


def calibration_map(
    rows: npt.ArrayLike, sum_scores: npt.ArrayLike, positives: npt.ArrayLike
) -> FloatArray | None:
    """The probability of a positive in each bin, float64[B], non-decreasing; None where the scores are as good as they are.

    Arguments of shape (F, B), F >= 2 stratified folds of the baseline (`stratified_folds`). Isotonic regression of the
    labels on the bins, from all folds; used only where it lowers the expected calibration error of the folds that it has
    not seen, averaged over the folds. ValueError: other shapes, negative counts, sums of scores above the rows.
    Source: Zadrozny & Elkan, KDD 2002; the rule of using it is NannyML's.

    >>> overconfident = calibration_map([[50, 50]] * 3, [[5, 45]] * 3, [[20, 30]] * 3)
    >>> overconfident.tolist()
    [0.4, 0.6]
    >>> calibration_map([[50, 50]] * 3, [[5, 45]] * 3, [[5, 45]] * 3) is None
    True
    """
    n, scores, hits = (
        _as_folds(name, values)
        for name, values in (("rows", rows), ("sum_scores", sum_scores), ("positives", positives))
    )
    if not n.shape == scores.shape == hits.shape:
        raise ValueError(
            f"rows, sum_scores and positives must have one shape: {n.shape}, {scores.shape}, {hits.shape}"
        )
    before: list[float] = []
    after: list[float] = []
    for fold in range(len(n)):
        if not n[fold].sum():
            continue
        others = np.delete(n, fold, axis=0).sum(axis=0)
        if not others.sum():
            return None
        learned = pool_adjacent_violators(_rates(np.delete(hits, fold, axis=0).sum(axis=0), others), others)
        before.append(expected_calibration_error(n[fold], scores[fold], hits[fold]))
        after.append(expected_calibration_error(n[fold], learned * n[fold], hits[fold]))
    if not before or float(np.mean(after)) >= float(np.mean(before)):
        return None
    total = n.sum(axis=0)
    return pool_adjacent_violators(_rates(hits.sum(axis=0), total), total)


def calibrated(
    probabilities: npt.ArrayLike | None, rows: npt.ArrayLike, sum_scores: npt.ArrayLike
) -> FloatArray:
    """The expected positives of each bin, float64[B]: rows times the map, or the sum of scores where there is no map.

    >>> calibrated(None, [10], [3.0]).tolist(), calibrated([0.5], [10], [3.0]).tolist()
    ([3.0], [5.0])
    """
    n, scores = as_count_pair("rows", rows, "sum_scores", sum_scores, allow_empty=True)
    if probabilities is None:
        return scores
    learned = as_counts("probabilities", probabilities, allow_empty=True)
    if learned.size != n.size or (learned > 1).any():
        raise ValueError(f"probabilities must be {n.size} numbers in [0, 1]")
    return n * learned


def _rates(hits: FloatArray, rows: FloatArray) -> FloatArray:
    return np.divide(hits, rows, out=np.zeros_like(hits), where=rows > 0)


def _as_folds(name: str, values: npt.ArrayLike) -> FloatArray:
    folds = np.asarray(values, dtype=np.float64)
    if folds.ndim != 2 or folds.shape[0] < 2 or folds.shape[1] == 0:
        raise ValueError(f"{name} must be at least two folds of bins, got shape {folds.shape}")
    check_cells(name, folds)
    return folds
