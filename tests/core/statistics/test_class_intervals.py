"""Intervals of the multiclass scores: they contain the estimate, agree with the binary case, and cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftsonde.core.statistics.class_intervals import average_intervals, class_intervals
from driftsonde.core.statistics.intervals import f1_interval, precision_interval, recall_interval, wilson
from driftsonde.core.statistics.performance import Average, BinaryOutcomes, average_scores, class_scores

matrices = st.lists(st.lists(st.integers(0, 20), min_size=3, max_size=3), min_size=3, max_size=3)
AVERAGES: tuple[Average, ...] = ("macro", "micro", "weighted")
# Two classes and a third that is never labelled nor rightly predicted; errors are not symmetric.
TRUTH = np.array([[0.35, 0.05, 0.05], [0.02, 0.18, 0.05], [0.06, 0.04, 0.20]])


def test_two_classes_are_the_binary_case() -> None:
    each = class_intervals([[50, 5], [7, 40]], 0.95)
    outcomes = BinaryOutcomes(tp=40, fp=5, tn=50, fn=7)
    assert each.precision[1] == precision_interval(outcomes, 0.95)
    assert each.recall[1] == recall_interval(outcomes, 0.95)
    assert each.f1[1] == f1_interval(outcomes, 0.95)
    assert average_intervals([[50, 5], [7, 40]], "micro", 0.95).f1 == wilson(90, 102, 0.95)


@settings(max_examples=60, deadline=None)
@given(cells=matrices)
@pytest.mark.parametrize("average", AVERAGES)
def test_intervals_contain_the_estimates_and_lie_in_the_unit(
    average: Average, cells: list[list[int]]
) -> None:
    scores, bounds = average_scores(cells, average), average_intervals(cells, average, 0.9)
    for name in ("precision", "recall", "f1"):
        value, interval = getattr(scores, name), getattr(bounds, name)
        assert 0 <= interval.lower <= interval.upper <= 1
        assert np.isnan(value) or interval.lower - 1e-12 <= value <= interval.upper + 1e-12
    per_class, intervals = class_scores(cells), class_intervals(cells, 0.9)
    for value, interval in zip(per_class.f1.tolist(), intervals.f1, strict=True):
        assert np.isnan(value) or interval.contains(value)


@pytest.mark.parametrize("average", AVERAGES)
def test_intervals_cover_at_least_as_often_as_they_say(average: Average) -> None:
    rng = np.random.default_rng(2)
    truth = average_scores(TRUTH, average)
    covered = {"precision": 0, "recall": 0, "f1": 0}
    for cells in rng.multinomial(200, TRUTH.ravel(), size=600):
        bounds = average_intervals(cells.reshape(3, 3), average, 0.9)
        for name in covered:
            covered[name] += getattr(bounds, name).contains(getattr(truth, name))
    assert min(covered.values()) / 600 > 0.87
    assert (covered["recall"] + covered["precision"]) / 1200 < 0.96  # and not by being too long


def test_a_class_without_rows_is_left_out() -> None:
    two = average_intervals([[30, 10], [0, 40]], "macro", 0.9)
    three = average_intervals([[30, 10, 0], [0, 40, 0], [0, 0, 0]], "macro", 0.9)
    assert two == three
    nothing = average_intervals(np.zeros((2, 2)), "weighted", 0.9)
    assert (nothing.recall.lower, nothing.recall.upper) == (0, 1)


def test_only_the_first_classes_are_averaged_and_the_others_count_against_them() -> None:
    cells = [[30, 10, 5], [0, 40, 5], [3, 3, 9]]
    two = average_intervals(cells, "macro", 0.9, classes=2)
    scores = class_scores(cells)
    assert two.recall.lower < float(scores.recall[:2].mean()) < two.recall.upper
    assert two != average_intervals(cells, "macro", 0.9)
    assert average_intervals(cells, "macro", 0.9, classes=3) == average_intervals(cells, "macro", 0.9)


def test_refuses_another_average() -> None:
    with pytest.raises(ValueError, match="average"):
        average_intervals([[1]], "none", 0.9)  # type: ignore[arg-type]
