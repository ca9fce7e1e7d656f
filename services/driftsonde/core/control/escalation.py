"""Whom to tell when nobody acknowledges an incident, and that it is over."""

from collections.abc import Iterator
from dataclasses import replace

from driftsonde.core.control.decisions import CONTROLLER, Decision, Detail, Kind, Step
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.inputs import Setting
from driftsonde.core.control.making import next_step
from driftsonde.core.control.routing import Route, concerns
from driftsonde.core.control.state import ModelState, State
from driftsonde.core.signals import derive_id


def escalations(state: State, now_ms: int, setting: Setting) -> list[Decision]:
    """The endpoints that are now told of an incident because it was not acknowledged, and those told that it is over."""
    routes = tuple(route for route in setting.routes if route.escalation_ms)
    if not routes:
        return []
    return [
        decision
        for model in state.models.values()
        for decision in (*_begun(model, routes, now_ms, setting), *_ended(model, now_ms, setting))
    ]


def _begun(model: ModelState, routes: tuple[Route, ...], now_ms: int, setting: Setting) -> Iterator[Decision]:
    governance = setting.governance(model.model)
    for incident in model.incidents.values():
        if incident.status is not Status.OPEN:
            continue
        for route in routes:
            if now_ms - incident.opened_ms < route.escalation_ms:
                continue
            decision = _escalation(incident, route, now_ms, setting)
            if decision.id not in model.records and concerns(route, decision, governance.owner):
                yield decision


def _escalation(incident: Incident, route: Route, now_ms: int, setting: Setting) -> Decision:
    return Decision(
        id=derive_id("escalate", incident.id, incident.opened_ms, route.name),
        step=Step.DECIDED,
        kind=Kind.ESCALATE,
        model=incident.model,
        version=incident.version,
        incident=incident.id,
        signal=incident.last_signal,
        mode=None,
        actor=CONTROLLER,
        policy="",
        timestamp_ms=now_ms,
        detail=Detail(
            reason=f"not acknowledged for {(now_ms - incident.opened_ms) // 60_000} min",
            severity=setting.severities[incident.rule],
            recipients=(route.name,),
        ),
    )


def _ended(model: ModelState, now_ms: int, setting: Setting) -> Iterator[Decision]:
    for record in model.records.values():
        escalated = record.last
        if escalated.kind is not Kind.ESCALATE or escalated.step is not Step.DECIDED:
            continue
        incident = model.incidents.get(escalated.incident)
        if incident is None or incident.status is not Status.OPEN:
            over = next_step(escalated, Step.PERFORMED, CONTROLLER, _how(incident), now_ms, setting)
            yield replace(over, detail=replace(over.detail, recipients=escalated.detail.recipients))


def _how(incident: Incident | None) -> str:
    if incident is not None and incident.status is Status.ACKNOWLEDGED:
        return f"acknowledged by {incident.acknowledged_by}"
    return "resolved"
