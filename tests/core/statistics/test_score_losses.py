"""Brier score, log loss and calibration from rows per score, against scikit-learn on the same rows."""

import math

import numpy as np
import pytest
from sklearn import metrics  # type: ignore[import-untyped]  # scikit-learn ships no types

from driftsonde.core.events import Floats, Ints
from driftsonde.core.statistics.intervals import normal_mean
from driftsonde.core.statistics.performance import expected_calibration_error
from driftsonde.core.statistics.score_losses import (
    average_precision_interval,
    brier_score,
    calibration_bins,
    calibration_error_interval,
    log_loss,
)


def cells(scores: Floats, labels: Ints) -> tuple[Floats, Floats, Floats]:
    values, place = np.unique(scores, return_inverse=True)
    negatives, positives = (np.bincount(place, labels == label, minlength=values.size) for label in (0, 1))
    return values, negatives.astype(np.float64), positives.astype(np.float64)


def rows(seed: int, n: int = 400) -> tuple[Floats, Ints]:
    """Scores on two decimals, zero and one among them, and labels that they predict."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 1, n).round(2)
    return scores, (rng.random(n) < scores).astype(np.int64)


@pytest.mark.parametrize("seed", range(4))
def test_losses_and_intervals_are_those_of_the_rows(seed: int) -> None:
    scores, labels = rows(seed)
    brier, log = brier_score(*cells(scores, labels), 0.9), log_loss(*cells(scores, labels), 0.9)
    assert brier.value == pytest.approx(metrics.brier_score_loss(labels, scores))
    assert log.value == pytest.approx(metrics.log_loss(labels, scores))
    each = (scores - labels) ** 2
    expected = normal_mean(each.size, float(each.sum()), float(each @ each), 0.9)
    assert brier.interval.lower == pytest.approx(expected.lower)
    assert brier.interval.upper == pytest.approx(expected.upper)
    assert log.n == 400


def test_bins_have_the_rows_calibration_error() -> None:
    scores, labels = rows(9)
    count, total, hits = calibration_bins(*cells(scores, labels))
    place = np.minimum((scores * 10).astype(int), 9)
    assert count.tolist() == np.bincount(place, minlength=10).tolist()
    gaps = [abs(scores[place == b].mean() - labels[place == b].mean()) for b in range(10)]
    assert expected_calibration_error(count, total, hits) == pytest.approx(np.average(gaps, weights=count))


def test_merged_cells_are_the_whole() -> None:
    scores, labels = rows(2)
    whole = calibration_bins(*cells(scores, labels))
    parts = [
        calibration_bins(*cells(scores[s], labels[s])) for s in (slice(0, 90), slice(90, 91), slice(91, None))
    ]
    for column in range(3):
        assert sum(part[column] for part in parts) == pytest.approx(whole[column])


def test_a_calibrated_model_is_not_refuted_and_a_wrong_one_is() -> None:
    covered = 0
    for seed in range(200):
        scores, labels = rows(seed, 300)
        covered += calibration_error_interval(*calibration_bins(*cells(scores, labels)), 0.9).lower == 0
    assert covered / 200 > 0.9
    scores, labels = rows(1, 2000)
    wrong = calibration_bins(*cells(scores**3, labels))
    interval = calibration_error_interval(*wrong, 0.9)
    assert 0.1 < interval.lower < expected_calibration_error(*wrong) < interval.upper


def test_few_rows_leave_the_losses_open() -> None:
    none = brier_score([], [], [], 0.9)
    assert math.isnan(none.value)
    assert (none.interval.lower, none.interval.upper) == (0, math.inf)
    assert log_loss([0.5], [1], [0], 0.9).interval.upper == math.inf
    assert calibration_error_interval([0], [0], [0], 0.9).upper == 1
    assert average_precision_interval(math.nan, 0, 0.9).upper == 1


def test_average_precision_interval_is_about_right() -> None:
    rng = np.random.default_rng(4)
    population = metrics.average_precision_score(*_scored(rng, 200_000))
    covered = 0
    for _ in range(400):
        labels, scores = _scored(rng, 400)
        value = metrics.average_precision_score(labels, scores)
        covered += average_precision_interval(value, int(labels.sum()), 0.9).contains(population)
    assert covered / 400 > 0.85


def _scored(rng: np.random.Generator, n: int) -> tuple[Ints, Floats]:
    labels = (rng.random(n) < 0.3).astype(np.int64)
    return labels, rng.normal(labels * 1.2, 1)


def test_refuses_what_is_no_probability_or_count() -> None:
    for scores in ([1.2], [-0.1], [math.nan], [[0.5]]):
        with pytest.raises(ValueError, match="scores"):
            brier_score(scores, [1], [1], 0.9)
    with pytest.raises(ValueError, match="negatives"):
        log_loss([0.5], [1, 2], [1, 2], 0.9)
    with pytest.raises(ValueError, match="bins"):
        calibration_bins([0.5], [1], [1], bins=0)
    with pytest.raises(ValueError, match="confidence"):
        brier_score([], [], [], 2.0)
    with pytest.raises(ValueError, match="value"):
        average_precision_interval(1.2, 3, 0.9)
    with pytest.raises(ValueError, match="positives"):
        average_precision_interval(0.5, -1, 0.9)
