"""When nobody is told: while a model learns, while an incident is snoozed, and during maintenance."""

from collections.abc import Iterator
from dataclasses import replace

from driftsonde.core.control.decisions import CONTROLLER, Change, Decision, Kind, Step
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.inputs import Setting
from driftsonde.core.control.learning import in_words
from driftsonde.core.control.making import next_step
from driftsonde.core.control.state import ModelState, State
from driftsonde.core.iso_time import iso_seconds

# What goes out all the same: what people do, and the end of what was told before.
_HUSHED_KINDS = frozenset({Kind.ALERT, Kind.RETRAIN, Kind.ROLLBACK, Kind.RESOLVE, Kind.ESCALATE})


def maintenance_of(model: ModelState, now_ms: int) -> str:
    """The maintenance that a model is in, in words; "" = none."""
    running = [
        decision
        for decision in model.maintenance.values()
        if decision.detail.from_ms <= now_ms < decision.detail.expires_ms
    ]
    if not running:
        return ""
    longest = max(running, key=lambda decision: decision.detail.expires_ms)
    return f"the maintenance by {longest.actor} until {iso_seconds(longest.detail.expires_ms)}"


def hushed(state: State, decision: Decision, now_ms: int) -> Decision:
    """The decision, for nobody's ears if it is about something that is to be kept quiet now."""
    why = why_quiet(state, decision, now_ms)
    if not why or not decision.detail.recipients:
        return decision
    if decision.detail.learning_until_ms:
        why += f"; it would have told {', '.join(decision.detail.recipients)}"
    return replace(decision, detail=replace(decision.detail, recipients=(), quiet=why))


def why_quiet(state: State, decision: Decision, now_ms: int) -> str:
    """Why nobody is told of this decision; "" where people are.

    What people do about an incident that nobody was told of is nobody's news either.
    """
    incident = state.model(decision.model).incidents.get(decision.incident)
    if decision.detail.learning_until_ms:
        return in_words(decision.detail.learning_until_ms)
    if incident is not None and incident.learning_until_ms and decision.detail.change is not Change.OPENED:
        return f"nobody was told of the incident: it was {in_words(incident.learning_until_ms)}"
    if decision.kind not in _HUSHED_KINDS or decision.actor != CONTROLLER or decision.step is Step.FAILED:
        return ""
    model = state.model(decision.model)
    ends = decision.detail.change is Change.RESOLVED
    if incident is not None and not ends and now_ms < incident.snoozed_until_ms:
        return f"the incident is snoozed until {iso_seconds(incident.snoozed_until_ms)}"
    maintenance = maintenance_of(model, now_ms)
    if maintenance and ends and _began_before(model, incident, now_ms):
        return ""
    return maintenance


def _began_before(model: ModelState, incident: Incident | None, now_ms: int) -> bool:
    """Whether people were told of the incident before the maintenance."""
    begins = [it.detail.from_ms for it in model.maintenance.values() if it.detail.from_ms <= now_ms]
    return incident is not None and incident.opened_ms < min(begins, default=0)


def awakened(state: State, now_ms: int, setting: Setting) -> Iterator[Decision]:
    """The ends of snoozes and maintenances that are over: people are told what is still open."""
    for model in state.models.values():
        for record in model.records.values():
            last = record.last
            if last.kind is Kind.SNOOZE and last.step is Step.DECIDED and now_ms >= last.detail.expires_ms:
                incident = model.incidents.get(last.incident)
                said = "the snooze is over"
                if incident is not None and _is_due(incident, last):
                    said = f"the snooze is over, the incident is not: {incident.summary}"
                over = next_step(last, Step.EXPIRED, CONTROLLER, said, now_ms, setting)
                yield over if incident is not None and _is_due(incident, last) else _silent(over)
        for announced in model.maintenance.values():
            if now_ms >= announced.detail.expires_ms:
                yield next_step(announced, Step.EXPIRED, CONTROLLER, _left_open(model), now_ms, setting)


def _is_due(incident: Incident, snooze: Decision) -> bool:
    """Whether people are to be reminded: not if the incident is over, or another snooze counts."""
    newest = incident.snoozed_until_ms == snooze.detail.expires_ms
    return newest and incident.status is not Status.RESOLVED


def _silent(decision: Decision) -> Decision:
    return replace(decision, detail=replace(decision.detail, recipients=()))


def _left_open(model: ModelState) -> str:
    still = [
        incident.summary
        for incident in model.incidents.values()
        if incident.status is not Status.RESOLVED and not incident.learning_until_ms
    ]
    return f"the maintenance is over; {len(still)} incidents are open{''.join(f'; {it}' for it in still[:5])}"
