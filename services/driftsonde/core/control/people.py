"""What people decide: they approve, reject, set a split."""

from driftsonde.core.control.decisions import Action, Decision, Detail, Kind, Step
from driftsonde.core.control.inputs import (
    Approval,
    Refused,
    Rejection,
    Setting,
    SplitChange,
    Unknown,
)
from driftsonde.core.control.making import expired, next_step, obstacle_to, told, with_action
from driftsonde.core.control.state import ModelState, State
from driftsonde.core.control.traffic import Traffic, share_of, validate_split
from driftsonde.core.signals import derive_id


def on_answer(state: State, answer: Approval | Rejection, now_ms: int, setting: Setting) -> list[Decision]:
    record = state.record(answer.decision)
    if record is None:
        raise Unknown(f"no decision {answer.decision}")
    wanted = Step.APPROVED if isinstance(answer, Approval) else Step.REJECTED
    given = next((taken for taken in record.steps if taken.step in (Step.APPROVED, Step.REJECTED)), None)
    if given is not None and (given.step, given.actor) == (wanted, answer.actor):
        return []
    if given is not None:
        raise Refused(f"{given.actor} has {given.step} this decision already")
    if record.last.step is not Step.PROPOSED:
        raise Refused(f"the decision is {record.last.step} and no longer waits for an answer")
    proposal = record.last
    if now_ms >= proposal.detail.expires_ms:
        return [expired(proposal, now_ms, setting)]
    if isinstance(answer, Rejection):
        return [next_step(proposal, Step.REJECTED, answer.actor, answer.reason, now_ms, setting)]
    model = state.model(proposal.model)
    before = {it.actor for it in _approvals(model, proposal)}
    if answer.actor in before:
        return []
    if len(before) + 1 < setting.governance(model.model).actions.approvals:
        return [_one_of_several(proposal, answer, now_ms, setting)]
    return [_approved(model, proposal, answer, now_ms, setting)]


def _approvals(model: ModelState, proposal: Decision) -> list[Decision]:
    """Those that a proposal has already, where the policy asks for several people."""
    firsts = (record.first for record in model.records.values())
    return [it for it in firsts if it.kind is Kind.APPROVAL and it.detail.parent == proposal.id]


def _one_of_several(proposal: Decision, approval: Approval, now_ms: int, setting: Setting) -> Decision:
    decision = Decision(
        id=derive_id("approval", proposal.id, approval.actor),
        step=Step.DECIDED,
        kind=Kind.APPROVAL,
        model=proposal.model,
        version=proposal.version,
        incident=proposal.incident,
        signal=proposal.signal,
        mode=proposal.mode,
        actor=approval.actor,
        policy=proposal.policy,
        timestamp_ms=now_ms,
        detail=Detail(reason=approval.reason, parent=proposal.id),
    )
    return told(decision, setting)


def _approved(
    model: ModelState, proposal: Decision, approval: Approval, now_ms: int, setting: Setting
) -> Decision:
    """The world may have moved on since the proposal: what stands in the way now suppresses it."""
    signal = proposal.detail.signal
    assert signal is not None, "only signals lead to proposals"
    obstacle = obstacle_to(model, signal, model.event_ms, now_ms, setting, but=proposal.id)
    if obstacle:
        return next_step(proposal, Step.SUPPRESSED, approval.actor, obstacle, now_ms, setting)
    approved = next_step(proposal, Step.APPROVED, approval.actor, approval.reason, now_ms, setting)
    return with_action(approved, model, signal, setting)


def on_split_change(model: ModelState, change: SplitChange, now_ms: int, setting: Setting) -> list[Decision]:
    validate_split(change.split)
    if model.rollout is not None and model.rollout.active:
        raise Refused(
            f"version {model.rollout.version} is being rolled out, {model.rollout.at}: promote it or roll it back first"
        )
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
    return [told(decision, setting)]
