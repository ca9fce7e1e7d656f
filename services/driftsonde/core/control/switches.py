"""What people decide on a model as a whole: maintenance, the switch for all automation; and what they were refused."""

from dataclasses import replace

from driftsonde.core.control.decisions import Decision, Detail, Kind, Step, Switch
from driftsonde.core.control.inputs import (
    AutomationChange,
    Maintenance,
    MaintenanceEnd,
    Refusal,
    Refused,
    Setting,
    Unknown,
)
from driftsonde.core.control.making import by_person, next_step, numbered_id, told
from driftsonde.core.control.state import State
from driftsonde.core.signals import derive_id


def on_maintenance(state: State, wish: Maintenance, now_ms: int, setting: Setting) -> list[Decision]:
    from_ms = max(wish.from_ms, now_ms)
    if wish.until_ms <= from_ms:
        raise Refused("the maintenance would end before it begins")
    model = state.model(wish.model)
    decision_id = derive_id("maintenance", wish.model, wish.from_ms or now_ms, wish.until_ms, wish.actor)
    if decision_id in model.records:
        return []
    detail = Detail(reason=wish.reason, from_ms=from_ms, expires_ms=wish.until_ms)
    return [told(by_person(decision_id, Kind.MAINTENANCE, model, wish.actor, now_ms, detail), setting)]


def on_maintenance_end(state: State, end: MaintenanceEnd, now_ms: int, setting: Setting) -> list[Decision]:
    record = state.record(end.decision)
    if record is None or record.first.kind is not Kind.MAINTENANCE:
        raise Unknown(f"no maintenance {end.decision}")
    if record.last.step is not Step.DECIDED:
        raise Refused("the maintenance is over")
    return [next_step(record.last, Step.REJECTED, end.actor, "ended by hand", now_ms, setting)]


def on_automation(state: State, change: AutomationChange, now_ms: int, setting: Setting) -> list[Decision]:
    """Stopping holds back what is decided from now on; what was decided before is still carried out."""
    model = state.model(change.model)
    if bool(model.stopped) is change.stopped:
        return []
    switch = Switch.STOPPED if change.stopped else Switch.RUNNING
    detail = Detail(reason=change.reason, switch=switch)
    decision = by_person(
        numbered_id(Kind.AUTOMATION, model), Kind.AUTOMATION, model, change.actor, now_ms, detail
    )
    return [told(decision, setting)]


def on_refusal(state: State, refusal: Refusal, now_ms: int) -> list[Decision]:
    """Kept for the audit log; nobody is told."""
    model = state.model(refusal.model)
    detail = Detail(reason=f"{refusal.asked}: {refusal.problem}")
    decision_id = numbered_id(Kind.REFUSAL, model)
    refused = by_person(decision_id, Kind.REFUSAL, model, refusal.actor, now_ms, detail)
    return [replace(refused, step=Step.REJECTED)]
