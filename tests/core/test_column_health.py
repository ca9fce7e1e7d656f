"""Constant columns, and the ranking of the features by their attributions."""

import math

import numpy as np
import pytest

from driftsonde.core.column_health import CONSTANT, judge_columns
from driftsonde.core.events import Column, PredictionBatch, Role, Variant
from driftsonde.core.inputs import sketch_rows
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import empty_sketch
from driftsonde.core.spec import ModelSpec, Task
from driftsonde.core.statistics.attribution import ranking_ndcg
from driftsonde.core.strata import one_stratum
from driftsonde.core.verdict import Metric, columns_of
from stream_examples import categorical, numeric, plan_of

SPEC = ModelSpec("m", Task.BINARY)
RNG = np.random.default_rng(2)


def judged(plan: Plan, *columns: Column, rows: int) -> dict[tuple[str, str], Metric]:
    batch = PredictionBatch(
        "m", "1", Variant.CHAMPION, ("i",) * rows, np.zeros(rows, dtype=np.int64), columns
    )
    (sketch,) = sketch_rows(plan.inputs, [batch], one_stratum(rows), np.zeros((1, plan.inputs.sums)))
    return {(m.column, m.name): m for m in judge_columns(columns_of(plan, sketch), rows)}


def test_columns_that_have_become_constant_are_counted() -> None:
    plan = plan_of(
        SPEC,
        "1",
        numeric("x", [1.0, 2.0, 3.0]),
        numeric("always", [5.0, 5.0, 5.0]),
        categorical("c", ["a", "b", "a"]),
        categorical("one", ["a", "a", "a"]),
    )
    columns = (
        numeric("x", [2.0, 2.0, np.nan]),
        numeric("always", [5.0] * 3),
        categorical("c", ["b", "b", None]),
        categorical("one", ["a"] * 3),
    )
    found = judged(plan, *columns, rows=3)
    assert {column: metric.value for (column, name), metric in found.items() if name == CONSTANT} == {
        "x": 1.0,
        "c": 1.0,
    }
    assert not any(metric.breached for metric in found.values())  # one window alone says nothing
    frozen = found["", "constant_columns"]
    assert (frozen.value, frozen.n) == (2, 4)
    alive = judged(plan, numeric("x", [2.0, 2.5, 2.0]), categorical("c", ["new"] * 3), rows=3)
    assert alive["", "constant_columns"].value == 0
    assert ("", "attribution_ndcg") not in alive
    nothing = empty_sketch(plan.inputs.bins, plan.inputs.sums, len(plan.inputs.numeric))
    assert judge_columns(columns_of(plan, nothing), 0) == []


def test_the_ranking_of_features_is_compared_with_the_baselines() -> None:
    def attributions(*scales: float) -> tuple[Column, ...]:
        return tuple(
            numeric(f"attribution.{n}", RNG.normal(scale=scale, size=500).tolist(), Role.ATTRIBUTION)
            for n, scale in enumerate(scales)
        )

    plan = plan_of(SPEC, "1", *attributions(8.0, 4.0, 1.0))
    same = judged(plan, *attributions(8.0, 4.0, 1.0), rows=500)
    assert same["", "attribution_ndcg"].value == 1
    turned = judged(plan, *attributions(1.0, 4.0, 8.0), rows=500)
    assert turned["", "attribution_ndcg"].value == pytest.approx(ranking_ndcg([8, 4, 1], [1, 4, 8]), abs=0.03)
    assert turned["attribution.2", "importance_ratio"].value == pytest.approx(8, rel=0.15)
    assert turned["attribution.2", "importance_ratio"].n == 500
    assert same["", "attribution_shift"].value == pytest.approx(0, abs=0.05)
    assert turned["", "attribution_shift"].value == pytest.approx(7 / 13, abs=0.05)
    assert turned["", "attribution_ndcg"].threshold == 0.9


def test_attributions_of_nothing_have_no_ranking() -> None:
    plan = plan_of(SPEC, "1", numeric("attribution.x", [0.0, 0.0], Role.ATTRIBUTION))
    found = judged(plan, numeric("attribution.x", [1.0, 2.0], Role.ATTRIBUTION), rows=2)
    assert math.isnan(found["attribution.x", "importance_ratio"].value)
    assert ("", "attribution_ndcg") not in found
    gone = judged(plan, numeric("attribution.x", [np.nan, np.nan], Role.ATTRIBUTION), rows=2)
    assert list(gone) == [("", "constant_columns")]
