"""What a baseline knows of its labels, and what a window without any is expected to score."""

import numpy as np
import pytest

from driftsonde.core.baseline import Calibration, ErrorSums, LabelCounts, NumericReference
from driftsonde.core.baseline_calibration import MAX_CLASSES, distance_bin_of
from driftsonde.core.estimating import estimate_performance, performance_gap
from driftsonde.core.events import Column, Floats, Ints, PredictionBatch, Variant
from driftsonde.core.inputs import sketch_rows
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import Sketch, empty_sketch
from driftsonde.core.spec import ModelSpec, Task
from driftsonde.core.strata import one_stratum
from driftsonde.core.verdict import Metric, distance_bins
from stream_examples import categorical, numeric, outcomes_sketch, plan_of

BINARY = ModelSpec("m", Task.BINARY, classes=("no", "yes"))
NAMES = np.array(["no", "yes"])


def scored(seed: int, n: int, shape: float = 1.0, flipped: float = 0.0) -> tuple[Floats, Ints, Ints]:
    """Scores, predictions at 1/2, labels that the scores predict but for the flipped ones."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(shape, 1, n)
    labels = (rng.random(n) < scores).astype(np.int64)
    return scores, (scores >= 0.5).astype(np.int64), np.where(rng.random(n) < flipped, 1 - labels, labels)


def columns_of(scores: Floats, predictions: Ints) -> tuple[Column, ...]:
    return numeric("score", scores.tolist()), categorical("prediction", NAMES[predictions].tolist())


def binary_plan() -> Plan:
    scores, predictions, labels = scored(1, 4000)
    return plan_of(
        BINARY, "1", *columns_of(scores, predictions), labels=categorical("label", NAMES[labels].tolist())
    )


PLAN = binary_plan()


def inputs_of(plan: Plan, *columns: Column, rows: int) -> Sketch:
    batch = PredictionBatch(
        "m", "1", Variant.CHAMPION, ("i",) * rows, np.zeros(rows, dtype=np.int64), columns
    )
    (sketch,) = sketch_rows(plan.inputs, [batch], one_stratum(rows), np.zeros((1, plan.inputs.sums)))
    return sketch


def calibration_of(plan: Plan) -> Calibration | None:
    assert plan.baseline is not None
    return plan.baseline.calibration


def named(metrics: list[Metric]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


def test_the_baseline_counts_its_labels_by_bin_of_the_score() -> None:
    scores, predictions, labels = scored(1, 4000)
    calibration, reference = calibration_of(PLAN), PLAN.inputs.references[0]
    assert isinstance(calibration, LabelCounts)
    assert isinstance(reference, NumericReference)
    expected = np.zeros((len(reference.edges), 2, 2), dtype=int)
    for score, predicted, label in zip(scores, predictions, labels, strict=True):
        expected[sum(score >= edge for edge in reference.edges[1:-1]), label, predicted] += 1
    assert calibration.column == "score"
    assert calibration.counts.tolist() == expected.tolist()


def test_rows_fall_into_the_bins_that_distances_compare() -> None:
    reference = PLAN.inputs.references[0]
    assert isinstance(reference, NumericReference)
    values = np.array([-5.0, 0.3, 0.99, 1.0, 7.0, np.inf, -np.inf, np.nan])
    sketch = inputs_of(PLAN, numeric("score", values.tolist()), rows=8)
    counts = distance_bins(reference, sketch.counts[1 : 1 + len(reference.counts)])
    place = distance_bin_of(reference, values)
    assert np.bincount(place, minlength=len(counts)).tolist() == counts.tolist()


def test_a_window_is_expected_to_score_what_its_labels_say_later() -> None:
    scores, predictions, labels = scored(2, 3000, shape=3.0)
    found = named(estimate_performance(PLAN, inputs_of(PLAN, *columns_of(scores, predictions), rows=3000)))
    accuracy = found["estimated_accuracy"]
    assert accuracy.lower < float((predictions == labels).mean()) < accuracy.upper
    assert accuracy.value > 0.76  # the baseline's is 0.75
    hits = int((predictions & labels).sum())
    f1 = 2 * hits / int(predictions.sum() + labels.sum())
    assert found["estimated_f1"].value == pytest.approx(f1, abs=0.03)
    assert accuracy.n == 3000


def test_the_gap_is_chance_until_the_concept_drifts() -> None:
    scores, predictions, labels = scored(3, 3000, shape=3.0)
    inputs = inputs_of(PLAN, *columns_of(scores, predictions), rows=3000)
    sound = named(performance_gap(PLAN, outcomes_sketch(PLAN, predictions, labels, scores), inputs))
    assert sound["accuracy_gap"].lower < 0 < sound["accuracy_gap"].upper
    _, _, drifted = scored(3, 3000, shape=3.0, flipped=0.15)
    gap = named(performance_gap(PLAN, outcomes_sketch(PLAN, predictions, drifted, scores), inputs))
    assert gap["accuracy_gap"].upper < 0
    assert gap["accuracy_gap"].n == 3000


def test_labels_of_a_selection_of_rows_are_no_drift_of_the_concept() -> None:
    scores, predictions, labels = scored(4, 6000)
    inputs = inputs_of(PLAN, *columns_of(scores, predictions), rows=6000)
    unsure = np.abs(scores - 0.5) < 0.2  # as where only doubtful cases are looked at
    parts = predictions[unsure], labels[unsure]
    gap = named(performance_gap(PLAN, outcomes_sketch(PLAN, *parts, scores[unsure]), inputs))
    assert gap["accuracy_gap"].lower < 0 < gap["accuracy_gap"].upper
    # Without the scores of the labelled rows they have to be taken for a fair sample.
    blind = named(performance_gap(PLAN, outcomes_sketch(PLAN, *parts), inputs))
    assert blind["accuracy_gap"].upper < 0


def regression_plan() -> tuple[Plan, Floats, Floats]:
    rng = np.random.default_rng(6)
    predictions = rng.uniform(0, 10, 5000)
    labels = predictions + rng.normal(0, 1 + predictions)
    spec = ModelSpec("m", Task.REGRESSION)
    plan = plan_of(
        spec, "1", numeric("prediction", predictions.tolist()), labels=numeric("label", labels.tolist())
    )
    return plan, predictions, labels


def test_a_regression_is_expected_to_err_as_its_predictions_did() -> None:
    plan, predictions, labels = regression_plan()
    calibration = calibration_of(plan)
    assert isinstance(calibration, ErrorSums)
    errors = predictions - labels
    assert calibration.rows.sum() == 5000
    assert calibration.absolute.sum() == pytest.approx(np.abs(errors).sum())
    assert calibration.fourth.sum() == pytest.approx((errors**4).sum())
    large = predictions > 6
    inputs = inputs_of(plan, numeric("prediction", predictions[large].tolist()), rows=int(large.sum()))
    found = named(estimate_performance(plan, inputs))
    assert found["estimated_mae"].value == pytest.approx(np.abs(errors[large]).mean(), rel=0.05)
    assert found["estimated_rmse"].value == pytest.approx(np.sqrt((errors[large] ** 2).mean()), rel=0.05)
    gap = named(performance_gap(plan, outcomes_sketch(plan, predictions[large], labels[large]), inputs))
    assert gap["mae_gap"].lower < 0 < gap["mae_gap"].upper
    worse = predictions[large] - 2 * errors[large]
    gap = named(performance_gap(plan, outcomes_sketch(plan, predictions[large], worse), inputs))
    assert gap["mae_gap"].lower > 0


def test_nothing_is_estimated_without_labels_scores_or_rows() -> None:
    scores, predictions, labels = scored(1, 50)
    unlabelled = plan_of(BINARY, "1", *columns_of(scores, predictions))
    truth = categorical("label", NAMES[labels].tolist())
    unscored = plan_of(BINARY, "1", columns_of(scores, predictions)[1], labels=truth)
    absurd = plan_of(
        ModelSpec("m", Task.REGRESSION), "1", numeric("prediction", [1.0]), labels=numeric("label", [1e100])
    )
    names = [str(n) for n in range(MAX_CLASSES + 1)]
    many = plan_of(
        ModelSpec("m", Task.MULTICLASS, classes=tuple(names)),
        "1",
        numeric("score", [0.5] * len(names)),
        categorical("prediction", names),
        labels=categorical("label", names),
    )
    for plan in (unlabelled, unscored, absurd, many):
        assert calibration_of(plan) is None
        assert estimate_performance(plan, inputs_of(plan, rows=9)) == []
        assert performance_gap(plan, outcomes_sketch(plan, [1.0], [1.0]), None) == []
    nothing = empty_sketch(PLAN.inputs.bins, PLAN.inputs.sums, len(PLAN.inputs.numeric))
    assert estimate_performance(PLAN, nothing) == []
    assert performance_gap(PLAN, outcomes_sketch(PLAN, [1], [1]), None) == []
    assert performance_gap(PLAN, empty_sketch(PLAN.outcomes.bins, PLAN.outcomes.sums, 0), None) == []


def test_rows_that_are_no_class_or_unknown_are_left_out_of_the_table() -> None:
    plan = plan_of(
        BINARY,
        "1",
        numeric("score", [0.2, 0.4, 0.6, np.nan, 0.9]),
        categorical("prediction", ["no", "what", "yes", "yes", None]),
        labels=categorical("label", ["no", "no", "what", "yes", "yes"]),
    )
    calibration = calibration_of(plan)
    assert isinstance(calibration, LabelCounts)
    assert calibration.counts.sum() == 2
    assert calibration.counts[-1].tolist() == [[0, 0], [0, 1]]  # the missing score has a bin of its own
