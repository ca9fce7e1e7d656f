"""What happened to a column, as a sentence: the hint at a cause."""

import math
from dataclasses import dataclass

from driftsonde.core.changes import Change, ChangeKind, Typical, changes_of, typical_of
from driftsonde.core.verdict import ColumnCounts
from driftsonde.report.formats import NOTHING, format_number, format_percent

# What a quality signal has said already in its own words.
KIND_OF_RATE = {"missing_rate": ChangeKind.MISSING, "unseen_rate": ChangeKind.UNSEEN}
_MOST_DIGITS = 0.1  # of a factor: nearer to a whole number it is called one


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure of a column, in its baseline and in the window."""

    what: str
    before: str
    after: str


def hints(column: ColumnCounts, said: str = "") -> tuple[str, ...]:
    """The most telling first; `said`: the metric that has been told already."""
    name = column.reference.name
    return tuple(
        _sentence(name, change) for change in changes_of(column) if change.kind is not KIND_OF_RATE.get(said)
    )


def compared(column: ColumnCounts) -> tuple[Compared, ...]:
    """What is typical, before and after, and how much is missing."""
    before, after = column.reference.counts, column.counts
    missing = Compared("missing", *(_share(int(counts[-1]), int(counts.sum())) for counts in (before, after)))
    found = typical_of(column)
    if found is None:
        unseen = (_share(int(counts[-2]), int(counts.sum())) for counts in (before, after))
        return Compared("never seen in the baseline", *unseen), missing
    median = found[1].median
    return (
        Compared("typical value (median)" if median else "typical value (mean)", *map(_centre, found)),
        Compared(
            "spread (standard deviation)" if not median else "spread (middle half, scaled)",
            *map(_spread, found),
        ),
        Compared("smallest to largest", *map(_range, found)),
        missing,
    )


def part_text(share: float) -> str:
    """
    >>> part_text(1.0), part_text(0.25)
    ('all', '25.0 %')
    """
    return {0.0: "none", 1.0: "all"}.get(share) or format_percent(share)


def factor_text(factor: float) -> str:
    """
    >>> factor_text(24.02), factor_text(1 / 24), factor_text(2.5), factor_text(0.7)
    ('24 times', '1/24', '2.5 times', '0.7 times')
    """
    if factor < 1 and abs(1 / factor - round(1 / factor)) < _MOST_DIGITS and round(1 / factor) > 1:
        return f"1/{round(1 / factor):,}"
    near = round(factor)
    return f"{near:,} times" if near and abs(factor - near) < _MOST_DIGITS / 2 else f"{factor:.2g} times"


def _sentence(name: str, change: Change) -> str:
    before, after = format_number(change.before), format_number(change.after)
    typically = f"typical value {before} → {after}"
    was, now = format_percent(change.before), format_percent(change.after)
    match change.kind:
        case ChangeKind.MISSING if change.after == 1:
            return f"All values of {name} are missing, before {was}."
        case ChangeKind.MISSING:
            return f"{now} of {name} is missing, before {was}."
        case ChangeKind.CONSTANT if change.name:
            return f"All values of {name} are {change.name!r}, before {was}."
        case ChangeKind.CONSTANT:
            what = "zero" if change.after == 0 else f"the same, {after}"
            return f"All values of {name} are {what}; its typical value was {before}."
        case ChangeKind.UNIT:
            return (
                f"{name} looks like it comes in another unit: it changed as {change.name} would, {typically}."
            )
        case ChangeKind.SCALE if change.factor < 0:
            return f"{name} has the opposite sign: {typically}."
        case ChangeKind.SCALE:
            return f"{name} looks like it comes in another unit: about {factor_text(change.factor)}{' of' if change.factor < 1 else ''} what it was, {typically}."
        case ChangeKind.SHIFT:
            return f"{name} has moved {'up' if change.after > change.before else 'down'}: {typically}."
        case ChangeKind.SPREAD:
            return f"{name} is spread about {factor_text(change.factor)} as wide as before, around much the same value."
        case ChangeKind.UNSEEN:
            return f"{now} of {name} are categories that were never seen before, in its baseline {was}."
        case ChangeKind.MIX:
            return f"{change.name!r} is {now} of {name}, before {was}."


def _share(part: int, rows: int) -> str:
    return format_percent(part / rows) if rows else NOTHING


def _centre(side: Typical) -> str:
    return format_number(side.centre)


def _spread(side: Typical) -> str:
    return format_number(side.spread)


def _range(side: Typical) -> str:
    if not (math.isfinite(side.minimum) and math.isfinite(side.maximum)):
        return NOTHING
    return f"{format_number(side.minimum)} to {format_number(side.maximum)}"
