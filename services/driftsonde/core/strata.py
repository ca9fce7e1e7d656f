"""Strata: the rows that are in the same groups. A row is counted once, in its stratum, however many groups it is in;
strata are then added up to groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from driftsonde.core.events import Floats, Ints

_Value = TypeVar("_Value", bound=np.generic)

# The values of a small type are sorted by counting.
_SMALL = np.iinfo(np.uint16).max + 1


@dataclass(frozen=True, slots=True)
class Strata:
    """`of_row` is int64[rows], the stratum of each row; `members` int64[kinds, strata], the groups of each stratum: at
    most one of each kind, -1 for none. Every stratum has a row, and each of the `groups` groups a stratum."""

    of_row: Ints
    members: Ints
    groups: int

    @property
    def count(self) -> int:
        return int(self.members.shape[1])


def one_stratum(rows: int) -> Strata:
    """All rows in one group."""
    return Strata(np.zeros(rows, dtype=np.int64), np.zeros((1, 1), dtype=np.int64), 1)


def number(values: Ints, below: int) -> tuple[Ints, Ints]:
    """The distinct values, ascending, and the position of each value among them; all are in [0, below)."""
    if below > 8 * len(values) + 1024:
        return np.unique(values, return_inverse=True)
    present = np.zeros(below, dtype=bool)
    present[values] = True
    position = np.cumsum(present) - 1
    return np.flatnonzero(present), position[values]


def representatives(numbers: Ints, count: int) -> Ints:
    """For each number below `count` the place where it occurs last."""
    place = np.zeros(count, dtype=np.int64)
    place[numbers] = np.arange(len(numbers))
    return place


@dataclass(frozen=True, slots=True)
class Order:
    """Rows by stratum, and within a stratum in the order of the log.

    rows: the row at each place. strata: the stratum at each place; `first`: where each stratum begins. segments: where a
    stratum's rows of one message begin. Segments are added up to what each message gives to each of its groups: `added`
    numbers the segments, one such part after the other, `parts` says where each part's begin and `target` for which group
    it is; parts are in the order of the messages.
    gathered: the strata of group 0, of group 1, …; `group_first`: where each group's begin among them.
    """

    rows: Ints
    strata: Ints
    first: Ints
    segments: Ints
    added: Ints
    parts: Ints
    target: Ints
    gathered: Ints
    group_first: Ints

    def arrange(self, values: npt.NDArray[_Value]) -> npt.NDArray[_Value]:
        """Values of [columns, rows] in this order, each column in one piece of memory, which an index does not see to."""
        return np.take(values, self.rows, axis=1)

    def add_strata(self, table: Ints) -> Ints:
        """What int64[strata, n] comes to in groups, int64[groups, n]."""
        return np.add.reduceat(table[self.gathered], self.group_first, axis=0)

    def reduce(self, extreme: np.ufunc, values: Floats) -> Floats:
        """The minimum or maximum of each group, float64[columns, groups], of values in this order, float64[columns,
        rows]."""
        by_stratum = extreme.reduceat(values, self.first, axis=1)
        reduced: Floats = extreme.reduceat(by_stratum[:, self.gathered], self.group_first, axis=1)
        return reduced

    def add_segments(self, values: Floats) -> Floats:
        """The sum of each segment, float64[columns, segments], of values in this order."""
        return np.add.reduceat(values, self.segments, axis=1)

    def accumulate(self, start: Floats, segments: Floats) -> Floats:
        """Add sums of segments, float64[columns, segments], to those of the groups, float64[columns, groups]: first
        within each message, then message after message."""
        columns, groups = start.shape
        parts = np.add.reduceat(np.take(segments, self.added, axis=1), self.parts, axis=1)
        place = np.concatenate([np.arange(groups), self.target]) + groups * np.arange(columns)[:, None]
        terms = np.concatenate([start, parts], axis=1)
        # It adds one by one, in the order of the terms.
        totals = np.bincount(place.ravel(), weights=terms.ravel(), minlength=start.size)
        return totals.astype(np.float64, copy=False).reshape(columns, groups)


def order_rows(strata: Strata, lengths: Sequence[int]) -> Order:
    """The order of the rows of messages that have so many rows each."""
    rows = sort_stably(strata.of_row, strata.count)
    sorted_strata = strata.of_row[rows]
    message = np.repeat(np.arange(len(lengths)), lengths)[rows]
    new_stratum = _changes(sorted_strata)
    segments = np.flatnonzero(new_stratum | _changes(message))
    member = strata.members[:, sorted_strata[segments]]
    part = (message[segments] * strata.groups + member)[member >= 0]
    by_part = sort_stably(part, len(lengths) * strata.groups)
    part = part[by_part]
    parts = np.flatnonzero(_changes(part))
    known = strata.members >= 0
    by_group = np.argsort(strata.members[known], kind="stable")
    return Order(
        rows=rows,
        strata=sorted_strata,
        first=np.flatnonzero(new_stratum),
        segments=segments,
        added=np.nonzero(member >= 0)[1][by_part],
        parts=parts,
        target=part[parts] % strata.groups,
        gathered=np.broadcast_to(np.arange(strata.count), known.shape)[known][by_group],
        group_first=np.searchsorted(strata.members[known][by_group], np.arange(strata.groups)),
    )


def sort_stably(values: Ints, below: int) -> Ints:
    """The places of values in [0, below), ascending by value; equal values keep their order."""
    if below <= _SMALL:
        return np.argsort(values.astype(np.uint16), kind="stable")
    return np.argsort(values, kind="stable")


def _changes(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    changed = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=changed[1:])
    return changed
