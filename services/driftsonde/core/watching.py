"""What the windows so far say together: the evidence of a model's champion, by version, and what it calls.

It is one value of the model's state, moved on by every judged window. Until a version's healthy windows are enough to know
what is usual (`Budget.learning_windows`), nothing is called here, and each window is held against its bars by itself; windows that
breach those are not learned. From then on an alarm needs evidence that keeps the budget:

    bar = windows in the period / false pages allowed (`page_budget`: how these are shared out);
    drift: the columns (`watching_drift`), and many of them together (`joint_watching`);
    quality: the columns' rates (`watching_quality`), and the model's rows (`watching_volume`);
    performance: accuracy, or a regression's error (`watching_errors`), of the whole model and of its segments.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from driftsonde.core.chunks import WHOLE
from driftsonde.core.joint_watching import watch_joint
from driftsonde.core.page_budget import OUTCOMES, SEGMENTS, log_page_bar
from driftsonde.core.plan import Plan
from driftsonde.core.signals import Rule
from driftsonde.core.spec import Task
from driftsonde.core.statistics.rate_detector import (
    RateDetector,
    accept_rate,
    clear_rate,
    new_rate_detector,
    observe_rate,
)
from driftsonde.core.verdict import Metric
from driftsonde.core.watching_drift import DriftWatch, cleared_drift, watch_drift
from driftsonde.core.watching_errors import ErrorWatch, cleared_error, watch_error
from driftsonde.core.watching_quality import QualityWatch, cleared_quality, watch_quality
from driftsonde.core.watching_volume import VolumeWatch, cleared_volume
from driftsonde.core.window import WindowKey

_GUESS_ROWS = 50


@dataclass(frozen=True, slots=True)
class Watch:
    """drift, quality, joint (many columns together): by version. performance, and errors of a regression: by version and segment.
    volume: of the model, whose versions share its rows."""

    drift: Mapping[str, DriftWatch] = field(default_factory=dict)
    performance: Mapping[tuple[str, str], RateDetector] = field(default_factory=dict)
    quality: Mapping[str, QualityWatch] = field(default_factory=dict)
    errors: Mapping[tuple[str, str], ErrorWatch] = field(default_factory=dict)
    volume: VolumeWatch | None = None
    joint: Mapping[str, DriftWatch] = field(default_factory=dict)

    def drift_of(self, versions: Collection[str]) -> "Watch":
        """Without the inputs of other versions: they serve no longer, and the state stays bounded."""
        return replace(
            self,
            drift={version: one for version, one in self.drift.items() if version in versions},
            quality={version: one for version, one in self.quality.items() if version in versions},
            joint={version: one for version, one in self.joint.items() if version in versions},
        )

    def performance_of(self, versions: Collection[str]) -> "Watch":
        """Without the outcomes of other versions."""
        return replace(
            self,
            performance={key: one for key, one in self.performance.items() if key[0] in versions},
            errors={key: one for key, one in self.errors.items() if key[0] in versions},
        )


def watch_columns(
    watch: Watch, key: WindowKey, plan: Plan, metrics: Sequence[Metric]
) -> tuple[Watch, frozenset[str] | None]:
    """The watch after a window of the whole model, and the columns called; None while it learns."""
    after, called = watch_drift(watch.drift.get(key.version), key.window_start_ms, plan, metrics)
    return watch if after is None else replace(watch, drift={**watch.drift, key.version: after}), called


def watch_together(
    watch: Watch, key: WindowKey, plan: Plan, metrics: Sequence[Metric]
) -> tuple[Watch, frozenset[str] | None]:
    """The watch after a window of the whole model, and the numbers of many columns together called; None while it learns."""
    after, called = watch_joint(watch.joint.get(key.version), key.window_start_ms, plan, metrics)
    return watch if after is None else replace(watch, joint={**watch.joint, key.version: after}), called


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
        return replace(watch, drift={**watch.drift, version: cleared_drift(watch.drift[version])})
    if rule is Rule.MULTIVARIATE and version in watch.joint:
        return replace(watch, joint={**watch.joint, version: cleared_drift(watch.joint[version])})
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
