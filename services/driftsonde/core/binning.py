"""Values to bins, for several columns of a baseline at once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from driftsonde.core.baseline import CategoricalReference, NumericReference
from driftsonde.core.events import Floats, Ints

Bins = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def bin_values(references: Sequence[NumericReference], values: Floats) -> Bins:
    """The bin of each value, of the shape of `values`, float64[columns, rows].

    A bin is the number of edges at or below the value. Comparing with every edge takes a fifth of the time of binary
    searches: it runs over whole columns without a branch.
    """
    most = max(len(reference.edges) for reference in references)
    edges = np.full((len(references), most), np.nan)  # nothing is at or above NaN
    for row, reference in zip(edges, references, strict=True):
        row[: len(reference.edges)] = reference.edges
    bins: Bins = np.zeros(values.shape, dtype=np.uint8 if most < 255 else np.uint16)
    reached = np.empty(values.shape, dtype=np.bool_)
    for edge in edges.T:
        np.greater_equal(values, edge[:, None], out=reached)
        np.add(bins, reached.view(np.uint8), out=bins)
    missing = np.isnan(values)
    if missing.any():
        last = np.array([len(reference.counts) - 1 for reference in references], dtype=bins.dtype)
        np.copyto(bins, last[:, None], where=missing)
    return bins


class CategoryTable:
    """The bin of each category of some columns, as messages list them. Of each list the first entry is for a missing
    value, which has the code -1.

    `unseen` has column and value of each entry that is outside the column's vocabulary.
    """

    def __init__(self, references: Sequence[CategoricalReference]) -> None:
        self.unseen: dict[int, tuple[str, str]] = {}
        self._columns = [
            (reference.name, {category: place for place, category in enumerate(reference.categories)})
            for reference in references
        ]
        self._bins: list[int] = []
        self._starts: dict[tuple[int, tuple[str, ...]], int] = {}

    def start_of(self, column: int, categories: tuple[str, ...]) -> int:
        """What has to be added to the codes of a column to find their entries."""
        start = self._starts.get((column, categories))
        if start is None:
            start = self._starts[column, categories] = len(self._bins) + 1
            name, known = self._columns[column]
            self._bins.append(len(known) + 1)
            for entry, category in enumerate(categories, start):
                self._bins.append(known.get(category, len(known)))
                if category not in known:
                    self.unseen[entry] = (name, category)
        return start

    def bins_of(self, entries: Ints) -> Ints:
        """The bins of entries, int64 of their shape."""
        return np.array(self._bins, dtype=np.int64)[entries]
