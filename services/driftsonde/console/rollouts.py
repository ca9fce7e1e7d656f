"""Rollouts as people follow them: where each is, how requests are split, what it waits for, what was done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftsonde.console.comparison import Shown
from driftsonde.console.texts import age
from driftsonde.core.control.decisions import Kind
from driftsonde.core.control.gate import gate
from driftsonde.core.control.inputs import RolloutWish
from driftsonde.core.control.rollout import Rollout, RolloutStatus, advance_obstacle
from driftsonde.core.control.state import ModelState, State
from driftsonde.core.control.traffic import Traffic, share_of
from driftsonde.core.events import Variant
from driftsonde.core.spec import RolloutRule
from driftsonde.report.formats import format_moment
from driftsonde.report.timeline import DecisionLine, decision_line

_WISHES = {
    RolloutStatus.RUNNING: (
        RolloutWish.PAUSE,
        RolloutWish.ADVANCE,
        RolloutWish.PROMOTE,
        RolloutWish.ROLLBACK,
    ),
    RolloutStatus.PAUSED: (RolloutWish.RESUME, RolloutWish.PROMOTE, RolloutWish.ROLLBACK),
    RolloutStatus.PROMOTED: (RolloutWish.ROLLBACK,),
    RolloutStatus.ROLLED_BACK: (),
}


@dataclass(frozen=True, slots=True)
class StageLine:
    """`state`: done, here, ahead, or left (the rollout was taken back in it)."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class ShareLine:
    """A part of a model's requests; a shadow has 0."""

    version: str
    variant: str
    weight: float
    text: str


@dataclass(frozen=True, slots=True)
class RolloutLine:
    """One rollout in words. `status` is one of `RolloutStatus`; `lasted`: how long it has been where it is."""

    model: str
    version: str
    champion: str
    status: RolloutStatus
    active: bool
    at: str
    started: str
    lasted: str
    stages: tuple[StageLine, ...]


@dataclass(frozen=True, slots=True)
class RolloutView:
    """All of one model's rollout page. `evidence`: None where nothing can be compared, and `no_evidence` says why.

    waits: what holds the next stage back. choices: versions that could be sent on their way now.
    """

    model: str
    line: RolloutLine | None
    split: tuple[ShareLine, ...]
    evidence: Shown | None
    no_evidence: str
    waits: tuple[str, ...]
    wishes: tuple[RolloutWish, ...]
    done: tuple[DecisionLine, ...]
    earlier: tuple[RolloutLine, ...]
    choices: tuple[str, ...]


def rollouts_of(model: ModelState) -> list[Rollout]:
    """Of each rollout that is still known what became of it, the newest first."""
    found: dict[str, Rollout] = {}
    steps = [step for record in model.records.values() for step in record.steps]
    for step in sorted(steps, key=lambda step: (step.timestamp_ms, step.sequence)):
        if step.detail.rollout is not None:
            found[step.detail.rollout.id] = step.detail.rollout
    if model.rollout is not None:
        found[model.rollout.id] = model.rollout
    return sorted(found.values(), key=lambda rollout: (-rollout.started_ms, rollout.id))


def rollout_lines(state: State, now: datetime) -> tuple[RolloutLine, ...]:
    """Of all models: those under way first, then the newest."""
    known = [rollout for model in state.models.values() for rollout in rollouts_of(model)]
    known.sort(key=lambda rollout: (not rollout.active, -rollout.started_ms, rollout.model))
    return tuple(rollout_line(rollout, now) for rollout in known)


def rollout_line(rollout: Rollout, now: datetime) -> RolloutLine:
    now_ms = int(now.timestamp() * 1000)
    return RolloutLine(
        model=rollout.model,
        version=rollout.version,
        champion=rollout.champion,
        status=rollout.status,
        active=rollout.active,
        at=rollout.at,
        started=format_moment(rollout.started_ms),
        lasted=age(timedelta(milliseconds=now_ms - rollout.since_ms)),
        stages=tuple(_stages(rollout)),
    )


def rollout_view(
    model: ModelState,
    rule: RolloutRule,
    versions: Sequence[str],
    evidence: Shown | None,
    no_evidence: str,
    now: datetime,
) -> RolloutView:
    """`versions` are those that are registered."""
    rollouts, rollout = rollouts_of(model), model.rollout
    serving = share_of(model.traffic, rollout.version) if rollout else None
    gone = (
        rollout is not None
        and rollout.status is RolloutStatus.PROMOTED
        and (serving is None or serving.variant is not Variant.CHAMPION)
    )
    busy = rollout is not None and rollout.active
    return RolloutView(
        model=model.model,
        line=rollout_line(rollout, now) if rollout else None,
        split=_split(model.traffic),
        evidence=evidence,
        no_evidence=no_evidence,
        waits=tuple(_waits(model, rollout, rule, evidence, now)) if rollout and busy else (),
        wishes=_WISHES[rollout.status] if rollout and not gone else (),
        done=_done(model, rollout) if rollout else (),
        earlier=tuple(rollout_line(it, now) for it in rollouts if rollout is None or it.id != rollout.id),
        choices=() if busy or model.traffic is None else _choices(model.traffic, versions),
    )


def _stages(rollout: Rollout) -> list[StageLine]:
    names = [f"{100 * weight:g} %" if weight else "shadow" for weight in rollout.weights] + ["champion"]
    promoted = rollout.status is RolloutStatus.PROMOTED
    at = len(rollout.weights) if promoted else rollout.stage
    here = "left" if rollout.status is RolloutStatus.ROLLED_BACK else "here"
    return [
        StageLine(name, "done" if place < at else here if place == at else "ahead")
        for place, name in enumerate(names)
    ]


def _split(traffic: Traffic | None) -> tuple[ShareLine, ...]:
    shares = sorted(traffic.split, key=lambda share: -share.weight) if traffic else []
    return tuple(
        ShareLine(share.version, str(share.variant), share.weight, f"{100 * share.weight:g} %")
        for share in shares
    )


def _waits(
    model: ModelState, rollout: Rollout, rule: RolloutRule, evidence: Shown | None, now: datetime
) -> list[str]:
    labelled = evidence.labelled if evidence else 0
    obstacle = advance_obstacle(rollout, rollout.version, rule, int(now.timestamp() * 1000), labelled)
    return [*([obstacle] if obstacle else []), *gate(model, rollout.version).reasons]


def _done(model: ModelState, rollout: Rollout) -> tuple[DecisionLine, ...]:
    """The steps that moved it, and what was said about it, the newest first."""
    steps = [
        step
        for record in model.records.values()
        for step in record.steps
        if step.timestamp_ms >= rollout.started_ms
        and step.version == rollout.version
        and step.kind in (Kind.ROLLOUT, Kind.PROMOTE, Kind.ROLLBACK)
    ]
    steps.sort(key=lambda step: (step.timestamp_ms, step.sequence), reverse=True)
    return tuple(decision_line(step) for step in steps)


def _choices(traffic: Traffic, versions: Sequence[str]) -> tuple[str, ...]:
    champions = {share.version for share in traffic.split if share.variant is Variant.CHAMPION}
    return tuple(version for version in versions if version not in champions)
