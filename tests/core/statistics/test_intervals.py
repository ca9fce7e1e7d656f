"""The intervals against scipy, against their defining equations and against simulated coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from driftsonde.core.statistics.intervals import (
    Interval,
    accuracy_interval,
    bias_interval,
    clopper_pearson,
    f1_interval,
    hanley_mcneil,
    mae_interval,
    normal_mean,
    precision_interval,
    recall_interval,
    rmse_interval,
    wilson,
)
from driftsonde.core.statistics.performance import BinaryOutcomes, RegressionOutcomes, roc_auc

few = settings(max_examples=50, deadline=None)
confidences = st.floats(0.01, 0.999)
rows = st.integers(0, 500)
outcomes_strategy = st.builds(BinaryOutcomes, tp=rows, fp=rows, tn=rows, fn=rows)


@few
@given(n=st.integers(1, 500), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_clopper_pearson_equals_scipy(n: int, share: float, confidence: float) -> None:
    successes = round(n * share)
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
    ours = clopper_pearson(successes, n, confidence)
    assert ours.lower == pytest.approx(theirs.low, rel=1e-6, abs=1e-9)
    assert ours.upper == pytest.approx(theirs.high, rel=1e-6, abs=1e-9)
    assert clopper_pearson(0, 0, confidence) == Interval(0.0, 1.0)


@few
@given(n=st.integers(1, 10_000), share=st.floats(0, 1), confidence=confidences)
def test_wilson_equals_scipy(n: int, share: float, confidence: float) -> None:
    successes = round(share * n)
    ours = wilson(successes, n, confidence)
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= ours.lower <= successes / n <= ours.upper <= 1


@pytest.mark.parametrize("seed", range(4))
def test_normal_mean_equals_scipy(seed: int) -> None:
    values = np.random.default_rng(seed).gamma(2, 3, 500)
    ours = normal_mean(values.size, float(values.sum()), float(np.square(values).sum()), 0.9)
    theirs = stats.norm.interval(0.9, values.mean(), stats.sem(values))
    assert (ours.lower, ours.upper) == pytest.approx(theirs)


@few
@given(n=st.integers(2, 1000), value=st.floats(-1e6, 1e6), confidence=confidences)
def test_a_constant_has_an_interval_of_rounding_width(n: int, value: float, confidence: float) -> None:
    interval = normal_mean(n, n * value, n * value**2, confidence)
    assert interval.lower == pytest.approx(value, rel=1e-6, abs=1e-150)
    assert interval.upper - interval.lower <= 1e-6 * abs(value) + 1e-150  # squares underflow below that


@few
@given(auc=st.floats(0, 1), negatives=st.integers(1, 2000), positives=st.integers(1, 2000))
def test_auc_interval_solves_its_equation(auc: float, negatives: int, positives: int) -> None:
    interval = hanley_mcneil(auc, negatives, positives, 0.95)
    assert 0 <= interval.lower <= auc + 1e-9
    assert auc - 1e-9 <= interval.upper <= 1
    solved_to = 1e-6  # the root is accurate to about 1e-12, which is coarse beside an end nearer to 0 or 1
    for end in (end for end in (interval.lower, interval.upper) if solved_to < end < 1 - solved_to):
        q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)
        variance = end * (1 - end) + (positives - 1) * (q1 - end**2) + (negatives - 1) * (q2 - end**2)
        deviations = abs(auc - end) / math.sqrt(variance / (negatives * positives))
        assert deviations == pytest.approx(1.959964, rel=1e-3) or abs(auc - end) < 1e-9


@few
@given(hit=st.booleans(), confidence=confidences)
def test_auc_of_one_pair_is_one_bernoulli_trial(hit: bool, confidence: float) -> None:
    ours, trial = hanley_mcneil(float(hit), 1, 1, confidence), wilson(hit, 1, confidence)
    assert (ours.lower, ours.upper) == pytest.approx((trial.lower, trial.upper), abs=1e-9)


def test_a_perfect_auc_on_few_rows_stays_uncertain() -> None:
    assert hanley_mcneil(1.0, 5, 5, 0.95).lower < 0.8
    assert hanley_mcneil(0.0, 5, 5, 0.95).upper > 0.2


def test_auc_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    truth = float(stats.norm.cdf(1.2 / math.sqrt(2)))
    covered = 0
    for _ in range(400):
        scores = np.concatenate([rng.normal(0, 1, 60), rng.normal(1.2, 1, 40)])
        cells = np.argsort(np.argsort(scores))
        neg, pos = np.bincount(cells[:60], minlength=100), np.bincount(cells[60:], minlength=100)
        covered += hanley_mcneil(roc_auc(neg, pos), 60, 40, 0.95).contains(truth)
    assert 0.93 <= covered / 400 <= 0.98


def test_binary_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(6)
    shares = np.array([0.15, 0.05, 0.70, 0.10])  # tp, fp, tn, fn
    truths = (0.85, 0.75, 0.6, 2 * 0.15 / (2 * 0.15 + 0.15))
    intervals = (accuracy_interval, precision_interval, recall_interval, f1_interval)
    draws = [BinaryOutcomes(*map(int, draw)) for draw in rng.multinomial(200, shares, 1500)]
    for interval, truth in zip(intervals, truths, strict=True):
        covered = np.mean([interval(outcomes, 0.9).contains(truth) for outcomes in draws])
        assert 0.88 <= covered <= 0.92


@few
@given(outcomes=outcomes_strategy, confidence=confidences)
def test_binary_intervals_contain_the_estimate_and_nest(outcomes: BinaryOutcomes, confidence: float) -> None:
    for interval, estimate in (
        (accuracy_interval, outcomes.accuracy),
        (precision_interval, outcomes.precision),
        (recall_interval, outcomes.recall),
        (f1_interval, outcomes.f1),
    ):
        narrow, wide = interval(outcomes, confidence / 2), interval(outcomes, confidence)
        assert 0 <= wide.lower <= narrow.lower <= narrow.upper <= wide.upper <= 1
        if math.isnan(estimate):
            assert wide == Interval(0, 1)
        else:
            assert wide.lower - 1e-12 <= estimate <= wide.upper + 1e-12


def test_regression_intervals_are_those_of_the_rows() -> None:
    error = np.random.default_rng(7).normal(0.5, 2, 300)
    sums = RegressionOutcomes(
        300, float(error.sum()), float(np.abs(error).sum()), float(np.square(error).sum())
    )
    for ours, values in ((bias_interval(sums, 0.95), error), (mae_interval(sums, 0.95), np.abs(error))):
        theirs = stats.norm.interval(0.95, values.mean(), stats.sem(values))
        assert (ours.lower, ours.upper) == pytest.approx(theirs)
    assert mae_interval(RegressionOutcomes(2, 1.0, 1.0, 1.0), 0.999).lower == 0


def test_rmse_interval_covers_normal_errors_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for errors in rng.normal(0, 3, (1000, 300)):
        sums = RegressionOutcomes(300, errors.sum(), np.abs(errors).sum(), float(errors @ errors))
        covered += rmse_interval(sums, 0.9).contains(3.0)
    assert covered / 1000 == pytest.approx(0.9, abs=0.03)
    assert rmse_interval(RegressionOutcomes(1, 1.0, 1.0, 1.0), 0.9) == Interval(0.0, math.inf)


def test_without_rows_the_interval_is_the_whole_range() -> None:
    assert wilson(0, 0, 0.95) == Interval(0, 1)
    assert hanley_mcneil(math.nan, 0, 9, 0.95) == Interval(0, 1)
    assert normal_mean(1, 3.0, 9.0, 0.95) == Interval(-math.inf, math.inf)


def test_refuses_values_out_of_range() -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson(5, 4, 0.95)
    with pytest.raises(ValueError, match="n must"):
        wilson(0, -1, 0.95)
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 4, 1)
    with pytest.raises(ValueError, match="successes"):
        clopper_pearson(5, 4, 0.95)
    with pytest.raises(ValueError, match="n must"):
        clopper_pearson(0, -1, 0.95)
    with pytest.raises(ValueError, match="n must"):
        normal_mean(-1, 1, 1, 0.95)
    with pytest.raises(ValueError, match="finite"):
        normal_mean(3, math.nan, 1, 0.95)
    with pytest.raises(ValueError, match="sum_squares"):
        normal_mean(3, 9, 1, 0.95)
    with pytest.raises(ValueError, match="auc"):
        hanley_mcneil(1.1, 3, 3, 0.95)
    with pytest.raises(ValueError, match="negatives"):
        hanley_mcneil(0.5, -3, 3, 0.95)
