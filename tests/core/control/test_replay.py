"""Laws of the controller's state: it is the fold of its decisions, whatever comes twice, late or in another order."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.adapters.wire_control import decision_to_record
from driftsonde.core.control.chain import Head, link_of, verify
from driftsonde.core.control.decisions import Action, Decision, Kind, Step
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Approval,
    AutomationChange,
    Input,
    Maintenance,
    MaintenanceEnd,
    Outcome,
    Refusal,
    Refused,
    Rejection,
    Resolution,
    Snooze,
    SplitChange,
    Tick,
)
from driftsonde.core.control.machine import step
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.control.traffic import InvalidSplit, Share
from driftsonde.core.events import Variant
from driftsonde.core.signals import Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, Mode

CANARY = with_traffic(State(), with_canary())


@st.composite
def _episodes(draw: st.DrawFn) -> list[list[Signal]]:
    """Episodes of one or two models, each in its order: signals, and for most a resolve."""
    episodes = []
    for index in range(draw(st.integers(1, 4))):
        model = draw(st.sampled_from(["fraud", "credit"]))
        kinds = draw(
            st.lists(st.sampled_from([SignalKind.ALERT, SignalKind.RETRAIN]), min_size=1, max_size=4)
        )
        if draw(st.booleans()):
            kinds.append(SignalKind.RESOLVE)
        episodes.append([signal(kind, f"e{index}", hour, model) for hour, kind in enumerate(kinds)])
    return episodes


@st.composite
def _deliveries(draw: st.DrawFn, episodes: list[list[Signal]]) -> list[Signal]:
    """The signals in some order that keeps the order within each episode, some of them again later."""
    waiting = [list(episode) for episode in episodes]
    delivered: list[Signal] = []
    repeated = draw(st.lists(st.booleans(), min_size=20, max_size=20))
    while any(waiting):
        if delivered and repeated.pop():
            delivered.append(draw(st.sampled_from(delivered)))
        delivered.append(draw(st.sampled_from([episode for episode in waiting if episode])).pop(0))
    return delivered


@given(_episodes(), st.data())
def test_order_across_episodes_and_repetition_do_not_matter(
    episodes: list[list[Signal]], data: st.DataObject
) -> None:
    observe = setting(retrain=Mode.OBSERVE, rollback=Mode.OBSERVE)
    in_turn, decisions = after(State(), [event for episode in episodes for event in episode], observe)
    mixed, others = after(State(), list(data.draw(_deliveries(episodes))), observe)
    # Each order has its own chain, of the same decisions.
    loose, loose_others = _unchained(decisions), _unchained(others)
    assert fold(State(), loose_others) == fold(State(), loose)
    assert sorted(loose, key=_identity) == sorted(loose_others, key=_identity)
    for state, chained in ((in_turn, decisions), (mixed, others)):
        assert verified(chained) == {name: model.head for name, model in state.models.items()}


def _unchained(decisions: list[Decision]) -> list[Decision]:
    return [replace(decision, sequence=0, previous="", hash="") for decision in decisions]


def verified(decisions: list[Decision]) -> dict[str, Head]:
    """The heads of the chains as they are found on the wire; fails where one does not hold."""
    findings = verify(link_of(decision_to_record(decision)) for decision in decisions)
    assert [finding.problem for finding in findings if finding.problem] == []
    return {finding.model: finding.head for finding in findings}


@given(_episodes(), st.data())
def test_one_retraining_per_cool_down_in_any_order(episodes: list[list[Signal]], data: st.DataObject) -> None:
    _, decisions = after(State(), list(data.draw(_deliveries(episodes))), setting())
    decided = [
        entry.model for entry in decisions if entry.kind is Kind.RETRAIN and entry.step is Step.DECIDED
    ]
    asked = {event.model for episode in episodes for event in episode if event.kind is SignalKind.RETRAIN}
    assert sorted(decided) == sorted(asked)  # all windows lie within one cool-down


def _identity(decision: Decision) -> tuple[str, str]:
    return decision.id, decision.step


@st.composite
def _histories(draw: st.DrawFn) -> tuple[State, list[Decision]]:
    """A life of the controller: signals, people, outcomes, time, in any order that comes up."""
    policy = setting(draw(st.sampled_from(Mode)), draw(st.sampled_from(Mode)))
    state, decisions, now_ms = CANARY, list[Decision](), NOW_MS
    for _ in range(draw(st.integers(0, 12))):
        now_ms += draw(st.sampled_from([1, HOUR_MS, 24 * HOUR_MS]))
        try:
            state, taken = step(state, draw(_inputs(state)), now_ms, policy)
        except (Refused, InvalidSplit):
            continue
        decisions += taken
    return state, decisions


@st.composite
def _inputs(draw: st.DrawFn, state: State) -> Input:
    model = state.model("fraud")
    choices: list[Input] = [
        signal(
            draw(st.sampled_from(SignalKind)), draw(st.sampled_from(["e1", "e2"])), draw(st.integers(0, 60))
        ),
        canary_rollback(hour=draw(st.integers(0, 60))),
        SplitChange("fraud", (Share("1", Variant.CHAMPION, 0.8), Share("2", Variant.CANARY, 0.2)), "ann"),
        Tick(),
    ]
    choices += [Approval(key, "ann") for key in model.records] + [
        Rejection(key, "bob") for key in model.records
    ]
    choices += [Acknowledgement(key, "ann") for key in model.incidents]
    choices += [Snooze(key, draw(st.sampled_from([1, HOUR_MS])), "ann") for key in model.incidents]
    choices += [Resolution(key, "ann", "", draw(st.booleans())) for key in model.incidents]
    choices += [
        Maintenance("fraud", draw(st.sampled_from([0, NOW_MS + HOUR_MS])), NOW_MS + 24 * HOUR_MS, "ann"),
        AutomationChange(draw(st.sampled_from(["*", "fraud"])), draw(st.booleans()), "ann"),
        Refusal("*", "ann", "PUT /v1/automation", "this needs the role admin"),
    ]
    choices += [MaintenanceEnd(key, "bob") for key in model.maintenance]
    choices += [Outcome(effect, draw(st.sampled_from(["", "status 500"])), 1) for effect in state.pending()]
    return draw(st.sampled_from(choices))


@given(_histories())
def test_the_state_is_the_fold_of_the_decisions(history: tuple[State, list[Decision]]) -> None:
    state, decisions = history
    assert fold(CANARY, decisions) == state
    assert verified(decisions) == {name: it.head for name, it in state.models.items() if it.head.sequence}


@given(_histories(), st.data())
def test_folding_a_decision_twice_changes_nothing(
    history: tuple[State, list[Decision]], data: st.DataObject
) -> None:
    # A producer that repeats a batch writes its decisions again, after the first time.
    state, decisions = history
    cut = data.draw(st.integers(0, len(decisions)))
    assert fold(CANARY, [*decisions[:cut], *decisions[:cut], *decisions[cut:]]) == state


@given(_histories())
def test_every_action_is_done_or_pending(history: tuple[State, list[Decision]]) -> None:
    state, decisions = history
    asked = {entry.id for entry in decisions if entry.detail.action}
    done = {
        entry.id
        for entry in decisions
        if entry.kind is not Kind.NOTIFY and entry.step in (Step.PERFORMED, Step.FAILED)
    }
    pending = {effect.decision.id for effect in state.pending() if effect.action is not Action.NONE}
    assert pending == asked - done
    assert done <= asked


@given(_histories())
def test_a_decision_takes_each_step_once_and_ends(history: tuple[State, list[Decision]]) -> None:
    _, decisions = history
    identities = [_identity(decision) for decision in decisions]
    assert len(set(identities)) == len(identities)
