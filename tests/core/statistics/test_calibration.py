"""Isotonic regression against scikit-learn, and when the map is used."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression  # type: ignore[import-untyped]  # scikit-learn ships no types

from driftsonde.core.events import Floats, Ints
from driftsonde.core.statistics.calibration import (
    calibrated,
    calibration_map,
    pool_adjacent_violators,
    stratified_folds,
)

pairs = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(cells=pairs.filter(lambda cells: any(weight for _, weight in cells)))
def test_isotonic_fit_is_scikit_learns(cells: list[tuple[int, int]]) -> None:
    values, weights = np.array(cells, dtype=np.float64).T
    fitted = pool_adjacent_violators(values, weights)
    assert (np.diff(fitted) >= 0).all()
    used = weights > 0
    theirs = IsotonicRegression(out_of_bounds="clip").fit(
        np.flatnonzero(used), values[used], sample_weight=weights[used]
    )
    assert fitted == pytest.approx(theirs.predict(np.arange(len(cells))))


def test_folds_are_stratified() -> None:
    labels = np.random.default_rng(1).integers(0, 2, 101)
    folds = stratified_folds(labels)
    for label in (0, 1):
        sizes = np.bincount(folds[labels == label], minlength=3)
        assert sizes.max() - sizes.min() <= 1


def by_fold(scores: Floats, labels: Ints) -> tuple[Floats, Floats, Floats]:
    place = stratified_folds(labels) * 10 + np.minimum((scores * 10).astype(np.int64), 9)
    weights = (np.ones_like(scores), scores, labels.astype(np.float64))
    rows, sums, hits = (
        np.bincount(place, w, minlength=30).reshape(3, 10).astype(np.float64) for w in weights
    )
    return rows, sums, hits


def test_a_map_is_learned_where_the_scores_are_wrong_and_only_there() -> None:
    rng = np.random.default_rng(2)
    scores = rng.random(6000)
    honest = (rng.random(6000) < scores).astype(np.int64)
    wrong = (rng.random(6000) < 0.5 + (scores - 0.5) / 3).astype(np.int64)
    learned = calibration_map(*by_fold(scores, wrong))
    assert learned is not None
    assert learned == pytest.approx(0.5 + (np.arange(0.05, 1, 0.1) - 0.5) / 3, abs=0.06)
    kept = calibration_map(*by_fold(scores, honest))
    assert kept is None or np.abs(kept - np.arange(0.05, 1, 0.1)).max() < 0.06


def test_without_two_folds_of_labels_there_is_no_map() -> None:
    assert calibration_map([[0, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]) is None
    assert calibration_map([[9, 0], [0, 0]], [[1, 0], [0, 0]], [[9, 0], [0, 0]]) is None


def test_refuses_other_shapes_and_counts() -> None:
    with pytest.raises(ValueError, match="values"):
        pool_adjacent_violators([1.0, np.nan], [1, 1])
    with pytest.raises(ValueError, match="weights"):
        pool_adjacent_violators([1.0], [0])
    with pytest.raises(ValueError, match="rows"):
        calibration_map([[1, 2]], [[1, 2]], [[1, 2]])
    with pytest.raises(ValueError, match="one shape"):
        calibration_map([[1, 2]] * 2, [[1, 2]] * 3, [[1, 2]] * 2)
    for probabilities in ([0.5, 0.5], [1.5]):
        with pytest.raises(ValueError, match="probabilities"):
            calibrated(probabilities, [1], [1])
