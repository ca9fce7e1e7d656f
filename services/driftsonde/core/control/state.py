"""The controller's state, folded from its decisions: what it knows, and what it still has to do.

The values are frozen and share what did not change, so another thread may read a state while the next one is made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from driftsonde.core.control.chain import Head, moved, sealed
from driftsonde.core.control.decisions import ALL_MODELS, Action, Change, Decision, Kind, Step, Switch
from driftsonde.core.control.incidents import Incident, Status, changed
from driftsonde.core.control.registered import VersionState
from driftsonde.core.control.rollout import Rollout
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.control.versions import with_version
from driftsonde.core.signals import derive_id

# Per model: beyond these, the oldest finished decisions and resolved incidents are forgotten (the topic keeps them).
MAX_DECISIONS = 1_000
MAX_INCIDENTS = 1_000
MAX_RETRAININGS = 80  # those of 30 days, at the most that a policy allows in a week

_T = TypeVar("_T")


def _empty() -> Mapping[str, _T]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a decision asks for and that is not done yet.

    Either an `action`, or a message about `decision` to the on-call endpoint `recipient`. `id` stays the same over
    all tries and over restarts: whoever receives the effect twice can tell by it.
    """

    id: str
    decision: Decision
    action: Action = Action.NONE
    recipient: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """All steps of one decision, oldest first, and the outcomes of telling on-call about them."""

    steps: tuple[Decision, ...]
    deliveries: tuple[Decision, ...] = ()

    @property
    def first(self) -> Decision:
        return self.steps[0]

    @property
    def last(self) -> Decision:
        return self.steps[-1]

    @property
    def run(self) -> str:
        """What the other side calls what it has begun; "" if nothing is known to have begun."""
        return next((taken.detail.run for taken in self.steps if taken.detail.run), "")


@dataclass(frozen=True, slots=True)
class ModelState:
    """What is known of one model.

    pending: effects by id, oldest first. retrainings: the event time of the latest retrainings that were set going,
    by decision id. event_ms: the newest event time that a signal spoke of. forgotten_ms: signals of windows up to
    here may have been forgotten. rollout: the latest one, under way or over. maintenance: what is announced and not over, by decision id. stopped: who stopped the
    automation, and why; "" = it runs. head: the newest link of the audit log. versions: what is registered, by version;
    "" is the model itself.
    """

    model: str
    incidents: Mapping[str, Incident] = field(default_factory=_empty)
    records: Mapping[str, Record] = field(default_factory=_empty)
    pending: Mapping[str, Effect] = field(default_factory=_empty)
    retrainings: Mapping[str, int] = field(default_factory=_empty)
    traffic: Traffic | None = None
    rollout: Rollout | None = None
    event_ms: int = 0
    forgotten_ms: int = -1
    maintenance: Mapping[str, Decision] = field(default_factory=_empty)
    stopped: str = ""
    head: Head = field(default_factory=Head)
    versions: Mapping[str, VersionState] = field(default_factory=_empty)

    def proposals(self) -> tuple[Decision, ...]:
        """What waits for a person, oldest first."""
        return tuple(record.last for record in self.records.values() if record.last.step is Step.PROPOSED)


@dataclass(frozen=True, slots=True)
class State:
    """What is known of every model."""

    models: Mapping[str, ModelState] = field(default_factory=_empty)

    def model(self, name: str) -> ModelState:
        return self.models.get(name) or ModelState(name)

    def stopped(self, name: str) -> str:
        """Who stopped the automation of this model or of all, and why; "" where it runs."""
        return self.model(ALL_MODELS).stopped or self.model(name).stopped

    def record(self, decision_id: str) -> Record | None:
        found = (state.records.get(decision_id) for state in self.models.values())
        return next((record for record in found if record is not None), None)

    def incident(self, incident_id: str) -> Incident | None:
        found = (state.incidents.get(incident_id) for state in self.models.values())
        return next((incident for incident in found if incident is not None), None)

    def pending(self) -> tuple[Effect, ...]:
        return tuple(effect for state in self.models.values() for effect in state.pending.values())


def fold(state: State, decisions: Iterable[Decision]) -> State:
    """The state after these decisions. One that was folded already changes nothing."""
    for decision in decisions:
        model = _after(state.model(decision.model), decision)
        head = moved(model.head, decision)
        state = with_model(state, model if head is model.head else replace(model, head=head))
    return state


def enter(state: State, decisions: Iterable[Decision]) -> tuple[State, list[Decision]]:
    """The state after new decisions, and these as the next links of their models' chains."""
    entered: list[Decision] = []
    for decision in decisions:
        entered.append(sealed(decision, state.model(decision.model).head))
        state = fold(state, entered[-1:])
    return state, entered


def with_model(state: State, model: ModelState) -> State:
    if state.models.get(model.model) is model:
        return state
    return State(MappingProxyType({**state.models, model.model: model}))


def with_traffic(state: State, traffic: Traffic) -> State:
    """The state after a split was read from the topic; an older revision than the known one changes nothing."""
    model = state.model(traffic.model)
    if model.traffic is not None and model.traffic.revision >= traffic.revision:
        return state
    return with_model(state, replace(model, traffic=traffic))


def effects(decision: Decision) -> tuple[Effect, ...]:
    """What a decision asks for: the action first, then the people to tell."""
    detail = decision.detail
    actions = (Effect(action_id(decision.id), decision, action=detail.action),) if detail.action else ()
    notices = (
        Effect(derive_id("notice", decision.id, decision.step, name), decision, recipient=name)
        for name in detail.recipients
    )
    return (*actions, *notices)


def action_id(decision_id: str) -> str:
    """The id of the effect that is a decision's action."""
    return derive_id("action", decision_id)


def _after(model: ModelState, decision: Decision) -> ModelState:
    if decision.kind is Kind.NOTIFY:
        return _after_delivery(model, decision)
    record = model.records.get(decision.id)
    if record is not None and any(step.step is decision.step for step in record.steps):
        return model
    steps = (decision,) if record is None else (*record.steps, decision)
    records = {**model.records, decision.id: Record(steps, () if record is None else record.deliveries)}
    after = replace(model, records=MappingProxyType(records), pending=_pending(model.pending, decision))
    after = _with_switches(_with_incident(after, decision), decision)
    versions = with_version(after.versions, decision, after.traffic)
    after = after if versions is after.versions else replace(after, versions=versions)
    return _forget(_with_retraining(_with_event(after, decision), decision))


def _pending(before: Mapping[str, Effect], decision: Decision) -> Mapping[str, Effect]:
    after = {**before, **{effect.id: effect for effect in effects(decision)}}
    if decision.step in (Step.PERFORMED, Step.FAILED, Step.SUPPRESSED):
        after.pop(action_id(decision.id), None)
    return MappingProxyType(after)


def _with_incident(model: ModelState, decision: Decision) -> ModelState:
    before = model.incidents.get(decision.incident)
    after = changed(before, decision)
    if after is None or after is before:
        return model
    return replace(model, incidents=MappingProxyType({**model.incidents, after.id: after}))


def _with_event(model: ModelState, decision: Decision) -> ModelState:
    signal, traffic = decision.detail.signal, decision.detail.traffic
    if traffic is not None and (model.traffic is None or traffic.revision > model.traffic.revision):
        model = replace(model, traffic=traffic)
    if decision.detail.rollout is not None:
        model = replace(model, rollout=decision.detail.rollout)
    if signal is None or signal.window_end_ms <= model.event_ms:
        return model
    return replace(model, event_ms=signal.window_end_ms)


def _with_switches(model: ModelState, decision: Decision) -> ModelState:
    if decision.kind is Kind.MAINTENANCE:
        kept = {key: one for key, one in model.maintenance.items() if key != decision.id}
        announced = {decision.id: decision} if decision.step is Step.DECIDED else {}
        return replace(model, maintenance=MappingProxyType(kept | announced))
    match decision.detail.switch:
        case Switch.STOPPED:
            why = f": {decision.detail.reason}" if decision.detail.reason else ""
            return replace(model, stopped=f"{decision.actor}{why}")
        case Switch.RUNNING:
            return replace(model, stopped="")
        case Switch.NONE:
            return model


def _with_retraining(model: ModelState, decision: Decision) -> ModelState:
    if decision.kind is not Kind.RETRAIN:
        return model
    match decision.step:
        case Step.DECIDED | Step.APPROVED:
            kept = [*model.retrainings.items(), (decision.id, model.event_ms)][-MAX_RETRAININGS:]
        case Step.FAILED if not model.records[decision.id].run:
            # A retraining that could not be set going starts no cool-down; one that ran and failed has cost its time.
            kept = [entry for entry in model.retrainings.items() if entry[0] != decision.id]
        case _:
            return model
    return replace(model, retrainings=MappingProxyType(dict(kept)))


def _after_delivery(model: ModelState, decision: Decision) -> ModelState:
    pending = {key: effect for key, effect in model.pending.items() if key != decision.id}
    record = model.records.get(decision.detail.parent)
    if record is None or any(delivery.id == decision.id for delivery in record.deliveries):
        return replace(model, pending=MappingProxyType(pending))
    told = replace(record, deliveries=(*record.deliveries, decision))
    records = {**model.records, decision.detail.parent: told}
    return replace(model, pending=MappingProxyType(pending), records=MappingProxyType(records))


def _forget(model: ModelState) -> ModelState:
    """Keep the bounds: what waits for a person or for an effect, and open incidents with what was told of their opening,
    stay whatever happens."""
    if len(model.records) > MAX_DECISIONS:
        busy = {effect.decision.id for effect in model.pending.values()}
        oldest = next(
            (
                record
                for key, record in model.records.items()
                if key not in busy and _finished(record) and not _opened_what_is_open(model, record)
            ),
            None,
        )
        if oldest is not None:
            records = {key: record for key, record in model.records.items() if record is not oldest}
            signal = oldest.first.detail.signal
            forgotten_ms = max(model.forgotten_ms, -1 if signal is None else signal.window_end_ms)
            model = replace(model, records=MappingProxyType(records), forgotten_ms=forgotten_ms)
    if len(model.incidents) > MAX_INCIDENTS:
        resolved = next((key for key, one in model.incidents.items() if one.status is Status.RESOLVED), None)
        if resolved is not None:
            incidents = {key: one for key, one in model.incidents.items() if key != resolved}
            model = replace(model, incidents=MappingProxyType(incidents))
    return model


def _opened_what_is_open(model: ModelState, record: Record) -> bool:
    first = record.first
    incident = model.incidents.get(first.incident)
    return (
        first.detail.change is Change.OPENED
        and incident is not None
        and incident.status is not Status.RESOLVED
        and first.timestamp_ms >= incident.opened_ms
    )


def _finished(record: Record) -> bool:
    """What waits for a person or for a time is not."""
    waits = record.last.kind in (Kind.SNOOZE, Kind.MAINTENANCE) and record.last.step is Step.DECIDED
    return not waits and record.last.step is not Step.PROPOSED
