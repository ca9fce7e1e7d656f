"""Values to bins, for several columns of a baseline at once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from driftsonde.core.baseline import NumericReference
from driftsonde.core.events import Floats

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
