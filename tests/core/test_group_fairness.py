"""Fairness of a window, from the outcomes of its groups."""

import math
from dataclasses import replace

import numpy as np
import pytest

from driftsonde.core.group_fairness import binary_outcomes, judge_fairness
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import ModelSpec, PerformanceRule, Policy, Task
from driftsonde.core.statistics.fairness import FairnessBars, disparities
from stream_examples import categorical, outcomes_sketch, plan_of

SPEC = ModelSpec(
    "m",
    Task.BINARY,
    classes=("no", "yes"),
    policy=Policy(performance=PerformanceRule(confidence=0.9, min_labels=20)),
)
PLAN = plan_of(SPEC, "1", categorical("sex", ["f", "m"]), categorical("prediction", ["no", "yes"]))
RNG = np.random.default_rng(4)


def outcomes(rows: int, selected: float) -> Sketch:
    labels = RNG.integers(0, 2, rows)
    return outcomes_sketch(PLAN, (RNG.random(rows) < selected).astype(int), labels)


def test_every_number_is_that_of_the_groups_counts() -> None:
    groups = {"sex=f": outcomes(300, 0.3), "sex=m": outcomes(300, 0.7), "sex=(other)": outcomes(99, 0.1)}
    counts = {name[-1]: binary_outcomes(PLAN, groups[name]) for name in ("sex=f", "sex=m")}
    expected = disparities(counts, FairnessBars(confidence=0.9, min_rows=20))
    found = judge_fairness(PLAN, groups)
    assert [(m.column, m.name, m.n, m.value, m.lower, m.upper, m.threshold) for m in found] == [
        ("sex", d.name, d.n, d.value, d.interval.lower, d.interval.upper, d.bar) for d in expected
    ]
    ratio = next(m for m in found if m.name == "demographic_parity_ratio")
    assert ratio.value == pytest.approx(0.3 / 0.7, abs=0.1)
    assert ratio.upper < ratio.threshold
    assert not any(m.breached for m in found)  # a number never alerts


def test_too_few_rows_are_told_without_a_value() -> None:
    found = judge_fairness(PLAN, {"sex=f": outcomes(300, 0.3), "sex=m": outcomes(19, 0.7)})
    assert len(found) == 5
    assert all(math.isnan(m.value) and m.n == 0 for m in found)


def test_nothing_is_told_without_labels_without_groups_and_of_other_tasks() -> None:
    groups = {"sex=f": outcomes(30, 0.3), "sex=m": outcomes(30, 0.7)}
    assert judge_fairness(PLAN, {}) == []
    assert judge_fairness(PLAN, {"sex=f": outcomes(0, 0.5)}) == []
    assert judge_fairness(replace(PLAN, protected=()), groups) == []
    assert judge_fairness(replace(PLAN, spec=replace(SPEC, task=Task.MULTICLASS)), groups) == []


def test_a_value_outside_the_classes_is_no_positive_and_a_half_correction_is_no_negative_count() -> None:
    sketch = outcomes_sketch(PLAN, [1, 2, 1, 0], [1, 1, 2, 2])
    assert (lambda o: (o.tp, o.fp, o.tn, o.fn))(binary_outcomes(PLAN, sketch)) == (1, 1, 1, 1)
    taken = outcomes_sketch(PLAN, [1], [1], signs=[-1])
    assert binary_outcomes(PLAN, taken).n == 0
