"""What moves a rollout: the judge's signals, people, and time."""

from collections.abc import Iterator
from dataclasses import replace

from driftsonde.core.control.criteria import lacking
from driftsonde.core.control.decisions import CONTROLLER, Decision, Detail, Kind, Step
from driftsonde.core.control.gate import gate
from driftsonde.core.control.inputs import (
    Refused,
    RolloutChange,
    RolloutStart,
    RolloutWish,
    Setting,
    Unknown,
)
from driftsonde.core.control.making import (
    about,
    before_champion,
    by_person,
    numbered_id,
    obstacle_to,
    shown_before_champion,
    told,
    with_action,
    with_rollout,
)
from driftsonde.core.control.policy import Brakes, Ruling, rule
from driftsonde.core.control.proving import proofs
from driftsonde.core.control.quiet import maintenance_of
from driftsonde.core.control.ramp import SMALLEST_MOVE, probability_better, weighed
from driftsonde.core.control.rollout import Rollout, RolloutStatus, advanced, begun, start_obstacle
from driftsonde.core.control.state import ModelState, State
from driftsonde.core.control.traffic import share_of
from driftsonde.core.events import Variant
from driftsonde.core.signals import Signal
from driftsonde.core.spec import Late, Mode


def on_promote(
    model: ModelState, signal: Signal, brakes: Brakes, now_ms: int, setting: Setting
) -> list[Decision]:
    """The judge finds a version good enough: the policy says whether it goes on.

    The judge says so in every window. What would only repeat the last answer is not a decision.
    """
    actions = setting.governance(signal.model).actions
    ruling = rule(actions.promote, obstacle_to(model, signal, model.event_ms, now_ms, setting), brakes)
    if ruling.step is Step.SUPPRESSED and not (brakes.stopped or brakes.maintenance):
        ramped = _ramped(model, signal, actions.promote, now_ms, setting)
        if ramped is not None:
            return [ramped]
    if ruling.step in (Step.OBSERVED, Step.SUPPRESSED) and _said(model, signal.version) == ruling:
        return []
    expires_ms = now_ms + actions.approval_expiry_ms if ruling.step is Step.PROPOSED else 0
    acts = ruling.step in (Step.PROPOSED, Step.DECIDED)
    grounds = (ruling.reason, *(shown_before_champion(model, setting) if acts else ()))
    detail = Detail(reason="; ".join(grounds), signal=signal, expires_ms=expires_ms)
    decision = replace(about(signal, ruling.step, now_ms, setting, detail, actions.promote), incident="")
    if ruling.step is Step.DECIDED:
        decision = with_action(decision, model, signal, setting)
    return [decision if ruling.step is Step.SUPPRESSED else told(decision, setting)]


def _ramped(model: ModelState, signal: Signal, mode: Mode, now_ms: int, setting: Setting) -> Decision | None:
    """While a stage is not to be left yet: the part that a bandit gives its canary, if that has changed."""
    rollout, governance = model.rollout, setting.governance(model.model)
    if rollout is None or rollout.version != signal.version or rollout.status is not RolloutStatus.RUNNING:
        return None
    after = weighed(rollout, signal, governance.rollout, governance.canary)
    moved = abs(after.weights[after.stage] - rollout.weights[rollout.stage])
    if mode is not Mode.AUTO or moved < SMALLEST_MOVE or gate(model, rollout.version).reasons:
        return None
    chance = probability_better(signal, governance.canary)
    detail = Detail(
        reason=f"Thompson sampling: the better one with probability {chance:.3f}; {after.at}", signal=signal
    )
    decision = replace(about(signal, Step.DECIDED, now_ms, setting, detail, mode), incident="")
    return told(with_rollout(decision, model, after), setting)


def _said(model: ModelState, version: str) -> Ruling | None:
    """What was last said about this version's next stage."""
    for record in reversed(tuple(model.records.values())):
        if record.first.kind is Kind.PROMOTE and record.first.version == version:
            return Ruling(record.last.step, record.last.detail.reason)
    return None


def on_rollout_start(model: ModelState, start: RolloutStart, now_ms: int, setting: Setting) -> list[Decision]:
    obstacle = start_obstacle(model.traffic, model.rollout, start.version)
    if obstacle:
        raise Refused(obstacle)
    assert model.traffic is not None, "an obstacle otherwise"
    governance = setting.governance(model.model)
    missing = lacking(model, start.version, governance.promotion, governance.owner)
    if missing:
        raise Refused(f"version {start.version} may not go to production; missing: {'; '.join(missing)}")
    rollout = begun(
        numbered_id(Kind.ROLLOUT, model), model.traffic, start.version, governance.rollout, now_ms
    )
    return [_moved(model, rollout, start.actor, start.reason, now_ms, setting)]


def on_rollout_change(
    model: ModelState, change: RolloutChange, now_ms: int, setting: Setting
) -> list[Decision]:
    """Asking for what is so already changes nothing, so rolling back twice is rolling back once."""
    rollout = model.rollout
    if rollout is None:
        raise Unknown(f"no rollout of model {model.model!r} is known")
    champion = share_of(model.traffic, rollout.version)
    if rollout.status is RolloutStatus.PROMOTED and (
        champion is None or champion.variant is not Variant.CHAMPION
    ):
        raise Refused(f"version {rollout.version} is not the champion any more")
    after = _wished(rollout, change.wish, now_ms)
    if after == rollout:
        return []
    if after.status is RolloutStatus.PROMOTED:
        rule = setting.governance(model.model).promotion.production
        shown = proofs(model, rollout.version, rule, setting.live(model.model))
        missing = [f"{it.name}: {it.found}" for it in shown if not it.met]
        if missing:
            raise Refused(f"version {rollout.version} may not be the champion; missing: {'; '.join(missing)}")
    return [_moved(model, after, change.actor, change.reason, now_ms, setting)]


def _wished(rollout: Rollout, wish: RolloutWish, now_ms: int) -> Rollout:
    """The rollout as a person wants it. A promoted version can be rolled back, as long as no newer rollout began."""
    match wish:
        case RolloutWish.ROLLBACK if rollout.status is RolloutStatus.ROLLED_BACK:
            return rollout
        case RolloutWish.ROLLBACK:
            return replace(rollout, status=RolloutStatus.ROLLED_BACK, since_ms=now_ms)
        case RolloutWish.PROMOTE if rollout.status is RolloutStatus.PROMOTED:
            return rollout
        case _ if not rollout.active:
            raise Refused(f"the rollout of version {rollout.version} is over: {rollout.at}")
        case RolloutWish.PAUSE:
            return replace(rollout, status=RolloutStatus.PAUSED)
        case RolloutWish.RESUME if rollout.status is RolloutStatus.PAUSED:
            # The stage begins anew: what it waited for may have come and gone during the pause.
            return replace(rollout, status=RolloutStatus.RUNNING, since_ms=now_ms)
        case RolloutWish.RESUME:
            return rollout
        case RolloutWish.ADVANCE:
            return advanced(rollout, now_ms, rollout.labels)
        case RolloutWish.PROMOTE:
            return replace(rollout, status=RolloutStatus.PROMOTED, since_ms=now_ms)


def late_stages(state: State, now_ms: int, setting: Setting) -> Iterator[Decision]:
    """What becomes of the stages that have lasted their longest: the policy says; what it may not do is left to people."""
    for model in state.models.values():
        rollout, governance = model.rollout, setting.governance(model.model)
        way = governance.rollout
        if rollout is None or rollout.status is not RolloutStatus.RUNNING:
            continue
        if now_ms - rollout.since_ms < way.max_stage_ms:
            continue
        held = bool(state.stopped(model.model) or maintenance_of(model, now_ms))
        after, reason = replace(rollout, status=RolloutStatus.PAUSED), "not enough evidence in time"
        if way.when_late is Late.ADVANCE and governance.actions.promote is Mode.AUTO and not held:
            barred = next(iter(gate(model, rollout.version).reasons), "") or before_champion(model, setting)
            after = after if barred else advanced(rollout, now_ms, rollout.labels)
            reason = barred or "its time is up, and no incident is open"
        elif way.when_late is Late.ROLLBACK and governance.actions.rollback is Mode.AUTO and not held:
            after = replace(rollout, status=RolloutStatus.ROLLED_BACK, since_ms=now_ms)
        yield _moved(model, after, CONTROLLER, f"{rollout.at}: {reason}", now_ms, setting)


def _moved(
    model: ModelState, rollout: Rollout, actor: str, reason: str, now_ms: int, setting: Setting
) -> Decision:
    """The decision that makes a rollout what it is to be."""
    said = f"version {rollout.version}: {rollout.at}" + (
        ", paused" if rollout.status is RolloutStatus.PAUSED else ""
    )
    detail = Detail(reason=f"{said}; {reason}" if reason else said)
    decision = by_person(numbered_id(Kind.ROLLOUT, model), Kind.ROLLOUT, model, actor, now_ms, detail)
    return told(with_rollout(replace(decision, version=rollout.version), model, rollout), setting)
