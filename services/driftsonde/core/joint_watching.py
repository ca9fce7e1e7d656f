"""What the windows so far say of many columns together: the level detector of `watching` on two numbers of each window.

u of the Mahalanobis shift is D^2 / (d (1/N + 1/M)), of the reconstruction error the square of its rise over the baseline's in
standard errors: both about chi-square over its degrees of freedom, d and 1, where rows are independent and nothing is wrong.
So, like PSI, they are learned from healthy windows and their season, and a call needs the evidence and the practical bar. It
lasts as long as there is evidence and half the effect of the bar: one degree of freedom forgets slowly by itself.
"""

from collections.abc import Sequence

import numpy as np

from driftsonde.core.baseline import Joint
from driftsonde.core.joint_numbers import RECONSTRUCTION, SHIFT, reference_rows, usual_reconstruction
from driftsonde.core.page_budget import JOINT, log_page_bar
from driftsonde.core.plan import Plan
from driftsonde.core.spec import MultivariateRule
from driftsonde.core.statistics.counts import FloatArray
from driftsonde.core.statistics.level_detector import Level, level_of_psi, new_level_detector
from driftsonde.core.verdict import Metric
from driftsonde.core.watching_drift import DriftWatch, LevelWindow, watch_levels

NUMBERS = (SHIFT, RECONSTRUCTION)


def watch_joint(
    known: DriftWatch | None, start_ms: int, plan: Plan, metrics: Sequence[Metric]
) -> tuple[DriftWatch | None, frozenset[str] | None]:
    """The watch after a window, and which of the two numbers are called; None while it learns, or without them."""
    found = {metric.name: metric for metric in metrics if metric.name in NUMBERS and not metric.column}
    if plan.joint is None or set(found) != set(NUMBERS):
        return known, None
    budget, rule = plan.spec.policy.budget, plan.spec.policy.multivariate
    identity = (*NUMBERS, plan.joint_layout)  # what was learned against another baseline says nothing
    if known is None or known.columns != identity:
        known = DriftWatch(identity, new_level_detector((len(NUMBERS),)))
    learning = known.learned < budget.learning_windows
    if learning and any(metric.breached for metric in found.values()):
        return known, None
    values = np.array([found[name].value for name in NUMBERS])
    level, size = _level(plan.joint, rule, values, found[SHIFT].n)
    seen = np.ones(len(NUMBERS), dtype=np.bool_)
    window = LevelWindow(NUMBERS, level, seen=seen, large=size >= 1, lasts=size >= 0.5)
    return watch_levels(known, window, start_ms, log_page_bar(plan, JOINT), learning)


def _level(joint: Joint, rule: MultivariateRule, values: FloatArray, rows: int) -> tuple[Level, FloatArray]:
    """The level of both numbers, and how large their effects are in their practical bars."""
    inverse_rows = np.full(len(NUMBERS), 1 / rows + 1 / reference_rows(joint))
    usual = usual_reconstruction(joint)
    bars = np.array([rule.shift, usual * (1 + rule.reconstruction)])
    # A reconstruction that is no worse than usual is none; without a deviation there is nothing to compare with.
    deviation = joint.residual_deviation or np.inf
    squares, effects = (
        np.array([shift**2, (max(0.0, error**2 - usual**2) / deviation) ** 2])
        for shift, error in (values, bars)
    )
    freedom = np.array([max(1.0, float((joint.spread > 0).sum())), 1.0])
    levels = [
        level_of_psi(squares[[n]], freedom[[n]], inverse_rows[[n]], max(float(effects[n]), 1e-12))
        for n in range(len(NUMBERS))
    ]
    parts = zip(*((one.u, one.value, one.variance, one.expected, one.added) for one in levels), strict=True)
    return Level(*(np.concatenate(part) for part in parts)), np.sqrt(squares / np.maximum(effects, 1e-12))
