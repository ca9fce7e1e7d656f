"""development → staging → production: what people say of a version, and its next stage."""

from dataclasses import replace

from driftsonde.core.control.criteria import criteria, next_stage, rule_of, stage_of
from driftsonde.core.control.decisions import Decision, Detail, Kind
from driftsonde.core.control.inputs import (
    Promotion,
    Refused,
    RolloutStart,
    Setting,
    SplitChange,
    Unknown,
    Verdict,
)
from driftsonde.core.control.making import by_person, numbered_id, told
from driftsonde.core.control.people import on_split_change
from driftsonde.core.control.registered import Stage
from driftsonde.core.control.rolling import on_rollout_start
from driftsonde.core.control.state import ModelState
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Variant
from driftsonde.core.signals import derive_id


def on_promotion(model: ModelState, wish: Promotion, now_ms: int, setting: Setting) -> list[Decision]:
    """The next stage, or `Refused` with all that is missing. Whoever is in production stays there."""
    if wish.version not in model.versions or not wish.version:
        raise Unknown(f"no version {wish.version!r} of model {model.model!r} is registered")
    match next_stage(stage_of(model, wish.version)):
        case Stage.STAGING:
            return [_staged(model, wish, now_ms, setting)]
        case Stage.PRODUCTION if model.traffic is None:
            _check(model, wish.version, Stage.PRODUCTION, setting)
            alone = SplitChange(
                model.model,
                (Share(wish.version, Variant.CHAMPION, 1.0),),
                wish.actor,
                _why(model, wish, setting),
            )
            return on_split_change(model, alone, now_ms, setting)
        case Stage.PRODUCTION:
            start = RolloutStart(model.model, wish.version, wish.actor, _why(model, wish, setting))
            return on_rollout_start(model, start, now_ms, setting)
        case _:
            return []


def on_verdict(model: ModelState, verdict: Verdict, now_ms: int, setting: Setting) -> list[Decision]:
    """What a person says of a version; the same again changes nothing."""
    known = model.versions.get(verdict.version)
    if known is None or not verdict.version:
        raise Unknown(f"no version {verdict.version!r} of model {model.model!r} is registered")
    target = next_stage(stage_of(model, verdict.version))
    if target is None:
        raise Refused(f"version {verdict.version} is in production: there is no next stage")
    asked = rule_of(setting.governance(model.model).promotion, target).checklist
    strange = [item for item in verdict.done if item not in asked]
    if strange:
        raise Refused(
            f"not on the checklist of {target}: {'; '.join(strange)}; it has: {'; '.join(asked) or 'nothing'}"
        )
    if not verdict.approves and not verdict.done:
        raise Refused("say that you approve, or what is done")
    decision_id = derive_id(
        Kind.REVIEW,
        known.decision,
        target,
        known.since_ms,
        verdict.actor,
        verdict.approves,
        *sorted(verdict.done),
    )
    if decision_id in model.records:
        return []
    detail = Detail(
        reason=verdict.reason,
        stage=target,
        role=verdict.role,
        approves=verdict.approves,
        done=verdict.done,
    )
    decision = by_person(decision_id, Kind.REVIEW, model, verdict.actor, now_ms, detail)
    return [told(replace(decision, version=verdict.version), setting)]


def _staged(model: ModelState, wish: Promotion, now_ms: int, setting: Setting) -> Decision:
    _check(model, wish.version, Stage.STAGING, setting)
    detail = Detail(reason=_why(model, wish, setting), stage=Stage.STAGING)
    decision = by_person(numbered_id(Kind.STAGE, model), Kind.STAGE, model, wish.actor, now_ms, detail)
    governed = replace(decision, version=wish.version, policy=setting.governance(model.model).fingerprint)
    return told(governed, setting)


def _check(model: ModelState, version: str, target: Stage, setting: Setting) -> None:
    governance = setting.governance(model.model)
    found = criteria(model, version, rule_of(governance.promotion, target), governance.owner)
    missing = [f"{it.name}: {it.found}" for it in found if not it.met]
    if missing:
        raise Refused(f"version {version} may not go to {target}; missing: {'; '.join(missing)}")


def _why(model: ModelState, wish: Promotion, setting: Setting) -> str:
    """From where to where, on which grounds: what was asked, and what there was."""
    governance, stage = setting.governance(model.model), stage_of(model, wish.version)
    target = next_stage(stage) or stage
    found = criteria(model, wish.version, rule_of(governance.promotion, target), governance.owner)
    grounds = [f"{it.name} ({it.found})" for it in found]
    return "; ".join((f"{stage} → {target}", *grounds, *([wish.reason] if wish.reason else ())))
