"""The statistics of many columns of one number of bins at once: each row of the results is what the function of the
same purpose in `distances` and `intervals` says of that row, up to the order in which floats are added.

`reference`, `current`: float64[columns, bins], counts, none negative, no row of zeros.
"""

import math
from functools import lru_cache

import numpy as np
from scipy import special

from driftsonde.core.events import Floats
from driftsonde.core.statistics.distances import population_stability_index_critical
from driftsonde.core.statistics.intervals import normal_quantile


def population_stability_indices(reference: Floats, current: Floats) -> Floats:
    """`distances.population_stability_index` with Jeffreys smoothing, float64[columns].

    >>> population_stability_indices(np.array([[50.0, 50.0]]), np.array([[80.0, 20.0]])).round(4).tolist()
    [0.4063]
    """
    p, q = _smoothed(reference), _smoothed(current)
    return np.asarray(((q - p) * (np.log(q) - np.log(p))).sum(axis=1))


def population_stability_index_criticals(
    bins: Floats, n_reference: Floats, n_current: Floats, alpha: float
) -> Floats:
    """`distances.population_stability_index_critical` of each column; `bins` are those in use.

    >>> few = np.array([10.0]), np.array([1000.0]), np.array([1000.0])
    >>> population_stability_index_criticals(*few, 0.05).round(4).tolist()
    [0.0338]
    """
    distinct, place = np.unique(bins, return_inverse=True)
    quantiles = np.array([_chi_square_quantile(int(used), alpha) for used in distinct])
    return np.asarray(quantiles[place] * (1 / n_reference + 1 / n_current))


def jensen_shannon_divergences(reference: Floats, current: Floats) -> Floats:
    """`distances.jensen_shannon_divergence` in base 2, float64[columns].

    >>> jensen_shannon_divergences(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])).tolist()
    [1.0]
    """
    p, q = _shares(reference), _shares(current)
    both = p + q
    nats = (special.rel_entr(2 * p, both) + special.rel_entr(2 * q, both)).sum(axis=1) / 4
    return np.asarray(np.clip(nats, 0.0, math.log(2)) / math.log(2))


def cumulative_differences(reference: Floats, current: Floats) -> Floats:
    """|F - G| at the right edge of each bin, float64[columns, bins]: what the next two start from."""
    below, now = np.cumsum(reference, axis=1), np.cumsum(current, axis=1)
    return np.abs(below / below[:, -1:] - now / now[:, -1:])


def kolmogorov_smirnovs(differences: Floats) -> Floats:
    """`distances.kolmogorov_smirnov` of each column, from `cumulative_differences`.

    >>> kolmogorov_smirnovs(cumulative_differences(np.array([[10.0, 10, 0]]), np.array([[0.0, 10, 10]]))).tolist()
    [0.5]
    """
    return np.asarray(differences.max(axis=1))


def kolmogorov_smirnov_uppers(reference: Floats, current: Floats) -> Floats:
    """The most that the statistic of the rows themselves can be, as `distances.kolmogorov_smirnov_test` of each column.

    >>> kolmogorov_smirnov_uppers(np.array([[10.0, 10, 0]]), np.array([[0.0, 10, 10]])).tolist()
    [1.0]
    """
    f, g = (np.cumsum(side, axis=1) / side.sum(axis=1, keepdims=True) for side in (reference, current))
    before_f, before_g = (np.concatenate([np.zeros((len(side), 1)), side[:, :-1]], axis=1) for side in (f, g))
    furthest = np.maximum((f - before_g).max(axis=1), (g - before_f).max(axis=1))
    return np.asarray(np.minimum(1.0, furthest))


def kolmogorov_smirnov_criticals(n: Floats, m: Floats, alpha: float) -> Floats:
    """`distances.kolmogorov_smirnov_critical` of each pair of sample sizes.

    >>> kolmogorov_smirnov_criticals(np.array([1000.0]), np.array([1000.0]), 0.05).round(4).tolist()
    [0.0607]
    """
    return np.asarray(np.sqrt(-math.log(alpha / 2) / 2 * (1 / n + 1 / m)))


def wasserstein_distances(edges: Floats, differences: Floats) -> Floats:
    """`distances.wasserstein_distance` of each column; `edges`: float64[columns, bins + 1]. NaN or infinite where
    an edge is not finite.

    >>> moved = cumulative_differences(np.array([[1.0, 0, 0]]), np.array([[0.0, 0, 1]]))
    >>> wasserstein_distances(np.array([[0.0, 1, 2, 3]]), moved).tolist()
    [2.0]
    """
    with np.errstate(invalid="ignore"):
        middles = edges[:, :-1] / 2 + edges[:, 1:] / 2
        return np.asarray((differences[:, :-1] * np.diff(middles, axis=1)).sum(axis=1))


def wilson_bounds(successes: Floats, n: Floats, confidence: float) -> tuple[Floats, Floats]:
    """`intervals.wilson` of each column: (lower, upper); `n` > 0.

    >>> lower, upper = wilson_bounds(np.array([0.0]), np.array([10.0]), 0.95)
    >>> lower.tolist(), upper.round(4).tolist()
    ([0.0], [0.2775])
    """
    z = normal_quantile(confidence)
    centre = (successes + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(successes * (1 - successes / n) + z**2 / 4) / (n + z**2)
    lower = np.where(successes > 0, np.maximum(0.0, centre - half), 0.0)
    upper = np.where(successes < n, np.minimum(1.0, centre + half), 1.0)
    return lower, upper


def _smoothed(counts: Floats) -> Floats:
    return np.asarray((counts + 0.5) / (counts.sum(axis=1, keepdims=True) + counts.shape[1] / 2))


def _shares(counts: Floats) -> Floats:
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


@lru_cache(maxsize=4_096)
def _chi_square_quantile(bins: int, alpha: float) -> float:
    """Half a millisecond each, and there are few different ones."""
    # 1/2 + 1/2 rows leave the quantile itself.
    return population_stability_index_critical(bins, 2, 2, alpha)
