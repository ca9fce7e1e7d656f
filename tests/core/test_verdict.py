"""The numbers of a window, each computed again from its counts in the plainest way; and when they are breaches."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from driftsonde.core.baseline import CategoricalReference, NumericReference
from driftsonde.core.events import Column, NumericColumn, PredictionBatch, Variant
from driftsonde.core.inputs import sketch_rows
from driftsonde.core.plan import Plan, plan_for
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import DriftRule, ModelSpec, PerformanceRule, Policy, QualityRule, Task
from driftsonde.core.statistics.intervals import normal_mean
from driftsonde.core.strata import one_stratum
from driftsonde.core.verdict import (
    Metric,
    columns_of,
    inputs_count,
    judge_inputs,
    judge_outcomes,
    outcome_totals,
    outcomes_count,
)
from stream_examples import categorical, numeric, outcomes_sketch, plan_of

RNG = np.random.default_rng(8)
END_MS = 1_000_000
SPEC = ModelSpec("m", Task.BINARY, classes=("no", "yes"))
REFERENCE: tuple[Column, ...] = (
    numeric("x", RNG.normal(size=1_000).tolist()),
    categorical("c", RNG.choice(["a", "b"], 1_000, p=[0.8, 0.2]).tolist()),
)
PLAN = plan_of(SPEC, "1", *REFERENCE, end_ms=END_MS)


def window_of(plan: Plan, *columns: Column) -> Sketch:
    first = columns[0]
    rows = len(first.values if isinstance(first, NumericColumn) else first.codes)
    batch = PredictionBatch(
        "m", "1", Variant.CHAMPION, ("i",) * rows, np.zeros(rows, dtype=np.int64), columns
    )
    (sketch,) = sketch_rows(plan.inputs, [batch], one_stratum(rows), np.zeros((1, plan.inputs.sums)))
    return sketch


def metrics_of(plan: Plan, sketch: Sketch, start_ms: int = END_MS) -> dict[tuple[str, str], Metric]:
    return {(metric.column, metric.name): metric for metric in judge_inputs(plan, sketch, start_ms)}


def drifted(rows: int = 400) -> tuple[Column, ...]:
    values = RNG.normal(1.5, 1, rows)
    values[: rows // 4] = np.nan
    values[-2:] = np.inf
    colours = np.where(RNG.random(rows) < 0.3, "new", "a").tolist()
    return numeric("x", values.tolist()), categorical("c", [*colours[:-3], None, None, None])


def psi_of(reference: list[int], current: list[int]) -> float:
    bins, n, m = len(reference), sum(reference), sum(current)
    total = 0.0
    for before, after in zip(reference, current, strict=True):
        p, q = (before + 0.5) / (n + bins / 2), (after + 0.5) / (m + bins / 2)
        total += (q - p) * math.log(q / p)
    return total


def outer_bins_joined(counts: list[int]) -> list[int]:
    inner = counts[1:-2]
    inner[0] += counts[0]
    inner[-1] += counts[-2]
    return [*inner, counts[-1]]


def test_every_number_can_be_computed_from_the_counts() -> None:
    sketch = window_of(PLAN, *drifted())
    found = metrics_of(PLAN, sketch)
    for column in columns_of(PLAN, sketch):
        name, reference = column.reference.name, column.reference.counts.tolist()
        counts = column.counts.tolist()
        n = sum(counts)
        assert n == 400
        missing = found[name, "missing_rate"]
        assert missing.value == counts[-1] / n
        assert missing.threshold == pytest.approx(reference[-1] / 1_000 + 0.1)
        assert missing.lower < missing.value < missing.upper
        if isinstance(column.reference, NumericReference):
            assert found[name, "out_of_range_rate"].value == (counts[0] + counts[-2]) / n
            reference, counts = outer_bins_joined(reference), outer_bins_joined(counts)
            before = np.cumsum(reference[:-1]) / sum(reference[:-1])
            after = np.cumsum(counts[:-1]) / sum(counts[:-1])
            assert found[name, "ks"].value == pytest.approx(np.abs(before - after).max())
            assert found[name, "ks"].n == sum(counts[:-1])
            edges = column.reference.edges
            middles = (edges[:-1] + edges[1:]) / 2
            moved = stats.wasserstein_distance(middles, middles, reference[:-1], counts[:-1])
            assert found[name, "wasserstein"].value == pytest.approx(moved)
        else:
            assert found[name, "unseen_rate"].value == counts[-2] / n
        assert found[name, "psi"].value == pytest.approx(psi_of(reference, counts))
        p, q = np.array(reference) / sum(reference), np.array(counts) / n
        mixed = (p + q) / 2
        divergence = (stats.entropy(p, mixed, base=2) + stats.entropy(q, mixed, base=2)) / 2
        assert found[name, "js_divergence"].value == pytest.approx(divergence)
        used = sum(a + b > 0 for a, b in zip(reference, counts, strict=True))
        critical = stats.chi2.ppf(1 - 0.01 / 2, used - 1) * (1 / 1_000 + 1 / 400)
        assert found[name, "psi"].threshold == pytest.approx(max(0.2, critical))
        assert found[name, "psi"].breached


def test_both_bars_have_to_be_passed() -> None:
    """A large window passes the statistical bar with a small change, a small one the practical bar by chance."""
    strict = replace(SPEC, policy=Policy(drift=DriftRule(psi=100.0)))
    sketch = window_of(PLAN, *drifted())
    assert not metrics_of(replace(PLAN, spec=strict), sketch)["x", "psi"].breached
    wary = replace(SPEC, policy=Policy(drift=DriftRule(psi=0.0, alpha=1e-300)))
    close = window_of(PLAN, numeric("x", RNG.normal(size=300).tolist()))
    psi = metrics_of(replace(PLAN, spec=wary), close)["x", "psi"]
    assert not psi.breached
    assert psi.value > 0


def test_the_statistical_bar_is_shared_by_the_columns() -> None:
    low = replace(SPEC, policy=Policy(drift=DriftRule(psi=0.0)))
    one, many = (
        metrics_of(plan, window_of(plan, *drifted()))
        for plan in (
            plan_of(low, "1", *REFERENCE[:1], end_ms=END_MS),
            plan_of(low, "1", *REFERENCE, end_ms=END_MS),
        )
    )
    assert many["x", "psi"].threshold > one["x", "psi"].threshold


def test_a_segment_is_told_and_never_breaches() -> None:
    sketch = window_of(PLAN, *drifted())
    whole = {(m.column, m.name): m for m in judge_inputs(PLAN, sketch, END_MS)}
    sliced = {(m.column, m.name): m for m in judge_inputs(PLAN, sketch, END_MS, "c=a")}
    assert whole["x", "psi"].breached
    assert sliced["x", "psi"].value == whole["x", "psi"].value
    assert not any(metric.breached for metric in sliced.values())
    assert not inputs_count(PLAN, sketch, END_MS, "c=a")


@pytest.mark.parametrize(("rows", "start_ms"), [(99, END_MS), (400, END_MS - 1), (400, 0)])
def test_small_and_in_sample_windows_are_told_and_never_breach(rows: int, start_ms: int) -> None:
    sketch = window_of(PLAN, *drifted(rows))
    found = metrics_of(PLAN, sketch, start_ms)
    assert found["x", "psi"].value > found["x", "psi"].threshold
    assert not any(metric.breached for metric in found.values())
    assert not inputs_count(PLAN, sketch, start_ms)
    assert inputs_count(PLAN, window_of(PLAN, *drifted(100)), END_MS)


def test_a_column_that_is_missing_everywhere() -> None:
    found = metrics_of(PLAN, window_of(PLAN, numeric("x", [math.nan] * 200)))
    assert found["x", "missing_rate"].value == 1.0
    assert found["x", "missing_rate"].breached
    assert found["x", "psi"].breached
    assert ("x", "ks") not in found
    assert found["c", "missing_rate"].breached


def test_a_column_without_a_value_in_the_baseline() -> None:
    plan = plan_of(SPEC, "1", numeric("x", [math.nan] * 50), categorical("c", [None] * 50))
    found = metrics_of(plan, window_of(plan, numeric("x", [1.0] * 200), categorical("c", ["a"] * 200)))
    assert found["x", "out_of_range_rate"].breached
    assert found["c", "unseen_rate"].breached
    assert ("x", "ks") not in found
    assert math.isfinite(found["x", "psi"].value)


def test_a_constant_column_has_one_bin_and_no_drift_within_it() -> None:
    plan = plan_of(SPEC, "1", numeric("x", [7.5] * 200))
    assert isinstance(plan.inputs.references[0], NumericReference)
    assert len(plan.inputs.references[0].edges) == 2
    found = metrics_of(plan, window_of(plan, numeric("x", [7.5] * 200)))
    assert found["x", "psi"].value == 0.0
    assert (found["x", "ks"].value, found["x", "wasserstein"].value) == (0.0, 0.0)
    outside = metrics_of(plan, window_of(plan, numeric("x", [8.5] * 200)))
    assert outside["x", "out_of_range_rate"].breached


def test_edges_may_be_infinite() -> None:
    plan = plan_of(SPEC, "1", numeric("x", [1.0, np.finfo(np.float64).max]))
    found = metrics_of(plan, window_of(plan, numeric("x", [1.0, 5.0, np.finfo(np.float64).max])))
    assert found["x", "out_of_range_rate"].value == 0.0
    assert ("x", "wasserstein") not in found


def test_rates_are_held_against_the_baseline_with_evidence() -> None:
    rule = QualityRule(missing_rate=0.05)
    plan = replace(PLAN, spec=replace(SPEC, policy=Policy(quality=rule)))
    for missing, breached in ((9, False), (20, True)):
        column = numeric("x", [math.nan] * missing + [0.0] * (100 - missing))
        metric = metrics_of(plan, window_of(plan, column, categorical("c", ["a"] * 100)))["x", "missing_rate"]
        assert metric.value > metric.threshold
        assert metric.breached is breached, "the interval decides"


def test_categorical_reference_of_the_plan() -> None:
    assert isinstance(PLAN.inputs.references[1], CategoricalReference)
    assert PLAN.inputs.references[1].categories == ("a", "b")


LABELLED = plan_of(
    SPEC,
    "1",
    categorical("prediction", ["yes"] * 90 + ["no"] * 10),
    labels=categorical("label", ["yes"] * 100),
    end_ms=END_MS,
)


@pytest.mark.parametrize(
    ("wrong", "rows", "start_ms", "breached"),
    [
        (120, 400, END_MS, True),
        (70, 400, END_MS, False),  # below the bar of 0.85, but that may be chance
        (40, 400, END_MS, False),
        (60, 99, END_MS, False),  # too few
        (120, 400, END_MS - 1, False),  # in-sample
    ],
)
def test_accuracy_breaches_with_evidence(wrong: int, rows: int, start_ms: int, breached: bool) -> None:
    sketch = outcomes_sketch(LABELLED, [0] * wrong + [1] * (rows - wrong), [1] * rows)
    (accuracy,) = (m for m in judge_outcomes(LABELLED, sketch, start_ms, rows) if m.name == "accuracy")
    assert accuracy.threshold == pytest.approx(0.85)
    assert accuracy.value == pytest.approx(1 - wrong / rows)
    assert accuracy.breached is breached
    assert outcomes_count(LABELLED, sketch, start_ms) is (rows >= 100 and start_ms >= END_MS)
    assert outcome_totals(LABELLED, sketch) == (rows, rows - wrong)


@pytest.mark.parametrize(("scale", "breached"), [(1.0, False), (2.0, True)])
def test_rmse_breaches_with_evidence(scale: float, breached: bool) -> None:
    spec = ModelSpec("m", Task.REGRESSION, policy=Policy(performance=PerformanceRule(drop=0.2)))
    errors = RNG.normal(size=500)
    plan = plan_of(
        spec, "1", numeric("prediction", errors.tolist()), labels=numeric("label", [0.0] * 500), end_ms=END_MS
    )
    sketch = outcomes_sketch(plan, RNG.normal(size=400) * scale, np.zeros(400))
    (rmse,) = (m for m in judge_outcomes(plan, sketch, END_MS, 400) if m.name == "rmse")
    assert rmse.threshold == pytest.approx(1.2 * math.sqrt(float(np.mean(errors**2))))
    assert rmse.breached is breached
    assert outcome_totals(plan, sketch) == (0, 0)


def test_a_window_without_labels_says_nothing() -> None:
    assert judge_outcomes(LABELLED, outcomes_sketch(LABELLED, [], []), END_MS, 10) == []
    assert outcome_totals(LABELLED, None) == (0, 0)


def test_losses_and_macro_averages_have_the_intervals_of_the_rows() -> None:
    rng = np.random.default_rng(12)
    scores = rng.random(3_000)  # more than are kept exactly
    labels = (rng.random(3_000) < scores).astype(int)
    plan = plan_for(ModelSpec("m", Task.BINARY), None, "", "policy")
    found = {m.name: m for m in judge_outcomes(plan, outcomes_sketch(plan, labels, labels, scores), 0, 3_000)}
    losses = {"brier": (scores - labels) ** 2, "log_loss": -np.log(np.where(labels == 1, scores, 1 - scores))}
    for name, each in losses.items():
        expected = normal_mean(3_000, float(each.sum()), float(each @ each), 0.99)
        assert found[name].value == pytest.approx(each.mean())
        assert (found[name].lower, found[name].upper) == pytest.approx(
            (expected.lower, expected.upper), rel=5e-3
        )
    one = {m.name: m for m in judge_outcomes(plan, outcomes_sketch(plan, [1], [1], [0.75]), 0, 1)}["brier"]
    assert one.value == 0.0625
    assert math.isnan(one.lower)
    classes = plan_for(ModelSpec("m", Task.MULTICLASS, classes=("a", "b")), None, "", "policy")
    truth = rng.integers(0, 3, 400)  # the third is no class
    guessed = np.where(rng.random(400) < 0.8, truth, rng.integers(0, 3, 400))
    for m in judge_outcomes(classes, outcomes_sketch(classes, guessed, truth), 0, 400):
        if m.name in ("precision", "recall", "f1"):
            assert 0 < m.lower < m.value < m.upper < 1
