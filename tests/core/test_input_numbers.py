"""The numbers of all columns at once are those that the statistics give for each column by itself."""

import math

import numpy as np
import pytest

from driftsonde.core.baseline import Baseline, CategoricalReference, Lineage, NumericReference, Reference
from driftsonde.core.events import Ints, Role
from driftsonde.core.input_numbers import Numbers, input_numbers
from driftsonde.core.inputs import InputsLayout, layout_of
from driftsonde.core.spec import DriftRule, Policy, QualityRule
from driftsonde.core.statistics import distances, intervals
from driftsonde.core.verdict import distance_bins

POLICY = Policy(drift=DriftRule(psi=0.1, alpha=0.02), quality=QualityRule(0.01, 0.02, 0.03))
EXACT = 1e-12

Found = dict[tuple[int, str], tuple[float, ...]]


def random_references(rng: np.random.Generator) -> list[Reference]:
    """Numeric and categorical columns of several sizes in turns: usual ones, empty bins, no rows, no finite range."""
    references: list[Reference] = []
    for number in range(24):
        counts = rng.poisson(rng.gamma(0.4, 60.0, 4 + number % 4))
        if number % 7 == 0:
            counts[:] = 0
        if number % 7 == 1:
            counts[:-1] = 0
        name = f"column {number}"
        if number % 3 == 2:
            known = tuple(f"c{i}" for i in range(len(counts) - 2))
            references.append(CategoricalReference(name, Role.FEATURE, known, counts))
        else:
            edges = np.cumsum(rng.random(len(counts) - 2)) - 1
            if number % 5 == 0:
                edges[-1] = np.inf
            references.append(NumericReference(name, Role.FEATURE, edges, counts, 0.0, 0.0, 0.0, 0.0))
    return references


def random_case(seed: int) -> tuple[InputsLayout, Ints]:
    rng = np.random.default_rng(seed)
    references = random_references(rng)
    baseline = Baseline("m", "1", 1, tuple(references), (), None, Lineage("test", "f", 0, 1))
    layout = layout_of(baseline)
    counts = rng.poisson(rng.gamma(0.4, 60.0, layout.bins))
    for offset, reference in zip(layout.offsets, references, strict=True):
        if rng.random() < 0.2:
            counts[offset : offset + len(reference.counts) - int(rng.integers(0, 2))] = 0
    return layout, counts


def one_by_one(layout: InputsLayout, counts: Ints) -> Found:
    """By position and name: (n, value, lower, upper, threshold, passed)."""
    found: Found = {}
    for number, (reference, offset) in enumerate(zip(layout.references, layout.offsets, strict=True)):
        now = counts[offset : offset + len(reference.counts)]
        found |= {(number, name): values for name, values in _distances(layout, reference, now).items()}
        rates = {"missing_rate": ([-1], POLICY.quality.missing_rate)}
        if isinstance(reference, NumericReference):
            rates["out_of_range_rate"] = ([0, -2], POLICY.quality.out_of_range_rate)
        else:
            rates["unseen_rate"] = ([-2], POLICY.quality.unseen_rate)
        for name, (bins, allowed) in rates.items():
            found[number, name] = _rate(reference, now, bins, allowed)
    return found


def _distances(layout: InputsLayout, reference: Reference, now: Ints) -> dict[str, tuple[float, ...]]:
    nan = math.nan
    before, after = distance_bins(reference, reference.counts), distance_bins(reference, now)
    if before.sum() == 0 or after.sum() == 0:
        return {}
    alpha = POLICY.drift.alpha / len(layout.references)
    used = int(((before + after) > 0).sum())
    critical = distances.population_stability_index_critical(used, before.sum(), after.sum(), alpha)
    bar = max(POLICY.drift.psi, critical)
    psi = distances.population_stability_index(before, after)
    found: dict[str, tuple[float, ...]] = {
        "psi": (after.sum(), psi, nan, nan, bar, psi > bar),
        "js_divergence": (
            after.sum(),
            distances.jensen_shannon_divergence(before, after),
            nan,
            nan,
            nan,
            False,
        ),
    }
    if isinstance(reference, NumericReference) and before[:-1].sum() and after[:-1].sum():
        known = after[:-1].sum()
        ks = distances.kolmogorov_smirnov_test(before[:-1], after[:-1])
        alpha = POLICY.drift.alpha / len(layout.references)
        bar = distances.kolmogorov_smirnov_critical(before[:-1].sum(), known, alpha)
        found["ks"] = (known, ks.statistic, ks.statistic, ks.statistic_upper, bar, False)
        if np.isfinite(reference.edges).all():
            moved = distances.wasserstein_distance(reference.edges, before[:-1], after[:-1])
            found["wasserstein"] = (known, moved, nan, nan, nan, False)
    return found


def _rate(reference: Reference, now: Ints, bins: list[int], allowed: float) -> tuple[float, ...]:
    n, count = int(now.sum()), int(now[bins].sum())
    bar = min(1.0, reference.counts[bins].sum() / max(1, reference.counts.sum()) + allowed)
    if n == 0:
        return 0, math.nan, -math.inf, math.inf, bar, False
    interval = intervals.wilson(count, n, 0.99)
    passed = count / n > bar and interval.lower > bar
    return n, count / n, interval.lower, interval.upper, bar, passed


def all_at_once(groups: list[Numbers]) -> Found:
    return {
        (int(column), name): (
            numbers.n[row, kind],
            numbers.value[row, kind],
            numbers.lower[row, kind],
            numbers.upper[row, kind],
            numbers.threshold[row, kind],
            numbers.passed[row, kind],
        )
        for numbers in groups
        for row, column in enumerate(numbers.columns)
        for kind, name in enumerate(numbers.names)
        if numbers.present[row, kind]
    }


@pytest.mark.parametrize("seed", range(20))
def test_all_at_once_are_the_same_as_one_by_one(seed: int) -> None:
    layout, counts = random_case(seed)
    expected = one_by_one(layout, counts)
    found = all_at_once(list(input_numbers(layout, counts, POLICY)))
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, rel=EXACT, abs=EXACT, nan_ok=True), key


def test_the_cases_have_what_makes_them_differ() -> None:
    """Breaches and none, columns without a number, ranges without an end."""
    found = [values for seed in range(20) for values in one_by_one(*random_case(seed)).items()]
    assert {bool(values[-1]) for _, values in found} == {True, False}
    psi, ks, moved = (sum(name == kind for (_, name), _ in found) for kind in ("psi", "ks", "wasserstein"))
    assert 20 * 24 > psi > ks > moved > 0
    assert any(math.isnan(values[1]) for _, values in found)
