"""The worth of outcomes, against the rows themselves."""

import math

import numpy as np
import pytest

from driftsonde.core.statistics.business_value import business_value
from driftsonde.core.statistics.intervals import normal_mean

VALUES = [[0.0, -5.0], [-100.0, 20.0]]


def test_value_and_interval_are_those_of_the_rows() -> None:
    rng = np.random.default_rng(1)
    labels, predictions = rng.integers(0, 2, 500), rng.integers(0, 2, 500)
    confusion = np.zeros((2, 2))
    np.add.at(confusion, (labels, predictions), 1)
    worth = np.array(VALUES)[labels, predictions]
    value = business_value(confusion, VALUES, 0.9)
    expected = normal_mean(500, float(worth.sum()), float(worth @ worth), 0.9)
    assert value.total == pytest.approx(worth.sum())
    assert value.per_row == pytest.approx(worth.mean())
    assert value.interval.lower == pytest.approx(expected.lower)
    assert value.interval.upper == pytest.approx(expected.upper)


def test_merged_confusion_is_worth_the_sum() -> None:
    first, second = np.array([[9, 1], [2, 3]]), np.array([[1, 0], [7, 4]])
    whole = business_value(first + second, VALUES, 0.9).total
    assert whole == business_value(first, VALUES, 0.9).total + business_value(second, VALUES, 0.9).total


def test_few_rows_say_no_more_than_the_values_do() -> None:
    nothing = business_value(np.zeros((2, 2)), VALUES, 0.9)
    assert nothing.total == 0
    assert math.isnan(nothing.per_row)
    one = business_value([[0, 1], [0, 0]], VALUES, 0.9)
    assert one.per_row == -5
    assert (one.interval.lower, one.interval.upper) == (-100, 20)


def test_rows_that_are_worth_the_same_are_a_point() -> None:
    value = business_value(np.diag([4, 0]), [[0.1, 1.0], [1.0, 1.0]], 0.9)
    assert value.interval.lower == pytest.approx(0.1)
    assert value.interval.upper == pytest.approx(0.1)


def test_refuses_other_shapes_and_values() -> None:
    for values in (np.ones((1, 1)), np.ones(2), np.array([[0, 1], [math.nan, 0]])):
        with pytest.raises(ValueError, match="values"):
            business_value([[1, 0], [0, 1]], values, 0.9)
    with pytest.raises(ValueError, match="confidence"):
        business_value([[1, 0], [0, 1]], VALUES, 1.0)
