"""The controller's state machine: an input comes in, decisions come out, and the state is the fold of all decisions.

Every decision's id is derived from what it is about, so an input that comes twice changes nothing the second time.
"""

from dataclasses import replace

from driftsonde.core.control.actuating import actuations
from driftsonde.core.control.attending import on_acknowledgement, on_resolution, on_snooze
from driftsonde.core.control.candidates import lookout, on_found, sent_on_its_way
from driftsonde.core.control.decisions import (
    CONTROLLER,
    Action,
    Change,
    Decision,
    Detail,
    Kind,
    Severity,
    Step,
)
from driftsonde.core.control.escalation import escalations
from driftsonde.core.control.incidents import (
    Incident,
    Status,
    change_by,
    incident_id,
    incident_of,
    still_open,
)
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Approval,
    AutomationChange,
    Begun,
    Found,
    Input,
    Maintenance,
    MaintenanceEnd,
    Outcome,
    Promotion,
    Refusal,
    Registered,
    Rejection,
    Resolution,
    RolloutChange,
    RolloutStart,
    Setting,
    Snooze,
    SplitChange,
    Tick,
    Verdict,
)
from driftsonde.core.control.learning import graduations, learning_of, withheld
from driftsonde.core.control.leaving import farewells, why_gone
from driftsonde.core.control.making import about, expired, id_of_decision, next_step, obstacle_to, with_action
from driftsonde.core.control.people import on_answer, on_split_change
from driftsonde.core.control.policy import Brakes, rule
from driftsonde.core.control.promotion import on_promotion, on_verdict
from driftsonde.core.control.quiet import awakened, hushed, maintenance_of, why_quiet
from driftsonde.core.control.registering import on_registered
from driftsonde.core.control.rolling import late_stages, on_promote, on_rollout_change, on_rollout_start
from driftsonde.core.control.state import ModelState, State, enter
from driftsonde.core.control.switches import on_automation, on_maintenance, on_maintenance_end, on_refusal
from driftsonde.core.events import Variant
from driftsonde.core.signals import Signal, SignalKind

NOTHING_TO_RESOLVE = "no incident of this episode is open"
A_SHADOW = "a shadow serves nobody, and no rollout of it is under way"
FORGOTTEN = "older than what the controller remembers of this model: it may have been decided on before"


def step(state: State, event: Input, now_ms: int, setting: Setting) -> tuple[State, list[Decision]]:
    """The next state, and the decisions that lead to it.

    Raises `Refused`, `Unknown` or `InvalidSplit` for what a person may not do; the state is as before then.
    """
    decided = _decide(state, event, now_ms, setting)
    return enter(state, [hushed(state, decision, now_ms) for decision in decided])


def _decide(state: State, event: Input, now_ms: int, setting: Setting) -> list[Decision]:
    match event:
        case Signal():
            return _on_signal(state, event, now_ms, setting)
        case Approval() | Rejection():
            return on_answer(state, event, now_ms, setting)
        case Acknowledgement():
            return on_acknowledgement(state, event, now_ms, setting)
        case Snooze():
            return on_snooze(state, event, now_ms, setting)
        case Resolution():
            return on_resolution(state, event, now_ms, setting)
        case Maintenance():
            return on_maintenance(state, event, now_ms, setting)
        case MaintenanceEnd():
            return on_maintenance_end(state, event, now_ms, setting)
        case AutomationChange():
            return on_automation(state, event, now_ms, setting)
        case RolloutStart():
            return on_rollout_start(state.model(event.model), event, now_ms, setting)
        case RolloutChange():
            return on_rollout_change(state.model(event.model), event, now_ms, setting)
        case Promotion():
            return on_promotion(state.model(event.model), event, now_ms, setting)
        case Verdict():
            return on_verdict(state.model(event.model), event, now_ms, setting)
        case Registered():
            return on_registered(state, event, setting, now_ms)
        case Refusal():
            return on_refusal(state, event, now_ms)
        case SplitChange():
            return on_split_change(state.model(event.model), event, now_ms, setting)
        case Outcome():
            return _on_outcome(state, event, now_ms, setting)
        case Found():
            return on_found(state, event, now_ms, setting)
        case Begun():
            return _on_begun(state.model(event.effect.decision.model), event, now_ms, setting)
        case Tick():
            return _on_tick(state, now_ms, setting)


def _on_signal(state: State, signal: Signal, now_ms: int, setting: Setting) -> list[Decision]:
    model = state.model(signal.model)
    if id_of_decision(signal) in model.records:
        return []
    if signal.window_end_ms <= model.forgotten_ms:
        return [about(signal, Step.SUPPRESSED, now_ms, setting, Detail(reason=FORGOTTEN, signal=signal))]
    whose = incident_of(model.incidents.values(), signal)
    incident = model.incidents.get(whose)
    if incident is not None and incident.false_alarm and signal.kind is not SignalKind.RESOLVE:
        reason = f"{incident.resolved_by} called this incident a false alarm"
        return [about(signal, Step.SUPPRESSED, now_ms, setting, Detail(reason=reason, signal=signal))]
    gone = why_gone(model, signal.version)
    if gone and signal.kind in (SignalKind.ALERT, SignalKind.RETRAIN, SignalKind.ROLLBACK):
        return [about(signal, Step.SUPPRESSED, now_ms, setting, Detail(reason=gone, signal=signal))]
    match signal.kind:
        case SignalKind.ALERT:
            until_ms = learning_of(model, signal, "", setting.governance(signal.model).actions)
            change = _change(incident, signal, until_ms)
            if incident is not None and change is Change.UPDATED and _is_worse(incident, signal, setting):
                change = Change.OPENED
            detail = Detail(reason=signal.summary, change=change, signal=signal, learning_until_ms=until_ms)
            return [about(signal, Step.DECIDED, now_ms, setting, detail, incident=whose)]
        case SignalKind.RESOLVE:
            return _on_resolve(model, signal, now_ms, setting)
        case SignalKind.PROMOTE:
            brakes = Brakes(state.stopped(signal.model), maintenance_of(model, now_ms))
            return on_promote(model, signal, brakes, now_ms, setting)
        case SignalKind.ROLLBACK if signal.variant is Variant.SHADOW and not _is_rolled_out(model, signal):
            detail = Detail(reason=A_SHADOW, signal=signal)
            return [about(signal, Step.SUPPRESSED, now_ms, setting, detail)]
        case SignalKind.RETRAIN | SignalKind.ROLLBACK:
            brakes = Brakes(state.stopped(signal.model), maintenance_of(model, now_ms))
            return [_on_request(model, signal, brakes, now_ms, setting)]


def _change(incident: Incident | None, signal: Signal, until_ms: int) -> Change:
    """What a signal does to its incident; one that nobody was told of, as it began while the model learned, opens for people
    with the first signal after that."""
    unheard = incident is not None and incident.learning_until_ms and not until_ms
    return Change.OPENED if unheard else change_by(incident, signal)


def _is_worse(incident: Incident, signal: Signal, setting: Setting) -> bool:
    """Whether what joins an incident is more urgent than it was: then people are told as of a new one."""
    urgency = [*Severity]
    before = max(urgency.index(setting.severities[rule]) for rule in (incident.rule, *incident.rules))
    return urgency.index(setting.severities[signal.rule]) > before


def _is_rolled_out(model: ModelState, signal: Signal) -> bool:
    rollout = model.rollout
    return rollout is not None and rollout.active and rollout.version == signal.version


def _on_resolve(model: ModelState, signal: Signal, now_ms: int, setting: Setting) -> list[Decision]:
    own = (
        one
        for one in model.incidents.values()
        if one.id == incident_id(signal) or any(member.episode == signal.episode for member in one.members)
    )
    incident = next(own, None)
    if incident is None or incident.status is Status.RESOLVED:
        detail = Detail(reason=NOTHING_TO_RESOLVE, signal=signal)
        return [about(signal, Step.SUPPRESSED, now_ms, setting, detail)]
    rest = still_open(incident, signal)
    if rest:
        reason = f"{signal.summary}; the incident goes on: {', '.join(sorted(set(rest)))}"
        detail = Detail(reason=reason, change=Change.UPDATED, signal=signal)
        return [about(signal, Step.DECIDED, now_ms, setting, detail, incident=incident.id)]
    detail = Detail(reason=signal.summary, change=Change.RESOLVED, signal=signal)
    stale = (proposal for proposal in model.proposals() if proposal.incident == incident.id)
    lapsed = [
        next_step(proposal, Step.EXPIRED, CONTROLLER, "the incident is resolved", now_ms, setting)
        for proposal in stale
    ]
    return [about(signal, Step.DECIDED, now_ms, setting, detail, incident=incident.id), *lapsed]


def _on_request(model: ModelState, signal: Signal, brakes: Brakes, now_ms: int, setting: Setting) -> Decision:
    """A retrain or rollback signal: the policy says what becomes of it."""
    actions = setting.governance(signal.model).actions
    mode = actions.retrain if signal.kind is SignalKind.RETRAIN else actions.rollback
    obstacle = obstacle_to(model, signal, signal.window_end_ms, now_ms, setting)
    ruling = rule(mode, obstacle, brakes)
    until_ms = learning_of(model, signal, obstacle, actions)
    if until_ms:
        ruling = withheld(until_ms, ruling)
    whose = incident_of(model.incidents.values(), signal)
    detail = Detail(
        reason=ruling.reason,
        change=_change(model.incidents.get(whose), signal, until_ms),
        signal=signal,
        learning_until_ms=until_ms,
        expires_ms=now_ms + actions.approval_expiry_ms if ruling.step is Step.PROPOSED else 0,
    )
    decision = about(signal, ruling.step, now_ms, setting, detail, mode, whose)
    return with_action(decision, model, signal, setting) if ruling.step is Step.DECIDED else decision


def _on_outcome(state: State, outcome: Outcome, now_ms: int, setting: Setting) -> list[Decision]:
    effect = outcome.effect
    if effect.id not in state.model(effect.decision.model).pending:
        return []
    taken = Step.FAILED if outcome.problem else Step.PERFORMED
    source = effect.decision
    if effect.action:
        taken = Step.SUPPRESSED if outcome.replaced else taken
        done = next_step(source, taken, CONTROLLER, outcome.problem, now_ms, setting, outcome.attempts)
        return [done, *(_after_action(state, source, now_ms, setting) if taken is Step.PERFORMED else ())]
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


def _after_action(state: State, source: Decision, now_ms: int, setting: Setting) -> list[Decision]:
    """What follows from an action that is done."""
    match source.detail.action:
        case Action.TRAFFIC:
            model = state.model(source.model)
            return [*actuations(source, now_ms, setting), *farewells(model, source, now_ms, setting)]
        case Action.RETRAIN:
            return lookout(source, now_ms, setting)
        case Action.CANDIDATE:
            return sent_on_its_way(state, source, now_ms, setting)
        case _:
            return []


def _on_begun(model: ModelState, begun: Begun, now_ms: int, setting: Setting) -> list[Decision]:
    source = begun.effect.decision
    record = model.records.get(source.id)
    if begun.effect.id not in model.pending or record is None or record.run:
        return []
    started = next_step(source, Step.STARTED, CONTROLLER, f"under way as {begun.run}", now_ms, setting)
    return [replace(started, detail=replace(started.detail, run=begun.run))]


def _on_tick(state: State, now_ms: int, setting: Setting) -> list[Decision]:
    lapsed = [
        expired(proposal, now_ms, setting)
        for model in state.models.values()
        for proposal in model.proposals()
        if now_ms >= proposal.detail.expires_ms
    ]
    urgent = (it for it in escalations(state, now_ms, setting) if not why_quiet(state, it, now_ms))
    return [
        *lapsed,
        *awakened(state, now_ms, setting),
        *graduations(state, now_ms, setting),
        *late_stages(state, now_ms, setting),
        *urgent,
    ]
