"""When a new version has shown that it is good enough: the evidence on which a rollout goes on."""

from driftsonde.core.contest import Comparison, differences
from driftsonde.core.events import Variant
from driftsonde.core.judging import ModelState
from driftsonde.core.plan import Plan
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind, derive_id
from driftsonde.core.spec import Task
from driftsonde.core.window import WindowKey

# The variants that are compared with the champion: a shadow answers the same requests, and serves nobody.
COMPARED = (Variant.CANARY, Variant.SHADOW)


def support(state: ModelState, window: WindowKey, plan: Plan) -> list[Signal]:
    """A promote signal for every window after which the version is not worse than the champion by more than the
    margin, with confidence: a whole interval lies above -margin. The rows are all those that both have been judged
    on, so the intervals are those that rollbacks are decided by, and hold at every window at once."""
    rule, known = plan.spec.policy.canary, state.comparisons.get(window.version, Comparison(0))
    if known.rolled_back:
        return []
    good = [
        metric
        for metric in differences(known, rule, plan.spec.task is Task.REGRESSION)
        if metric.n >= max(1, rule.min_labels) and metric.lower > metric.threshold
    ]
    if not good:
        return []
    end_ms = window.window_start_ms + plan.spec.window_ms
    episode = derive_id("support", window.model, window.version, window.variant, known.since_ms)
    numbers = ", ".join(
        f"{metric.name} {metric.value:+.4g} [{metric.lower:.4g}, {metric.upper:.4g}] on {metric.n} labelled rows"
        for metric in good
    )
    return [
        Signal(
            id=derive_id(SignalKind.PROMOTE, episode, window.window_start_ms),
            kind=SignalKind.PROMOTE,
            rule=Rule.CANARY,
            model=window.model,
            version=window.version,
            variant=window.variant,
            segment=window.segment,
            window_start_ms=window.window_start_ms,
            window_end_ms=end_ms,
            since_ms=known.since_ms,
            episode=episode,
            summary=f"not worse than the champion by more than {rule.margin:g}: {numbers}",
            evidence=tuple(
                Evidence(
                    window.window_start_ms,
                    end_ms,
                    "",
                    metric.name,
                    metric.value,
                    metric.threshold,
                    metric.lower,
                    metric.upper,
                    metric.n,
                )
                for metric in good
            ),
            baseline=plan.baseline_id,
            policy=plan.policy_id,
        )
    ]
