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
from driftsonde.core.column_folding import MessageRows, Totals, fold_categories, fold_numbers
from driftsonde.core.columns import is_missing
from driftsonde.core.events import (
    CategoricalColumn,
    Column,
    Floats,
    InvalidEvent,
    NumericColumn,
    PredictionBatch,
)
from driftsonde.core.rows import PredictionRow, is_text
from driftsonde.core.sketch import Sketch, merge_unseen
from driftsonde.core.strata import Strata, order_rows

# Columns are folded some at a time: few enough values to stay in the cache, enough to be worth the calls.
_TILE_VALUES = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class InputsLayout:
    """Where each column of a baseline has its place. `offsets[i]` is the first bin of column i. Compared by identity, so
    that what is derived from it can be cached."""

    references: tuple[Reference, ...]
    offsets: tuple[int, ...]
    bins: int
    numeric: tuple[str, ...]
    kinds: Mapping[str, type[Column]]

    @property
    def sums(self) -> int:
        return 2 * len(self.numeric)


def layout_of(baseline: Baseline | None) -> InputsLayout:
    """The layout for a baseline; without one only the rows are counted."""
    references = baseline.columns if baseline else ()
    sizes = [len(reference.counts) for reference in references]
    offsets = tuple(int(offset) for offset in 1 + np.cumsum([0, *sizes]))
    numeric = tuple(reference.name for reference in references if isinstance(reference, NumericReference))
    kinds: dict[str, type[Column]] = {
        reference.name: NumericColumn if isinstance(reference, NumericReference) else CategoricalColumn
        for reference in references
    }
    return InputsLayout(references, offsets[:-1], offsets[-1], numeric, kinds)


def check_columns(layout: InputsLayout, batch: PredictionBatch) -> None:
    """Raise `InvalidEvent` where a column has numbers and is categorical in the baseline, or the reverse."""
    for column in batch.columns:
        expected = layout.kinds.get(column.name)
        if expected is not None and not isinstance(column, expected) and not is_missing(column):
            kind = "numeric" if expected is NumericColumn else "categorical"
            raise InvalidEvent(f"columns[{column.name}]", f"is not {kind}, as it is in the baseline")


def check_row(layout: InputsLayout, row: PredictionRow) -> None:
    """As `check_columns`."""
    for name, value in zip(row.shape.names, row.values, strict=True):
        expected = layout.kinds.get(name)
        if expected is not None and is_text(value) is (expected is NumericColumn):
            kind = "numeric" if expected is NumericColumn else "categorical"
            raise InvalidEvent(f"columns[{name}]", f"is not {kind}, as it is in the baseline")


def sketch_rows(
    layout: InputsLayout,
    batches: Sequence[PredictionBatch],
    strata: Strata,
    sums: Floats,
    message_rows: Sequence[int] | None = None,
) -> list[Sketch]:
    """One sketch for each group of `strata`, which is about the batches' rows, in order. The batches have passed
    `check_columns`. `message_rows`: how many rows each message has, where a batch is not one message.

    `sums` is float64[groups, layout.sums]: what earlier messages came to (zeros where there are none), from where the
    sketches' sums go on. They are added within each message and then message after message, so they do not depend on
    how many messages are folded at once.
    """
    lengths = [len(batch.ids) for batch in batches]
    order = order_rows(strata, lengths if message_rows is None else message_rows)
    rows = MessageRows([_by_name(batch) for batch in batches], lengths, strata, order)
    groups, numeric = strata.groups, len(layout.numeric)
    totals = Totals(
        counts=np.zeros((groups, layout.bins), dtype=np.int64),
        sums=sums.copy(),
        lows=np.empty((groups, numeric)),
        highs=np.empty((groups, numeric)),
        unseen=[{} for _ in range(groups)],
    )
    totals.counts[:, :1] = rows.order.add_strata(np.bincount(strata.of_row)[:, None])
    tile = max(1, _TILE_VALUES // len(strata.of_row))
    placed = list(zip(layout.references, layout.offsets, strict=True))
    numbers = [(r, offset) for r, offset in placed if isinstance(r, NumericReference)]
    for first in range(0, len(numbers), tile):
        fold_numbers(numbers[first : first + tile], first, rows, totals)
    categories = [(r, offset) for r, offset in placed if isinstance(r, CategoricalReference)]
    for first in range(0, len(categories), tile):
        fold_categories(categories[first : first + tile], rows, totals)
    return [
        Sketch(totals.counts[g], totals.sums[g], totals.lows[g], totals.highs[g], merge_unseen([unseen]))
        for g, unseen in enumerate(totals.unseen)
    ]


def _by_name(batch: PredictionBatch) -> Mapping[str, Column]:
    return {column.name: column for column in batch.columns}
