"""The performance metrics against scikit-learn on the same rows, and merging against the whole."""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics  # type: ignore[import-untyped]  # scikit-learn ships no types

from driftsonde.core.statistics.performance import (
    BinaryOutcomes,
    RegressionOutcomes,
    average_precision,
    average_scores,
    class_scores,
    expected_calibration_error,
    multiclass_accuracy,
    r_squared,
    roc_auc,
)

Labels = npt.NDArray[np.int64]
few = settings(max_examples=50, deadline=None)
label_pairs = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), max_size=30)
class_pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)
cell_counts = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=12)


def outcomes_of(rows: list[tuple[int, int]]) -> BinaryOutcomes:
    """From (label, prediction) pairs."""
    return BinaryOutcomes(
        tp=rows.count((1, 1)), fp=rows.count((0, 1)), tn=rows.count((0, 0)), fn=rows.count((1, 0))
    )


def confusion_of(rows: list[tuple[int, int]], classes: int) -> Labels:
    cells = np.zeros((classes, classes), dtype=np.int64)
    for label, prediction in rows:
        cells[label, prediction] += 1
    return cells


def rows_of_cells(negatives: npt.ArrayLike, positives: npt.ArrayLike) -> tuple[Labels, Labels]:
    """Labels and cell indices, one per row."""
    neg, pos = np.asarray(negatives), np.asarray(positives)
    cells = np.arange(neg.size)
    labels = np.repeat([0, 1], [neg.sum(), pos.sum()])
    return labels, np.concatenate([np.repeat(cells, neg), np.repeat(cells, pos)])


@few
@given(rows=label_pairs.filter(bool))
def test_binary_metrics_equal_scikit_learn(rows: list[tuple[int, int]]) -> None:
    labels, predictions = np.array(rows).T
    outcomes = outcomes_of(rows)
    assert outcomes.accuracy == pytest.approx(metrics.accuracy_score(labels, predictions))
    for ours, theirs in (
        (outcomes.precision, metrics.precision_score),
        (outcomes.recall, metrics.recall_score),
        (outcomes.f1, metrics.f1_score),
    ):
        assert ours == pytest.approx(theirs(labels, predictions, zero_division=np.nan), nan_ok=True)


@few
@given(first=label_pairs, second=label_pairs)
def test_merged_binary_outcomes_equal_the_whole(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    assert outcomes_of(first) + outcomes_of(second) == outcomes_of(first + second)
    assert outcomes_of(first + second).n == len(first + second)


@few
@given(rows=class_pairs)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_multiclass_averages_equal_scikit_learn(
    average: Literal["macro", "micro", "weighted"], rows: list[tuple[int, int]]
) -> None:
    labels, predictions = np.array(rows).T
    ours = average_scores(confusion_of(rows, 4), average)
    theirs = metrics.precision_recall_fscore_support(
        labels, predictions, labels=range(4), average=average, zero_division=np.nan
    )
    assert [ours.precision, ours.recall, ours.f1] == pytest.approx(list(theirs[:3]), nan_ok=True)


@few
@given(rows=class_pairs)
def test_class_scores_equal_scikit_learn(rows: list[tuple[int, int]]) -> None:
    labels, predictions = np.array(rows).T
    ours = class_scores(confusion_of(rows, 4))
    theirs = metrics.precision_recall_fscore_support(
        labels, predictions, labels=range(4), average=None, zero_division=np.nan
    )
    for mine, other in zip((ours.precision, ours.recall, ours.f1, ours.support), theirs, strict=True):
        np.testing.assert_allclose(mine, other)
    expected = metrics.accuracy_score(labels, predictions)
    assert multiclass_accuracy(confusion_of(rows, 4)) == pytest.approx(expected)


def test_multiclass_of_two_classes_is_the_binary_case() -> None:
    outcomes = BinaryOutcomes(tp=5, fp=3, tn=11, fn=2)
    scores = class_scores([[11, 3], [2, 5]])
    assert (scores.precision[1], scores.recall[1]) == (outcomes.precision, outcomes.recall)
    assert scores.f1[1] == pytest.approx(outcomes.f1)


@few
@given(cells=cell_counts)
def test_ranking_metrics_equal_scikit_learn_on_the_cell_index(cells: list[tuple[int, int]]) -> None:
    negatives, positives = np.array(cells).T
    labels, scores = rows_of_cells(negatives, positives)
    if negatives.sum() == 0 or positives.sum() == 0:
        assert math.isnan(roc_auc(negatives, positives))
    else:
        assert roc_auc(negatives, positives) == pytest.approx(metrics.roc_auc_score(labels, scores))
    if positives.sum() == 0:
        assert math.isnan(average_precision(negatives, positives))
    else:
        expected = metrics.average_precision_score(labels, scores)
        assert average_precision(negatives, positives) == pytest.approx(expected)


def test_auc_of_cells_is_within_the_stated_bound_of_the_rows() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 3000)
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    edges = np.linspace(0, 1, 8)
    neg, pos = (np.histogram(scores[labels == label], edges)[0] for label in (0, 1))
    bound = (neg @ pos) / (2 * neg.sum() * pos.sum())
    assert abs(roc_auc(neg, pos) - metrics.roc_auc_score(labels, scores)) <= bound


@few
@given(cells=cell_counts)
def test_auc_of_the_reversed_order_is_the_complement(cells: list[tuple[int, int]]) -> None:
    negatives, positives = np.array(cells).T
    assert roc_auc(negatives[::-1], positives[::-1]) == pytest.approx(
        1 - roc_auc(negatives, positives), nan_ok=True
    )


def test_calibration_error_equals_the_mean_gap_of_the_rows() -> None:
    rng = np.random.default_rng(8)
    scores = rng.uniform(size=5000)
    labels = rng.uniform(size=5000) < scores**2
    bins = np.minimum((scores * 10).astype(int), 9)
    rows = np.bincount(bins, minlength=10)
    gap = [abs(scores[bins == b].mean() - labels[bins == b].mean()) for b in range(10)]
    ours = expected_calibration_error(rows, np.bincount(bins, scores), np.bincount(bins, labels))
    assert ours == pytest.approx(np.average(gap, weights=rows))
    assert ours == pytest.approx(1 / 6, abs=0.02)  # the integral of x - x^2


def test_calibration_error_bounds() -> None:
    assert expected_calibration_error([4, 0], [0, 0], [4, 0]) == 1
    assert expected_calibration_error([4, 2], [1, 2], [1, 2]) == 0
    assert math.isnan(expected_calibration_error([0], [0], [0]))
    with pytest.raises(ValueError, match="sum_scores"):
        expected_calibration_error([4], [5], [1])
    with pytest.raises(ValueError, match="positives"):
        expected_calibration_error([4], [1], [5])


@pytest.mark.parametrize("seed", range(5))
def test_regression_metrics_equal_scikit_learn_and_merge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.normal(100, 20, 400)
    predictions = labels + rng.normal(3, 5, 400)
    error = predictions - labels

    def outcomes(part: slice) -> RegressionOutcomes:
        e = error[part]
        return RegressionOutcomes(e.size, float(e.sum()), float(np.abs(e).sum()), float((e * e).sum()))

    merged = outcomes(slice(0, 150)) + outcomes(slice(150, None))
    assert merged.bias == pytest.approx(error.mean())
    assert merged.mae == pytest.approx(metrics.mean_absolute_error(labels, predictions))
    assert merged.rmse == pytest.approx(metrics.root_mean_squared_error(labels, predictions))


@pytest.mark.parametrize("noise", [0.0, 5.0, 60.0])
def test_r_squared_equals_scikit_learn(noise: float) -> None:
    rng = np.random.default_rng(3)
    labels = rng.normal(100, 20, 400)
    error = rng.normal(0, 1, 400) * noise
    ours = r_squared(400, float(labels.sum()), float(labels @ labels), float(error @ error))
    assert ours == pytest.approx(metrics.r2_score(labels, labels + error), abs=1e-9)


def test_r_squared_is_undefined_where_the_labels_do_not_vary() -> None:
    assert math.isnan(r_squared(1, 5.0, 25.0, 1.0))
    assert math.isnan(r_squared(10, 10 * 0.1, 10 * 0.1**2, 1.0))
    with pytest.raises(ValueError, match="negative"):
        r_squared(10, 1.0, 1.0, -1.0)


def test_without_rows_every_metric_is_undefined() -> None:
    binary, regression = BinaryOutcomes(0, 0, 0, 0), RegressionOutcomes(0, 0.0, 0.0, 0.0)
    macro = average_scores(np.zeros((3, 3)), "macro")
    undefined = [
        *(binary.accuracy, binary.precision, binary.recall, binary.f1),
        *(regression.bias, regression.mae, regression.rmse),
        *(macro.precision, macro.recall, macro.f1, multiclass_accuracy([[0]])),
    ]
    assert all(math.isnan(value) for value in undefined)


def test_refuses_impossible_outcomes() -> None:
    with pytest.raises(ValueError, match="fn"):
        BinaryOutcomes(1, 1, 1, -1)
    with pytest.raises(ValueError, match="sum_abs_error"):
        RegressionOutcomes(1, 0.0, -1.0, 1.0)
    with pytest.raises(ValueError, match="sum_error"):
        RegressionOutcomes(1, math.nan, 1.0, 1.0)
    for matrix in ([[1, 2]], [1, 2], [[1, -1], [0, 2]], [[math.nan]]):
        with pytest.raises(ValueError, match="confusion"):
            multiclass_accuracy(matrix)
    with pytest.raises(ValueError, match="average"):
        average_scores([[1]], "none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positives"):
        roc_auc([1, 2], [1])
    with pytest.raises(ValueError, match="negatives"):
        average_precision([-1, 2], [1, 1])
