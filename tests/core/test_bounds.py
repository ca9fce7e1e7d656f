"""Bounds on metrics, as texts."""

import math

import pytest

from driftsonde.core.bounds import parse_bound


@pytest.mark.parametrize(
    ("text", "value", "production", "holds"),
    [
        ("auc >= 0.8", 0.8, math.nan, True),
        ("auc >= 0.8", 0.79, math.nan, False),
        ("gap <= -1e-3", -0.001, math.nan, True),
        ("accuracy >= production - 0.02", 0.905, 0.92, True),
        ("accuracy >= production - 0.02", 0.89, 0.92, False),
        ("accuracy  >=  production", 0.92, 0.92, True),
        ("rmse <= production * 1.1", 2.19, 2.0, True),
        ("rmse <= production + 0.1", 2.11, 2.0, False),
        ("auc >= 0.8", math.nan, 0.0, False),
        ("gap <= 0.1", math.nan, 0.0, False),
    ],
)
def test_a_bound(text: str, value: float, production: float, holds: bool) -> None:
    assert parse_bound(text).holds(value, production) is holds


@pytest.mark.parametrize("text", ["", "auc", "auc > 0.8", "auc >= high", "auc >= production / 2", "0.8 <= "])
def test_what_is_no_bound(text: str) -> None:
    with pytest.raises(ValueError, match="expected METRIC"):
        parse_bound(text)
