"""Drift and quality of all columns of a window at once: the numbers, before anybody asks what they mean.

Columns of one kind and number of bins are computed together, a row each: thousands of small computations are few large
ones then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from driftsonde.core.baseline import NumericReference, Reference
from driftsonde.core.events import Floats, Ints
from driftsonde.core.inputs import InputsLayout
from driftsonde.core.spec import Policy
from driftsonde.core.statistics import many

NUMERIC_NUMBERS = ("psi", "js_divergence", "ks", "wasserstein", "missing_rate", "out_of_range_rate")
CATEGORICAL_NUMBERS = ("psi", "js_divergence", "missing_rate", "unseen_rate")

_CONFIDENCE = 0.99

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of some columns: arrays [columns, numbers], `names` being those of the numbers and `columns` positions in the
    layout. `present` is False where a number is not defined; `passed` where it is beyond its bar, in effect and in
    evidence."""

    columns: Ints
    names: tuple[str, ...]
    present: Mask
    n: Ints
    value: Floats
    lower: Floats
    upper: Floats
    threshold: Floats
    passed: Mask


@dataclass(frozen=True, slots=True, eq=False)
class _Alike:
    """Columns of one kind and number of bins. `columns`: their positions; `bins`: int64[columns, all bins], where
    their counts are in a sketch. `reference`, `compared`: counts in all bins, and in those that distances compare."""

    numeric: bool
    columns: Ints
    bins: Ints
    reference: Floats
    compared: Floats
    edges: Floats


def input_numbers(layout: InputsLayout, counts: Ints, policy: Policy) -> Iterator[Numbers]:
    """The numbers of every column, in groups; `counts` are a sketch's."""
    tests = max(1, len(layout.references))
    for alike in _groups(layout):
        current = counts[alike.bins].astype(np.float64)
        numbers = _empty(alike)
        _distances(numbers, alike, current, policy.drift.psi, policy.drift.alpha / tests)
        _rate(numbers, alike, current, "missing_rate", [-1], policy.quality.missing_rate)
        if alike.numeric:
            _rate(numbers, alike, current, "out_of_range_rate", [0, -2], policy.quality.out_of_range_rate)
        else:
            _rate(numbers, alike, current, "unseen_rate", [-2], policy.quality.unseen_rate)
        yield numbers


@lru_cache(maxsize=256)
def _groups(layout: InputsLayout) -> tuple[_Alike, ...]:
    found: dict[tuple[bool, int], list[int]] = {}
    for position, reference in enumerate(layout.references):
        found.setdefault((isinstance(reference, NumericReference), len(reference.counts)), []).append(
            position
        )
    return tuple(_alike(layout, numeric, positions) for (numeric, _), positions in found.items())


def _alike(layout: InputsLayout, numeric: bool, positions: list[int]) -> _Alike:
    references = [layout.references[position] for position in positions]
    counts = np.stack([reference.counts for reference in references])
    offsets = np.array([layout.offsets[position] for position in positions])
    return _Alike(
        numeric=numeric,
        columns=np.array(positions, dtype=np.int64),
        bins=offsets[:, None] + np.arange(counts.shape[1]),
        reference=counts.astype(np.float64),
        compared=_compared(numeric, counts.astype(np.float64)),
        edges=np.stack([_edges(reference) for reference in references]),
    )


def _edges(reference: Reference) -> Floats:
    return reference.edges if isinstance(reference, NumericReference) else np.empty(0)


def _compared(numeric: bool, counts: Floats) -> Floats:
    """Counts in the bins that distances compare (`verdict.distance_bins`)."""
    if not numeric:
        return counts
    inner = np.concatenate([counts[:, 1:-2], counts[:, -1:]], axis=1)
    inner[:, 0] += counts[:, 0]
    inner[:, -2] += counts[:, -2]
    return inner


def _empty(alike: _Alike) -> Numbers:
    names = NUMERIC_NUMBERS if alike.numeric else CATEGORICAL_NUMBERS
    shape = (len(alike.columns), len(names))
    value, lower, upper, threshold = (np.full(shape, np.nan) for _ in range(4))
    present, passed = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    n = np.zeros(shape, dtype=np.int64)
    return Numbers(alike.columns, names, present, n, value, lower, upper, threshold, passed)


def _put(numbers: Numbers, name: str, rows: Mask, n: Floats, value: Floats | float) -> int:
    """Write a number of the columns in `rows`; returns its place."""
    place = numbers.names.index(name)
    numbers.present[rows, place] = True
    numbers.n[rows, place] = n
    numbers.value[rows, place] = value
    return place


def _distances(numbers: Numbers, alike: _Alike, current: Floats, practical: float, alpha: float) -> None:
    after = _compared(alike.numeric, current)
    some = (alike.compared.sum(axis=1) > 0) & (after.sum(axis=1) > 0)
    before, after = alike.compared[some], after[some]
    n_before, n = before.sum(axis=1), after.sum(axis=1)
    psi = many.population_stability_indices(before, after)
    used = np.maximum(1.0, ((before + after) > 0).sum(axis=1))
    bar = np.maximum(practical, many.population_stability_index_criticals(used, n_before, n, alpha))
    place = _put(numbers, "psi", some, n, psi)
    numbers.threshold[some, place] = bar
    numbers.passed[some, place] = psi > bar
    _put(numbers, "js_divergence", some, n, many.jensen_shannon_divergences(before, after))
    if alike.numeric:
        _ordered_distances(numbers, alike, some, before[:, :-1], after[:, :-1], alpha)


def _ordered_distances(
    numbers: Numbers, alike: _Alike, some: Mask, before: Floats, after: Floats, alpha: float
) -> None:
    """Those of the rows that have a value; `before` and `after` are of the columns in `some`.

    The interval of `ks` is what the statistic of the rows can be, of which only the bins are known; its threshold is the
    critical value at `alpha`. No rule looks at it.
    """
    known = (before.sum(axis=1) > 0) & (after.sum(axis=1) > 0)
    rows = some.copy()
    rows[some] = known
    n = after[known].sum(axis=1)
    differences = many.cumulative_differences(before[known], after[known])
    statistic = many.kolmogorov_smirnovs(differences)
    place = _put(numbers, "ks", rows, n, statistic)
    numbers.lower[rows, place] = statistic
    numbers.upper[rows, place] = many.kolmogorov_smirnov_uppers(before[known], after[known])
    numbers.threshold[rows, place] = many.kolmogorov_smirnov_criticals(before[known].sum(axis=1), n, alpha)
    finite = np.isfinite(alike.edges[rows]).all(axis=1)
    bounded = rows.copy()
    bounded[rows] = finite
    moved = many.wasserstein_distances(alike.edges[bounded], differences[finite])
    _put(numbers, "wasserstein", bounded, n[finite], moved)


def _rate(
    numbers: Numbers, alike: _Alike, current: Floats, name: str, bins: list[int], allowed: float
) -> None:
    """A share of all rows, held against the baseline's share plus what the rule allows; of a window without rows
    nothing is known."""
    n, count = current.sum(axis=1), current[:, bins].sum(axis=1)
    was = alike.reference[:, bins].sum(axis=1) / np.maximum(1.0, alike.reference.sum(axis=1))
    bar = np.minimum(1.0, was + allowed)
    some, every = n > 0, np.ones(len(n), dtype=bool)
    place = _put(numbers, name, every, n, np.nan)
    numbers.value[some, place] = count[some] / n[some]
    numbers.threshold[:, place] = bar
    numbers.lower[:, place], numbers.upper[:, place] = -np.inf, np.inf
    lower, upper = many.wilson_bounds(count[some], n[some], _CONFIDENCE)
    numbers.lower[some, place], numbers.upper[some, place] = lower, upper
    numbers.passed[some, place] = (count[some] / n[some] > bar[some]) & (lower > bar[some])
