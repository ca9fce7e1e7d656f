"""Second moments against numpy and scikit-learn on the same rows, and the laws of merging."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import oas  # type: ignore[import-untyped]  # scikit-learn ships no types
from sklearn.decomposition import PCA  # type: ignore[import-untyped]

from driftsonde.core.events import Floats
from driftsonde.core.statistics.multivariate import (
    SecondMoments,
    Standard,
    covariance_of,
    mahalanobis_shift,
    means_of,
    principal_axes,
    reconstruction_error,
    second_moments,
    shrunk_covariance,
    standard_of,
)


def correlated(seed: int, n: int = 2000, shift: float = 0.0) -> Floats:
    """Four columns far from 0 on unlike scales; the first three share a factor."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(n, 1))
    plain = np.hstack([factor + 0.3 * rng.normal(size=(n, 3)), rng.normal(size=(n, 1))])
    plain[:, 0] += shift
    return np.asarray(plain * [1.0, 1e-3, 1e6, 10.0] + [1e6, 0.0, -5e6, 3.0])


def standardised(standard: Standard, rows: Floats) -> Floats:
    return np.rint((rows - standard.centre) / standard.spread * 256) / 256


def same(left: SecondMoments, right: SecondMoments) -> bool:
    return left.rows == right.rows and all(
        np.array_equal(getattr(left, name), getattr(right, name)) for name in ("present", "sums", "products")
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 60), max_size=4), turn=st.integers(0, 3))
def test_merging_in_any_grouping_is_the_whole(seed: int, cuts: list[int], turn: int) -> None:
    rows = correlated(seed, 60)
    rows[seed % 60, seed % 4] = np.nan
    standard = standard_of(rows)
    bounds = [0, *sorted(cuts), 60]
    parts = [second_moments(standard, rows[a:b]) for a, b in pairwise(bounds)]
    parts = parts[turn:] + parts[:turn]
    merged = parts[0]
    for part in parts[1:]:
        merged += part
    assert same(merged, second_moments(standard, rows))


def test_moments_are_those_of_the_rows() -> None:
    rows = correlated(1)
    standard = standard_of(rows)
    moments, z = second_moments(standard, rows), standardised(standard, rows)
    assert means_of(moments) == pytest.approx(z.mean(axis=0), abs=1e-12)
    assert covariance_of(moments) == pytest.approx(np.cov(z.T, bias=True), abs=1e-12)
    assert np.diagonal(covariance_of(moments)) == pytest.approx(np.ones(4), abs=1e-4)


def test_shrinkage_is_scikit_learns() -> None:
    z = np.random.default_rng(2).normal(size=(30, 5)) * [1, 2, 1, 1, 3]
    z -= z.mean(axis=0)
    expected, _ = oas(z, assume_centered=True)
    assert shrunk_covariance(z.T @ z / 30, 30) == pytest.approx(expected)
    assert shrunk_covariance([[4.0]], 3).tolist() == [[4.0]]
    assert shrunk_covariance(np.zeros((2, 2)), 3).tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("explained", [0.3, 0.65, 0.95, 1.0])
def test_reconstruction_is_that_of_a_pca_of_the_rows(explained: float) -> None:
    reference, current = correlated(3), correlated(4, 500, shift=2.0)
    standard = standard_of(reference)
    moments = second_moments(standard, reference)
    z, live = standardised(standard, reference), standardised(standard, current)
    axes = principal_axes(moments, explained)
    full = PCA().fit(z)
    kept = int(np.searchsorted(np.cumsum(full.explained_variance_ratio_), explained - 1e-12) + 1)
    assert axes.shape == (4, min(kept, 4))
    pca = PCA(n_components=axes.shape[1]).fit(z)
    residual = live - pca.inverse_transform(pca.transform(live))
    error = reconstruction_error(axes, second_moments(standard, current), means_of(moments))
    assert error.value == pytest.approx(np.sqrt((residual**2).sum(axis=1).mean()), abs=1e-6)
    assert error.contributions == pytest.approx((residual**2).mean(axis=0), abs=1e-6)
    assert error.contributions.sum() == pytest.approx(error.value**2, abs=1e-9)


def test_reconstruction_sees_a_broken_relation_that_no_column_shows() -> None:
    reference = correlated(5)
    broken = reference.copy()
    broken[:, 1] = np.random.default_rng(6).permutation(broken[:, 1])
    standard = standard_of(reference)
    moments = second_moments(standard, reference)
    axes, centre = principal_axes(moments), means_of(moments)
    before = reconstruction_error(axes, moments, centre)
    after = reconstruction_error(axes, second_moments(standard, broken), centre)
    assert after.value > 1.3 * before.value
    assert int(np.argmax(after.contributions - before.contributions)) == 1


def test_shift_is_the_mahalanobis_distance_of_the_means() -> None:
    reference, current = correlated(7), correlated(8, 700, shift=0.5)
    standard = standard_of(reference)
    z, live = standardised(standard, reference), standardised(standard, current)
    shift = mahalanobis_shift(second_moments(standard, reference), second_moments(standard, current))
    inverse = np.linalg.inv(shrunk_covariance(np.cov(z.T, bias=True), 2000))
    moved = live.mean(axis=0) - z.mean(axis=0)
    assert shift.distance**2 == pytest.approx(moved @ inverse @ moved)
    assert shift.contributions.sum() == pytest.approx(shift.distance**2)
    assert int(np.argmax(shift.contributions)) == 0
    assert shift.statistic == pytest.approx(shift.distance**2 * 2000 * 700 / 2700)


def test_shift_grows_with_the_drift_and_keeps_its_level_without() -> None:
    standard = standard_of(correlated(9))
    reference = second_moments(standard, correlated(9))
    distances = [
        mahalanobis_shift(reference, second_moments(standard, correlated(10, 500, shift))).distance
        for shift in (0.0, 0.5, 1.0, 2.0)
    ]
    assert distances == sorted(distances)
    rejected = sum(
        mahalanobis_shift(
            second_moments(standard, correlated(s)), second_moments(standard, correlated(s + 1000, 500))
        ).statistic
        > 9.488  # the 95 % point of chi-square with 4 degrees of freedom
        for s in range(20, 220)
    )
    assert 0.02 <= rejected / 200 <= 0.09


def test_identical_inputs_have_no_shift_and_the_same_error() -> None:
    rows = correlated(11)
    moments = second_moments(standard_of(rows), rows)
    assert mahalanobis_shift(moments, moments).distance == 0
    axes = principal_axes(moments, 1.0)
    assert reconstruction_error(axes, moments, means_of(moments)).value == pytest.approx(0, abs=1e-6)


def test_constant_collinear_and_absent_columns_are_numbers() -> None:
    rows = correlated(12, 200)
    rows = np.column_stack([rows, np.full(200, 0.1), rows[:, 0] * 2, np.full(200, np.nan)])
    standard = standard_of(rows)
    assert standard.spread[[4, 6]].tolist() == [0, 0]
    reference = second_moments(standard, rows)
    current = second_moments(standard, rows + 0.5)
    shift = mahalanobis_shift(reference, current)
    assert np.isfinite(shift.distance)
    assert shift.contributions[[4, 6]].tolist() == [0, 0]
    assert shift.degrees_of_freedom == 5
    assert np.isfinite(reconstruction_error(principal_axes(reference), current, means_of(reference)).value)
    flat = second_moments(standard_of(np.ones((5, 2))), np.ones((5, 2)) + 3)
    assert mahalanobis_shift(flat, flat).degrees_of_freedom == 0
    assert reconstruction_error(principal_axes(flat), flat, means_of(flat)).value == 0


def test_missing_rows_do_not_hide_a_shift() -> None:
    reference, current = correlated(13), correlated(14, 2000, shift=1.0)
    standard = standard_of(reference)
    whole = mahalanobis_shift(second_moments(standard, reference), second_moments(standard, current))
    current[::2, 0] = np.nan
    current[1, 3] = np.inf
    half = mahalanobis_shift(second_moments(standard, reference), second_moments(standard, current))
    assert half.distance == pytest.approx(whole.distance, rel=0.1)


def test_an_absurd_value_weighs_no_more_than_its_bound() -> None:
    standard = Standard(np.zeros(1), np.ones(1))
    moments = second_moments(standard, [[1e300], [-1e300], [1e300]])
    assert moments.sums.tolist() == [32 * 256]
    assert moments.products.tolist() == [[3 * (32 * 256) ** 2]]


def test_refuses_no_rows_and_other_columns() -> None:
    standard = Standard(np.zeros(2), np.ones(2))
    nothing, some = second_moments(standard, np.zeros((0, 2))), second_moments(standard, np.eye(2))
    with pytest.raises(ValueError, match="empty"):
        covariance_of(nothing)
    for pair in ((nothing, some), (some, nothing)):
        with pytest.raises(ValueError, match="empty"):
            mahalanobis_shift(*pair)
    one = second_moments(Standard(np.zeros(1), np.ones(1)), [[1.0]])
    with pytest.raises(ValueError, match="different columns"):
        mahalanobis_shift(some, one)
    with pytest.raises(ValueError, match="different columns"):
        some + one
    with pytest.raises(ValueError, match="columns"):
        second_moments(standard, [[1.0]])
    with pytest.raises(ValueError, match="rows"):
        second_moments(standard, [1.0, 2.0])
    with pytest.raises(ValueError, match="explained"):
        principal_axes(some, 0.0)
    with pytest.raises(ValueError, match="axes"):
        reconstruction_error(np.eye(3), some, np.zeros(2))
    with pytest.raises(ValueError, match="square"):
        shrunk_covariance([[1.0, 2.0]], 3)
    with pytest.raises(ValueError, match="n must"):
        shrunk_covariance([[1.0]], 0)


@pytest.mark.parametrize(
    ("centre", "spread"), [([0.0], [1.0, 1.0]), ([np.nan], [1.0]), ([0.0], [-1.0]), ([], [])]
)
def test_refuses_a_scale_that_is_none(centre: list[float], spread: list[float]) -> None:
    with pytest.raises(ValueError, match="spread"):
        Standard(np.array(centre), np.array(spread))
