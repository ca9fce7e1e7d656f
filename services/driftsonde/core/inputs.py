"""The sketch of prediction rows: counts per bin of every column of the baseline, with moments of the numeric ones.

Layout of `Sketch.counts`: [rows, column 1's bins, column 2's bins, …], a numeric column's bins being
[below, bin 1 … bin B, above, missing], a categorical column's [category 1 … category K, unseen, missing].
`Sketch.sums`: for each numeric column [sum, sum of squares]; `lows`, `highs`: one entry a numeric column.
Infinite values are counted in their bin and left out of the moments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from driftsonde.core.baseline import Baseline, CategoricalReference, NumericReference, Reference
from driftsonde.core.events import (
    CategoricalColumn,
    Codes,
    Column,
    Floats,
    Ints,
    InvalidEvent,
    NumericColumn,
    PredictionBatch,
)
from driftsonde.core.sketch import Sketch, Unseen, merge_unseen


@dataclass(frozen=True, slots=True)
class InputsLayout:
    """Where each column of a baseline has its place. `offsets[i]` is the first bin of column i."""

    references: tuple[Reference, ...]
    offsets: tuple[int, ...]
    bins: int
    numeric: tuple[str, ...]

    @property
    def sums(self) -> int:
        return 2 * len(self.numeric)


def layout_of(baseline: Baseline | None) -> InputsLayout:
    """The layout for a baseline; without one only the rows are counted."""
    references = baseline.columns if baseline else ()
    sizes = [len(reference.counts) for reference in references]
    offsets = tuple(int(offset) for offset in 1 + np.cumsum([0, *sizes]))
    numeric = tuple(reference.name for reference in references if isinstance(reference, NumericReference))
    return InputsLayout(references, offsets[:-1], offsets[-1], numeric)


def check_columns(layout: InputsLayout, batch: PredictionBatch) -> None:
    """Raise `InvalidEvent` where a column is numeric here and categorical in the baseline, or the reverse."""
    found = _by_name(batch)
    for reference in layout.references:
        column = found.get(reference.name)
        numeric = isinstance(reference, NumericReference)
        if column is not None and isinstance(column, NumericColumn) is not numeric:
            expected = "numeric" if numeric else "categorical"
            raise InvalidEvent(f"columns[{reference.name}]", f"is not {expected}, as it is in the baseline")


def bins_of(reference: Reference, column: Column | None, rows: int) -> Codes:
    """The bin of each row in this column, int32[rows]; a column that the batch does not have is missing everywhere.
    The column has passed `check_columns`."""
    missing = len(reference.counts) - 1
    match reference, column:
        case _, None:
            return np.full(rows, missing, dtype=np.int32)
        case NumericReference(edges=edges), NumericColumn(values=values):
            bins = np.searchsorted(edges, values, side="right").astype(np.int32)
            bins[np.isnan(values)] = missing
            return bins
        case CategoricalReference(categories=known), CategoricalColumn(codes=codes, categories=categories):
            place = {category: position for position, category in enumerate(known)}
            unseen = len(known)
            table = [*(place.get(category, unseen) for category in categories), missing]
            return np.array(table, dtype=np.int32)[codes]  # code -1 takes the last entry: missing
    raise TypeError(f"columns[{reference.name}] was not checked against the layout")


def sketch_rows(
    layout: InputsLayout, batches: Sequence[PredictionBatch], members: Sequence[Codes], sums: Floats
) -> list[Sketch]:
    """One sketch for each group of rows; `members` (several int32[rows] over the batches' rows, in order) are the
    groups of each row, -1 for none: a row may be in several groups, one from each array. The batches have passed
    `check_columns`.

    `sums` is float64[groups, layout.sums]: what earlier messages came to (zeros where there are none), from where the
    sketches' sums go on. They are added within each message and then message after message, so they do not depend on
    how many messages are folded at once.
    """
    groups = len(sums)
    message = np.repeat(np.arange(len(batches)), [len(batch.ids) for batch in batches])
    columns = [_by_name(batch) for batch in batches]
    member = np.concatenate(members)
    rows = np.tile(np.arange(len(message)), len(members))[member >= 0]
    member = member[member >= 0]
    counts = np.zeros((groups, layout.bins), dtype=np.int64)
    counts[:, 0] = np.bincount(member, minlength=groups)
    sums = sums.copy()
    extremes = np.full((2, groups, len(layout.numeric)), np.inf)
    unseen: list[list[Unseen]] = [[] for _ in range(groups)]
    place = 0
    for reference, offset in zip(layout.references, layout.offsets, strict=True):
        found = [named.get(reference.name) for named in columns]
        lengths = [len(batch.ids) for batch in batches]
        bins = np.concatenate([bins_of(reference, c, n) for c, n in zip(found, lengths, strict=True)])
        size = len(reference.counts)
        table = np.bincount(member * size + bins[rows], minlength=groups * size)
        counts[:, offset : offset + size] = table.reshape(groups, size)
        if isinstance(reference, NumericReference):
            values = _values(found, lengths)
            pair = slice(2 * place, 2 * place + 2)
            _add_moments(values, message, rows, member, sums[:, pair])
            _extremes(values[rows], member, extremes[:, :, place])
            place += 1
        else:
            _collect_unseen(reference, found, lengths, rows, member, unseen)
    return [
        Sketch(counts[g], sums[g], extremes[0, g], -extremes[1, g], merge_unseen(unseen[g]))
        for g in range(groups)
    ]


def _by_name(batch: PredictionBatch) -> Mapping[str, Column]:
    return {column.name: column for column in batch.columns}


def _values(found: Sequence[Column | None], lengths: Sequence[int]) -> Floats:
    """The finite values of a numeric column over all batches, NaN elsewhere; -0.0 is 0.0."""
    parts = [
        column.values if isinstance(column, NumericColumn) else np.full(rows, np.nan)
        for column, rows in zip(found, lengths, strict=True)
    ]
    values = np.concatenate(parts)
    return np.where(np.isfinite(values), values + 0.0, np.nan)


def _add_moments(values: Floats, message: Ints, rows: Ints, member: Codes, totals: Floats) -> None:
    """Add sum and sum of squares to those of each group, float64[groups, 2], message after message."""
    known = np.nan_to_num(values)[rows]
    groups, messages = len(totals), int(message[-1]) + 1
    place = message[rows] * groups + member
    # The square of an absurd value is infinite, and so is the sum; infinite sums of both signs give NaN.
    with np.errstate(over="ignore", invalid="ignore"):
        by_message = np.stack(
            [np.bincount(place, weights, minlength=messages * groups) for weights in (known, known * known)],
            axis=-1,
        ).reshape(messages, groups, 2)
        for part in by_message:
            totals += part


def _extremes(values: Floats, member: Codes, extremes: Floats) -> None:
    """Write the smallest value, and the negated largest one, of each group into float64[2, groups]."""
    np.fmin.at(extremes[0], member, values)
    np.fmin.at(extremes[1], member, -values)


def _collect_unseen(
    reference: CategoricalReference,
    found: Sequence[Column | None],
    lengths: Sequence[int],
    rows: Ints,
    member: Codes,
    unseen: list[list[Unseen]],
) -> None:
    """Count the values outside the baseline's vocabulary, by group and by name."""
    known = set(reference.categories)
    start = 0
    for column, length in zip(found, lengths, strict=True):
        if isinstance(column, CategoricalColumn):
            new = [code for code, category in enumerate(column.categories) if category not in known]
            if new:
                inside = (rows >= start) & (rows < start + length)
                codes = column.codes[rows[inside] - start]
                hit = np.isin(codes, new)
                pairs, counts = np.unique(
                    np.stack([member[inside][hit], codes[hit]]), axis=1, return_counts=True
                )
                for (group, code), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
                    unseen[group].append({(reference.name, column.categories[code]): count})
        start += length
