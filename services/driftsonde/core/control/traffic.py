"""How a model's requests are split over its versions, and how a split is set back."""

import math
from dataclasses import dataclass

from driftsonde.core.events import Variant

WEIGHT_TOLERANCE = 1e-9


class InvalidSplit(ValueError):
    """A split that cannot be served, with the reason in a sentence."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the requests that one version answers: `weight` is 0 to 1, and 0 for a shadow."""

    version: str
    variant: Variant
    weight: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """The split of one model. A higher `revision` replaces a lower one; `decision` is the id of what set it."""

    model: str
    split: tuple[Share, ...]
    revision: int
    decision: str


def validate_split(split: tuple[Share, ...]) -> None:
    """Raise `InvalidSplit` unless one champion serves, versions are distinct, and the weights sum to 1."""
    if any(not share.version for share in split):
        raise InvalidSplit("a version is empty")
    if len({share.version for share in split}) < len(split):
        raise InvalidSplit("a version is listed twice")
    champions = [share for share in split if share.variant is Variant.CHAMPION]
    if len(champions) != 1:
        raise InvalidSplit(f"{len(champions)} champions; exactly one version must be the champion")
    for share in split:
        if not 0.0 <= share.weight <= 1.0:
            raise InvalidSplit(f"the weight of version {share.version} is {share.weight}; expected 0 to 1")
        if share.variant is Variant.SHADOW and share.weight != 0.0:
            raise InvalidSplit(f"version {share.version} is a shadow; its weight must be 0")
    total = math.fsum(share.weight for share in split)
    if abs(total - 1.0) > WEIGHT_TOLERANCE:
        raise InvalidSplit(f"the weights sum to {total:.9g}; expected 1")


def without_version(split: tuple[Share, ...], version: str) -> tuple[Share, ...]:
    """The split after a canary or shadow was taken out: its requests go to the champion.

    A version that does not serve changes nothing, so setting back twice is setting back once.

    >>> split = (Share("1", Variant.CHAMPION, 0.9), Share("2", Variant.CANARY, 0.1))
    >>> without_version(split, "2")
    (Share(version='1', variant=<Variant.CHAMPION: 'champion'>, weight=1.0),)
    """
    kept = tuple(share for share in split if share.version != version or share.variant is Variant.CHAMPION)
    if len(kept) == len(split):
        return split
    others = math.fsum(share.weight for share in kept if share.variant is not Variant.CHAMPION)
    return tuple(
        Share(share.version, share.variant, 1.0 - others) if share.variant is Variant.CHAMPION else share
        for share in kept
    )


def share_of(traffic: Traffic | None, version: str) -> Share | None:
    """The share of a version, or None if it does not serve."""
    if traffic is None:
        return None
    return next((share for share in traffic.split if share.version == version), None)
