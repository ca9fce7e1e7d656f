"""A split as serving systems want it: whole percentages, and who is the champion and who comes."""

import math

from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant

HUNDRED = 100


def percentages(split: tuple[Share, ...]) -> dict[str, int]:
    """Whole percentages by version that sum to 100; what is more than nothing is at least one per cent.

    >>> percentages((Share("1", Variant.CHAMPION, 0.996), Share("2", Variant.CANARY, 0.004)))
    {'1': 99, '2': 1}
    >>> percentages((Share("1", Variant.CHAMPION, 1.0), Share("2", Variant.SHADOW, 0.0)))
    {'1': 100, '2': 0}
    """
    shares = {
        share.version: max(1, math.floor(share.weight * HUNDRED + 0.5)) if share.weight > 0.0 else 0
        for share in split
        if share.variant is not Variant.CHAMPION
    }
    own = champion(split)
    return {
        share.version: HUNDRED - sum(shares.values()) if share.version == own else shares[share.version]
        for share in split
    }


def champion(split: tuple[Share, ...]) -> str:
    return next(share.version for share in split if share.variant is Variant.CHAMPION)


def challenger(split: tuple[Share, ...]) -> str:
    """The canary, or else the shadow; "" where there is none."""
    by_variant = {share.variant: share.version for share in split}
    return by_variant.get(Variant.CANARY) or by_variant.get(Variant.SHADOW) or ""


def share_in(traffic: Traffic, version: str) -> Share | None:
    return next((share for share in traffic.split if share.version == version), None)
