"""What folding and judging need to know about one version: its spec and baseline with everything derived from them."""

import math
from dataclasses import dataclass

import numpy as np

from driftsonde.core.baseline import Baseline, Joint
from driftsonde.core.events import CategoricalColumn, Column, Floats, NumericColumn
from driftsonde.core.grouping import Slicing, slicing_of
from driftsonde.core.inputs import InputsLayout, layout_of
from driftsonde.core.joint import joint_layout
from driftsonde.core.outcomes import OutcomesLayout, classes_of, layout_for
from driftsonde.core.protected import ProtectedColumn, protected_columns, slice_protected
from driftsonde.core.spec import ModelSpec, Task


@dataclass(frozen=True, slots=True)
class Plan:
    """`baseline_id` is the baseline's fingerprint, "" without one; `policy_id` the policy's. `protected`: the columns whose
    groups are compared, all of them sliced. `joint`: the columns watched together, None where the policy names none; with the
    layout of their sketches."""

    spec: ModelSpec
    baseline: Baseline | None
    baseline_id: str
    policy_id: str
    inputs: InputsLayout
    outcomes: OutcomesLayout
    slicing: Slicing
    protected: tuple[ProtectedColumn, ...]
    joint: Joint | None = None
    joint_layout: str = ""


def plan_for(spec: ModelSpec, baseline: Baseline | None, baseline_id: str, policy_id: str) -> Plan:
    """Derive everything once for a version."""
    slicing = slice_protected(slicing_of(spec, baseline), baseline)
    joint = baseline.joint if baseline and spec.policy.multivariate.columns else None
    return Plan(
        spec,
        baseline,
        baseline_id,
        policy_id,
        layout_of(baseline),
        layout_for(spec),
        slicing,
        protected_columns(slicing, baseline),
        joint,
        joint_layout(baseline_id) if joint else "",
    )


def target_values(spec: ModelSpec, column: Column) -> Floats:
    """Predictions or labels as outcomes count them, float64[rows], NaN for missing: for a classification the
    position of the class (one past the last for any other value), for a regression the number.

    A number stands for the class that is written like it: 1.0 for "1". An infinite number is missing: nothing can be
    said about how wrong it is, and one row would make every sum of its window infinite.
    """
    if spec.task is Task.REGRESSION:
        if isinstance(column, NumericColumn):
            return np.where(np.isfinite(column.values), column.values, np.nan)
        return np.array([_number(category) for category in column.categories] + [np.nan])[column.codes]
    classes = classes_of(spec)
    place = {name: float(position) for position, name in enumerate(classes)}
    other = float(len(classes))
    if isinstance(column, CategoricalColumn):
        return np.array([*(place.get(category, other) for category in column.categories), np.nan])[
            column.codes
        ]
    known, inverse = np.unique(column.values, return_inverse=True)
    return np.array([np.nan if np.isnan(v) else place.get(_class_text(v), other) for v in known.tolist()])[
        inverse
    ]


def _class_text(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
