"""The importance ranking against scikit-learn's NDCG."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score  # type: ignore[import-untyped]  # scikit-learn ships no types

from driftsonde.core.statistics.attribution import importance_shift, ranking_ndcg, root_mean_square

pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12).filter(
    lambda cells: any(a for a, _ in cells) and any(b for _, b in cells)
)


@settings(max_examples=80, deadline=None)
@given(cells=pairs)
def test_ndcg_is_scikit_learns_ties_included(cells: list[tuple[int, int]]) -> None:
    baseline, current = np.array(cells, dtype=np.float64).T
    assert ranking_ndcg(baseline, current) == pytest.approx(ndcg_score([baseline], [current]))


def test_ndcg_is_one_for_the_same_order_and_falls_with_a_worse_swap() -> None:
    baseline = np.array([8.0, 4.0, 2.0, 1.0])
    assert ranking_ndcg(baseline, baseline * 3) == 1
    assert ranking_ndcg([7.0], [2.0]) == 1
    small, large = ranking_ndcg(baseline, [8, 4, 1, 2]), ranking_ndcg(baseline, [1, 4, 2, 8])
    assert 1 > small > 0.99 > 0.9 > large


def test_shift_tells_size_and_share() -> None:
    shift = importance_shift([2.0, 0.0, 2.0], [4.0, 4.0, 0.0])
    assert shift.differences.tolist() == [2, 4, -2]
    assert shift.relative[[0, 2]].tolist() == [1, -1]
    assert math.isnan(shift.relative[1])
    assert shift.share_moved == 0.5
    same = importance_shift([2.0, 1.0], [2.0, 1.0])
    assert same.share_moved == 0
    assert same.differences.tolist() == [0, 0]


def test_root_mean_square_is_that_of_the_rows_and_merges() -> None:
    rows = np.random.default_rng(1).normal(size=100)
    squares = float((rows[:40] ** 2).sum()) + float((rows[40:] ** 2).sum())
    assert root_mean_square(squares, 100) == pytest.approx(np.sqrt(np.mean(rows**2)))
    assert math.isnan(root_mean_square(0.0, 0))


def test_refuses_rankings_of_nothing() -> None:
    for baseline, current in (
        ([0.0, 0.0], [1.0, 2.0]),
        ([1.0, 2.0], [0.0, 0.0]),
        ([1.0], [1.0, 2.0]),
        ([-1.0, 2.0], [1.0, 1.0]),
    ):
        with pytest.raises(ValueError, match=r"baseline|current"):
            ranking_ndcg(baseline, current)
        with pytest.raises(ValueError, match=r"baseline|current"):
            importance_shift(baseline, current)
    with pytest.raises(ValueError, match="negative"):
        root_mean_square(-1.0, 3)
