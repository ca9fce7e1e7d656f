"""What the windows so far say of a version's columns: e-BH over their level detectors, each of a column's PSI.

A call needs the evidence and the PSI of the window at its practical bar; it lasts while the evidence does.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from driftsonde.core.inputs import InputsLayout
from driftsonde.core.page_budget import DRIFT, log_page_bar
from driftsonde.core.plan import Plan
from driftsonde.core.statistics.counts import FloatArray
from driftsonde.core.statistics.discovery import e_benjamini_hochberg
from driftsonde.core.statistics.level_detector import (
    Level,
    LevelDetector,
    accept_level,
    clear_level,
    level_evidence,
    level_of_psi,
    new_level_detector,
    observe_level,
)
from driftsonde.core.verdict import Metric, distance_bins

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DriftWatch:
    """The columns of a version, those in alarm, and how many windows have been learned."""

    columns: tuple[str, ...]
    detector: LevelDetector
    alarmed: frozenset[str] = frozenset()
    learned: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class LevelWindow:
    """What a window says of the `names` of a `DriftWatch`, in their order: where they lie, which were `seen` at all, which are
    `large`, at their practical bar, so that they may be called, and of which a call of before `lasts` with its evidence."""

    names: tuple[str, ...]
    level: Level
    seen: Flags
    large: Flags
    lasts: Flags


def watch_drift(
    before: DriftWatch | None, start_ms: int, plan: Plan, metrics: Sequence[Metric]
) -> tuple[DriftWatch | None, frozenset[str] | None]:
    """The watch after a window of the whole model, and the columns called; None while it learns, or without columns."""
    psis = {metric.column: metric for metric in metrics if metric.name == "psi" and metric.n > 0}
    columns = tuple(reference.name for reference in plan.inputs.references)
    if not columns:
        return before, None
    known = before
    if known is None or known.columns != columns:
        known = DriftWatch(columns, new_level_detector((len(columns),)))
    budget, rule = plan.spec.policy.budget, plan.spec.policy.drift
    learning = known.learned < budget.learning_windows
    if learning and any(metric.breached for metric in psis.values()):
        return before, None
    seen = np.array([column in psis for column in columns])
    values, freedom, inverse_rows = _distances(plan, columns, psis)
    level = level_of_psi(values, freedom, inverse_rows, rule.psi)
    # A column without rows is as usual: no evidence, nothing learned.
    level = replace(level, value=np.where(seen, level.value, level.expected))
    found = LevelWindow(columns, level, seen=seen, large=seen & (values >= rule.psi), lasts=seen)
    return watch_levels(known, found, start_ms, log_page_bar(plan, DRIFT), learning)


def watch_levels(
    known: DriftWatch, found: LevelWindow, start_ms: int, log_bar: float, learning: bool
) -> tuple[DriftWatch, frozenset[str] | None]:
    """The watch after a window, and the names that are called; None while it learns. What is in alarm is not learned."""
    is_called = np.array([name in known.alarmed for name in found.names])
    among = len(found.names)
    detector = observe_level(
        known.detector, found.level, start_ms, log_bar + math.log(among), found.seen & ~is_called
    )
    if learning:
        detector = accept_level(detector, np.ones(among, dtype=np.bool_))
        return DriftWatch(known.columns, detector, learned=known.learned + 1), None
    evidence = level_evidence(detector)
    new = e_benjamini_hochberg(evidence, log_bar) & found.large
    lasting = is_called & found.lasts & (evidence > 0)
    called = frozenset(np.array(found.names)[new | lasting].tolist())
    return DriftWatch(known.columns, detector, called, known.learned), called


def cleared_drift(known: DriftWatch) -> DriftWatch:
    """Once an episode is over: its evidence is gone, and what was learned before it stays."""
    detector = clear_level(known.detector, np.ones(known.detector.since_ms.shape, dtype=np.bool_))
    return replace(known, detector=detector, alarmed=frozenset())


def _distances(
    plan: Plan, columns: tuple[str, ...], psis: Mapping[str, Metric]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(PSI, degrees of freedom, 1/N + 1/M) of each column; of one without rows, those of a window of one row."""
    values = np.array([psis[column].value if column in psis else 0.0 for column in columns])
    rows = np.array([psis[column].n if column in psis else 1.0 for column in columns])
    freedom, reference_rows = _reference_sizes(plan.inputs)
    return values, freedom, 1 / rows + 1 / reference_rows


@lru_cache(maxsize=256)
def _reference_sizes(layout: InputsLayout) -> tuple[FloatArray, FloatArray]:
    """(degrees of freedom, rows) of each column of a baseline, at least 1."""
    counts = [distance_bins(reference, reference.counts) for reference in layout.references]
    freedom = np.array([max(1.0, float((count > 0).sum() - 1)) for count in counts])
    return freedom, np.array([max(1.0, float(count.sum())) for count in counts])
