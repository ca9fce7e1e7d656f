"""The controller's state machine: an input comes in, decisions come out, and the state is the fold of all decisions.

Every decision's id is derived from what it is about, so an input that comes twice changes nothing the second time.
"""

from dataclasses import replace

from driftsonde.core.control.decisions import CONTROLLER, Action, Change, Decision, Detail, Kind, Step
from driftsonde.core.control.incidents import Status, change_by, incident_id
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Approval,
    Input,
    Outcome,
    Refused,
    Rejection,
    Setting,
    SplitChange,
    Tick,
    Unknown,
)
from driftsonde.core.control.policy import retrain_obstacle, rollback_obstacle, rule
from driftsonde.core.control.routing import recipients
from driftsonde.core.control.state import ModelState, State, fold
from driftsonde.core.control.traffic import Traffic, share_of, validate_split, without_version
from driftsonde.core.signals import Signal, SignalKind, derive_id
from driftsonde.core.spec import Mode

NOTHING_TO_RESOLVE = "no incident of this episode is open"
FORGOTTEN = "older than what the controller remembers of this model: it may have been decided on before"


def step(state: State, event: Input, now_ms: int, setting: Setting) -> tuple[State, list[Decision]]:
    """The next state, and the decisions that lead to it.

    Raises `Refused`, `Unknown` or `InvalidSplit` for what a person may not do; the state is as before then.
    """
    decisions = _decide(state, event, now_ms, setting)
    return fold(state, decisions), decisions


def _decide(state: State, event: Input, now_ms: int, setting: Setting) -> list[Decision]:
    match event:
        case Signal():
            return _on_signal(state.model(event.model), event, now_ms, setting)
        case Approval() | Rejection():
            return _on_answer(state, event, now_ms, setting)
        case Acknowledgement():
            return _on_acknowledgement(state, event, now_ms, setting)
        case SplitChange():
            return _on_split_change(state.model(event.model), event, now_ms, setting)
        case Outcome():
            return _on_outcome(state.model(event.effect.decision.model), event, now_ms, setting)
        case Tick():
            return _on_tick(state, now_ms, setting)


def _on_signal(model: ModelState, signal: Signal, now_ms: int, setting: Setting) -> list[Decision]:
    if id_of_decision(signal) in model.records:
        return []
    if signal.window_end_ms <= model.forgotten_ms:
        return [_about(signal, Step.SUPPRESSED, now_ms, setting, Detail(reason=FORGOTTEN, signal=signal))]
    match signal.kind:
        case SignalKind.ALERT:
            change = change_by(model.incidents.get(incident_id(signal)), signal)
            detail = Detail(reason=signal.summary, change=change, signal=signal)
            return [_about(signal, Step.DECIDED, now_ms, setting, detail)]
        case SignalKind.RESOLVE:
            return _on_resolve(model, signal, now_ms, setting)
        case SignalKind.RETRAIN | SignalKind.ROLLBACK:
            return [_on_request(model, signal, now_ms, setting)]


def _on_resolve(model: ModelState, signal: Signal, now_ms: int, setting: Setting) -> list[Decision]:
    incident = model.incidents.get(incident_id(signal))
    if incident is None or incident.status is Status.RESOLVED:
        detail = Detail(reason=NOTHING_TO_RESOLVE, signal=signal)
        return [_about(signal, Step.SUPPRESSED, now_ms, setting, detail)]
    detail = Detail(reason=signal.summary, change=Change.RESOLVED, signal=signal)
    stale = (proposal for proposal in model.proposals() if proposal.incident == incident.id)
    lapsed = [
        _next(proposal, Step.EXPIRED, CONTROLLER, "the incident is resolved", now_ms, setting)
        for proposal in stale
    ]
    return [_about(signal, Step.DECIDED, now_ms, setting, detail), *lapsed]


def _on_request(model: ModelState, signal: Signal, now_ms: int, setting: Setting) -> Decision:
    """A retrain or rollback signal: the policy says what becomes of it."""
    actions = setting.governance(signal.model).actions
    mode = actions.retrain if signal.kind is SignalKind.RETRAIN else actions.rollback
    ruling = rule(mode, _obstacle(model, signal, signal.window_end_ms, setting))
    detail = Detail(
        reason=ruling.reason,
        change=change_by(model.incidents.get(incident_id(signal)), signal),
        signal=signal,
        expires_ms=now_ms + actions.approval_expiry_ms if ruling.step is Step.PROPOSED else 0,
    )
    decision = _about(signal, ruling.step, now_ms, setting, detail, mode)
    return _with_action(decision, model, signal, setting) if ruling.step is Step.DECIDED else decision


def _obstacle(model: ModelState, signal: Signal, event_ms: int, setting: Setting, but: str = "") -> str:
    """Why what the signal asks for can't be done now. The proposal `but` itself is none."""
    if signal.kind is SignalKind.ROLLBACK:
        return rollback_obstacle(model.traffic, signal)
    others = (entry.id for entry in model.proposals() if entry.kind is Kind.RETRAIN and entry.id != but)
    return retrain_obstacle(
        event_ms,
        model.last_retraining_ms,
        next(others, ""),
        setting.governance(signal.model).actions,
        setting.retrain_configured,
    )


def _on_answer(state: State, answer: Approval | Rejection, now_ms: int, setting: Setting) -> list[Decision]:
    record = state.record(answer.decision)
    if record is None:
        raise Unknown(f"no decision {answer.decision}")
    wanted = Step.APPROVED if isinstance(answer, Approval) else Step.REJECTED
    if any(taken.step is wanted for taken in record.steps):
        return []
    if record.last.step is not Step.PROPOSED:
        raise Refused(f"the decision is {record.last.step} and no longer waits for an answer")
    proposal = record.last
    if now_ms >= proposal.detail.expires_ms:
        return [_expired(proposal, now_ms, setting)]
    if isinstance(answer, Rejection):
        return [_next(proposal, Step.REJECTED, answer.actor, answer.reason, now_ms, setting)]
    return [_approved(state.model(proposal.model), proposal, answer, now_ms, setting)]


def _approved(
    model: ModelState, proposal: Decision, approval: Approval, now_ms: int, setting: Setting
) -> Decision:
    """The world may have moved on since the proposal: what stands in the way now suppresses it."""
    signal = proposal.detail.signal
    assert signal is not None, "only signals lead to proposals"
    obstacle = _obstacle(model, signal, model.event_ms, setting, but=proposal.id)
    if obstacle:
        return _next(proposal, Step.SUPPRESSED, approval.actor, obstacle, now_ms, setting)
    approved = _next(proposal, Step.APPROVED, approval.actor, approval.reason, now_ms, setting)
    return _with_action(approved, model, signal, setting)


def _with_action(decision: Decision, model: ModelState, signal: Signal, setting: Setting) -> Decision:
    if signal.kind is SignalKind.RETRAIN:
        return replace(decision, detail=replace(decision.detail, action=Action.RETRAIN))
    assert model.traffic is not None, "an obstacle otherwise"
    split = without_version(model.traffic.split, signal.version)
    traffic = Traffic(model.model, split, model.traffic.revision + 1, decision.id)
    return replace(decision, detail=replace(decision.detail, action=Action.TRAFFIC, traffic=traffic))


def _on_acknowledgement(
    state: State, acknowledgement: Acknowledgement, now_ms: int, setting: Setting
) -> list[Decision]:
    incident = state.incident(acknowledgement.incident)
    if incident is None:
        raise Unknown(f"no incident {acknowledgement.incident}")
    if incident.status is Status.RESOLVED:
        raise Refused("the incident is resolved")
    if incident.status is Status.ACKNOWLEDGED:
        return []
    decision = Decision(
        id=derive_id("acknowledge", incident.id, incident.opened_ms),
        step=Step.DECIDED,
        kind=Kind.ACKNOWLEDGE,
        model=incident.model,
        version=incident.version,
        incident=incident.id,
        signal="",
        mode=None,
        actor=acknowledgement.actor,
        policy="",
        timestamp_ms=now_ms,
        detail=Detail(change=Change.ACKNOWLEDGED),
    )
    return [_told(decision, setting)]


def _on_split_change(model: ModelState, change: SplitChange, now_ms: int, setting: Setting) -> list[Decision]:
    validate_split(change.split)
    if model.traffic is not None and model.traffic.split == change.split:
        return []
    revision = 1 if model.traffic is None else model.traffic.revision + 1
    new = [share.version for share in change.split if share_of(model.traffic, share.version) != share]
    decision_id = derive_id("traffic", model.model, revision)
    traffic = Traffic(model.model, change.split, revision, decision_id)
    decision = Decision(
        id=decision_id,
        step=Step.DECIDED,
        kind=Kind.TRAFFIC,
        model=model.model,
        version=new[-1] if new else change.split[0].version,
        incident="",
        signal="",
        mode=None,
        actor=change.actor,
        policy="",
        timestamp_ms=now_ms,
        detail=Detail(reason=change.reason, action=Action.TRAFFIC, traffic=traffic),
    )
    return [_told(decision, setting)]


def _on_outcome(model: ModelState, outcome: Outcome, now_ms: int, setting: Setting) -> list[Decision]:
    effect = outcome.effect
    if effect.id not in model.pending:
        return []
    taken = Step.FAILED if outcome.problem else Step.PERFORMED
    source = effect.decision
    if effect.action:
        return [_next(source, taken, CONTROLLER, outcome.problem, now_ms, setting, outcome.attempts)]
    return [
        Decision(
            id=effect.id,
            step=taken,
            kind=Kind.NOTIFY,
            model=source.model,
            version=source.version,
            incident=source.incident,
            signal=source.signal,
            mode=None,
            actor=CONTROLLER,
            policy=source.policy,
            timestamp_ms=now_ms,
            detail=Detail(
                reason=outcome.problem,
                parent=source.id,
                parent_step=source.step,
                target=effect.recipient,
                attempts=outcome.attempts,
            ),
        )
    ]


def _on_tick(state: State, now_ms: int, setting: Setting) -> list[Decision]:
    return [
        _expired(proposal, now_ms, setting)
        for model in state.models.values()
        for proposal in model.proposals()
        if now_ms >= proposal.detail.expires_ms
    ]


def _expired(proposal: Decision, now_ms: int, setting: Setting) -> Decision:
    return _next(proposal, Step.EXPIRED, CONTROLLER, "nobody answered in time", now_ms, setting)


def id_of_decision(signal: Signal) -> str:
    """The id of the decision that a signal leads to."""
    return derive_id("decision", signal.id)


def _about(
    signal: Signal, taken: Step, now_ms: int, setting: Setting, detail: Detail, mode: Mode | None = None
) -> Decision:
    """The first step of the decision that a signal leads to."""
    decision = Decision(
        id=id_of_decision(signal),
        step=taken,
        kind=Kind(signal.kind.value),
        model=signal.model,
        version=signal.version,
        incident=incident_id(signal),
        signal=signal.id,
        mode=mode,
        actor=CONTROLLER,
        policy=setting.governance(signal.model).fingerprint,
        timestamp_ms=now_ms,
        detail=detail,
    )
    quiet = detail.change is Change.NONE
    return decision if quiet else _told(decision, setting)


def _next(
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
        detail=Detail(reason=reason, attempts=attempts),
    )
    return _told(decision, setting)


def _told(decision: Decision, setting: Setting) -> Decision:
    names = recipients(setting.routes, decision.model, decision.kind, decision.detail.change)
    return replace(decision, detail=replace(decision.detail, recipients=names))
