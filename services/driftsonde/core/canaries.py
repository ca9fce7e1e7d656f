"""When a new version has shown that it is good enough: the evidence on which a rollout goes on."""

from driftsonde.core.events import Variant
from driftsonde.core.judging import Comparison, ModelState
from driftsonde.core.plan import Plan
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind, derive_id
from driftsonde.core.statistics.anytime import mean_difference_sequence
from driftsonde.core.window import WindowKey

# The variants that are compared with the champion: a shadow answers the same requests, and serves nobody.
COMPARED = (Variant.CANARY, Variant.SHADOW)


def support(state: ModelState, window: WindowKey, plan: Plan) -> list[Signal]:
    """A promote signal for every window after which the version is not worse than the champion by more than the
    margin, with confidence: the whole interval lies above -margin. The rows are all those that both have been judged
    on, so the interval is the one that rollbacks are decided by, and holds at every window at once."""
    rule, known = plan.spec.policy.canary, state.comparisons.get(window.version, Comparison(0))
    champion, canary = known.champion, known.canary
    if known.rolled_back or not champion.labelled or canary.labelled < max(1, rule.min_labels):
        return []
    interval = mean_difference_sequence(
        champion.labelled, champion.correct, canary.labelled, canary.correct, rule.alpha
    )
    if interval.lower <= -rule.margin:
        return []
    end_ms = window.window_start_ms + plan.spec.window_ms
    difference = canary.correct / canary.labelled - champion.correct / champion.labelled
    episode = derive_id("support", window.model, window.version, window.variant, known.since_ms)
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
            summary=(
                f"not worse than the champion by more than {rule.margin:g}: accuracy_difference {difference:+.4g} "
                f"[{interval.lower:.4g}, {interval.upper:.4g}] on {canary.labelled} labelled rows"
            ),
            evidence=(
                Evidence(
                    window.window_start_ms,
                    end_ms,
                    "",
                    "accuracy_difference",
                    difference,
                    -rule.margin,
                    interval.lower,
                    interval.upper,
                    canary.labelled,
                ),
            ),
            baseline=plan.baseline_id,
            policy=plan.policy_id,
        )
    ]
