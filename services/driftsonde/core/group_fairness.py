"""Fairness of one window between the groups of each protected column. Numbers with the bars they are held against; no rule."""

from collections.abc import Mapping

from driftsonde.core.outcomes import confusion_of
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import Task
from driftsonde.core.statistics.fairness import FairnessBars, disparities
from driftsonde.core.statistics.performance import BinaryOutcomes
from driftsonde.core.verdict import Metric


def judge_fairness(plan: Plan, outcomes: Mapping[str, Sketch], judged: bool = False) -> list[Metric]:
    """The disparities of a binary task; `outcomes`: the window's sketch of outcomes by segment, as many as there are.

    Confidence and the fewest rows behind a group's rate are those of the policy's performance rule. One metric a disparity,
    its `column` the protected one. A value is NaN where a verdict is refused for too few rows; the metric is there all the
    same, since a corrected label may have taken away what was known. None without a labelled group. judged: whether the window
    counts for or against; then a number is breached where its whole interval is beyond its bar.
    """
    if plan.spec.task is not Task.BINARY:
        return []
    rule, bar = plan.spec.policy.performance, plan.spec.policy.fairness
    bars = FairnessBars(bar.difference, bar.ratio, rule.confidence, max(1, rule.min_labels))
    metrics: list[Metric] = []
    for column in plan.protected:
        groups = {
            value: binary_outcomes(plan, outcomes[segment])
            for value, segment in column.groups
            if segment in outcomes
        }
        if not any(group.n for group in groups.values()):
            continue
        metrics.extend(
            Metric(
                column.name,
                found.name,
                found.n,
                found.value,
                found.interval.lower,
                found.interval.upper,
                found.bar,
                judged and found.within is False,
            )
            for found in disparities(groups, bars)
        )
    return metrics


def binary_outcomes(plan: Plan, sketch: Sketch) -> BinaryOutcomes:
    """The confusion counts of a binary task; a value outside the two classes is no positive. Counts that corrections have
    brought below 0, while their other half is under way, are 0."""
    confusion = confusion_of(plan.outcomes, sketch)
    tp = int(confusion[1, 1])
    fn, fp = int(confusion[1].sum()) - tp, int(confusion[:, 1].sum()) - tp
    tn = int(confusion.sum()) - tp - fn - fp
    return BinaryOutcomes(tp=max(0, tp), fp=max(0, fp), tn=max(0, tn), fn=max(0, fn))
