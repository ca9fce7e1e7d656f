"""The distances against scipy and against the laws that each must keep."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance as scipy_distance

from driftsonde.core.statistics import distances
from driftsonde.core.statistics.distances import (
    chi_square,
    cramers_v,
    g_test,
    hellinger_distance,
    jensen_shannon_distance,
    jensen_shannon_divergence,
    kolmogorov_smirnov,
    kolmogorov_smirnov_critical,
    kolmogorov_smirnov_test,
    kullback_leibler,
    l_infinity,
    normed_wasserstein_distance,
    population_stability_index,
    population_stability_index_critical,
    total_variation,
    wasserstein_distance,
)

Counts = npt.NDArray[np.float64]
Distance = Callable[[npt.ArrayLike, npt.ArrayLike], float]


def evidently_index(reference: npt.ArrayLike, current: npt.ArrayLike) -> float:
    return population_stability_index(reference, current, smoothing="evidently")


def wasserstein_of_unit_bins(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    return wasserstein_distance(np.arange(np.asarray(p).size + 1), p, q)


def ks_test_statistic(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    return kolmogorov_smirnov_test(p, q).statistic


def normed_wasserstein_of_unit_bins(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    return normed_wasserstein_distance(np.arange(np.asarray(p).size + 1), p, q, 2.0)


def chi_square_statistic(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    return chi_square(p, q).statistic


def g_statistic(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    return g_test(p, q).statistic


ALL: dict[str, Distance] = {
    "psi": population_stability_index,
    "psi_evidently": evidently_index,
    "kl": kullback_leibler,
    "js_divergence": jensen_shannon_divergence,
    "js_distance": jensen_shannon_distance,
    "hellinger": hellinger_distance,
    "total_variation": total_variation,
    "l_infinity": l_infinity,
    "ks": kolmogorov_smirnov,
    "ks_test": ks_test_statistic,
    "wasserstein": wasserstein_of_unit_bins,
    "wasserstein_normed": normed_wasserstein_of_unit_bins,
    "chi_square": chi_square_statistic,
    "g": g_statistic,
    "cramers_v": cramers_v,
}
AT_MOST_ONE = (
    "js_divergence",
    "js_distance",
    "hellinger",
    "total_variation",
    "l_infinity",
    "ks",
    "cramers_v",
)
ORDER_FREE = sorted(set(ALL) - {"ks", "ks_test", "wasserstein", "wasserstein_normed"})
SYMMETRIC = sorted(set(ALL) - {"kl"})
METRICS = ("js_distance", "hellinger", "total_variation", "l_infinity", "ks", "wasserstein")


def count_vectors(bins: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 10_000), min_size=bins, max_size=bins).filter(any)


@st.composite
def sides(draw: st.DrawFn, how_many: int = 2) -> list[list[int]]:
    bins = draw(st.integers(1, 12))
    return [draw(count_vectors(bins)) for _ in range(how_many)]


def random_sides(seed: int) -> tuple[Counts, Counts]:
    """Two drifted samples of a few hundred rows, with some bins empty on one side or on both."""
    rng = np.random.default_rng(seed)
    bins = int(rng.integers(2, 25))
    shares = rng.dirichlet(np.full(bins, 0.5), size=2)
    return (
        rng.multinomial(int(rng.integers(50, 800)), shares[0]).astype(np.float64),
        rng.multinomial(int(rng.integers(50, 800)), shares[1]).astype(np.float64),
    )


few = settings(max_examples=25, deadline=None)  # each law runs on a dozen statistics
SEEDS = pytest.mark.parametrize("seed", range(8))
EVERY = pytest.mark.parametrize("name", sorted(ALL))


@SEEDS
def test_information_distances_agree_with_scipy(seed: int) -> None:
    p, q = random_sides(seed)
    for base in (2, math.e, 10):
        assert jensen_shannon_distance(p, q, base) == pytest.approx(scipy_distance.jensenshannon(p, q, base))
        assert kullback_leibler(p, q + 1, base) == pytest.approx(stats.entropy(p, q + 1, base))
    assert jensen_shannon_divergence(p, q) == pytest.approx(
        jensen_shannon_divergence(p, q, math.e) / math.log(2)
    )
    assert kullback_leibler(p, q) == pytest.approx(stats.entropy(p, q))


@SEEDS
def test_ks_agrees_with_scipy_on_the_binned_rows(seed: int) -> None:
    p, q = random_sides(seed)
    bins = np.arange(p.size)
    rows_p, rows_q = np.repeat(bins, p.astype(int)), np.repeat(bins, q.astype(int))
    assert kolmogorov_smirnov(p, q) == pytest.approx(stats.ks_2samp(rows_p, rows_q).statistic, abs=1e-14)


@SEEDS
def test_ks_p_value_is_scipys_of_the_binned_rows(seed: int) -> None:
    p, q = random_sides(seed)
    bins = np.arange(p.size)
    theirs = stats.ks_2samp(np.repeat(bins, p.astype(int)), np.repeat(bins, q.astype(int)), method="asymp")
    ours = kolmogorov_smirnov_test(p, q)
    assert ours.statistic == kolmogorov_smirnov(p, q)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-300)


@SEEDS
def test_ks_of_the_rows_lies_within_what_the_bins_allow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.normal(0, 1, 300), rng.normal(0.2, 1.3, 200)
    edges = np.concatenate([[-np.inf], np.quantile(before, np.arange(0.1, 1, 0.1)), [np.inf]])
    rows = stats.ks_2samp(before, after, method="asymp")
    bins = kolmogorov_smirnov_test(np.histogram(before, edges)[0], np.histogram(after, edges)[0])
    assert bins.statistic <= rows.statistic <= bins.statistic_upper
    assert bins.p_value_lower <= rows.pvalue <= bins.p_value


def test_a_sketchs_error_widens_the_ks_p_value_both_ways() -> None:
    p, q = [400, 300, 300], [300, 300, 400]
    exact = kolmogorov_smirnov_test(p, q)
    rough = kolmogorov_smirnov_test(p, q, sketch_error=0.05)
    assert rough.p_value_lower <= exact.p_value_lower < exact.p_value < 0.001 < rough.p_value
    assert kolmogorov_smirnov_test(p, q, sketch_error=2.0).p_value == 1
    assert kolmogorov_smirnov_test([1], [1]).p_value == 1
    with pytest.raises(ValueError, match="sketch_error"):
        kolmogorov_smirnov_test(p, q, sketch_error=-0.1)


def test_normed_wasserstein_is_in_deviations_and_free_of_the_unit() -> None:
    edges, p, q = np.array([0.0, 1, 2, 4]), [5, 3, 2], [2, 3, 5]
    plain = wasserstein_distance(edges, p, q)
    assert normed_wasserstein_distance(edges, p, q, 2.0) == pytest.approx(plain / 2)
    assert normed_wasserstein_distance(edges * 60, p, q, 120.0) == pytest.approx(plain / 2)
    assert normed_wasserstein_distance([3, 4], [7], [9], 0.0) == 0  # a constant column
    assert normed_wasserstein_distance(edges, p, q, 0.0) == pytest.approx(plain / 0.001)
    for deviation in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="reference_deviation"):
            normed_wasserstein_distance(edges, p, q, deviation)


@SEEDS
def test_wasserstein_agrees_with_scipy_on_bin_middles(seed: int) -> None:
    p, q = random_sides(seed)
    edges = np.cumsum(np.random.default_rng(seed).exponential(size=p.size + 1)) - 3
    middles = (edges[1:] + edges[:-1]) / 2
    expected = stats.wasserstein_distance(middles, middles, p, q)
    assert wasserstein_distance(edges, p, q) == pytest.approx(expected)


def test_wasserstein_is_within_the_widest_bin_of_the_rows() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.beta(2, 5, 4000), rng.beta(3, 4, 3000)
    edges = np.array([0, 0.1, 0.15, 0.3, 0.5, 0.6, 1.0])
    p, q = np.histogram(before, edges)[0], np.histogram(after, edges)[0]
    exact = stats.wasserstein_distance(before, after)
    assert abs(wasserstein_distance(edges, p, q) - exact) <= np.diff(edges).max()


@SEEDS
def test_contingency_statistics_agree_with_scipy(seed: int) -> None:
    p, q = random_sides(seed)
    table = np.vstack([p, q])[:, p + q > 0]
    pearson = stats.chi2_contingency(table, correction=False)
    likelihood_ratio = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    for ours, theirs in ((chi_square(p, q), pearson), (g_test(p, q), likelihood_ratio)):
        assert ours.statistic == pytest.approx(theirs.statistic)
        assert ours.p_value == pytest.approx(theirs.pvalue)
        assert ours.degrees_of_freedom == theirs.dof


@SEEDS
def test_cramers_v_is_bergsmas_correction_of_scipys(seed: int) -> None:
    p, q = random_sides(seed)
    table = np.vstack([p, q])[:, p + q > 0]
    rows, columns, n = 2, table.shape[1], table.sum()
    phi2 = stats.contingency.association(table.astype(np.int64), method="cramer") ** 2 * min(
        rows - 1, columns - 1
    )
    corrected = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    rows_left, columns_left = (size - (size - 1) ** 2 / (n - 1) for size in (rows, columns))
    expected = math.sqrt(corrected / min(rows_left - 1, columns_left - 1))
    assert cramers_v(p, q) == pytest.approx(expected)


@SEEDS
def test_psi_is_the_symmetrised_divergence_of_the_smoothed_shares(seed: int) -> None:
    p, q = random_sides(seed)
    expected = stats.entropy(p + 0.5, q + 0.5) + stats.entropy(q + 0.5, p + 0.5)
    assert population_stability_index(p, q) == pytest.approx(expected)


def test_evidently_fills_zeros_with_1e_4_or_a_millionth_of_the_smallest_share() -> None:
    expected = (1e-4 - 0.5) * math.log(1e-4 / 0.5) + 0.5 * math.log(2)
    assert evidently_index([5, 5], [0, 7]) == pytest.approx(expected)
    share, fill = 1 / 20_001, 1e-6 / 20_001
    expected = (
        (0.5 - fill) * math.log(0.5 / fill)
        + (0.25 - share) * math.log(0.25 / share)
        + (0.25 - 20_000 * share) * math.log(0.25 / (20_000 * share))
    )
    assert evidently_index([0, 1, 20_000], [2, 1, 1]) == pytest.approx(expected)


def test_psi_critical_holds_its_level_without_drift() -> None:
    rng = np.random.default_rng(11)
    shares = np.full(10, 0.1)
    bar = population_stability_index_critical(10, 2000, 1000, 0.05)
    pairs = zip(rng.multinomial(2000, shares, 2000), rng.multinomial(1000, shares, 2000), strict=True)
    rate = np.mean([population_stability_index(before, after) > bar for before, after in pairs])
    assert 0.035 < rate < 0.065


def test_ks_critical_matches_the_table_and_the_limit_law() -> None:
    for alpha, coefficient in ((0.05, 1.358), (0.01, 1.628)):
        bar = kolmogorov_smirnov_critical(1000, 500, alpha)
        assert bar == pytest.approx(coefficient * math.sqrt(1500 / 500_000), rel=1e-3)
        assert bar == pytest.approx(stats.kstwobign.isf(alpha) * math.sqrt(1500 / 500_000), rel=1e-4)


def test_cramers_v_has_no_bias_without_drift_and_reaches_one() -> None:
    rng = np.random.default_rng(5)
    shares = np.full(20, 0.05)
    corrected = [cramers_v(*rng.multinomial(100, shares, 2)) for _ in range(300)]
    assert np.mean(corrected) < 0.12  # uncorrected: about sqrt(19 / 200) = 0.31
    assert cramers_v([40, 0], [0, 40]) == pytest.approx(1)
    assert cramers_v([1, 0], [0, 1]) == 0


def test_divergence_is_infinite_where_the_second_side_has_no_mass() -> None:
    assert kullback_leibler([1, 1], [1, 0]) == math.inf
    assert kullback_leibler([1, 0], [1, 1]) == pytest.approx(math.log(2))


@EVERY
@few
@given(pair=sides())
def test_is_never_negative_and_finite_but_for_kl(name: str, pair: list[list[int]]) -> None:
    value = ALL[name](*pair)
    assert value >= 0
    assert math.isfinite(value) or name == "kl"
    assert value <= 1 or name not in AT_MOST_ONE


@EVERY
@few
@given(pair=sides(1))
def test_identical_sides_are_at_distance_zero(name: str, pair: list[list[int]]) -> None:
    assert ALL[name](pair[0], pair[0]) == 0


@EVERY
@few
@given(before=st.integers(1, 10**9), after=st.floats(1e-3, 1e9))
def test_a_constant_column_is_at_distance_zero(name: str, before: int, after: float) -> None:
    assert ALL[name]([before], [after]) == 0


@pytest.mark.parametrize("name", SYMMETRIC)
@few
@given(pair=sides())
def test_is_symmetric(name: str, pair: list[list[int]]) -> None:
    p, q = pair
    assert ALL[name](p, q) == pytest.approx(ALL[name](q, p), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ORDER_FREE)
@few
@given(pair=sides(), seed=st.integers(0, 99))
def test_does_not_depend_on_the_order_of_bins(name: str, pair: list[list[int]], seed: int) -> None:
    p, q = np.array(pair)
    order = np.random.default_rng(seed).permutation(p.size)
    assert ALL[name](p[order], q[order]) == pytest.approx(ALL[name](p, q), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
@few
@given(triple=sides(3))
def test_metrics_keep_the_triangle_inequality(name: str, triple: list[list[int]]) -> None:
    a, b, c = triple
    assert ALL[name](a, c) <= ALL[name](a, b) + ALL[name](b, c) + 1e-7


@few
@given(pair=sides())
def test_standard_inequalities_between_distances(pair: list[list[int]]) -> None:
    p, q = pair
    variation, hellinger = total_variation(p, q), hellinger_distance(p, q)
    assert hellinger**2 <= variation + 1e-12
    assert variation <= math.sqrt(2) * hellinger + 1e-12
    assert jensen_shannon_divergence(p, q) <= variation + 1e-12
    assert max(l_infinity(p, q), kolmogorov_smirnov(p, q)) <= variation + 1e-12
    assert variation <= math.sqrt(kullback_leibler(p, q) / 2) + 1e-12  # Pinsker


@EVERY
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([0, 0], "is empty"),
        ([1, -1], "negative"),
        ([1, math.nan], "non-finite"),
        ([1, math.inf], "non-finite"),
        ([1e308, 1e308], "non-finite"),
        ([1, 2, 3], "as many bins"),
        ([], "at least one bin"),
        ([[1, 2]], "vector"),
    ],
)
def test_refuses_what_is_not_a_count_vector(name: str, bad: npt.ArrayLike, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^(current|q) .*{reason}"):
        ALL[name]([1, 2], bad)
    if reason != "as many bins":
        with pytest.raises(ValueError, match=f"^(reference|p) .*{reason}"):
            ALL[name](bad, [1, 2])


@pytest.mark.parametrize("edges", [[0, 1], [0, 1, 1], [0, 2, 1], [0, 1, math.inf], [0, math.nan, 1]])
def test_wasserstein_refuses_other_edges(edges: list[float]) -> None:
    with pytest.raises(ValueError, match="edges"):
        wasserstein_distance(edges, [1, 2], [2, 1])


@pytest.mark.parametrize("base", [1, 0.5, -2, math.inf, math.nan])
def test_refuses_a_base_that_is_not_above_one(base: float) -> None:
    for statistic in (kullback_leibler, jensen_shannon_divergence, jensen_shannon_distance):
        with pytest.raises(ValueError, match="base"):
            statistic([1, 2], [2, 1], base)


def test_refuses_parameters_out_of_range() -> None:
    with pytest.raises(ValueError, match="smoothing"):
        distances.population_stability_index([1], [1], smoothing="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bins"):
        population_stability_index_critical(0, 10, 10, 0.05)
    with pytest.raises(ValueError, match="n_current"):
        population_stability_index_critical(2, 10, 0, 0.05)
    with pytest.raises(ValueError, match="alpha"):
        kolmogorov_smirnov_critical(10, 10, 1)
    assert population_stability_index_critical(1, 10, 10, 0.05) == 0
