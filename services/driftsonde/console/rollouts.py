"""Rollouts as people follow them: where each is, how requests are split, what it waits for, what was done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftsonde.console.acts import acts_of
from driftsonde.console.by_hand import HandSet, set_by_hand
from driftsonde.console.comparison import Shown
from driftsonde.console.deeds import Deed
from driftsonde.console.texts import Moment, age, moment, split_text, who_text
from driftsonde.core.control.criteria import Criterion
from driftsonde.core.control.decisions import Kind, Step
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.inputs import RolloutWish
from driftsonde.core.control.rollout import Rollout, RolloutStatus, advance_obstacle
from driftsonde.core.control.scorecard import Spending
from driftsonde.core.control.state import ModelState, State
from driftsonde.core.control.traffic import Traffic, share_of
from driftsonde.core.events import Variant
from driftsonde.core.spec import RolloutRule
from driftsonde.report.formats import format_number, format_plural

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

_STATUS_WORDS = {
    RolloutStatus.RUNNING: "under way",
    RolloutStatus.PAUSED: "paused",
    RolloutStatus.PROMOTED: "champion",
    RolloutStatus.ROLLED_BACK: "taken back",
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
    """One rollout in words. `lasted`: how long it has been where it is; `started`: None where that is forgotten. `by_hand`: who
    set the split in place of a policy, and why; "" for a policy's. `split`: how requests are split now, "" where it is over."""

    model: str
    version: str
    champion: str
    status: RolloutStatus
    word: str
    active: bool
    at: str
    started: Moment | None
    lasted: str
    stages: tuple[StageLine, ...]
    by_hand: str
    split: str


@dataclass(frozen=True, slots=True)
class RolloutView:
    """All of one model's rollout page. `evidence`: None where nothing can be compared, and `no_evidence` says why.

    waits: what holds the next stage back. incidents: those of the version that are open, by id. live: what it has to show
    before it is the champion. spending: what retrainings cost, "" where nothing is known. choices: versions that could be sent
    on their way now. may_end: a canary of people's making, which one click takes back. objections: what speaks against a wish, so
    that a person has to say why all the same.
    """

    model: str
    line: RolloutLine | None
    split: tuple[ShareLine, ...]
    evidence: Shown | None
    no_evidence: str
    waits: tuple[str, ...]
    incidents: tuple[str, ...]
    live: tuple[Criterion, ...]
    spending: str
    wishes: tuple[RolloutWish, ...]
    may_end: bool
    objections: Mapping[RolloutWish, tuple[str, ...]]
    done: tuple[Deed, ...]
    earlier: tuple[RolloutLine, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A rollout, and who set it where that was no policy. `reigned`: it came to be the champion, whatever became of it then."""

    rollout: Rollout
    hand: HandSet | None = None
    reigned: bool = False


def rollouts_of(model: ModelState) -> list[Known]:
    """Of each rollout that is still known what became of it, those under way first, then the newest."""
    found: dict[str, Known] = {}
    steps = [step for record in model.records.values() for step in record.steps]
    for step in sorted(steps, key=lambda step: (step.timestamp_ms, step.sequence)):
        if step.detail.rollout is not None:
            _note(found, step.detail.rollout)
    if model.rollout is not None:
        _note(found, model.rollout)
    known = [*found.values(), *(Known(it.rollout, it) for it in set_by_hand(model))]
    return sorted(known, key=_active_first)


def _note(found: dict[str, Known], rollout: Rollout) -> None:
    before = found.get(rollout.id)
    reigned = rollout.status is RolloutStatus.PROMOTED or (before is not None and before.reigned)
    found[rollout.id] = Known(rollout, reigned=reigned)


def _active_first(known: Known) -> tuple[bool, int, str]:
    rollout = known.rollout
    return (not rollout.active, -rollout.started_ms, rollout.model + rollout.id)


def rollout_lines(state: State, now: datetime) -> tuple[RolloutLine, ...]:
    """Of all models: those under way first, then the newest."""
    known = [it for model in state.models.values() for it in rollouts_of(model)]
    return tuple(
        rollout_line(it, state.model(it.rollout.model).traffic, now)
        for it in sorted(known, key=_active_first)
    )


def rollout_line(known: Known, traffic: Traffic | None, now: datetime) -> RolloutLine:
    rollout, hand = known.rollout, known.hand
    now_ms = int(now.timestamp() * 1000)
    why = f": {hand.why}" if hand and hand.why else ""
    set_by = (who_text(hand.who) if hand.who else "by hand") if hand else ""
    return RolloutLine(
        model=rollout.model,
        version=rollout.version,
        champion=rollout.champion,
        status=rollout.status,
        word=_STATUS_WORDS[rollout.status],
        active=rollout.active,
        at=rollout.at,
        started=moment(rollout.started_ms, now) if rollout.started_ms else None,
        lasted=age(timedelta(milliseconds=now_ms - rollout.since_ms)) if rollout.since_ms else "",
        stages=tuple(_stages(known)) if hand is None else (),
        by_hand=f"{set_by}{why}",
        split=split_text(traffic.split) if traffic and rollout.active else "",
    )


def current_rollout(model: ModelState) -> Known | None:
    """The one that a model's page is about: what is under way, or else the newest."""
    return next(iter(rollouts_of(model)), None)


def evidence_since_ms(model: ModelState) -> int:
    """From when on windows speak of the current rollout: its start where its version has had another one before, and else
    all do, also those of a replay, whose event time is long past."""
    current, *earlier = rollouts_of(model)
    again = any(it.rollout.version == current.rollout.version for it in earlier)
    return current.rollout.started_ms if again else 0


def rollout_view(
    model: ModelState,
    rule: RolloutRule,
    versions: Sequence[str],
    evidence: Shown | None,
    no_evidence: str,
    live: Sequence[Criterion],
    spent: Spending | None,
    stopped: str,
    now: datetime,
) -> RolloutView:
    """`versions` are those that are registered; `stopped`: who stopped the automation and why, "" where it runs."""
    every = rollouts_of(model)
    known = current_rollout(model)
    rollout, hand = (known.rollout, known.hand) if known else (None, None)
    serving = share_of(model.traffic, rollout.version) if rollout else None
    gone = (
        rollout is not None
        and rollout.status is RolloutStatus.PROMOTED
        and (serving is None or serving.variant is not Variant.CHAMPION)
    )
    busy = rollout is not None and rollout.active
    waits = tuple(_waits(model, rollout, rule, evidence, now)) if rollout and busy and not hand else ()
    return RolloutView(
        model=model.model,
        line=rollout_line(known, model.traffic, now) if known else None,
        split=_split(model.traffic),
        evidence=evidence,
        no_evidence=no_evidence,
        waits=waits,
        incidents=tuple(_open_incidents(model, rollout.version)) if rollout and busy else (),
        live=tuple(live) if busy else (),
        spending=_spending_text(spent),
        wishes=_WISHES[rollout.status] if rollout and not gone and not hand else (),
        may_end=busy and hand is not None,
        objections=_objections(model, rollout, evidence, no_evidence, waits, stopped)
        if rollout and busy and not hand
        else {},
        done=_done(model, rollout, now) if rollout else (),
        earlier=tuple(rollout_line(it, model.traffic, now) for it in every[1:]),
        choices=() if busy or model.traffic is None else _choices(model.traffic, versions),
    )


def _objections(
    model: ModelState,
    rollout: Rollout,
    evidence: Shown | None,
    no_evidence: str,
    waits: Sequence[str],
    stopped: str,
) -> dict[RolloutWish, tuple[str, ...]]:
    found = "" if evidence and evidence.favours else evidence.sentence if evidence else no_evidence
    alarms = len(_open_incidents(model, rollout.version))
    told = (
        found,
        *waits,
        f"{format_plural(alarms, 'incident')} of this version open" if alarms else "",
        f"Automation is stopped by {stopped}" if stopped else "",
    )
    against = tuple(text[:1].upper() + text[1:].removesuffix(".") for text in told if text)
    skipped = ", ".join(_stage_name(weight) for weight in rollout.weights[rollout.stage + 1 :])
    left_out = (f"It leaves out what is still ahead: {skipped}",) if skipped else ()
    return {RolloutWish.ADVANCE: against, RolloutWish.PROMOTE: (*against, *left_out)}


def _stage_name(weight: float) -> str:
    """
    >>> _stage_name(0.0), _stage_name(0.05)
    ('shadow', '5 %')
    """
    return f"{100 * weight:g} %" if weight else "shadow"


def _stages(known: Known) -> list[StageLine]:
    rollout = known.rollout
    names = [*(_stage_name(weight) for weight in rollout.weights), "champion"]
    at = len(rollout.weights) if known.reigned else rollout.stage
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
    asked = [
        f"a {proposal.kind} of it waits for approval"
        for proposal in model.proposals()
        if proposal.version == rollout.version and proposal.kind in (Kind.ROLLBACK, Kind.PROMOTE)
    ]
    return [*([obstacle] if obstacle else []), *asked]


def _open_incidents(model: ModelState, version: str) -> list[str]:
    return [
        incident.id
        for incident in model.incidents.values()
        if incident.version == version and incident.status is not Status.RESOLVED
    ]


def _spending_text(spent: Spending | None) -> str:
    if spent is None or not (spent.retrainings or spent.budget):
        return ""
    unit = f" {spent.unit}" if spent.unit else ""
    cost = f"{format_number(spent.cost)}{unit}" if spent.cost or spent.budget else ""
    of = f" of at most {format_number(spent.budget)}{unit}" if spent.budget else ""
    what = format_plural(spent.retrainings, "retraining")
    return f"{what} in the last 30 days{f', at a cost of {cost}{of}' if cost else ''}"


def _done(model: ModelState, rollout: Rollout, now: datetime) -> tuple[Deed, ...]:
    """The decisions that moved it, and what was said about it, the newest first."""
    records = [
        record
        for record in model.records.values()
        if record.last.timestamp_ms >= rollout.started_ms
        and (record.first.kind is Kind.TRAFFIC or record.first.version == rollout.version)
        and record.first.kind in (Kind.ROLLOUT, Kind.PROMOTE, Kind.ROLLBACK, Kind.TRAFFIC)
        and record.last.step is not Step.SUPPRESSED
    ]
    return acts_of(records, now)


def _choices(traffic: Traffic, versions: Sequence[str]) -> tuple[str, ...]:
    champions = {share.version for share in traffic.split if share.variant is Variant.CHAMPION}
    return tuple(version for version in versions if version not in champions)
