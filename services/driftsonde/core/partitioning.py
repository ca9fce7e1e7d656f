"""Kafka's own choice of a partition from a key: murmur2, as the Java client does it for a key that isn't null.

librdkafka does the same with `partitioner=murmur2_random`. Source: `Utils.murmur2` of Apache Kafka's Java client,
which is Austin Appleby's MurmurHash2 (32 bits) with a fixed seed.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_SHIFT = 24
_MASK = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF

Hashes = npt.NDArray[np.uint32]


def murmur2(key: bytes) -> int:
    """The hash as an unsigned 32-bit number (Java prints it signed).

    >>> murmur2(b"foobar") - 2**32
    -790332482
    """
    state = _SEED ^ len(key)
    whole = len(key) - len(key) % 4
    for start in range(0, whole, 4):
        word = int.from_bytes(key[start : start + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> _SHIFT) * _MULTIPLIER & _MASK
        state = state * _MULTIPLIER & _MASK ^ word
    if whole < len(key):
        state = (state ^ int.from_bytes(key[whole:], "little")) * _MULTIPLIER & _MASK
    state = (state ^ state >> 13) * _MULTIPLIER & _MASK
    return state ^ state >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """The partition, from 0 to partitions - 1, of a message with that key."""
    return (murmur2(key) & _POSITIVE) % partitions


def partitions_of(ids: Sequence[str], partitions: int) -> npt.NDArray[np.int32]:
    """`partition_of` each id (as UTF-8), as int32[len(ids)]; raises UnicodeEncodeError for a lone surrogate.

    >>> partitions_of(["21", "foobar"], 4).tolist() == [partition_of(b"21", 4), partition_of(b"foobar", 4)]
    True
    """
    keys = [identifier.encode() for identifier in ids]
    lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
    octets = np.frombuffer(b"".join(keys), dtype=np.uint8)
    starts = np.cumsum(lengths) - lengths
    hashes = np.empty(len(keys), dtype=np.uint32)
    # Keys of one length take the same steps, so each length is one pass over a matrix: uint8[keys, length].
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        hashes[rows] = _murmur2_of_rows(octets[starts[rows, None] + np.arange(length)])
    return ((hashes & np.uint32(_POSITIVE)) % np.uint32(partitions)).astype(np.int32)


def _murmur2_of_rows(keys: npt.NDArray[np.uint8]) -> Hashes:
    """The hash of each row of uint8[keys, length]. Arrays of uint32 wrap, which is what the algorithm wants."""
    count, length = keys.shape
    whole = length - length % 4
    multiplier = np.uint32(_MULTIPLIER)
    words = (
        np.ascontiguousarray(keys[:, :whole]).view("<u4") if whole else np.empty((count, 0), dtype=np.uint32)
    )
    state = np.full(count, _SEED ^ length, dtype=np.uint32)
    for word in words.T:
        mixed = word * multiplier
        state = state * multiplier ^ (mixed ^ mixed >> np.uint32(_SHIFT)) * multiplier
    if whole < length:
        for position in range(whole, length):
            state ^= keys[:, position].astype(np.uint32) << np.uint32(8 * (position - whole))
        state *= multiplier
    state = (state ^ state >> np.uint32(13)) * multiplier
    return state ^ state >> np.uint32(15)
