"""What happened to a column, from its counts and sums alone: the hint at a cause that a distance does not give.

Nothing is said of fewer than `MIN_VALUES` values, or of a share that chance explains: three standard errors, and an effect
that a person would see.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from driftsonde.core.baseline import CategoricalReference, NumericReference
from driftsonde.core.events import Floats, Ints
from driftsonde.core.statistics.quality import is_constant, is_constant_category
from driftsonde.core.verdict import ColumnCounts

MIN_VALUES = 30
_STANDARD_ERRORS = 3.0
_LEAST_SHARE = 0.02
_LEAST_SHIFT = 0.5  # baseline's spreads
_WIDER = 1.5
_LEAST_FACTOR = 3.0  # less is more likely growth than another unit
_SAME_SHAPE = 1.3  # centre and spread change by the same factor, up to this
_SAME_FACTOR = 1.05
_SAME_CENTRE = 0.25  # spreads
_IQR_OF_NORMAL = 1.349

# How one unit becomes another: factor and offset.
UNITS = (
    ("°F to °C", 1 / 1.8, -32 / 1.8),
    ("°C to °F", 1.8, 32.0),
    ("°C to K", 1.0, 273.15),
    ("K to °C", 1.0, -273.15),
    *((f"a factor of {factor:,}", float(factor), 0.0) for factor in (10, 60, 100, 1_000, 3_600, 1_000_000)),
    *((f"a factor of 1/{factor:,}", 1 / factor, 0.0) for factor in (10, 60, 100, 1_000, 3_600, 1_000_000)),
)


class ChangeKind(StrEnum):
    """`UNIT`: centre and spread as a known conversion makes them; `SCALE`: both by one factor. `MIX`: one category's share."""

    MISSING = "missing"
    CONSTANT = "constant"
    UNIT = "unit"
    SCALE = "scale"
    SHIFT = "shift"
    SPREAD = "spread"
    UNSEEN = "unseen"
    MIX = "mix"


@dataclass(frozen=True, slots=True)
class Change:
    """What was and what is: a share (missing, unseen, mix), a spread, or else a centre. `factor`: after over before, NaN
    where none is meant. `name`: the category, or the conversion."""

    kind: ChangeKind
    before: float
    after: float
    factor: float = math.nan
    name: str = ""


@dataclass(frozen=True, slots=True)
class Typical:
    """Where numbers lie. `median`: whether centre and spread are median and scaled interquartile range, else mean and standard
    deviation. NaN for what is not known."""

    values: int
    median: bool
    centre: float
    spread: float
    minimum: float
    maximum: float


def changes_of(column: ColumnCounts) -> tuple[Change, ...]:
    """The most telling first; none where the counts support none."""
    before, after = column.reference.counts, column.counts
    missing = _share_change(ChangeKind.MISSING, before, after, -1)
    found = [missing] if missing and missing.after > missing.before else []
    if min(before[:-1].sum(), after[:-1].sum()) < MIN_VALUES:
        return tuple(found)
    reference = column.reference
    if isinstance(reference, CategoricalReference):
        return (*found, *_categorical(reference, after))
    return (*found, *_numeric(column))


def typical_of(column: ColumnCounts) -> tuple[Typical, Typical] | None:
    """Of the baseline and of the window, by the same measures; None for categories."""
    reference = column.reference
    if not isinstance(reference, NumericReference):
        return None
    was, now = (_quartiles(reference.edges, counts) for counts in (reference.counts, column.counts))
    if not (was and now and was[0] < was[2] and now[0] < now[2]):
        was = now = None
    return _typical(reference.counts, reference, was), _typical(column.counts, column, now)


def _typical(
    counts: Ints, sums: NumericReference | ColumnCounts, quartiles: tuple[float, float, float] | None
) -> Typical:
    values = int(counts[:-1].sum())
    if quartiles is not None:
        low, centre, high = quartiles
        spread = (high - low) / _IQR_OF_NORMAL
    else:
        centre = sums.total / values if values else math.nan
        square = sums.total_squares / values - centre * centre if values else math.nan
        spread = math.sqrt(max(0.0, square)) if math.isfinite(square) else math.nan
    return Typical(values, quartiles is not None, centre, spread, sums.minimum, sums.maximum)


def _quartiles(edges: Floats, counts: Ints) -> tuple[float, float, float] | None:
    """Interpolated within the bins; None where one of them lies outside the baseline's range, so is not known.

    >>> _quartiles(np.array([0.0, 10.0, 20.0]), np.array([0, 10, 10, 0, 3]))
    (5.0, 10.0, 15.0)
    """
    reached = np.cumsum(counts[:-1])
    wanted = reached[-1] * np.array([0.25, 0.5, 0.75])
    if not reached[-1] or wanted[0] < reached[0] or wanted[-1] > reached[-2]:
        return None
    low, middle, high = np.interp(wanted, reached[:-1], edges).tolist()
    return low, middle, high


def _numeric(column: ColumnCounts) -> Iterator[Change]:
    found = typical_of(column)
    if found is None:
        return
    before, after = found
    if is_constant(after.values, after.minimum, after.maximum) and before.minimum != before.maximum:
        yield Change(ChangeKind.CONSTANT, before.centre, after.minimum)
        return
    if not all(math.isfinite(n) for n in (before.centre, after.centre)) or not (
        before.spread > 0 and after.spread > 0
    ):
        return
    moved = abs(after.centre - before.centre)
    factor = after.spread / before.spread
    error = _STANDARD_ERRORS * after.spread / math.sqrt(after.values)
    if moved >= max(_LEAST_SHIFT * before.spread, error):
        yield _moved(before, after)
    elif max(factor, 1 / factor) >= _WIDER:
        yield Change(ChangeKind.SPREAD, before.spread, after.spread, factor)


def _moved(before: Typical, after: Typical) -> Change:
    """The centre is elsewhere: by a conversion, by a factor, or by itself."""
    centres = (before.centre, after.centre)
    spread_factor = after.spread / before.spread
    for name, factor, offset in UNITS:
        if _alike(spread_factor, factor, _SAME_SHAPE) and _converted(before, after, factor, offset):
            return Change(ChangeKind.UNIT, *centres, factor, name)
    factor = after.centre / before.centre if before.centre else math.nan
    if _alike(spread_factor, abs(factor), _SAME_SHAPE) and (
        factor < 0 or not _alike(factor, 1.0, _LEAST_FACTOR)
    ):
        return Change(ChangeKind.SCALE, *centres, factor)
    return Change(ChangeKind.SHIFT, *centres)


def _converted(before: Typical, after: Typical, factor: float, offset: float) -> bool:
    if not offset:
        return before.centre != 0 and _alike(after.centre / before.centre, factor, _SAME_FACTOR)
    return abs(before.centre * factor + offset - after.centre) <= _SAME_CENTRE * after.spread


def _alike(left: float, right: float, most: float) -> bool:
    return left > 0 and right > 0 and 1 / most <= left / right <= most


def _categorical(reference: CategoricalReference, after: Ints) -> Iterator[Change]:
    before, names = reference.counts, reference.categories
    if is_constant_category(after[:-1]) and not is_constant_category(before[:-1]):
        place = int(np.argmax(after[:-1]))
        yield Change(ChangeKind.CONSTANT, float(before[place] / before[:-1].sum()), 1.0, name=names[place])
        return
    unseen = _share_change(ChangeKind.UNSEEN, before[:-1], after[:-1], -1)
    if unseen and unseen.after > unseen.before:
        yield unseen
    if names:
        shares = [counts[:-1] / counts[:-1].sum() for counts in (before, after)]
        place = int(np.argmax(np.abs(shares[1] - shares[0])[:-1]))
        mix = _share_change(ChangeKind.MIX, before[:-1], after[:-1], place, names[place])
        if mix:
            yield mix


def _share_change(kind: ChangeKind, before: Ints, after: Ints, place: int, name: str = "") -> Change | None:
    n_before, n_after = int(before.sum()), int(after.sum())
    if min(n_before, n_after) < MIN_VALUES:
        return None
    was, now = float(before[place] / n_before), float(after[place] / n_after)
    error = math.sqrt(was * (1 - was) / n_before + now * (1 - now) / n_after)
    if abs(now - was) < max(_LEAST_SHARE, _STANDARD_ERRORS * error):
        return None
    return Change(kind, was, now, name=name)
