"""What an endpoint that forgets was told of and is not over: it has to hear of it again and again."""

from collections.abc import Iterator

from driftsonde.controller.channels.alertmanager import KEPT_MS
from driftsonde.controller.channels.notice import Event, event_of
from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.state import Effect, ModelState, Record, State
from driftsonde.core.signals import derive_id


def standing(state: State, name: str, now_ms: int) -> list[Effect]:
    """One effect for each alert of the endpoint, made from the newest step that it was told of as an alert.

    All of it follows from the log, so a process that takes over repeats what the one before it has told. Their ids are
    not those of what is pending: whatever comes of a repetition is not recorded.
    """
    newest: dict[str, Decision] = {}
    for model in state.models.values():
        for record in model.records.values():
            for told in _told(record, name):
                if _stands(model, record, told, now_ms):
                    newest[_key(told)] = told
    return [
        Effect(derive_id("repeat", name, key), decision, recipient=name) for key, decision in newest.items()
    ]


def _told(record: Record, name: str) -> Iterator[Decision]:
    """The steps that opened an alert at the endpoint, or that it could not be reached about."""
    steps = {entry.detail.parent_step for entry in record.deliveries if entry.detail.target == name}
    return (step for step in record.steps if step.step in steps and event_of(step) is Event.OPEN)


def _stands(model: ModelState, record: Record, told: Decision, now_ms: int) -> bool:
    if told.step is Step.FAILED:  # nothing says that this is over, so it is told for a day
        return now_ms - told.timestamp_ms < KEPT_MS
    if told.kind is Kind.ESCALATE:
        return record.last.step is Step.DECIDED
    incident = model.incidents.get(told.incident)
    return (
        incident is not None
        and incident.status is not Status.RESOLVED
        and told.timestamp_ms >= incident.opened_ms
    )


def _key(told: Decision) -> str:
    return told.id if told.step is Step.FAILED else told.incident
