"""The seasons that a learned null may have: none, the hour of the day, the hour of the week (UTC).

A null with a season counts once it has been learned for four rounds and tried on two windows a slot, and only where the variation that it leaves is at
most half of what the simpler one leaves: a season has to be shown by the data.
"""

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray

_HOUR_MS = 3_600_000
SLOTS = np.array([1, 24, 168])
NULLS = len(SLOTS)
TABLE = int(SLOTS.sum())
SEASONAL = SLOTS > 1
_FIRST_SLOT = np.array([0, 1, 25])
_PERIODS_MS = np.array([0, 24, 168]) * _HOUR_MS
_ROUNDS = 4
_TRIED = 2
_SIMPLER_UNTIL = 2.0


def slots_of(window_start_ms: int) -> npt.NDArray[np.int64]:
    """Where a window is in a table of slots (TABLE long), one index for each null, shape (NULLS,).

    >>> slots_of(0), slots_of(25 * 3_600_000)
    (array([ 0,  1, 25]), array([ 0,  2, 50]))
    """
    return np.asarray(_FIRST_SLOT + (window_start_ms // _HOUR_MS) % SLOTS)


def seasoned(since_ms: FloatArray, until_ms: FloatArray, tried: FloatArray) -> npt.NDArray[np.bool_]:
    """Which nulls have been learned for long enough, shape (..., NULLS): from the window at since_ms to that at until_ms,
    and tried on so many windows that were not yet in them (`tried`, by null)."""
    long = (until_ms - since_ms)[..., None] >= _ROUNDS * _PERIODS_MS
    return np.asarray(~SEASONAL | (long & (tried >= _TRIED * SLOTS)))


def simplest(variation: FloatArray, allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The null to go by, shape (...): that of the least variation, (..., NULLS), where each richer one has to halve it.

    >>> simplest(np.array([[8.0, 3.0, 3.0], [8.0, 5.0, 1.0]]), np.array([True, True, False]))
    array([1, 0])
    """
    cost = variation * _SIMPLER_UNTIL ** np.arange(NULLS)
    return np.asarray(np.where(allowed, cost, np.inf).argmin(axis=-1))
