"""Which version answers whom: the same entity gets the same one for as long as the split lets it.

Every (model, entity) has a point on a wheel of 2^32, and every version an arc of it: the canaries from 0 on, in the order
of the split, the champion the rest. With one canary, a weight that grows or shrinks moves just the entities by which it
grew or shrank, and promoting the canary moves nobody off it.

The point is murmur3's 32-bit finaliser over crc32(entity) XOR crc32(model), both as UTF-8: easy to have in any language.
CRC-32 alone is linear, so the same entities would be the first canaries of every model; the finaliser breaks that up.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from zlib import crc32

from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant

WHEEL = 2**32
_MASK = WHEEL - 1


def point_of(entity: str, model_crc: int) -> int:
    """
    >>> point_of("customer-1", crc32(b"fraud"))
    3415401154
    """
    mixed = crc32(entity.encode()) ^ model_crc
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & _MASK
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & _MASK
    return mixed ^ mixed >> 16


@dataclass(frozen=True, slots=True)
class Wheel:
    """The arcs of one model: version number i answers the points below `ends[i]` that none before it does."""

    model_crc: int
    ends: tuple[int, ...]
    shares: tuple[Share, ...]
    shadows: tuple[str, ...] = field(default=())

    def choose(self, entity: str) -> Share:
        if len(self.shares) == 1:
            return self.shares[0]
        return self.shares[bisect_right(self.ends, point_of(entity, self.model_crc))]


def wheel_of(traffic: Traffic) -> Wheel:
    """The wheel of a valid split. Weights are rounded to one part in 2^32."""
    canaries = tuple(share for share in traffic.split if share.variant is Variant.CANARY and share.weight > 0)
    champion = tuple(share for share in traffic.split if share.variant is Variant.CHAMPION)
    total, ends = 0.0, []
    for share in canaries:
        total += share.weight
        ends.append(round(total * WHEEL))
    shadows = tuple(share.version for share in traffic.split if share.variant is Variant.SHADOW)
    if champion[0].weight <= 0:
        champion, ends = (), ends[:-1]
    return Wheel(crc32(traffic.model.encode()), tuple(ends), (*canaries, *champion), shadows)
