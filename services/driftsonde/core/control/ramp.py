"""A bandit's ramp: how much of a stage's part of the requests a canary gets.

Thompson sampling gives each request to the arm that is the best one in a draw from what is believed of both, so an arm gets
the probability that it is the best (Thompson, Biometrika 25, 1933). That probability is computed here, and the draw is the
sticky hash by which the router places an entity: nothing random is left, and the same log gives the same split.

It is bounded by what rollouts promise without it. A canary gets no more than its stage's part, and a stage is left as ever:
by the confidence sequence, its own labelled rows and its shortest time. It gets no less than the first stage's part, so that
evidence goes on coming; a canary that is worse is taken back by the judge's signal, not by the ramp.
"""

import math
from dataclasses import replace

from scipy import special

from driftsonde.core.control.rollout import Rollout
from driftsonde.core.signals import Signal
from driftsonde.core.spec import CanaryRule, Ramp, RolloutRule

# A split that hardly changes is not worth telling everybody.
SMALLEST_MOVE = 0.01


def probability_better(signal: Signal, rule: CanaryRule) -> float:
    """That the new version is the better one, by the narrowest interval among the evidence; NaN without one.

    The belief in the difference is normal and as wide as the confidence sequence, which is wider than the rows alone would
    say, so the probability is nearer to a half than it could be.
    """
    known = [entry for entry in signal.evidence if math.isfinite(entry.upper - entry.lower)]
    if not known:
        return math.nan
    entry = min(known, key=lambda it: it.upper - it.lower)
    spread = (entry.upper - entry.lower) / 2 / float(special.ndtri(1 - rule.alpha / 2))
    return float(special.ndtr(entry.value / spread)) if spread > 0 else float(entry.value > 0)


def thompson_weight(probability: float, floor: float, ceiling: float) -> float:
    """The canary's part of the requests, in steps of a thousandth.

    >>> [thompson_weight(it, 0.05, 0.5) for it in (0.01, 0.3, 0.9, float("nan"))]
    [0.05, 0.3, 0.5, 0.05]
    """
    return min(ceiling, max(floor, round(probability, 3))) if probability == probability else floor


def weighed(rollout: Rollout, signal: Signal, way: RolloutRule, rule: CanaryRule) -> Rollout:
    """The rollout with what its present stage's canary is to get; the same one for a shadow, and without a bandit."""
    ceiling = _ceiling(rollout, way)
    if way.ramp is not Ramp.THOMPSON or not ceiling or not rollout.active:
        return rollout
    floor = min(way.stages[0], ceiling)
    weight = thompson_weight(probability_better(signal, rule), floor, ceiling)
    parts = (*rollout.weights[: rollout.stage], weight, *rollout.weights[rollout.stage + 1 :])
    return replace(rollout, weights=parts)


def _ceiling(rollout: Rollout, way: RolloutRule) -> float:
    """The policy's part of this stage; of a rollout that began under another policy, what it has."""
    parts = ((0.0,) if way.shadow else ()) + way.stages
    return parts[rollout.stage] if len(parts) == len(rollout.weights) else rollout.weights[rollout.stage]
