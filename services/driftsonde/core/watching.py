"""What the windows so far say together: the evidence of a model's champion, by version, and what it calls.

It is one value of the model's state, moved on by every judged window. Until a version's healthy windows are enough to know
what is usual (`Budget.learning_windows`), nothing is called here, and each window is held against its bars by itself; windows that
breach those are not learned. From then on an alarm needs evidence that keeps the budget:

    bar = windows in the period / false pages allowed (`page_budget`: how these are shared out);
    drift: e-BH over the columns' e-detectors, and the PSI of the window at its practical bar when it begins;
    quality: likewise over the columns' rates (`watching_quality`), and the model's rows (`watching_volume`);
    performance: accuracy, or a regression's error (`watching_errors`), of the whole model and of its segments.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from driftsonde.core.chunks import WHOLE
from driftsonde.core.inputs import InputsLayout
from driftsonde.core.page_budget import DRIFT, OUTCOMES, SEGMENTS, log_page_bar
from driftsonde.core.plan import Plan
from driftsonde.core.signals import Rule
from driftsonde.core.spec import Task
from driftsonde.core.statistics.counts import FloatArray
from driftsonde.core.statistics.discovery import e_benjamini_hochberg
from driftsonde.core.statistics.level_detector import (
    LevelDetector,
    accept_level,
    clear_level,
    level_evidence,
    level_of_psi,
    new_level_detector,
    observe_level,
)
from driftsonde.core.statistics.rate_detector import (
    RateDetector,
    accept_rate,
    clear_rate,
    new_rate_detector,
    observe_rate,
)
from driftsonde.core.verdict import Metric, distance_bins
from driftsonde.core.watching_errors import ErrorWatch, cleared_error, watch_error
from driftsonde.core.watching_quality import QualityWatch, cleared_quality, watch_quality
from driftsonde.core.watching_volume import VolumeWatch, cleared_volume
from driftsonde.core.window import WindowKey

_GUESS_ROWS = 50


@dataclass(frozen=True, slots=True)
class DriftWatch:
    """The columns of a version, those in alarm, and how many windows have been learned."""

    columns: tuple[str, ...]
    detector: LevelDetector
    alarmed: frozenset[str] = frozenset()
    learned: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """drift, quality: by version. performance, and errors of a regression: by version and segment.
    volume: of the model, whose versions share its rows."""

    drift: Mapping[str, DriftWatch] = field(default_factory=dict)
    performance: Mapping[tuple[str, str], RateDetector] = field(default_factory=dict)
    quality: Mapping[str, QualityWatch] = field(default_factory=dict)
    errors: Mapping[tuple[str, str], ErrorWatch] = field(default_factory=dict)
    volume: VolumeWatch | None = None

    def drift_of(self, versions: Collection[str]) -> "Watch":
        """Without the inputs of other versions: they serve no longer, and the state stays bounded."""
        return replace(
            self,
            drift={version: one for version, one in self.drift.items() if version in versions},
            quality={version: one for version, one in self.quality.items() if version in versions},
        )

    def performance_of(self, versions: Collection[str]) -> "Watch":
        """Without the outcomes of other versions."""
        return replace(
            self,
            performance={key: one for key, one in self.performance.items() if key[0] in versions},
            errors={key: one for key, one in self.errors.items() if key[0] in versions},
        )


def watch_drift(
    watch: Watch, key: WindowKey, plan: Plan, metrics: Sequence[Metric]
) -> tuple[Watch, frozenset[str] | None]:
    """The watch after a window of the whole model, and the columns called; None while it learns."""
    psis = {metric.column: metric for metric in metrics if metric.name == "psi" and metric.n > 0}
    columns = tuple(reference.name for reference in plan.inputs.references)
    if not columns:
        return watch, None
    known = watch.drift.get(key.version)
    if known is None or known.columns != columns:
        known = DriftWatch(columns, new_level_detector((len(columns),)))
    budget, rule = plan.spec.policy.budget, plan.spec.policy.drift
    learning = known.learned < budget.learning_windows
    if learning and any(metric.breached for metric in psis.values()):
        return watch, None
    seen = np.array([column in psis for column in columns])
    values, freedom, inverse_rows = _distances(plan, columns, psis)
    level = level_of_psi(values, freedom, inverse_rows, rule.psi)
    # A column without rows is as usual: no evidence, nothing learned.
    level = replace(level, value=np.where(seen, level.value, level.expected))
    bar = log_page_bar(plan, DRIFT)
    learns = seen & np.array([column not in known.alarmed for column in columns])
    detector = observe_level(known.detector, level, key.window_start_ms, bar + math.log(len(columns)), learns)
    if learning:
        detector = accept_level(detector, np.ones(len(columns), dtype=np.bool_))
        after = DriftWatch(columns, detector, learned=known.learned + 1)
        return replace(watch, drift={**watch.drift, key.version: after}), None
    evidence = level_evidence(detector)
    new = e_benjamini_hochberg(evidence, bar) & seen & (values >= rule.psi)
    lasting = ~learns & seen & (evidence > 0)
    called = frozenset(np.array(columns)[new | lasting].tolist())
    after = DriftWatch(columns, detector, called, known.learned)
    return replace(watch, drift={**watch.drift, key.version: after}), called


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


def watch_performance(
    watch: Watch, key: WindowKey, plan: Plan, metrics: Sequence[Metric]
) -> tuple[Watch, bool | None]:
    """The watch after a window of outcomes, and whether accuracy (of a regression: its RMSE) is in alarm; None while it learns,
    or where there is nothing to hold against a baseline's."""
    if plan.spec.task is Task.REGRESSION:
        return _watch_error(watch, key, plan, metrics)
    accuracy = next((metric for metric in metrics if metric.name == "accuracy"), None)
    reference = plan.baseline.performance if plan.baseline else None
    if accuracy is None or reference is None or reference.metric != "accuracy" or reference.n <= 0:
        return watch, None
    identity = (key.version, key.segment)
    known = watch.performance.get(identity)
    if known is None:
        # The baseline is of the whole model: of a segment it is a first guess, to be outvoted by the healthy windows.
        rows = reference.n if key.segment == WHOLE else min(reference.n, _GUESS_ROWS)
        known = new_rate_detector((1 - reference.value) * rows, float(rows))
    budget, rule = plan.spec.policy.budget, plan.spec.policy.performance
    learning = float(known.windows) < budget.learning_windows
    if learning and accuracy.breached:
        return watch, None
    bar = _performance_bar(key, plan)
    wrong = round((1 - accuracy.value) * accuracy.n)
    after = observe_rate(known, float(wrong), float(accuracy.n), key.window_start_ms, rule.drop, bar)
    if learning:
        after = accept_rate(after)
    called = None if learning else bool(after.alarmed)
    return replace(watch, performance={**watch.performance, identity: after}), called


def _watch_error(
    watch: Watch, key: WindowKey, plan: Plan, metrics: Sequence[Metric]
) -> tuple[Watch, bool | None]:
    identity = (key.version, key.segment)
    after, called = watch_error(watch.errors.get(identity), key, plan, metrics, _performance_bar(key, plan))
    return watch if after is None else replace(watch, errors={**watch.errors, identity: after}), called


def _performance_bar(key: WindowKey, plan: Plan) -> float:
    if key.segment == WHOLE:
        return log_page_bar(plan, OUTCOMES)
    return log_page_bar(plan, SEGMENTS, max(1, len(plan.slicing.labels) - 1))


def watch_rates(
    watch: Watch, key: WindowKey, plan: Plan, metrics: Sequence[Metric]
) -> tuple[Watch, frozenset[tuple[str, str]] | None]:
    """The watch after a window of the whole model, and the quality rates called, (column, name); None while it learns."""
    after, called = watch_quality(watch.quality.get(key.version), plan, metrics)
    return watch if after is None else replace(watch, quality={**watch.quality, key.version: after}), called


def start_anew(watch: Watch, version: str, segment: str, rule: Rule) -> Watch:
    """Once an episode of the rule is over: its evidence is gone, and what was learned before it stays."""
    identity = (version, segment)
    if rule is Rule.DRIFT and version in watch.drift:
        known = watch.drift[version]
        detector = clear_level(known.detector, np.ones(len(known.columns), dtype=np.bool_))
        after = replace(known, detector=detector, alarmed=frozenset())
        return replace(watch, drift={**watch.drift, version: after})
    if rule is Rule.QUALITY:
        quality = dict(watch.quality)
        if version in quality:
            quality[version] = cleared_quality(quality[version])
        volume = watch.volume and cleared_volume(watch.volume)
        return replace(watch, quality=quality, volume=volume)
    if rule is Rule.PERFORMANCE and identity in watch.errors:
        return replace(watch, errors={**watch.errors, identity: cleared_error(watch.errors[identity])})
    if rule is Rule.PERFORMANCE and identity in watch.performance:
        rate = watch.performance[identity]
        cleared = clear_rate(rate, np.ones(rate.alarmed.shape, dtype=np.bool_))
        return replace(watch, performance={**watch.performance, identity: cleared})
    return watch
