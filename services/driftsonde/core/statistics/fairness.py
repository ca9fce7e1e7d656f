"""Fairness between the groups of a protected column, from each group's confusion counts of one window.

All groups get an exact interval of their rate at once (Clopper-Pearson at 1 - (1 - confidence) / groups, Bonferroni), and a
disparity's interval is what rates in those intervals can have. So it holds for any number of groups, however the largest and
the smallest were found, at the price of being conservative. A group with fewer rows than `min_rows` behind a rate says
nothing about that rate and is left out of it; fewer than two groups left is "not enough rows": no value, no verdict.

A verdict needs the whole interval on one side of the bar; otherwise it is refused (`within` is None, with the reason).
Definitions as Fairlearn's: the difference is largest minus smallest rate, the ratio smallest over largest.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftsonde.core.statistics.counts import check_probability
from driftsonde.core.statistics.intervals import Interval, clopper_pearson_each
from driftsonde.core.statistics.performance import BinaryOutcomes

NOT_ENOUGH_ROWS = "not enough rows"
UNDECIDED = "the interval contains the bar"

# U.S. EEOC, Uniform Guidelines on Employee Selection Procedures (1978), 29 CFR 1607.4 D: the four-fifths rule.
FOUR_FIFTHS = 0.8


# What `disparities` tells, in its order.
DISPARITIES = (
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equalised_odds_difference",
    "predictive_parity_difference",
)


@dataclass(frozen=True, slots=True)
class FairnessBars:
    """What is asked of the groups. difference: the most that rates may lie apart, ratio: the least that the smallest may be
    of the largest, confidence: of each interval, min_rows: behind each rate of a group that takes part."""

    difference: float = 0.1
    ratio: float = FOUR_FIFTHS
    confidence: float = 0.95
    min_rows: int = 30

    def __post_init__(self) -> None:
        check_probability("confidence", self.confidence)
        if not 0 <= self.difference <= 1 or not 0 <= self.ratio <= 1:
            raise ValueError(f"difference and ratio must lie in [0, 1]: {self.difference}, {self.ratio}")
        if self.min_rows < 1:
            raise ValueError(f"min_rows must be at least 1, got {self.min_rows}")


@dataclass(frozen=True, slots=True)
class Disparity:
    """One number about a protected column. `n`: rows behind the rates, `lowest`, `highest`: the groups it is between ("" without).
    `within`: it keeps its bar, breaks it (False), or no verdict (None), with the `reason`."""

    name: str
    n: int
    value: float
    interval: Interval
    bar: float
    lowest: str
    highest: str
    within: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Rate:
    group: str
    hits: int
    rows: int
    interval: Interval

    @property
    def value(self) -> float:
        return self.hits / self.rows


def disparities(groups: Mapping[str, BinaryOutcomes], bars: FairnessBars) -> tuple[Disparity, ...]:
    """All disparities of one protected column, one entry per group with its outcomes; ValueError without a group.

    "demographic_parity_difference" and "demographic_parity_ratio" compare the selection rates (tp + fp) / n (the
    ratio is the four-fifths rule), "equal_opportunity_difference" the true positive rates, "equalised_odds_difference"
    is the larger of the differences in true and in false positive rates, "predictive_parity_difference" compares the
    precisions.
    Sources: Dwork et al., ITCS 2012; Hardt, Price & Srebro, NeurIPS 2016; Chouldechova, Big Data 5(2), 2017.

    >>> men = BinaryOutcomes(tp=400, fp=200, tn=300, fn=100)
    >>> women = BinaryOutcomes(tp=200, fp=100, tn=600, fn=100)
    >>> parity = disparities({"men": men, "women": women}, FairnessBars())[1]
    >>> parity.name, parity.value, parity.within
    ('demographic_parity_ratio', 0.5, False)
    """
    if not groups:
        raise ValueError("groups is empty: fairness is between groups")
    selection = _rates({name: (o.tp + o.fp, o.n) for name, o in groups.items()}, bars)
    recall = {name: (o.tp, o.tp + o.fn) for name, o in groups.items()}
    fall_out = {name: (o.fp, o.fp + o.tn) for name, o in groups.items()}
    precision = _rates({name: (o.tp, o.tp + o.fp) for name, o in groups.items()}, bars)
    # Two rates of each group at once: half the error level for each.
    odds = [
        _difference("equalised_odds_difference", _rates(rates, bars, families=2), bars)
        for rates in (recall, fall_out)
    ]
    return (
        _difference("demographic_parity_difference", selection, bars),
        _ratio("demographic_parity_ratio", selection, bars),
        _difference("equal_opportunity_difference", _rates(recall, bars), bars),
        _worse(odds, bars),
        _difference("predictive_parity_difference", precision, bars),
    )


def _rates(shares: Mapping[str, tuple[int, int]], bars: FairnessBars, families: int = 1) -> list[_Rate]:
    enough = {name: share for name, share in shares.items() if share[1] >= bars.min_rows}
    if len(enough) < 2:
        return []
    hits, rows = zip(*enough.values(), strict=True)
    lower, upper = clopper_pearson_each(hits, rows, 1 - (1 - bars.confidence) / (len(enough) * families))
    ends = zip(enough.items(), lower.tolist(), upper.tolist(), strict=True)
    rates = [_Rate(name, *share, Interval(low, high)) for (name, share), low, high in ends]
    return sorted(rates, key=lambda rate: rate.group)


def _difference(name: str, rates: Sequence[_Rate], bars: FairnessBars) -> Disparity:
    if not rates:
        return Disparity(
            name, 0, math.nan, Interval(0.0, 1.0), bars.difference, "", "", None, NOT_ENOUGH_ROWS
        )
    low, high = min(rates, key=lambda rate: rate.value), max(rates, key=lambda rate: rate.value)
    least = max(rate.interval.lower for rate in rates) - min(rate.interval.upper for rate in rates)
    most = max(a.interval.upper - b.interval.lower for a in rates for b in rates if a is not b)
    interval = Interval(max(0.0, least), most)
    within = (
        True if interval.upper <= bars.difference else False if interval.lower > bars.difference else None
    )
    return _told(name, rates, high.value - low.value, interval, bars.difference, low, high, within)


def _ratio(name: str, rates: Sequence[_Rate], bars: FairnessBars) -> Disparity:
    if not rates:
        return Disparity(name, 0, math.nan, Interval(0.0, 1.0), bars.ratio, "", "", None, NOT_ENOUGH_ROWS)
    low, high = min(rates, key=lambda rate: rate.value), max(rates, key=lambda rate: rate.value)
    smallest, largest = min(r.interval.upper for r in rates), max(r.interval.lower for r in rates)
    interval = Interval(
        min(1.0, *(a.interval.lower / b.interval.upper for a in rates for b in rates if a is not b)),
        min(1.0, smallest / largest) if largest > 0 else 1.0,
    )
    within = True if interval.lower >= bars.ratio else False if interval.upper < bars.ratio else None
    value = low.value / high.value if high.value else math.nan
    return _told(name, rates, value, interval, bars.ratio, low, high, within)


def _told(
    name: str,
    rates: Sequence[_Rate],
    value: float,
    interval: Interval,
    bar: float,
    low: _Rate,
    high: _Rate,
    within: bool | None,
) -> Disparity:
    n = sum(rate.rows for rate in rates)
    reason = UNDECIDED if within is None else ""
    return Disparity(name, n, value, interval, bar, low.group, high.group, within, reason)


def _worse(parts: Sequence[Disparity], bars: FairnessBars) -> Disparity:
    """The largest of several differences. It breaks the bar where one does, and keeps it only where all do."""
    known = [part for part in parts if part.reason != NOT_ENOUGH_ROWS]
    if not known:
        return parts[0]
    worst = max(known, key=lambda part: part.value)
    upper = max(part.interval.upper for part in known) if len(known) == len(parts) else 1.0
    interval = Interval(max(part.interval.lower for part in known), upper)
    within = (
        True if interval.upper <= bars.difference else False if interval.lower > bars.difference else None
    )
    reason = "" if within is not None else UNDECIDED if len(known) == len(parts) else NOT_ENOUGH_ROWS
    return Disparity(
        worst.name,
        worst.n,
        worst.value,
        interval,
        bars.difference,
        worst.lowest,
        worst.highest,
        within,
        reason,
    )
