"""The confidence sequences: exact crossing probabilities, seeded coverage, and what a repeated interval would do."""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftsonde.core.statistics.anytime import (
    Bound,
    mean_difference_sequence,
    mean_sequence,
    normal_mixture_radius,
    normal_mixture_rho,
    paired_difference_sequence,
)
from driftsonde.core.statistics.intervals import wilson

BOUNDS: tuple[Bound, ...] = ("sub_gaussian", "beta_binomial")
EACH_BOUND = pytest.mark.parametrize("bound", BOUNDS)
few = settings(max_examples=50, deadline=None)
Sums = npt.NDArray[np.float64]


@few
@given(variance=st.floats(0.01, 1e9), alpha=st.floats(1e-6, 0.5))
def test_rho_is_where_the_radius_is_smallest(variance: float, alpha: float) -> None:
    rho = normal_mixture_rho(variance, alpha)
    best = normal_mixture_radius(variance, rho, alpha)
    for factor in (0.5, 0.9, 1.1, 2):
        assert best < normal_mixture_radius(variance, rho * factor, alpha)
    assert best == pytest.approx(math.sqrt((variance + rho) * math.log((variance + rho) / (rho * alpha**2))))


def crossing_probability(p: float, alpha: float, bound: Bound, rows: int) -> float:
    """P(a Bernoulli(p) path has p outside its interval at some n <= rows), exactly, by dynamic programming."""
    inside = np.array([1.0])  # P(never crossed, s successes so far)
    for n in range(1, rows + 1):
        inside = np.append(inside * (1 - p), 0.0) + np.append(0.0, inside * p)
        reachable = np.flatnonzero(inside > 1e-9)
        crossed = [s for s in reachable if not mean_sequence(n, float(s), alpha, bound, 30).contains(p)]
        inside[crossed] = 0
    return float(1 - inside.sum())


@EACH_BOUND
@pytest.mark.parametrize("p", [0.03, 0.5, 0.8])
def test_one_arm_is_missed_at_any_time_with_at_most_alpha(bound: Bound, p: float) -> None:
    probability = crossing_probability(p, 0.2, bound, rows=100)
    assert probability <= 0.2
    if p == 0.5:
        assert probability > 0.02  # valid by being wide would be easy


def looks(rng: np.random.Generator, paths: int, rows: int, p: float, every: npt.NDArray[np.int64]) -> Sums:
    """Sums of Bernoulli(p) outcomes at the row numbers `every`, shape (paths, looks)."""
    return np.cumsum(rng.uniform(size=(paths, rows)) < p, axis=1)[:, every - 1].astype(np.float64)


@EACH_BOUND
def test_difference_is_covered_at_all_looks_at_once(bound: Bound) -> None:
    rng = np.random.default_rng(17)
    paths, rows, p_a, p_b, alpha = 200, 2000, 0.2, 0.25, 0.1
    every = np.unique(np.geomspace(5, rows, 30).astype(np.int64))
    n_b = np.maximum(every // 4, 1)  # a canary with a quarter of the traffic
    sums_a, sums_b = looks(rng, paths, rows, p_a, every), looks(rng, paths, rows, p_b, n_b)
    missed = naive_missed = 0
    for path_a, path_b in zip(sums_a, sums_b, strict=True):
        at_looks = list(zip(every.tolist(), path_a, n_b.tolist(), path_b, strict=True))
        ours = (mean_difference_sequence(n, s, m, t, alpha, bound) for n, s, m, t in at_looks)
        missed += not all(interval.contains(p_b - p_a) for interval in ours)
        naive = (wilson(s, n, 1 - alpha) for n, s, _, _ in at_looks)
        naive_missed += not all(interval.contains(p_a) for interval in naive)
    assert missed <= alpha * paths
    assert naive_missed > 2 * alpha * paths  # looking again and again at a fixed-n interval does not hold


def test_sub_gaussian_covers_the_running_average_of_a_seasonal_mean() -> None:
    rng = np.random.default_rng(23)
    paths, rows, alpha = 300, 1500, 0.1
    means = 0.5 + 0.4 * np.sin(np.arange(rows) / 60)
    sums = np.cumsum(rng.uniform(size=(paths, rows)) < means, axis=1)
    every = np.unique(np.geomspace(5, rows, 25).astype(np.int64))
    averages = np.cumsum(means)[every - 1] / every
    missed = sum(
        not all(
            mean_sequence(n, s, alpha).contains(average)
            for n, s, average in zip(every.tolist(), path, averages, strict=True)
        )
        for path in sums[:, every - 1].astype(np.float64)
    )
    assert missed <= alpha * paths


@EACH_BOUND
def test_bounded_outcomes_that_are_not_binary_are_covered(bound: Bound) -> None:
    rng = np.random.default_rng(29)
    paths, alpha = 200, 0.1
    sums = np.cumsum(rng.beta(0.5, 2, size=(paths, 800)), axis=1)
    every = np.unique(np.geomspace(5, 800, 20).astype(np.int64))
    missed = sum(
        not all(
            mean_sequence(n, s, alpha, bound).contains(0.2) for n, s in zip(every.tolist(), path, strict=True)
        )
        for path in sums[:, every - 1]
    )
    assert missed <= alpha * paths


@EACH_BOUND
def test_a_real_difference_is_found_and_the_interval_shrinks(bound: Bound) -> None:
    sizes = (100, 1000, 10_000, 100_000, 1_000_000)
    intervals = [mean_difference_sequence(n, 0.2 * n, n, 0.3 * n, 0.05, bound) for n in sizes]
    assert intervals[0].contains(0)
    assert intervals[2].lower > 0.04
    for wider, tighter in pairwise(intervals):
        assert tighter.upper - tighter.lower < wider.upper - wider.lower
    assert intervals[-1].upper - intervals[-1].lower < 0.02


def test_beta_binomial_is_shorter_for_rare_outcomes() -> None:
    rare = [mean_sequence(5000, 100, 0.05, bound) for bound in BOUNDS]
    assert rare[1].upper - rare[1].lower < 0.4 * (rare[0].upper - rare[0].lower)


@EACH_BOUND
@few
@given(n=st.integers(0, 10**9), share=st.floats(0, 1), alpha=st.floats(1e-6, 0.5))
def test_contains_the_mean_and_mirrors(bound: Bound, n: int, share: float, alpha: float) -> None:
    total = share * n
    interval, mirrored = mean_sequence(n, total, alpha, bound), mean_sequence(n, n - total, alpha, bound)
    assert 0 <= interval.lower <= interval.upper <= 1
    assert n == 0 or interval.lower - 1e-12 <= total / n <= interval.upper + 1e-12
    assert (mirrored.lower, mirrored.upper) == pytest.approx(
        (1 - interval.upper, 1 - interval.lower), abs=1e-6
    )


@EACH_BOUND
@few
@given(n=st.integers(1, 10**5), share_a=st.floats(0, 1), share_b=st.floats(0, 1))
def test_swapping_the_arms_negates_the_difference(
    bound: Bound, n: int, share_a: float, share_b: float
) -> None:
    forward = mean_difference_sequence(n, share_a * n, 77, share_b * 77, 0.05, bound)
    backward = mean_difference_sequence(77, share_b * 77, n, share_a * n, 0.05, bound)
    assert (backward.lower, backward.upper) == pytest.approx((-forward.upper, -forward.lower))
    assert -1 <= forward.lower <= forward.upper <= 1


def test_an_arm_without_rows_tells_nothing() -> None:
    other = mean_sequence(1000, 200, 0.025)
    interval = mean_difference_sequence(0, 0, 1000, 200, 0.05)
    assert (interval.lower, interval.upper) == (other.lower - 1, other.upper)


@EACH_BOUND
def test_extreme_totals_have_an_interval(bound: Bound) -> None:
    for total in (0, 1e-305, 1e-9, 1e9 - 1e-6, 1e9):
        interval = mean_sequence(10**9, total, 0.05, bound)
        assert interval.contains(total / 1e9)
        assert interval.upper - interval.lower < 1e-3


def test_refuses_values_out_of_range() -> None:
    with pytest.raises(ValueError, match="variance_sum"):
        normal_mixture_radius(-1, 1, 0.05)
    with pytest.raises(ValueError, match="rho"):
        normal_mixture_radius(1, 0, 0.05)
    with pytest.raises(ValueError, match="alpha"):
        normal_mixture_radius(1, 1, 0)
    with pytest.raises(ValueError, match="variance_sum"):
        normal_mixture_rho(0, 0.05)
    with pytest.raises(ValueError, match="n must"):
        mean_sequence(-1, 0, 0.05)
    with pytest.raises(ValueError, match="total"):
        mean_sequence(5, 6, 0.05)
    with pytest.raises(ValueError, match="tightest_at"):
        mean_sequence(5, 3, 0.05, tightest_at=0)
    with pytest.raises(ValueError, match="bound"):
        mean_sequence(5, 3, 0.05, "hoeffding")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="alpha"):
        mean_difference_sequence(5, 3, 5, 3, 1.5)


# --- Paired --------------------------------------------------------------------------------------------------------


@EACH_BOUND
@few
@given(data=st.data(), n=st.integers(0, 300), alpha=st.floats(0.001, 0.5))
def test_a_paired_interval_is_about_the_difference(
    bound: Bound, data: st.DataObject, n: int, alpha: float
) -> None:
    only_a = data.draw(st.integers(0, n))
    only_b = data.draw(st.integers(0, n - only_a))
    interval = paired_difference_sequence(n, only_a, only_b, alpha, bound)
    assert -1 <= interval.lower <= interval.upper <= 1
    if n:
        assert interval.lower - 1e-9 <= (only_b - only_a) / n <= interval.upper + 1e-9
    swapped = paired_difference_sequence(n, only_b, only_a, alpha, bound)
    assert (-swapped.upper, -swapped.lower) == pytest.approx((interval.lower, interval.upper), abs=1e-9)


def test_a_paired_sequence_covers_at_every_row_at_once() -> None:
    randomness = np.random.default_rng(12)
    missed = 0
    for _ in range(30):
        outcomes = randomness.choice(3, 300, p=[0.05, 0.1, 0.85])
        only_a, only_b = np.cumsum(outcomes == 0), np.cumsum(outcomes == 1)
        missed += any(
            not paired_difference_sequence(
                n, int(only_a[n - 1]), int(only_b[n - 1]), 0.1, "beta_binomial"
            ).contains(0.05)
            for n in range(15, 301, 15)
        )
    assert missed <= 3


def test_models_that_mostly_agree_are_told_apart_sooner_in_pairs() -> None:
    paired = paired_difference_sequence(2_000, 60, 160, 0.05, "beta_binomial")
    apart = mean_difference_sequence(2_000, 1_700, 2_000, 1_800, 0.05, "beta_binomial")
    assert paired.lower > 0 > apart.lower


@pytest.mark.parametrize("counts", [(-1, 0, 0), (5, 3, 3), (5, -1, 0)])
def test_a_paired_sequence_refuses_rows_that_are_not_there(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="rows of the n"):
        paired_difference_sequence(*counts, 0.05)
