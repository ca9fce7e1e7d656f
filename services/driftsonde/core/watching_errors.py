"""What the windows so far say of a regression's error: the level detector of `watching` on the mean squared error.

u = MSE / the baseline's MSE. Where errors are normal and nothing is wrong, n u is chi-square with n degrees of freedom over the
rows n of a window, so ln(u) / 2 has variance trigamma(n / 2) / 4; how much more it varies (heavy tails, seasons, dependence) is
learned from healthy windows. A drop of `performance.drop` times EFFECTS in RMSE is bet on. A call needs the evidence and, of
the whole model, the window's RMSE beyond its practical bar; it lasts while the evidence does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from driftsonde.core.chunks import WHOLE
from driftsonde.core.plan import Plan
from driftsonde.core.statistics.level_detector import (
    LevelDetector,
    accept_level,
    clear_level,
    error_level,
    level_evidence,
    new_level_detector,
    observe_level,
)
from driftsonde.core.verdict import Metric
from driftsonde.core.window import WindowKey

_ONE = np.ones(1, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class ErrorWatch:
    """The error of a version or segment, whether it is in alarm, and how many windows have been learned."""

    detector: LevelDetector
    alarmed: bool = False
    learned: int = 0


def watch_error(
    known: ErrorWatch | None, key: WindowKey, plan: Plan, metrics: Sequence[Metric], log_bar: float
) -> tuple[ErrorWatch | None, bool | None]:
    """The watch after a window of outcomes, and whether the RMSE is in alarm; None while it learns, or where there is no RMSE
    to hold against a baseline's."""
    rmse = next((metric for metric in metrics if metric.name == "rmse"), None)
    reference = plan.baseline.performance if plan.baseline else None
    if rmse is None or reference is None or reference.metric != "rmse" or reference.value <= 0:
        return known, None
    if math.isnan(rmse.lower):  # absurd numbers say nothing
        return known, None
    known = known or ErrorWatch(new_level_detector((1,)))
    budget = plan.spec.policy.budget
    learning = known.learned < budget.learning_windows
    if learning and rmse.breached:
        return known, None
    level = error_level(rmse.value, reference.value, rmse.n, plan.spec.policy.performance.drop)
    detector = observe_level(known.detector, level, key.window_start_ms, log_bar, not known.alarmed)
    if learning:
        return ErrorWatch(accept_level(detector, _ONE), learned=known.learned + 1), None
    evidence = float(level_evidence(detector)[0])
    large = key.segment != WHOLE or rmse.value > rmse.threshold
    called = evidence > 0 if known.alarmed else evidence >= log_bar and large
    return ErrorWatch(detector, called, known.learned), called


def cleared_error(known: ErrorWatch) -> ErrorWatch:
    """Once an episode is over: its evidence is gone, and what was learned before it stays."""
    return replace(known, detector=clear_level(known.detector, _ONE), alarmed=False)
