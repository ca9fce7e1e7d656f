"""Values that the tests of the controller share."""

import math

from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.inputs import Input, Setting
from driftsonde.core.control.machine import step
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import State
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind, derive_id
from driftsonde.core.spec import HOUR_MS, ActionPolicy, Mode

NOW_MS = 1_790_000_000_000
CANARY_SPLIT = (Share("1", Variant.CHAMPION, 0.9), Share("2", Variant.CANARY, 0.1))


def signal(
    kind: SignalKind,
    episode: str = "e1",
    hour: int = 0,
    model: str = "fraud",
    version: str = "1",
    variant: Variant = Variant.CHAMPION,
    rule: Rule = Rule.DRIFT,
) -> Signal:
    """A signal about the window that begins at `hour`."""
    start_ms = hour * HOUR_MS
    return Signal(
        id=derive_id(kind, model, episode, hour),
        kind=kind,
        rule=rule,
        model=model,
        version=version,
        variant=variant,
        segment="",
        window_start_ms=start_ms,
        window_end_ms=start_ms + HOUR_MS,
        since_ms=0,
        episode=episode,
        summary=f"{kind} of {model}",
        evidence=(
            Evidence(start_ms, start_ms + HOUR_MS, "amount", "psi", 0.7, 0.2, math.nan, math.nan, 500),
        ),
        baseline="b1",
        policy="p1",
    )


def canary_rollback(episode: str = "c1", hour: int = 0) -> Signal:
    return signal(SignalKind.ROLLBACK, episode, hour, version="2", variant=Variant.CANARY, rule=Rule.CANARY)


def setting(
    retrain: Mode = Mode.AUTO,
    rollback: Mode = Mode.AUTO,
    routes: tuple[Route, ...] = (Route("oncall"),),
    retrain_configured: bool = True,
) -> Setting:
    """A cool-down and an approval expiry of 24 h."""
    governance = Governance(ActionPolicy(retrain=retrain, rollback=rollback), "p1")
    return Setting(lambda _: governance, routes, retrain_configured)


def with_canary(model: str = "fraud") -> Traffic:
    return Traffic(model, CANARY_SPLIT, 3, "d0")


def after(
    state: State, inputs: list[Input], policy: Setting, now_ms: int = NOW_MS
) -> tuple[State, list[Decision]]:
    """The state after some inputs, and all decisions on the way."""
    decisions: list[Decision] = []
    for event in inputs:
        state, taken = step(state, event, now_ms, policy)
        decisions += taken
    return state, decisions
