"""After a retraining: the version that it registered, and its way to serve."""

from dataclasses import replace

from driftsonde.core.control.criteria import next_stage, stage_of
from driftsonde.core.control.decisions import CONTROLLER, Action, Decision, Detail, Kind, Step
from driftsonde.core.control.inputs import (
    Found,
    Promotion,
    Refused,
    Registered,
    RolloutStart,
    Setting,
    Unknown,
)
from driftsonde.core.control.making import next_step
from driftsonde.core.control.promotion import on_promotion
from driftsonde.core.control.quiet import maintenance_of
from driftsonde.core.control.registered import Registration, Stage
from driftsonde.core.control.registering import on_registered
from driftsonde.core.control.rolling import on_rollout_start
from driftsonde.core.control.state import ModelState, State, fold
from driftsonde.core.signals import derive_id
from driftsonde.core.spec import Mode, StageRule


def lookout(retraining: Decision, now_ms: int, setting: Setting) -> list[Decision]:
    """Once a retraining is done: look for its version in the registry, if there is one."""
    if retraining.kind is not Kind.RETRAIN or not setting.registry_configured:
        return []
    return [
        Decision(
            id=derive_id("candidate", retraining.id),
            step=Step.DECIDED,
            kind=Kind.CANDIDATE,
            model=retraining.model,
            version="",
            incident=retraining.incident,
            signal=retraining.signal,
            mode=None,
            actor=CONTROLLER,
            policy=retraining.policy,
            timestamp_ms=now_ms,
            detail=Detail(
                reason="the retraining is done: its version is looked for in the registry",
                action=Action.CANDIDATE,
                severity=retraining.detail.severity,
                parent=retraining.id,
                from_ms=retraining.timestamp_ms,
            ),
        )
    ]


def on_found(state: State, found: Found, now_ms: int, setting: Setting) -> list[Decision]:
    source = found.effect.decision
    record = state.record(source.id)
    if found.effect.id not in state.model(source.model).pending or record is None or record.run:
        return []
    reason = f"version {found.version} is the candidate: {found.origin.source}"
    step = next_step(source, Step.STARTED, CONTROLLER, reason, now_ms, setting)
    registered = Registered(source.model, found.version, _registration(state, found, now_ms))
    return [
        replace(step, version=found.version, detail=replace(step.detail, run=found.version)),
        *on_registered(state, registered, setting, now_ms),
    ]


def _registration(state: State, found: Found, now_ms: int) -> Registration:
    """As it is in the topic now: the version's own record is written only if there is none."""
    known = state.model(found.effect.decision.model).versions.get(found.version)
    return replace(known.registration if known else Registration(now_ms), origin=found.origin)


def sent_on_its_way(state: State, candidate: Decision, now_ms: int, setting: Setting) -> list[Decision]:
    """Once a candidate is registered: its rollout begins, where the policy promotes by itself and nothing holds it back.

    Anywhere else a person starts it.
    """
    record, model = state.record(candidate.id), state.model(candidate.model)
    if candidate.kind is not Kind.CANDIDATE or record is None or not record.run:
        return []
    by_itself = setting.governance(model.model).actions.promote is Mode.AUTO
    if not by_itself or state.stopped(model.model) or maintenance_of(model, now_ms):
        return []
    why = f"it comes of retraining {candidate.detail.parent}"
    staged = _staged(model, Promotion(model.model, record.run, CONTROLLER, why), now_ms, setting)
    model = fold(state, staged).model(model.model)
    try:
        start = RolloutStart(model.model, record.run, CONTROLLER, why)
        return [*staged, *on_rollout_start(model, start, now_ms, setting)]
    except Refused:  # another is under way, nothing serves yet, something is missing: it waits for a person
        return staged


def _staged(model: ModelState, wish: Promotion, now_ms: int, setting: Setting) -> list[Decision]:
    """The way to staging, where the policy asks for something before it, and nothing is missing."""
    rule = setting.governance(model.model).promotion.staging
    if rule == StageRule() or next_stage(stage_of(model, wish.version)) is not Stage.STAGING:
        return []
    try:
        return on_promotion(model, wish, now_ms, setting)
    except (Refused, Unknown):
        return []
