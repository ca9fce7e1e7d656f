"""Scores by outcome: exact while few, rounded once many, and the same in whatever order they come together."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics  # type: ignore[import-untyped]

from driftsonde.core.points import EXACT_POINTS, NO_POINTS, Points, gather_points, merge_points
from driftsonde.core.statistics.performance import roc_auc


def of(scores: Sequence[float], labels: Sequence[int], sign: int = 1) -> Points:
    truth = np.array(labels, dtype=bool)
    group = np.zeros(len(scores), dtype=np.int64)
    (points,) = gather_points(np.array(scores, dtype=np.float64), truth, np.full(len(scores), sign), group, 1)
    return points


def same(left: Points, right: Points) -> bool:
    arrays = ("values", "negatives", "positives")
    return left.coarse == right.coarse and all(
        np.array_equal(getattr(left, name), getattr(right, name)) for name in arrays
    )


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(0, 60))
def test_merging_is_gathering_all(scores: list[int], cut: int) -> None:
    values, labels = [score / 40 for score in scores], [score % 2 for score in scores]
    whole = of(values, labels)
    parts = of(values[cut:], labels[cut:]), of(values[:cut], labels[:cut])
    assert same(merge_points(*parts), whole)
    assert same(merge_points(*reversed(parts)), whole)
    assert same(merge_points(NO_POINTS, whole), whole)


@pytest.mark.parametrize("seed", range(5))
def test_many_scores_are_rounded_whatever_the_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.beta(0.3, 0.3, 3 * EXACT_POINTS)
    labels = (rng.random(len(scores)) < scores).astype(int)
    whole = of(scores.tolist(), labels.tolist())
    assert whole.coarse
    order = rng.permutation(len(scores))
    merged = NO_POINTS
    for part in np.array_split(order, int(rng.integers(2, 9))):
        merged = merge_points(merged, of(scores[part].tolist(), labels[part].tolist()))
    assert same(merged, whole)
    assert roc_auc(whole.negatives, whole.positives) == pytest.approx(
        metrics.roc_auc_score(labels, scores), abs=0.002
    )


def test_few_scores_are_exact_however_close() -> None:
    rng = np.random.default_rng(9)
    scores = 0.7 + rng.random(EXACT_POINTS) * 1e-9
    labels = rng.integers(0, 2, EXACT_POINTS)
    points = of(scores.tolist(), labels.tolist())
    assert not points.coarse
    assert roc_auc(points.negatives, points.positives) == pytest.approx(metrics.roc_auc_score(labels, scores))


def test_what_is_taken_out_leaves_a_count_of_nothing() -> None:
    points = merge_points(of([0.25, 0.5], [0, 1]), of([0.5], [1], sign=-1))
    assert points.values.tolist() == [0.25, 0.5]
    assert (points.negatives.tolist(), points.positives.tolist()) == ([1, 0], [0, 0])
