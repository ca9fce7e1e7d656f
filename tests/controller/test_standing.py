"""What an endpoint that forgets is to be told again: what it was told of, as long as it is not over."""

from control_examples import NOW_MS, after, setting, signal
from driftsonde.controller.channels.alertmanager import KEPT_MS
from driftsonde.controller.config import ControllerConfig
from driftsonde.controller.config_parts import Channel, Endpoint
from driftsonde.controller.outbox import repetition_of
from driftsonde.controller.standing import standing
from driftsonde.core.control.inputs import Acknowledgement, Outcome, Resolution, Tick
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import MAX_DECISIONS, State
from driftsonde.core.signals import Rule, SignalKind
from driftsonde.core.spec import MINUTE_MS

POLICY = setting(routes=(Route("am", incidents_only=True), Route("lead", escalation_ms=MINUTE_MS)))


def told(state: State, problem: str = "", now_ms: int = NOW_MS) -> State:
    """The state once everybody was told, or could not be."""
    return after(state, [Outcome(it, problem, 1) for it in state.pending() if it.recipient], POLICY, now_ms)[
        0
    ]


def keys(state: State, name: str = "am", now_ms: int = NOW_MS) -> list[str]:
    return [effect.decision.incident for effect in standing(state, name, now_ms)]


def test_from_the_first_telling_to_the_end() -> None:
    state, (opened,) = after(State(), [signal(SignalKind.ALERT)], POLICY)
    assert keys(state) == []  # it is on its way
    state = told(state, "was away")
    assert keys(state) == [opened.incident]  # the endpoint may be there by now
    assert keys(state, "lead") == []
    state = told(after(state, [signal(SignalKind.RETRAIN, hour=1)], POLICY)[0])
    (effect,) = standing(state, "am", NOW_MS)
    assert effect.decision.incident == opened.incident
    assert effect.id not in state.model("fraud").pending
    state, _ = after(state, [Acknowledgement(opened.incident, "ann")], POLICY)
    assert keys(told(state)) == [opened.incident]
    state, _ = after(state, [Resolution(opened.incident, "ann")], POLICY)
    assert keys(state) == []  # before its end is told


def test_an_escalation_stands_until_somebody_takes_it() -> None:
    state, (opened,) = after(State(), [signal(SignalKind.ALERT)], POLICY)
    state = told(state)
    state = told(after(state, [Tick()], POLICY, NOW_MS + MINUTE_MS)[0])
    assert keys(state, "lead") == [opened.incident]
    state, _ = after(state, [Acknowledgement(opened.incident, "ann")], POLICY, NOW_MS + MINUTE_MS)
    state, _ = after(state, [Tick()], POLICY, NOW_MS + MINUTE_MS)
    assert keys(state, "lead") == []


def test_a_failed_action_stands_for_a_day() -> None:
    state, _ = after(State(), [signal(SignalKind.RETRAIN)], POLICY)
    state, _ = after(state, [Outcome(it, "no", 1) for it in state.pending() if it.action], POLICY)
    state = told(state)
    failed = [it.decision.step.value for it in standing(state, "am", NOW_MS)]
    assert failed == ["decided", "failed"]
    assert len(standing(state, "am", NOW_MS + KEPT_MS)) == 1


def test_what_opened_an_incident_is_not_forgotten_before_its_end() -> None:
    state, (opened,) = after(State(), [signal(SignalKind.ALERT, rule=Rule.QUALITY)], POLICY)
    state = told(state)
    strangers = [
        signal(SignalKind.RESOLVE, f"other{number}", number + 1) for number in range(MAX_DECISIONS + 5)
    ]
    state, _ = after(state, [*strangers], POLICY)
    assert len(state.model("fraud").records) == MAX_DECISIONS
    assert keys(state) == [opened.incident]


def test_a_repetition_gives_way_to_what_is_new() -> None:
    state, _ = after(State(), [signal(SignalKind.ALERT)], POLICY)
    (effect,) = standing(told(state), "am", NOW_MS)
    endpoint = Endpoint("am", "https://am.example.com", (), Channel.ALERTMANAGER)
    delivery = repetition_of(ControllerConfig((endpoint,), POLICY.routes), state, effect, NOW_MS)
    assert delivery is not None
    assert delivery.newest_only
    assert delivery.lane == effect.decision.incident
