"""Counts per bin and moments of a few columns at once, for the rows of several messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.baseline import CategoricalReference, NumericReference, Reference
from driftsonde.core.binning import Bins, bin_values
from driftsonde.core.columns import concatenate_categories
from driftsonde.core.events import CategoricalColumn, Codes, Column, Floats, Ints, NumericColumn
from driftsonde.core.sketch import Unseen
from driftsonde.core.strata import Order, Strata


@dataclass(frozen=True, slots=True)
class MessageRows:
    """The rows of some messages: the columns of each message by name, its number of rows; what groups they are in."""

    columns: Sequence[Mapping[str, Column]]
    lengths: Sequence[int]
    strata: Strata
    order: Order


@dataclass(frozen=True, slots=True)
class Totals:
    """What each group comes to, written column by column: counts of [groups, bins], sums of [groups, numeric columns x
    2], lows and highs of [groups, numeric columns]."""

    counts: Ints
    sums: Floats
    lows: Floats
    highs: Floats
    unseen: Sequence[Unseen]


def fold_numbers(
    placed: Sequence[tuple[NumericReference, int]], first: int, rows: MessageRows, totals: Totals
) -> None:
    """Fold columns, each with the offset of its bins; they are the numeric columns from number `first` on."""
    values = rows.order.arrange(_values([reference.name for reference, _ in placed], rows))
    _count(placed, bin_values([reference for reference, _ in placed], values), rows.order, totals)
    columns = slice(first, first + len(placed))
    # The square of an absurd value is infinite, and so is the sum; infinite sums of both signs give NaN.
    with np.errstate(over="ignore", invalid="ignore"):
        _add_moments(values, columns, rows.order, totals)


def _values(names: Sequence[str], rows: MessageRows) -> Floats:
    """Numeric columns one after the other, float64[columns, rows], NaN where a message does not have the column."""
    parts = [
        column.values if isinstance(column := named.get(name), NumericColumn) else np.full(length, np.nan)
        for name in names
        for named, length in zip(rows.columns, rows.lengths, strict=True)
    ]
    return np.concatenate(parts).reshape(len(names), -1)


def _add_moments(values: Floats, columns: slice, order: Order, totals: Totals) -> None:
    """Sums, squares and extremes of the finite values; `values` are overwritten."""
    lows, highs = order.reduce(np.minimum, values), order.reduce(np.maximum, values)
    sums = order.add_segments(values)
    odd = ~np.isfinite(sums).all(axis=1)
    if odd.any():
        some = values[odd]
        finite = np.isfinite(some)
        lows[odd] = order.reduce(np.minimum, np.where(finite, some, np.inf))
        highs[odd] = order.reduce(np.maximum, np.where(finite, some, -np.inf))
        values[odd] = known = np.where(finite, some, 0.0)
        sums[odd] = order.add_segments(known)
    squares = order.add_segments(np.multiply(values, values, out=values))
    so_far = totals.sums[:, 2 * columns.start : 2 * columns.stop]
    segments = np.stack([sums, squares], axis=1).reshape(so_far.shape[1], -1)
    so_far[:] = order.accumulate(so_far.T, segments).T
    # + 0.0 turns -0.0 into 0.0: which of them is the smaller would depend on which came first.
    totals.lows[:, columns] = lows.T + 0.0
    totals.highs[:, columns] = highs.T + 0.0


def fold_categories(
    placed: Sequence[tuple[CategoricalReference, int]], rows: MessageRows, totals: Totals
) -> None:
    """Fold columns, each with the offset of its bins."""
    bins = np.empty((len(placed), sum(rows.lengths)), dtype=np.int32)
    for out, (reference, _) in zip(bins, placed, strict=True):
        column = concatenate_categories([named.get(reference.name) for named in rows.columns], rows.lengths)
        unseen, missing = len(reference.categories), len(reference.categories) + 1
        if column is None:
            out[:] = missing
            continue
        known = {category: place for place, category in enumerate(reference.categories)}
        table = np.array([*(known.get(text, unseen) for text in column.categories), missing], dtype=np.int32)
        np.take(table, column.codes, out=out, mode="wrap")  # the code -1 takes the last entry: missing
        if unseen in table:
            _count_unseen(column, table == unseen, rows.strata, totals.unseen)
    _count(placed, rows.order.arrange(bins), rows.order, totals)


def _count_unseen(
    column: CategoricalColumn, outside: npt.NDArray[np.bool_], strata: Strata, unseen: Sequence[Unseen]
) -> None:
    """Count the values outside the vocabulary, by group and by name; `outside` tells of each code whether it is."""
    places = np.flatnonzero(outside[column.codes])
    codes = column.codes[places]
    for member in strata.members:
        group = member[strata.of_row[places]]
        pairs, counts = np.unique(np.stack([group, codes])[:, group >= 0], axis=1, return_counts=True)
        for (g, code), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            name = (column.name, column.categories[code])
            unseen[g][name] = unseen[g].get(name, 0) + count


def _count(placed: Sequence[tuple[Reference, int]], bins: Bins | Codes, order: Order, totals: Totals) -> None:
    """Count rows by bin, integers of [columns, rows]."""
    sizes = [len(reference.counts) for reference, _ in placed]
    width = sum(sizes)
    place = (np.cumsum(sizes) - sizes)[:, None] + order.strata * width
    place += bins
    table = np.bincount(place.ravel(), minlength=len(order.first) * width)
    target = np.concatenate(
        [np.arange(offset, offset + size) for (_, offset), size in zip(placed, sizes, strict=True)]
    )
    totals.counts[:, target] = order.add_strata(table.reshape(-1, width))
