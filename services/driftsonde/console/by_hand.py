"""Canaries and shadows that people set by hand: rollouts too, though no policy moves them. Read from the history of splits."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.rollout import Rollout, RolloutStatus
from driftsonde.core.control.state import ModelState
from driftsonde.core.control.traffic import Share, Traffic, share_of
from driftsonde.core.control.versions import champion_of
from driftsonde.core.events import Variant


@dataclass(frozen=True, slots=True)
class HandSet:
    """`rollout`: what became of it, as if each share that it had were a stage; it began at 0 where that is forgotten. `who`
    set it, and why; "" where that is forgotten."""

    rollout: Rollout
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class _Turn:
    """A split, when it was set and by whom; `moved`: the rollout that it belongs to."""

    traffic: Traffic
    at_ms: int
    who: str = ""
    why: str = ""
    moved: Rollout | None = None


def set_by_hand(model: ModelState) -> list[HandSet]:
    """All that are known, in the order in which they began."""
    found: dict[str, HandSet] = {}  # under way, by version
    over: list[HandSet] = []
    before: Traffic | None = None
    moving: Rollout | None = None
    for turn in _turns(model):
        moving = turn.moved or moving
        for version, hand in list(found.items()):
            after = _after(hand.rollout, turn)
            if after.active:
                found[version] = replace(hand, rollout=after)
            else:
                del found[version]
                over.append(replace(hand, rollout=after))
        ruled = moving.version if moving is not None and moving.active else ""
        for share in turn.traffic.split:
            if share.variant is not Variant.CHAMPION and share.version not in (*found, ruled):
                found[share.version] = _begun(share, turn, champion_of(before or turn.traffic))
        before = turn.traffic
    return sorted((*over, *found.values()), key=lambda hand: hand.rollout.started_ms)


def _turns(model: ModelState) -> Iterator[_Turn]:
    """The splits in their order; the newest may be known from the topic of splits alone."""
    steps = (step for record in model.records.values() for step in record.steps)
    turns = {turn.traffic.revision: turn for step in steps if (turn := _turn(step)) is not None}
    if model.traffic is not None and model.traffic.revision not in turns:
        turns[model.traffic.revision] = _Turn(model.traffic, 0, moved=model.rollout)
    yield from (turn for _, turn in sorted(turns.items()))


def _turn(step: Decision) -> _Turn | None:
    detail = step.detail
    if detail.traffic is None:
        return None
    return _Turn(detail.traffic, step.timestamp_ms, step.actor, detail.reason, detail.rollout)


def _begun(share: Share, turn: _Turn, champion: str) -> HandSet:
    rollout = Rollout(
        id=turn.traffic.decision,
        model=turn.traffic.model,
        version=share.version,
        champion=champion,
        weights=(share.weight,),
        stage=0,
        status=RolloutStatus.RUNNING,
        started_ms=turn.at_ms,
        since_ms=turn.at_ms,
    )
    return HandSet(rollout, turn.who, turn.why)


def _after(rollout: Rollout, turn: _Turn) -> Rollout:
    """What a later split makes of it. One that a policy takes over from there goes on as that one's rollout."""
    share = share_of(turn.traffic, rollout.version)
    if share is None:
        return replace(rollout, status=RolloutStatus.ROLLED_BACK, since_ms=turn.at_ms)
    if share.variant is Variant.CHAMPION:
        return replace(rollout, status=RolloutStatus.PROMOTED, since_ms=turn.at_ms)
    if share.weight == rollout.weights[-1]:
        return rollout
    weights = (*rollout.weights, share.weight)
    return replace(rollout, weights=weights, stage=rollout.stage + 1, since_ms=turn.at_ms)
