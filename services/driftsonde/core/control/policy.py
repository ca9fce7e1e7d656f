"""From a signal that asks for an action to what may be done about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from driftsonde.core.control.costing import Worth
from driftsonde.core.control.decisions import Step
from driftsonde.core.control.traffic import Traffic, share_of
from driftsonde.core.events import Variant
from driftsonde.core.iso_time import span_text
from driftsonde.core.signals import Signal
from driftsonde.core.spec import HOUR_MS, ActionPolicy, CanaryRule, Mode, PromotionRule, RolloutRule

WEEK_MS = 7 * 24 * HOUR_MS
BUDGET_PERIOD_MS = 30 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Governance:
    """The part of a model's policy that the controller applies, the fingerprint of the whole, whose model it is, and what it
    is worth."""

    actions: ActionPolicy
    fingerprint: str
    owner: str = ""
    rollout: RolloutRule = field(default_factory=RolloutRule)
    promotion: PromotionRule = field(default_factory=PromotionRule)
    worth: Worth = field(default_factory=Worth)
    canary: CanaryRule = field(default_factory=CanaryRule)


@dataclass(frozen=True, slots=True)
class Ruling:
    """The first step of a decision, and why."""

    step: Step
    reason: str


_BY_MODE = {
    Mode.OBSERVE: Ruling(Step.OBSERVED, "the policy observes: nothing is done"),
    Mode.RECOMMEND: Ruling(Step.PROPOSED, "the policy asks a person to approve"),
    Mode.AUTO: Ruling(Step.DECIDED, "the policy acts by itself"),
}


@dataclass(frozen=True, slots=True)
class Brakes:
    """What holds back the automation: who stopped it and why, and until when there is maintenance; "" = nothing."""

    stopped: str = ""
    maintenance: str = ""


def rule(mode: Mode, obstacle: str, brakes: Brakes) -> Ruling:
    """What becomes of an action that a signal asks for; `obstacle` says why it cannot be done, "" if it can.

    A policy that only observes never comes to the obstacle: nothing would be done anyway. Automation that is stopped
    leaves the action to a person; during maintenance nothing is done automatically, and nobody asked.
    """
    if obstacle and mode is not Mode.OBSERVE:
        return Ruling(Step.SUPPRESSED, obstacle)
    if mode is Mode.AUTO and brakes.maintenance:
        return Ruling(Step.SUPPRESSED, f"nothing is done automatically during {brakes.maintenance}")
    if mode is Mode.AUTO and brakes.stopped:
        return Ruling(Step.PROPOSED, f"automation is stopped by {brakes.stopped}; a person may approve")
    return _BY_MODE[mode]


def retrain_obstacle(
    event_ms: int,
    retrainings_ms: Sequence[int],
    proposal: str,
    broken: str,
    actions: ActionPolicy,
    retrain_configured: bool,
) -> str:
    """Why a model may not be retrained now; "" if it may.

    Cool-down, number a week and budget count event time, so that a policy tried on last month's log decides as it would have
    then. `retrainings_ms` are the event times of the latest retrainings, `proposal` the id of one that waits for
    approval, `broken` that of an incident of the model's data quality that is not resolved; "" for none.
    """
    if not retrain_configured:
        return "nobody who retrains is configured"
    if proposal:
        return f"retraining is proposed already, decision {proposal}"
    if broken:
        return f"the data is broken: incident {broken} is about its quality and not resolved"
    recent = sum(event_ms - past_ms < WEEK_MS for past_ms in retrainings_ms)
    if recent >= actions.retrain_per_week:
        return f"{recent} retrainings in a week, the policy allows {actions.retrain_per_week}"
    spent = actions.retrain_cost * sum(event_ms - past_ms < BUDGET_PERIOD_MS for past_ms in retrainings_ms)
    if actions.retrain_budget and spent + actions.retrain_cost > actions.retrain_budget:
        return (
            f"budget: {spent:g} of {actions.retrain_budget:g} is spent in 30 days, "
            f"one retraining costs {actions.retrain_cost:g}"
        )
    last_ms = max(retrainings_ms, default=None)
    if last_ms is not None and event_ms - last_ms < actions.retrain_cooldown_ms:
        return (
            f"cool-down: the last retraining was {span_text(event_ms - last_ms)} earlier, "
            f"the policy asks for {span_text(actions.retrain_cooldown_ms)}"
        )
    return ""


def rollback_obstacle(traffic: Traffic | None, signal: Signal, replaced: str) -> str:
    """Why a version can't be rolled back now; "" if it can. `replaced`: the champion in whose place a rollout put it; "" for
    none."""
    if traffic is None:
        return "no traffic split is known for this model"
    share = share_of(traffic, signal.version)
    if share is None:
        return f"version {signal.version} does not serve any more"
    if share.variant is Variant.CHAMPION and not (replaced and signal.variant is Variant.CHAMPION):
        return f"version {signal.version} is the champion: there is no other version to go back to"
    return ""
