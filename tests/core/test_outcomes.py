"""Performance from sketches of outcomes against scikit-learn on the rows; corrections against recomputation."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics  # type: ignore[import-untyped]  # scikit-learn ships no types

from driftsonde.core.events import Floats, NumericColumn
from driftsonde.core.outcomes import CHANGES, DELAY_MS, LABELLED, layout_for
from driftsonde.core.plan import Plan, plan_for, target_values
from driftsonde.core.sketch import Sketch, add
from driftsonde.core.spec import ModelSpec, Task
from driftsonde.core.verdict import judge_outcomes
from stream_examples import categorical, numeric, outcomes_sketch

BINARY = plan_for(ModelSpec("m", Task.BINARY, classes=("no", "yes")), None, "", "")
THREE = plan_for(ModelSpec("m", Task.MULTICLASS, classes=("a", "b", "c")), None, "", "")
NUMBERS = plan_for(ModelSpec("m", Task.REGRESSION), None, "", "")


def values_of(plan: Plan, sketch: Sketch, rows: int = 0) -> dict[str, float]:
    return {metric.name: metric.value for metric in judge_outcomes(plan, sketch, 0, rows)}


def scores_like(rng: np.random.Generator, labels: Floats, kind: str) -> Floats:
    """Scores that separate well or badly, rare ones near 0, saturated ones, or all of them ties."""
    noise = rng.normal(size=len(labels))
    match kind:
        case "good":
            return np.asarray(1 / (1 + np.exp(-(3 * labels - 1.5 + noise))))
        case "rare":
            return np.asarray(1 / (1 + np.exp(-(2 * labels - 9 + noise))))
        case "saturated":
            return np.asarray(1 / (1 + np.exp(-(20 * labels - 4 + 8 * noise))))
        case "overconfident":
            return np.asarray(1 / (1 + np.exp(-(120 * labels - 90 + 60 * noise))))
        case _:
            return np.round(rng.random(len(labels)), 1)


@pytest.mark.parametrize("kind", ["good", "rare", "saturated", "overconfident", "ties"])
@pytest.mark.parametrize("share", [0.5, 0.01])
def test_binary_metrics_are_those_of_the_rows(kind: str, share: float) -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random(5_000) < share).astype(np.float64)
    scores = scores_like(rng, labels, kind)
    predictions = (scores > np.quantile(scores, 0.7)).astype(np.float64)
    ours = values_of(BINARY, outcomes_sketch(BINARY, predictions, labels, scores), rows=10_000)
    inside = np.clip(scores, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predictions))
    assert ours["precision"] == pytest.approx(metrics.precision_score(labels, predictions))
    assert ours["recall"] == pytest.approx(metrics.recall_score(labels, predictions))
    assert ours["f1"] == pytest.approx(metrics.f1_score(labels, predictions))
    assert ours["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, scores), abs=0.002)
    assert ours["log_loss"] == pytest.approx(metrics.log_loss(labels, inside))
    assert ours["brier"] == pytest.approx(metrics.brier_score_loss(labels, scores))
    assert ours["label_coverage"] == 0.5
    assert ours["label_delay_s"] == pytest.approx(4_999 / 2)


def test_multiclass_metrics_are_those_of_the_rows() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 2_000)
    predictions = np.where(rng.random(2_000) < 0.7, labels, rng.integers(0, 3, 2_000))
    ours = values_of(THREE, outcomes_sketch(THREE, predictions, labels))
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predictions))
    for name, score in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        assert ours[name] == pytest.approx(score(labels, predictions, average="macro"))


def test_a_value_outside_the_classes_is_never_right_and_no_class_to_average_over() -> None:
    labels = np.array(["a", "a", "b", "z", "z", "c"])
    predictions = np.array(["a", "q", "b", "z", "a", "b"])
    place = {"a": 0, "b": 1, "c": 2}
    ours = values_of(
        THREE,
        outcomes_sketch(THREE, [place.get(p, 3) for p in predictions], [place.get(x, 3) for x in labels]),
    )
    assert ours["accuracy"] == pytest.approx(2 / 6)
    known = {"labels": ["a", "b", "c"], "average": "macro", "zero_division": np.nan}
    assert ours["precision"] == pytest.approx(metrics.precision_score(labels, predictions, **known))
    assert ours["recall"] == pytest.approx(metrics.recall_score(labels, predictions, **known))


def test_binary_with_other_values() -> None:
    ours = values_of(
        BINARY, outcomes_sketch(BINARY, [1, 2, 2, 1, 0], [1, 1, 2, 2, 2], [0.9, 0.8, 0.7, 0.6, 0.5])
    )
    assert (ours["accuracy"], ours["precision"], ours["recall"]) == (0.2, 0.5, 0.5)
    assert math.isnan(ours["roc_auc"])  # only rows of the two classes have scores: two positives
    assert ours["brier"] == pytest.approx((0.1**2 + 0.2**2) / 2)


def test_regression_metrics_are_those_of_the_rows() -> None:
    rng = np.random.default_rng(5)
    labels = rng.normal(100, 10, 1_000)
    predictions = labels + rng.normal(1, 3, 1_000)
    ours = values_of(NUMBERS, outcomes_sketch(NUMBERS, predictions, labels))
    assert ours["mae"] == pytest.approx(metrics.mean_absolute_error(labels, predictions))
    assert ours["rmse"] == pytest.approx(metrics.root_mean_squared_error(labels, predictions))
    assert ours["bias"] == pytest.approx(np.mean(predictions - labels))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([BINARY, THREE, NUMBERS]))
def test_corrections_come_to_what_the_last_labels_alone_would(seed: int, plan: Plan) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 20))
    scale = 10.0 ** int(rng.integers(-3, 9))

    def draw() -> Floats:
        if plan is NUMBERS:
            return rng.normal(size=rows) * scale
        return rng.integers(0, len(plan.outcomes.classes) + 1, rows).astype(np.float64)

    predictions, scores = draw(), rng.random(rows)
    label_sets = [draw() for _ in range(3)]
    total = outcomes_sketch(plan, predictions, label_sets[0], scores)
    for old, new in pairwise(label_sets):
        total = add(total, outcomes_sketch(plan, predictions, old, scores, -np.ones(rows)))
        total = add(total, outcomes_sketch(plan, predictions, new, scores))
    alone = outcomes_sketch(plan, predictions, label_sets[-1], scores)
    changes = [LABELLED, DELAY_MS, CHANGES]
    assert np.delete(total.counts, CHANGES).tolist() == np.delete(alone.counts, CHANGES).tolist()
    assert total.counts[changes].tolist() == [rows, int(alone.counts[DELAY_MS]), 5 * rows]
    ours, theirs = values_of(plan, total), values_of(plan, alone)
    largest = max(
        1.0, *(float(np.abs(labels).max()) for labels in label_sets), float(np.abs(predictions).max())
    )
    # What had a value before the correction is told, without one now.
    theirs = dict.fromkeys(ours, math.nan) | theirs
    assert ours == pytest.approx(theirs, abs=1e-6 * largest**2 if plan is NUMBERS else 1e-9, nan_ok=True)


def test_what_rounding_leaves_of_corrections_is_no_error() -> None:
    """0.1 + 0.2 + 0 - 0.1 - 0.2 is a little more than nothing, and other orders give a little less."""
    total = outcomes_sketch(NUMBERS, [0.1, 0.2, 0.0], [0.0, 0.0, 0.0])
    total = add(total, outcomes_sketch(NUMBERS, [0.2, 0.1], [0.0, 0.0], signs=[-1, -1]))
    negative = add(total, outcomes_sketch(NUMBERS, [1e-16], [0.0], signs=[-1]))
    negative = add(negative, outcomes_sketch(NUMBERS, [0.0], [0.0]))
    assert negative.sums[1] < 0
    assert values_of(NUMBERS, negative)["mae"] == pytest.approx(0.0, abs=1e-12)


def test_absurd_numbers_are_no_error() -> None:
    ours = values_of(NUMBERS, outcomes_sketch(NUMBERS, [1e200, -1e308], [0.0, 1e308]))
    assert ours["rmse"] == math.inf


def test_targets_are_classes_by_their_text_and_finite_numbers() -> None:
    numbers = ModelSpec("m", Task.REGRESSION)
    assert target_values(numbers, numeric("p", [1.5, np.inf, -np.inf, np.nan])).tolist()[:1] == [1.5]
    assert np.isnan(target_values(numbers, numeric("p", [np.inf, -np.inf, np.nan]))).all()
    texts = target_values(numbers, categorical("p", ["2.5", "inf", "nan", "x", None]))
    assert texts[0] == 2.5
    assert np.isnan(texts[1:]).all()
    big = ModelSpec("m", Task.MULTICLASS, classes=("0", "1000001", "0.5"))
    values = target_values(big, numeric("p", [1000001.0, -0.0, 0.5, 7.0, np.nan, np.inf]))
    assert values[:4].tolist() == [1.0, 0.0, 2.0, 3.0]
    assert np.isnan(values[4])
    assert values[5] == 3.0
    assert target_values(big, categorical("p", ["0.5", "7", None])).tolist()[:2] == [2.0, 3.0]


def test_a_binary_task_without_classes_has_0_and_1() -> None:
    spec = ModelSpec("m", Task.BINARY)
    plan = plan_for(spec, None, "", "")
    labels = target_values(spec, NumericColumn("label", numeric("x", [1.0]).role, np.array([0.0, 1.0, 1.0])))
    predictions = target_values(spec, categorical("prediction", ["0", "1", "0"]))
    assert values_of(plan, outcomes_sketch(plan, predictions, labels))["accuracy"] == pytest.approx(2 / 3)


def test_a_multiclass_task_without_classes_has_no_performance() -> None:
    plan = plan_for(ModelSpec("m", Task.MULTICLASS), None, "", "")
    sketch = outcomes_sketch(plan, [0, 0], [0, 0])
    assert sorted(values_of(plan, sketch, rows=4)) == ["label_coverage", "label_delay_s"]


def test_layouts_differ_by_task_and_classes() -> None:
    layouts = [
        layout_for(spec).fingerprint
        for spec in (
            ModelSpec("m", Task.BINARY),
            ModelSpec("m", Task.BINARY, classes=("no", "yes")),
            ModelSpec("m", Task.MULTICLASS, classes=("no", "yes")),
            ModelSpec("m", Task.REGRESSION),
        )
    ]
    assert len(set(layouts)) == 4
    assert layout_for(ModelSpec("m", Task.BINARY, classes=("0", "1"))).fingerprint == layouts[0]
