"""The grid that bin edges are snapped to: about 4,096 values for each doubling.

A cell is the half-open interval between two neighbouring grid values, named by an integer that grows with the value.
Because every edge is a grid value, counts per cell can be turned into counts per bin without looking at the rows
again, and `x >= edge` means the same for a row and for its cell.
"""

import numpy as np

from driftsonde.core.events import Floats, Ints

_DROPPED_BITS = 40
_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)


def cells_of(values: Floats) -> Ints:
    """The cell of each value, int64 of the same shape. Values may be infinite, not NaN.

    >>> cells_of(np.array([1.0, 1.0001, 2.0, -0.0, 0.0])).tolist()
    [4190208, 4190208, 4194304, 0, 0]
    """
    bits = (np.asarray(values, dtype=np.float64) + 0.0).view(np.int64)  # + 0.0 turns -0.0 into 0.0
    return _ordered(bits) >> _DROPPED_BITS


def cell_starts(cells: Ints) -> Floats:
    """The smallest value of each cell.

    >>> cell_starts(cells_of(np.array([1.0, 310.52]))).tolist()
    [1.0, 310.5]
    >>> bool(cell_starts(cells_of(np.array([-2.51])))[0] <= -2.51)
    True
    """
    ordered = np.asarray(cells, dtype=np.int64) << _DROPPED_BITS
    starts = _ordered(ordered).view(np.float64)
    return np.where(np.isnan(starts), -np.inf, starts)  # the cell that -inf ends begins with the bits of NaNs


def quantile_edges(cells: Ints, counts: Ints, bins: int) -> Floats:
    """At most `bins` bins of about equal counts: their edges, ascending, float64 of 2 to bins + 1 entries.

    `cells` are distinct and ascending, `counts` says how many rows each holds. The first edge is the start of the
    first cell, the last one the end of the last cell, so every counted row lies inside; beyond the largest floats it
    is infinite. An edge is put before or after the cell that a quantile falls into, whichever is nearer, so a value with
    at least the rows of two bins gets a bin of its own; a constant column gets one bin.

    >>> quantile_edges(cells_of(np.array([-1.0, 0.0, 1.0])), np.array([5, 90, 5]), bins=10)[1:3].tolist()
    [0.0, 1.0]
    """
    if len(cells) == 0:
        raise ValueError("cells: is empty; edges need at least one value")
    below = np.cumsum(counts) - counts
    targets = np.arange(1, bins) * (counts.sum() / bins)
    inside = np.searchsorted(below, targets, side="right") - 1
    before = targets - below[inside]
    starts = np.unique(np.where(2 * before <= counts[inside], inside, inside + 1))
    starts = starts[(starts > 0) & (starts < len(cells))]
    chosen = np.concatenate([cells[:1], cells[starts], cells[-1:] + 1])
    return cell_starts(chosen)


def _ordered(bits: Ints) -> Ints:
    """Float bits to integers of the same order, and back: the mapping is its own inverse."""
    return bits ^ ((bits >> 63) & _MAGNITUDE)
