"""What the windows so far say of a version's missing, unseen and out-of-range rates, and of how often a column is constant that is
not so in the baseline: an e-detector for each column's.

As `watching`: while a version's healthy windows are few each window is held against its bars by itself; from then on a rate is
called where the evidence keeps the budget (e-BH over all rates) and the window's rate is beyond its practical bar; the call lasts
while the evidence does.

Of constant columns a window counts as one trial, however many rows it has: rows of a night are too alike for more. What is often
constant while healthy windows are learned is learned as such, and until then nothing is called.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter, itemgetter

import numpy as np

from driftsonde.core.baseline import NumericReference
from driftsonde.core.column_health import CONSTANT
from driftsonde.core.events import Floats
from driftsonde.core.inputs import InputsLayout
from driftsonde.core.page_budget import QUALITY, log_page_bar, quality_parts
from driftsonde.core.plan import Plan
from driftsonde.core.spec import QualityRule
from driftsonde.core.statistics.discovery import e_benjamini_hochberg
from driftsonde.core.statistics.share_detector import (
    ShareDetector,
    accept_share,
    clear_share,
    new_share_detector,
    observe_share,
    share_evidence,
)
from driftsonde.core.verdict import Metric

MISSING, UNSEEN, OUT_OF_RANGE = "missing_rate", "unseen_rate", "out_of_range_rate"
RATES = frozenset({MISSING, UNSEEN, OUT_OF_RANGE, CONSTANT})
_OFTEN_CONSTANT = 0.25  # how much more often than usual, of all windows

Rate = tuple[str, str]


@dataclass(frozen=True, slots=True)
class QualityWatch:
    """The rates of a version, (column, name), those in alarm, and how many windows have been learned."""

    rates: tuple[Rate, ...]
    detector: ShareDetector
    alarmed: frozenset[Rate] = frozenset()
    learned: int = 0


def watch_quality(
    known: QualityWatch | None, plan: Plan, metrics: Sequence[Metric]
) -> tuple[QualityWatch | None, frozenset[Rate] | None]:
    """The watch after a window of the whole model, and the rates called; None while it learns, or without columns."""
    rates, hits, rows = _baseline(plan.inputs)
    if not rates:
        return known, None
    if known is None or known.rates != rates:
        known = QualityWatch(rates, new_share_detector(hits, rows))
    budget = plan.spec.policy.budget
    learning = known.learned < budget.learning_windows
    found = [metric for metric in metrics if metric.name in RATES and metric.n > 0]
    if learning and any(metric.breached for metric in found):
        return known, None
    n, value, bars = _seen(plan.inputs, found)
    log_bar = log_page_bar(plan, QUALITY, quality_parts(plan.spec.policy))
    learns = np.ones(len(rates), dtype=np.bool_)
    if known.alarmed:
        learns[[rate in known.alarmed for rate in rates]] = False
    effect = _effects(plan.inputs, plan.spec.policy.quality)
    detector = observe_share(known.detector, value * n, n, effect, log_bar + math.log(len(rates)), learns)
    if learning:
        return QualityWatch(rates, accept_share(detector), learned=known.learned + 1), None
    evidence = share_evidence(detector)
    # One window in which a column varies shows that it is constant no longer.
    lasting = ~learns & (evidence > 0)
    lasting[2::3] &= (value > bars)[2::3]
    called = (e_benjamini_hochberg(evidence, log_bar) & (value > bars)) | lasting
    alarmed = frozenset(rates[place] for place in np.flatnonzero(called).tolist())
    return QualityWatch(rates, detector, alarmed, known.learned), alarmed


def _seen(layout: InputsLayout, found: Sequence[Metric]) -> tuple[Floats, Floats, Floats]:
    """Rows, value and bar of each rate: without rows it is no evidence and nothing to learn. Of a constant column one window, not
    its rows. There are thousands: they go by field, not one by one."""
    rates = len(_baseline(layout)[0])
    places = list(map(_places(layout).__getitem__, map(itemgetter(0, 1), found)))
    n, value, bars = np.zeros((3, rates + 1))  # the last one is of columns that the layout has not
    bars[:] = math.inf
    for field, all_rates in (("n", n), ("value", value), ("threshold", bars)):
        all_rates[places] = list(map(attrgetter(field), found))
    n[2:-1:3] = np.minimum(n[2:-1:3], 1.0)
    return n[:-1], value[:-1], bars[:-1]


def cleared_quality(known: QualityWatch) -> QualityWatch:
    """Once an episode is over: its evidence is gone, and what was learned before it stays."""
    return replace(known, detector=clear_share(known.detector), alarmed=frozenset())


@lru_cache(maxsize=256)
def _baseline(layout: InputsLayout) -> tuple[tuple[Rate, ...], Floats, Floats]:
    """The rates of all columns, and the baseline's counts and rows of each. Three a column: missing, out of range or unseen, and
    constant, of which the baseline, being one window, says nothing."""
    rates: list[Rate] = []
    hits: list[float] = []
    rows: list[float] = []
    for reference in layout.references:
        counts = reference.counts
        numeric = isinstance(reference, NumericReference)
        other = int(counts[0] + counts[-2]) if numeric else int(counts[-2])
        rates += [(reference.name, MISSING), (reference.name, OUT_OF_RANGE if numeric else UNSEEN)]
        rates.append((reference.name, CONSTANT))
        hits += [float(counts[-1]), float(other), 0.0]
        rows += [float(counts.sum())] * 2 + [0.0]
    return tuple(rates), np.array(hits), np.array(rows)


class _Places(dict[Rate, int]):
    """Where each rate is; one that the layout has not is last."""

    def __missing__(self, rate: Rate) -> int:
        return -1


@lru_cache(maxsize=256)
def _places(layout: InputsLayout) -> Mapping[Rate, int]:
    return _Places((rate, place) for place, rate in enumerate(_baseline(layout)[0]))


@lru_cache(maxsize=256)
def _effects(layout: InputsLayout, rule: QualityRule) -> Floats:
    """How much each rate may rise; 0 would never be passed by chance alone, so it is a thousandth at least."""
    allowed = {
        MISSING: rule.missing_rate,
        UNSEEN: rule.unseen_rate,
        OUT_OF_RANGE: rule.out_of_range_rate,
        CONSTANT: _OFTEN_CONSTANT,
    }
    return np.maximum([allowed[name] for _, name in _baseline(layout)[0]], 1e-3)
