"""How decisions are made: the first step, the later ones, what they ask for, and who is told."""

from dataclasses import replace

from driftsonde.core.control.costing import cost_in_words
from driftsonde.core.control.criteria import Criterion
from driftsonde.core.control.decisions import CONTROLLER, Action, Change, Decision, Detail, Kind, Step
from driftsonde.core.control.gate import gate
from driftsonde.core.control.incidents import Status, incident_id
from driftsonde.core.control.inputs import Setting
from driftsonde.core.control.policy import retrain_obstacle, rollback_obstacle
from driftsonde.core.control.proving import proofs
from driftsonde.core.control.ramp import weighed
from driftsonde.core.control.rollout import Rollout, RolloutStatus, advance_obstacle, advanced, split_of
from driftsonde.core.control.routing import recipients, severity_of
from driftsonde.core.control.state import ModelState
from driftsonde.core.control.traffic import Share, Traffic, without_version
from driftsonde.core.events import Variant
from driftsonde.core.signals import Rule, Signal, SignalKind, derive_id
from driftsonde.core.spec import Mode


def id_of_decision(signal: Signal) -> str:
    """The id of the decision that a signal leads to."""
    return derive_id("decision", signal.id)


def about(
    signal: Signal,
    taken: Step,
    now_ms: int,
    setting: Setting,
    detail: Detail,
    mode: Mode | None = None,
    incident: str = "",
) -> Decision:
    """The first step of the decision that a signal leads to; `incident`: the one that it belongs to, "" for its own."""
    governance = setting.governance(signal.model)
    impact = (
        ""
        if signal.kind in (SignalKind.RESOLVE, SignalKind.PROMOTE)
        else cost_in_words(signal, governance.worth)
    )
    decision = Decision(
        id=id_of_decision(signal),
        step=taken,
        kind=Kind(signal.kind.value),
        model=signal.model,
        version=signal.version,
        incident=incident or incident_id(signal),
        signal=signal.id,
        mode=mode,
        actor=CONTROLLER,
        policy=governance.fingerprint,
        timestamp_ms=now_ms,
        detail=replace(detail, impact=impact),
    )
    quiet = detail.change is Change.NONE
    return decision if quiet else told(decision, setting)


def next_step(
    before: Decision, taken: Step, actor: str, reason: str, now_ms: int, setting: Setting, attempts: int = 0
) -> Decision:
    """A later step of a decision."""
    decision = Decision(
        id=before.id,
        step=taken,
        kind=before.kind,
        model=before.model,
        version=before.version,
        incident=before.incident,
        signal=before.signal,
        mode=before.mode,
        actor=actor,
        policy=before.policy,
        timestamp_ms=now_ms,
        detail=Detail(reason=reason, severity=before.detail.severity, attempts=attempts),
    )
    return told(decision, setting)


def by_person(
    decision_id: str, kind: Kind, model: ModelState, actor: str, now_ms: int, detail: Detail
) -> Decision:
    """What a person decides on a model as a whole."""
    return Decision(
        id=decision_id,
        step=Step.DECIDED,
        kind=kind,
        model=model.model,
        version="",
        incident="",
        signal="",
        mode=None,
        actor=actor,
        policy="",
        timestamp_ms=now_ms,
        detail=detail,
    )


def numbered_id(kind: Kind, model: ModelState) -> str:
    """An id for what a person may decide again and again: by its place in the model's chain."""
    return derive_id(kind, model.model, model.head.sequence + 1)


def expired(proposal: Decision, now_ms: int, setting: Setting) -> Decision:
    return next_step(proposal, Step.EXPIRED, CONTROLLER, "nobody answered in time", now_ms, setting)


def with_action(decision: Decision, model: ModelState, signal: Signal, setting: Setting) -> Decision:
    if signal.kind is SignalKind.RETRAIN:
        cost = setting.governance(model.model).actions.retrain_cost
        return replace(decision, detail=replace(decision.detail, action=Action.RETRAIN, cost=cost))
    assert model.traffic is not None, "an obstacle otherwise"
    rollout = model.rollout
    if signal.kind is SignalKind.PROMOTE:
        assert rollout is not None, "an obstacle otherwise"
        onward = advanced(rollout, decision.timestamp_ms, labels_of(signal))
        governance = setting.governance(model.model)
        return with_rollout(decision, model, weighed(onward, signal, governance.rollout, governance.canary))
    if (
        rollout is not None
        and rollout.version == signal.version
        and (rollout.active or _promoted(rollout, signal))
    ):
        back = replace(rollout, status=RolloutStatus.ROLLED_BACK, since_ms=decision.timestamp_ms)
        return with_rollout(decision, model, back)
    return _with_split(decision, model, without_version(model.traffic.split, signal.version))


def _promoted(rollout: Rollout | None, signal: Signal) -> Rollout | None:
    """The latest rollout, if it made the signal's version champion, and it is as such that the version does badly."""
    if rollout is None or rollout.version != signal.version or signal.variant is not Variant.CHAMPION:
        return None
    return rollout if rollout.status is RolloutStatus.PROMOTED else None


def with_rollout(decision: Decision, model: ModelState, rollout: Rollout) -> Decision:
    """The decision with what becomes of the rollout, and with the split that this asks for, if it is another one."""
    assert model.traffic is not None, "a rollout has a split to begin with"
    moved = replace(decision, detail=replace(decision.detail, rollout=rollout))
    split = split_of(rollout, model.traffic.split)
    return moved if split == model.traffic.split else _with_split(moved, model, split)


def _with_split(decision: Decision, model: ModelState, split: tuple[Share, ...]) -> Decision:
    assert model.traffic is not None, "an obstacle otherwise"
    traffic = Traffic(model.model, split, model.traffic.revision + 1, decision.id)
    return replace(decision, detail=replace(decision.detail, action=Action.TRAFFIC, traffic=traffic))


def labels_of(signal: Signal) -> int:
    """How many labelled rows of the version its evidence rests on."""
    return max((entry.n for entry in signal.evidence), default=0)


def obstacle_to(
    model: ModelState, signal: Signal, event_ms: int, now_ms: int, setting: Setting, but: str = ""
) -> str:
    """Why what the signal asks for can't be done now. The proposal `but` itself is none."""
    if signal.kind is SignalKind.ROLLBACK:
        promoted = _promoted(model.rollout, signal)
        return rollback_obstacle(model.traffic, signal, promoted.champion if promoted else "")
    kind = Kind(signal.kind.value)
    others = (entry.id for entry in model.proposals() if entry.kind is kind and entry.id != but)
    if signal.kind is SignalKind.PROMOTE:
        way = setting.governance(signal.model).rollout
        obstacle = advance_obstacle(model.rollout, signal.version, way, now_ms, labels_of(signal))
        return (
            obstacle
            or _guarded(model, signal.version)
            or before_champion(model, setting)
            or _proposed(next(others, ""))
        )
    return retrain_obstacle(
        event_ms,
        tuple(model.retrainings.values()),
        next(others, ""),
        _broken_data(model),
        setting.governance(signal.model).actions,
        setting.retrain_configured,
    )


def before_champion(model: ModelState, setting: Setting) -> str:
    """Why a rollout may not end in the championship yet; "" if it may, or if another stage comes first."""
    missing = [it.name for it in _proofs_if_last(model, setting) if not it.met]
    return f"not yet shown: {'; '.join(missing)}" if missing else ""


def shown_before_champion(model: ModelState, setting: Setting) -> tuple[str, ...]:
    """The numbers that a rollout's last step rests on."""
    return tuple(f"{it.name} ({it.found})" for it in _proofs_if_last(model, setting))


def _proofs_if_last(model: ModelState, setting: Setting) -> tuple[Criterion, ...]:
    rollout = model.rollout
    if rollout is None or rollout.stage + 1 < len(rollout.weights):
        return ()
    rule = setting.governance(model.model).promotion.production
    return proofs(model, rollout.version, rule, setting.live(model.model))


def _guarded(model: ModelState, version: str) -> str:
    return next(iter(gate(model, version).reasons), "")


def _proposed(decision_id: str) -> str:
    return f"the next stage is proposed already, decision {decision_id}" if decision_id else ""


def _broken_data(model: ModelState) -> str:
    """The id of an incident of the model's data quality that is not resolved; "" for none."""
    found = (
        incident.id
        for incident in model.incidents.values()
        if Rule.QUALITY in incident.rules and incident.status is not Status.RESOLVED
    )
    return next(found, "")


def told(decision: Decision, setting: Setting) -> Decision:
    """The decision with its urgency and with whom to tell about it."""
    severity = severity_of(decision, setting.severities)
    urgent = replace(decision, detail=replace(decision.detail, severity=severity))
    names = recipients(setting.routes, urgent, setting.governance(decision.model).owner)
    return replace(urgent, detail=replace(urgent.detail, recipients=names))
