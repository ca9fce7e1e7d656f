"""Event times as callers have them, to milliseconds since the epoch, UTC."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from driftsonde.core.events import EARLIEST_MS, LATEST_MS, Ints, InvalidEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_times_ms(values: Any, rows: int) -> Ints:
    """int64[rows]: of one time for all rows, or one a row: aware datetimes, datetime64 (UTC) or milliseconds.

    Raises `InvalidEvent` for anything else: seconds as floats and naive datetimes are guesses.
    """
    times = _array_of_times(values)
    if times.ndim == 0:
        times = np.full(rows, times)
    if times.shape != (rows,):
        raise InvalidEvent("timestamps", f"has the shape {times.shape} for {rows} rows")
    if rows and (times.min() < EARLIEST_MS or times.max() > LATEST_MS):
        raise InvalidEvent("timestamps", "outside 1970 to 2100; expected milliseconds since the epoch, UTC")
    return times


def _array_of_times(values: Any) -> Ints:
    if isinstance(values, datetime):
        return np.array(_of_datetime(values), dtype=np.int64)
    if isinstance(values, list | tuple) and values and isinstance(values[0], datetime):
        return _of_datetimes(values)
    array = np.asarray(values)
    if array.dtype.kind == "M":
        if np.isnat(array).any():
            raise InvalidEvent("timestamps", "a time is missing (NaT)")
        return array.astype("datetime64[ms]").astype(np.int64)
    if array.dtype.kind in "iu":
        # A copy: the caller may use the array again.
        return np.array(array, dtype=np.int64)
    if array.dtype.kind == "O" and array.ndim == 1:
        return _of_datetimes(array.tolist())
    raise InvalidEvent(
        "timestamps", f"are {array.dtype}; expected aware datetimes, datetime64 or integers (ms)"
    )


def _of_datetimes(values: Sequence[Any]) -> Ints:
    return np.array([_of_datetime(value) for value in values], dtype=np.int64)


def _of_datetime(value: Any) -> int:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidEvent("timestamps", f"{value!r} is no datetime with a time zone")
    return (value - _EPOCH) // _MILLISECOND
