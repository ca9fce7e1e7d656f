"""Performance without labels: against the same computation on rows, against the labels, and merging against the whole."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn import metrics  # type: ignore[import-untyped]  # scikit-learn ships no types

from driftsonde.core.events import Floats, Ints
from driftsonde.core.statistics.estimated import (
    LabelTable,
    accuracy_gap,
    estimated_accuracy,
    expected_cells,
    expected_confusion,
    expected_confusion_of_probabilities,
    expected_confusion_of_scores,
)
from driftsonde.core.statistics.estimated_errors import ErrorTable, estimated_mae, estimated_rmse, mae_gap
from driftsonde.core.statistics.performance import class_scores, multiclass_accuracy, roc_auc

BINS = 20


def bins_of(scores: Floats) -> Ints:
    return np.minimum((scores * BINS).astype(np.int64), BINS - 1)


@dataclass(frozen=True)
class Rows:
    scores: Floats
    labels: Ints
    predictions: Ints

    @property
    def histogram(self) -> Floats:
        return np.bincount(bins_of(self.scores), minlength=BINS).astype(np.float64)

    @property
    def correct(self) -> int:
        return int((self.labels == self.predictions).sum())


def binary_rows(seed: int, n: int, shape: float = 1.0, concept: float = 0.0) -> Rows:
    """Calibrated scores unless `concept` flips labels; `shape` moves the distribution of scores."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(shape, 1, n)
    labels = (rng.random(n) < scores).astype(np.int64)
    flipped = rng.random(n) < concept
    return Rows(scores, np.where(flipped, 1 - labels, labels), (scores >= 0.5).astype(np.int64))


def table_of(rows: Rows) -> LabelTable:
    counts = np.zeros((BINS, 2, 2))
    np.add.at(counts, (bins_of(rows.scores), rows.labels, rows.predictions), 1)
    return LabelTable(counts)


def test_expected_confusion_is_that_of_the_rows() -> None:
    rows = binary_rows(1, 3000)
    n, hits = np.zeros((2, BINS)), np.zeros((2, BINS))
    np.add.at(n, (rows.predictions, bins_of(rows.scores)), 1)
    np.add.at(hits, (rows.predictions, bins_of(rows.scores)), rows.scores)
    confusion = expected_confusion_of_scores(n, hits)
    p, called = rows.scores, rows.predictions == 1
    expected = [[(1 - p)[~called].sum(), (1 - p)[called].sum()], [p[~called].sum(), p[called].sum()]]
    assert confusion == pytest.approx(np.array(expected))
    twice = np.concatenate([np.ones(3000), np.zeros(3000)])
    weights = np.concatenate([p, 1 - p])
    f1 = metrics.f1_score(twice, np.tile(rows.predictions, 2), sample_weight=weights)
    assert class_scores(confusion).f1[1] == pytest.approx(f1)
    assert multiclass_accuracy(confusion) == pytest.approx(np.where(called, p, 1 - p).mean())
    auc = metrics.roc_auc_score(twice, np.tile(bins_of(p), 2), sample_weight=weights)
    assert roc_auc(*expected_cells(n.sum(axis=0), hits.sum(axis=0))) == pytest.approx(auc)


def test_expected_confusion_of_classes_is_that_of_the_rows() -> None:
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet([1, 1, 1], 500)
    predicted = probabilities.argmax(axis=1)
    sums = np.zeros((3, 3))
    np.add.at(sums, predicted, probabilities)
    confusion = expected_confusion_of_probabilities(sums)
    assert multiclass_accuracy(confusion) == pytest.approx(probabilities.max(axis=1).mean())
    assert confusion.sum(axis=0) == pytest.approx(np.bincount(predicted, minlength=3))


def test_of_the_baselines_own_rows_the_estimate_is_what_the_labels_said() -> None:
    rows = binary_rows(3, 2000)
    table = table_of(rows)
    confusion = expected_confusion(table, rows.histogram)
    assert confusion == pytest.approx(table.counts.sum(axis=0))
    gap = accuracy_gap(table, rows.histogram, 2000, rows.correct, 0.95)
    assert gap.value == pytest.approx(0)
    assert gap.interval.contains(0)


def test_merged_histograms_are_the_whole() -> None:
    table = table_of(binary_rows(4, 1000))
    parts = [binary_rows(seed, 100, 2.0).histogram for seed in (5, 6, 7)]
    whole = expected_confusion(table, sum(parts, np.zeros(BINS)))
    assert whole == pytest.approx(sum((expected_confusion(table, part) for part in parts), np.zeros((2, 2))))


def test_the_estimate_follows_the_inputs_and_the_gap_the_concept() -> None:
    table = table_of(binary_rows(8, 5000))
    easier = binary_rows(9, 5000, shape=4.0)
    estimate = estimated_accuracy(table, easier.histogram, 0.95)
    assert estimate.value > estimated_accuracy(table, table.rows, 0.95).value + 0.05
    assert estimate.interval.contains(easier.correct / 5000)
    drifted = binary_rows(10, 5000, shape=4.0, concept=0.1)
    assert accuracy_gap(table, easier.histogram, 5000, easier.correct, 0.95).interval.contains(0)
    gap = accuracy_gap(table, drifted.histogram, 5000, drifted.correct, 0.95)
    assert gap.interval.upper < 0
    assert gap.value == pytest.approx(-0.06, abs=0.03)


def test_intervals_cover_as_often_as_they_say() -> None:
    covered = gaps = 0
    for seed in range(300):
        table = table_of(binary_rows(seed, 800))
        rows = binary_rows(seed + 1000, 400, shape=2.0)
        covered += estimated_accuracy(table, rows.histogram, 0.9).interval.contains(rows.correct / 400)
        gaps += accuracy_gap(table, rows.histogram, 400, rows.correct, 0.9).interval.contains(0)
    assert covered / 300 == pytest.approx(0.9, abs=0.06)
    assert gaps / 300 >= 0.88  # its variance has what lies between the bins too


def test_a_bin_that_the_baseline_never_saw_counts_as_all() -> None:
    counts = np.zeros((2, 2, 2))
    counts[0] = [[6, 1], [1, 2]]
    assert estimated_accuracy(LabelTable(counts), [0, 50], 0.9).value == pytest.approx(0.8)


def regression_rows(seed: int, n: int, shift: float = 0.0) -> tuple[Ints, Floats]:
    """The bin of each prediction, and its error, wider in the bins of larger predictions."""
    rng = np.random.default_rng(seed)
    bins = rng.normal(5 + shift, 2, n).clip(0, 9.99).astype(np.int64)
    return bins, rng.normal(0, 1.0 + bins)


def error_table(bins: Ints, errors: Floats) -> ErrorTable:
    weights = (np.ones_like(errors), np.abs(errors), errors**2, errors**4)
    return ErrorTable(*(np.bincount(bins, w, minlength=10).astype(np.float64) for w in weights))


def test_expected_errors_follow_the_inputs() -> None:
    bins, errors = regression_rows(1, 20_000)
    table = error_table(bins, errors)
    assert estimated_mae(table, table.rows, 0.9).value == pytest.approx(np.abs(errors).mean())
    assert estimated_rmse(table, table.rows, 0.9).value == pytest.approx(math.sqrt((errors**2).mean()))
    live, live_errors = regression_rows(2, 20_000, shift=2.0)
    rows = np.bincount(live, minlength=10)
    mae, rmse = estimated_mae(table, rows, 0.99), estimated_rmse(table, rows, 0.99)
    assert mae.interval.contains(float(np.abs(live_errors).mean()))
    assert rmse.interval.contains(math.sqrt((live_errors**2).mean()))
    assert mae.value > np.abs(errors).mean() * 1.2
    gap = mae_gap(table, rows, 20_000, float(np.abs(live_errors).sum()), float((live_errors**2).sum()), 0.99)
    assert gap.interval.contains(0)
    worse = live_errors * 1.2
    gap = mae_gap(table, rows, 20_000, float(np.abs(worse).sum()), float((worse**2).sum()), 0.99)
    assert gap.interval.lower > 0


def test_regression_intervals_cover_as_often_as_they_say() -> None:
    covered = gaps = 0
    for seed in range(300):
        table = error_table(*regression_rows(seed, 1000))
        bins, errors = regression_rows(seed + 1000, 500)
        rows, sums = np.bincount(bins, minlength=10), (float(np.abs(errors).sum()), float((errors**2).sum()))
        covered += estimated_mae(table, rows, 0.9).interval.contains(sums[0] / 500)
        gaps += mae_gap(table, rows, 500, *sums, 0.9).interval.contains(0)
    assert covered / 300 == pytest.approx(0.9, abs=0.06)
    assert gaps / 300 >= 0.88


def test_without_rows_or_labels_nothing_is_known() -> None:
    table, errors = table_of(binary_rows(1, 100)), error_table(*regression_rows(1, 100))
    nothing = np.zeros(BINS)
    assert math.isnan(estimated_accuracy(table, nothing, 0.9).value)
    assert math.isnan(accuracy_gap(table, nothing, 5, 3, 0.9).value)
    assert math.isnan(accuracy_gap(table, table.rows, 0, 0, 0.9).value)
    assert math.isnan(estimated_mae(errors, np.zeros(10), 0.9).value)
    assert math.isnan(estimated_rmse(errors, np.zeros(10), 0.9).value)
    assert math.isnan(mae_gap(errors, errors.rows, 0, 0.0, 0.0, 0.9).value)
    assert mae_gap(errors, errors.rows, 1, 1.0, 1.0, 0.9).interval.upper == math.inf


def test_refuses_what_is_no_table() -> None:
    for counts in (np.zeros((2, 2, 2)), np.ones((2, 2)), np.ones((2, 2, 3)), -np.ones((1, 2, 2))):
        with pytest.raises(ValueError, match="counts"):
            LabelTable(counts)
    one = np.ones(1)
    with pytest.raises(ValueError, match="rows"):
        ErrorTable(np.zeros(1), one, one, one)
    with pytest.raises(ValueError, match="squared"):
        ErrorTable(one, one, np.ones(2), one)
    table = LabelTable(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="rows"):
        expected_confusion(table, [1, 2, 3])
    with pytest.raises(ValueError, match="rows"):
        estimated_mae(ErrorTable(one, one, one, one), [1, 2], 0.9)
    with pytest.raises(ValueError, match="correct"):
        accuracy_gap(table, [1, 2], 3, 4, 0.9)
    with pytest.raises(ValueError, match="negative"):
        mae_gap(ErrorTable(one, one, one, one), [1], 2, -1.0, 1.0, 0.9)
    with pytest.raises(ValueError, match="exceed"):
        expected_cells([1], [2])
    with pytest.raises(ValueError, match="exceed"):
        expected_confusion_of_scores([[1], [1]], [[2], [0]])
    with pytest.raises(ValueError, match="shape"):
        expected_confusion_of_scores([[1], [1]], [[1, 1], [0, 0]])
    with pytest.raises(ValueError, match="rows"):
        expected_confusion_of_scores([1], [1])
    with pytest.raises(ValueError, match="square"):
        expected_confusion_of_probabilities([[1.0, 2.0]])
