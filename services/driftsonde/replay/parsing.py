"""Texts of a log to numbers, times and classes. Pure; a value that can't be read is told apart from a missing one."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from driftsonde.core.events import Floats, Ints

Bools = npt.NDArray[np.bool_]

# What stands for no value: the common ones of pandas, R and databases.
MISSING_TEXTS = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>"})

# A number from here on is milliseconds since the epoch (1973 and later), below it is seconds.
MILLISECONDS_FROM = 100_000_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER_OF_TRUTH = {"true": 1.0, "false": 0.0}


def is_missing(text: str) -> bool:
    """Whether a text stands for no value.

    >>> [is_missing(text) for text in ("", " NaN ", "0")]
    [True, True, False]
    """
    return text.strip().lower() in MISSING_TEXTS


def parse_numbers(texts: Sequence[str]) -> tuple[Floats, Bools]:
    """The numbers, NaN for missing ones, and which texts are neither number nor missing.

    >>> values, bad = parse_numbers(["1.5", "", "true", "inf", "x"])
    >>> values.tolist(), bad.tolist()
    ([1.5, nan, 1.0, inf, nan], [False, False, False, False, True])
    """
    try:
        return np.array(texts, dtype=np.float64), np.zeros(len(texts), dtype=np.bool_)
    except ValueError:
        pass
    values = np.full(len(texts), np.nan)
    bad = np.zeros(len(texts), dtype=np.bool_)
    for row, text in enumerate(texts):
        number = _number(text)
        if number is not None:
            values[row] = number
        else:
            bad[row] = not is_missing(text)
    return values, bad


def parse_times_ms(texts: Sequence[str]) -> tuple[Ints, Bools]:
    """Milliseconds since the epoch, and which texts are no time (a missing one is none either).

    ISO 8601 (UTC where it names no zone), or a number: seconds, from `MILLISECONDS_FROM` on milliseconds.

    >>> times, bad = parse_times_ms(["2026-01-02T03:04:05Z", "1767323045", "1767323045500", "soon"])
    >>> times.tolist(), bad.tolist()
    ([1767323045000, 1767323045000, 1767323045500, 0], [False, False, False, True])
    """
    fast = _times_of_iso(texts)
    if fast is not None:
        return fast, np.zeros(len(texts), dtype=np.bool_)
    times = np.zeros(len(texts), dtype=np.int64)
    bad = np.zeros(len(texts), dtype=np.bool_)
    for row, text in enumerate(texts):
        time_ms = _time_ms(text)
        if time_ms is None:
            bad[row] = True
        else:
            times[row] = time_ms
    return times, bad


def times_of_numbers(values: Floats) -> tuple[Ints, Bools]:
    """`parse_times_ms` for a column of numbers."""
    # Beyond this a float64 of milliseconds is no time that anybody means, and no int64 either.
    bad = ~(np.abs(values) < 1e17)
    plain = np.where(bad, 0.0, values)
    scaled = np.where(np.abs(plain) >= MILLISECONDS_FROM, plain, plain * 1000)
    return np.rint(scaled).astype(np.int64), bad


def class_of(text: str) -> str:
    """The name of a class: a number by its shortest text, so that "1", "1.0" and "01" are one class.

    >>> [class_of(text) for text in ("1.0", " cat ", "0.50", "True")]
    ['1', 'cat', '0.5', 'True']
    """
    stripped = text.strip()
    try:
        number = float(stripped)
    except ValueError:
        return stripped
    if not math.isfinite(number):
        return stripped
    return str(int(number)) if number.is_integer() else repr(number)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return _NUMBER_OF_TRUTH.get(text.strip().lower())


def _times_of_iso(texts: Sequence[str]) -> Ints | None:
    """Many times of one form at once; None where that isn't so."""
    zoned = bool(texts) and texts[0].endswith("Z")
    try:
        times = pa.array(texts, pa.string()).cast(pa.timestamp("ms", "UTC" if zoned else None))
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None
    return np.asarray(pc.cast(times, pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def _time_ms(text: str) -> int | None:
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        times, bad = times_of_numbers(np.array([number]))
        return None if bad[0] else int(times[0])
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    zoned = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return (zoned - _EPOCH) // _MILLISECOND
