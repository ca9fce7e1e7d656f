"""Confidence sequences of paired differences: their guarantee by simulation, and their shape."""

import numpy as np
import pytest

from driftsonde.core.statistics.anytime import mean_difference_sequence, normal_mixture_radius
from driftsonde.core.statistics.paired import (
    gamma_exponential_radius,
    mean_loss_sequence,
    paired_accuracy_sequence,
    window_variance,
)

ALPHA = 0.2
RATES = {
    "few differ": lambda window: (0.01, 0.01),
    "one is better": lambda window: (0.1, 0.05),
    "they wander": lambda window: (0.3, 0.0) if window % 2 else (0.0, 0.3),
}


@pytest.mark.parametrize("name", RATES)
def test_the_running_mean_is_missed_at_any_window_no_more_often_than_promised(name: str) -> None:
    rng, missed, runs = np.random.default_rng(3), 0, 80
    for _ in range(runs):
        n = only_a = only_b = 0
        variance = target = 0.0
        held = True
        for window in range(25):
            a, b = RATES[name](window)
            new_a, new_b, _ = rng.multinomial(60, [a, b, 1 - a - b]).tolist()
            variance += window_variance(60, new_a, new_b, (only_b - only_a) / n if n else 0.0)
            n, only_a, only_b, target = n + 60, only_a + new_a, only_b + new_b, target + 60 * (b - a)
            held &= paired_accuracy_sequence(n, only_a, only_b, variance, ALPHA).contains(target / n)
        missed += not held
    assert missed / runs <= ALPHA


def test_models_that_mostly_agree_are_told_apart_from_a_tenth_of_the_rows() -> None:
    """Accuracy 0.90 and 0.93, on 5 % of the rows one of them alone is right."""

    def paired(n: int) -> float:
        a, b = n // 100, n // 25
        return paired_accuracy_sequence(n, a, b, window_variance(n, a, b, 0.0), 0.05).lower

    def unpaired(n: int) -> float:
        return mean_difference_sequence(n, 0.90 * n, n, 0.93 * n, 0.05).lower

    assert paired(1_000) > 0
    assert unpaired(10_000) < 0


@pytest.mark.parametrize("n", [1, 10, 1_000])
def test_sides_are_exchangeable_and_more_confidence_is_wider(n: int) -> None:
    a, b = n // 5, n // 2
    one = paired_accuracy_sequence(n, a, b, float(a + b), 0.05)
    other = paired_accuracy_sequence(n, b, a, float(a + b), 0.05)
    assert (one.lower, one.upper) == pytest.approx((-other.upper, -other.lower))
    wider = paired_accuracy_sequence(n, a, b, float(a + b), 0.01)
    assert wider.lower <= one.lower <= (b - a) / n <= one.upper <= wider.upper


def test_the_boundary_is_above_the_normal_one_and_near_it_where_the_scale_is_small() -> None:
    """Sub-exponential sums are allowed more; with a scale of 0 they would be sub-Gaussian, of which a one-sided mixture at
    alpha / 2 is the two-sided one at alpha within a few percent."""
    normal = normal_mixture_radius(500.0, 100.0, 0.05)
    near, far = (gamma_exponential_radius(500.0, 500.0, 0.025, scale) for scale in (0.01, 2.0))
    assert near < far
    assert near == pytest.approx(normal, rel=0.12)


def test_nothing_is_known_without_rows_or_where_sums_are_not_finite() -> None:
    assert paired_accuracy_sequence(0, 0, 0, 0.0, 0.05).lower == -1
    for interval in (mean_loss_sequence(1, 2.0, 4.0, 0.05), mean_loss_sequence(9, np.inf, np.inf, 0.05)):
        assert (interval.lower, interval.upper) == (-np.inf, np.inf)


def test_a_mean_loss_is_missed_seldom_from_some_hundred_rows_on() -> None:
    rng, missed, runs = np.random.default_rng(5), 0, 200
    for _ in range(runs):
        values = rng.exponential(size=4_000) - 1
        totals, squares = values.cumsum()[199::200], np.square(values).cumsum()[199::200]
        missed += not all(
            mean_loss_sequence(200 * (k + 1), float(t), float(s), ALPHA).contains(0.0)
            for k, (t, s) in enumerate(zip(totals, squares, strict=True))
        )
    assert missed / runs <= ALPHA


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_accuracy_sequence(5, 3, 3, 1.0, 0.05), "of the n = 5"),
        (lambda: paired_accuracy_sequence(5, 1, 1, -1.0, 0.05), "variance_sum"),
        (lambda: window_variance(5, 1, 1, 2.0), "expected"),
        (lambda: gamma_exponential_radius(1.0, 0.0, 0.05, 1.0), "out of range"),
        (lambda: mean_loss_sequence(-1, 0.0, 0.0, 0.05), "n must"),
        (lambda: mean_loss_sequence(5, 0.0, 0.0, 0.0), "alpha"),
    ],
)
def test_errors_say_what_is_wrong(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
