"""The further numbers of outcomes, against scikit-learn on the same rows."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics  # type: ignore[import-untyped]  # scikit-learn ships no types

from driftsonde.core.outcome_numbers import outcome_numbers
from driftsonde.core.plan import Plan, plan_for
from driftsonde.core.sketch import Sketch, empty_sketch
from driftsonde.core.spec import ModelSpec, Task
from driftsonde.core.verdict import Metric
from stream_examples import outcomes_sketch

RNG = np.random.default_rng(3)
BINARY = plan_for(
    ModelSpec("m", Task.BINARY, outcome_values=((0.0, -5.0), (-100.0, 20.0))), None, "", "policy"
)
MULTICLASS = plan_for(ModelSpec("m", Task.MULTICLASS, classes=("a", "b", "c")), None, "", "policy")
REGRESSION = plan_for(ModelSpec("m", Task.REGRESSION), None, "", "policy")


def named(plan: Plan, sketch: Sketch) -> dict[str, Metric]:
    return {metric.name: metric for metric in outcome_numbers(plan, sketch)}


def test_scores_are_ranked_and_calibrated_as_scikit_learn_says() -> None:
    scores = RNG.random(800).round(3)
    labels = (RNG.random(800) < scores**2).astype(np.int64)
    found = named(BINARY, outcomes_sketch(BINARY, scores > 0.5, labels, scores))
    precision, error = found["average_precision"], found["calibration_error"]
    assert precision.value == pytest.approx(metrics.average_precision_score(labels, scores))
    assert precision.lower < precision.value < precision.upper
    place = np.minimum((scores * 10).astype(int), 9)
    gaps = [abs(scores[place == b].mean() - labels[place == b].mean()) for b in range(10)]
    assert error.value == pytest.approx(np.average(gaps, weights=np.bincount(place, minlength=10)))
    assert 0 < error.lower < error.value < error.upper
    assert error.n == precision.n == 800


def test_outcomes_are_worth_what_the_spec_says() -> None:
    labels, predictions = RNG.integers(0, 3, 300), RNG.integers(0, 3, 300)
    worth = named(BINARY, outcomes_sketch(BINARY, predictions, labels))["value_per_row"]
    known = (labels < 2) & (predictions < 2)  # other values are worth nothing that is said
    values = np.array(BINARY.spec.outcome_values)[labels[known], predictions[known]]
    assert worth.value == pytest.approx(values.mean())
    assert worth.n == known.sum()
    assert worth.lower < worth.value < worth.upper
    silent = replace(BINARY, spec=replace(BINARY.spec, outcome_values=()))
    assert named(silent, outcomes_sketch(BINARY, predictions, labels)) == {}


def test_classes_are_weighted_by_their_labels() -> None:
    labels = RNG.choice(3, 300, p=[0.7, 0.2, 0.1])
    predictions = np.where(RNG.random(300) < 0.7, labels, RNG.integers(0, 3, 300))
    found = named(MULTICLASS, outcomes_sketch(MULTICLASS, predictions, labels))["weighted_f1"]
    assert found.value == pytest.approx(metrics.f1_score(labels, predictions, average="weighted"))
    assert found.lower < found.value < found.upper


def test_every_class_and_every_average_is_as_scikit_learn_says() -> None:
    labels = RNG.choice(3, 400, p=[0.6, 0.3, 0.1])
    predictions = np.where(RNG.random(400) < 0.6, labels, RNG.integers(0, 4, 400))  # 3: a value of no class
    told = outcome_numbers(MULTICLASS, outcomes_sketch(MULTICLASS, predictions, labels))
    found = {(metric.name, metric.column): metric for metric in told}
    weighted = metrics.precision_recall_fscore_support(
        labels, predictions, average="weighted", zero_division=0
    )
    each = metrics.precision_recall_fscore_support(labels, predictions, labels=[0, 1, 2])
    for name, average, by_class in zip(("precision", "recall", "f1"), weighted, each, strict=False):
        assert found[f"weighted_{name}", ""].value == pytest.approx(average)
        for label, value in zip("abc", by_class, strict=True):
            metric = found[f"class_{name}", label]
            assert metric.value == pytest.approx(value)
            assert metric.lower < metric.value < metric.upper
    assert found["class_recall", "b"].n == (labels == 1).sum()
    assert found["class_precision", "b"].n == (predictions == 1).sum()


def test_a_regression_explains_so_much() -> None:
    labels = RNG.normal(50, 10, 300)
    predictions = labels + RNG.normal(0, 4, 300)
    found = named(REGRESSION, outcomes_sketch(REGRESSION, predictions, labels))["r_squared"]
    assert found.value == pytest.approx(metrics.r2_score(labels, predictions))
    absurd = named(REGRESSION, outcomes_sketch(REGRESSION, [1e200], [0.0]))["r_squared"]
    assert np.isnan(absurd.value)


def test_without_labels_nothing_is_told() -> None:
    for plan in (BINARY, MULTICLASS, REGRESSION):
        assert outcome_numbers(plan, empty_sketch(plan.outcomes.bins, plan.outcomes.sums, 0)) == []
    unclassed = plan_for(ModelSpec("m", Task.MULTICLASS), None, "", "policy")
    assert outcome_numbers(unclassed, outcomes_sketch(unclassed, [0], [0])) == []
