"""A new version's way from shadow through canary stages to champion, or back: one value, and its transitions.

shadow (0 %) ──▶ canary 5 % ──▶ 25 % ──▶ 50 % ──▶ champion
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.iso_time import span_text
from driftsonde.core.spec import RolloutRule


class RolloutStatus(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"


@dataclass(frozen=True, slots=True)
class Rollout:
    """`id` is that of the decision that started it. champion: the version that it is to replace.

    weights: the new version's part of the requests, stage by stage; 0 is a shadow. stage: from 0; the last stage's
    successor is the championship. since_ms: when the stage began. labels: labelled rows of the new version that were
    known then, so that a stage stands on its own evidence.
    """

    id: str
    model: str
    version: str
    champion: str
    weights: tuple[float, ...]
    stage: int
    status: RolloutStatus
    started_ms: int
    since_ms: int
    labels: int = 0

    @property
    def active(self) -> bool:
        return self.status in (RolloutStatus.RUNNING, RolloutStatus.PAUSED)

    @property
    def at(self) -> str:
        """Where it is, in words."""
        if self.status is RolloutStatus.PROMOTED:
            return "champion"
        if self.status is RolloutStatus.ROLLED_BACK:
            return "taken back"
        weight = self.weights[self.stage]
        return f"canary at {100 * weight:g} %" if weight else "shadow"


def begun(rollout_id: str, traffic: Traffic, version: str, rule: RolloutRule, now_ms: int) -> Rollout:
    """The first stage of a new version's rollout."""
    champion = next(share.version for share in traffic.split if share.variant is Variant.CHAMPION)
    weights = ((0.0,) if rule.shadow else ()) + rule.stages
    return Rollout(
        id=rollout_id,
        model=traffic.model,
        version=version,
        champion=champion,
        weights=weights,
        stage=0,
        status=RolloutStatus.RUNNING,
        started_ms=now_ms,
        since_ms=now_ms,
    )


def advanced(rollout: Rollout, now_ms: int, labels: int) -> Rollout:
    """The next stage; after the last one, champion."""
    if rollout.stage + 1 == len(rollout.weights):
        return replace(rollout, status=RolloutStatus.PROMOTED, since_ms=now_ms, labels=labels)
    return replace(
        rollout, stage=rollout.stage + 1, status=RolloutStatus.RUNNING, since_ms=now_ms, labels=labels
    )


def split_of(rollout: Rollout, split: tuple[Share, ...]) -> tuple[Share, ...]:
    """The split that a rollout asks for; other versions' shadows stay.

    >>> from driftsonde.core.spec import RolloutRule
    >>> traffic = Traffic("m", (Share("1", Variant.CHAMPION, 1.0),), 1, "d")
    >>> rollout = begun("r", traffic, "2", RolloutRule(shadow=False, stages=(0.05,)), 0)
    >>> [(share.version, share.variant.value, share.weight) for share in split_of(rollout, traffic.split)]
    [('1', 'champion', 0.95), ('2', 'canary', 0.05)]
    >>> [(share.version, share.weight) for share in split_of(advanced(rollout, 1, 0), traffic.split)]
    [('2', 1.0)]
    """
    others = tuple(
        share
        for share in split
        if share.version not in (rollout.version, rollout.champion) and share.variant is Variant.SHADOW
    )
    if rollout.status is RolloutStatus.PROMOTED:
        return (Share(rollout.version, Variant.CHAMPION, 1.0), *others)
    if rollout.status is RolloutStatus.ROLLED_BACK:
        return (Share(rollout.champion, Variant.CHAMPION, 1.0), *others)
    weight = rollout.weights[rollout.stage]
    variant = Variant.CANARY if weight else Variant.SHADOW
    return (
        Share(rollout.champion, Variant.CHAMPION, 1.0 - weight),
        Share(rollout.version, variant, weight),
        *others,
    )


def start_obstacle(traffic: Traffic | None, rollout: Rollout | None, version: str) -> str:
    """Why a version's rollout can't start now; "" if it can."""
    if rollout is not None and rollout.active:
        return f"version {rollout.version} is being rolled out already, {rollout.at}"
    if traffic is None:
        return "no traffic split is known for this model: set one with a champion first"
    for share in traffic.split:
        if share.variant is Variant.CANARY:
            return f"version {share.version} is a canary: end that first"
        if share.version == version and share.variant is Variant.CHAMPION:
            return f"version {version} is the champion already"
    return ""


def advance_obstacle(
    rollout: Rollout | None, version: str, rule: RolloutRule, now_ms: int, labels: int
) -> str:
    """Why a version may not go on to its next stage now; "" if it may. The text is the same as long as the reason is."""
    if rollout is None or rollout.version != version or not rollout.active:
        return f"no rollout of version {version} is under way"
    if rollout.status is RolloutStatus.PAUSED:
        return f"the rollout is paused, {rollout.at}"
    if now_ms - rollout.since_ms < rule.min_stage_ms:
        return f"{rollout.at}: this stage lasts at least {span_text(rule.min_stage_ms)}"
    if labels - rollout.labels < rule.min_labels:
        return f"{rollout.at}: this stage asks for {rule.min_labels} labelled rows of its own"
    return ""
