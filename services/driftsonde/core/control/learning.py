"""A model's learning period: what its signals would have led to is in the log, and nobody is called.

It begins when the model is first registered, and lasts as long as the policy says; a signal belongs to it by event time, so
what becomes of the signal follows from the log. What takes a version back is no learning: somebody put that version there,
and the confidence sequence that speaks against it needs no history.
"""

from collections.abc import Iterator

from driftsonde.core.control.decisions import CONTROLLER, Change, Decision, Detail, Kind, Step
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.inputs import Setting
from driftsonde.core.control.making import told
from driftsonde.core.control.policy import Ruling
from driftsonde.core.control.state import ModelState, State
from driftsonde.core.iso_time import iso_seconds
from driftsonde.core.signals import Signal, SignalKind, derive_id
from driftsonde.core.spec import ActionPolicy


def learning_until(model: ModelState, actions: ActionPolicy) -> int:
    """When the period ends; 0 = there is none: the policy asks for none, or the log has no registration yet."""
    if not actions.learning_ms or not model.versions:
        return 0
    return min(version.first_ms for version in model.versions.values()) + actions.learning_ms


def learning_of(model: ModelState, signal: Signal, obstacle: str, actions: ActionPolicy) -> int:
    """The end of the period that the signal falls into; 0 = it falls into none. `obstacle`: why what it asks for can't be
    done, "" if it can."""
    until_ms = learning_until(model, actions)
    takes_back = signal.kind is SignalKind.ROLLBACK and not obstacle
    return until_ms if signal.window_end_ms <= until_ms and not takes_back else 0


def withheld(until_ms: int, ruling: Ruling) -> Ruling:
    """Nothing is done in the period, whatever the policy says; `ruling`: what it would be without."""
    return Ruling(Step.OBSERVED, f"{in_words(until_ms)}; it would be {ruling.step}: {ruling.reason}")


def in_words(until_ms: int) -> str:
    """
    >>> in_words(1000)
    'learning until 1970-01-01T00:00:01Z'
    """
    return f"learning until {iso_seconds(until_ms)}"


def graduations(state: State, now_ms: int, setting: Setting) -> Iterator[Decision]:
    """What opened during a period that is over, and goes on: people are told of it now.

    What late labels bring of the period after its end waits for its next signal.
    """
    for model in state.models.values():
        quiet = [one for one in model.incidents.values() if one.learning_until_ms and _goes_on(one)]
        if quiet and now_ms >= learning_until(model, setting.governance(model.model).actions):
            for incident in quiet:
                signal = _newest_signal(model, incident)
                if signal is not None and incident.opened_ms < incident.learning_until_ms:
                    yield _graduation(incident, signal, now_ms, setting)


def _goes_on(incident: Incident) -> bool:
    return incident.status is not Status.RESOLVED


def _newest_signal(model: ModelState, incident: Incident) -> Signal | None:
    signals = [
        record.first.detail.signal
        for record in model.records.values()
        if record.first.incident == incident.id
    ]
    known = [signal for signal in signals if signal is not None and signal.kind is not SignalKind.RESOLVE]
    return max(known, key=lambda signal: (signal.window_end_ms, signal.id), default=None)


def _graduation(incident: Incident, signal: Signal, now_ms: int, setting: Setting) -> Decision:
    decision = Decision(
        id=derive_id("graduation", incident.id, incident.opened_ms),
        step=Step.DECIDED,
        kind=Kind.ALERT,
        model=incident.model,
        version=incident.version,
        incident=incident.id,
        signal=signal.id,
        mode=None,
        actor=CONTROLLER,
        policy=setting.governance(incident.model).fingerprint,
        timestamp_ms=now_ms,
        detail=Detail(
            reason=f"the learning period is over, the incident is not: {incident.summary}",
            change=Change.OPENED,
            signal=signal,
        ),
    )
    return told(decision, setting)
