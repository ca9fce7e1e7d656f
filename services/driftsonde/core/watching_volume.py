"""What the windows so far say of how many rows a model has: the level detector of `watching`, of more rows and of fewer.

u = the rows of a window, and its inverse. Independent arrivals are Poisson, so u is roughly a gamma whose shape is the expected rows;
how much more rows vary, and their season, is learned from healthy windows. A factor of 1 / (1 - `quality.volume`) on the expected
rows (`volume`: of the same time of the week or day, once known) is bet on. A call needs the evidence and, at every window, the
ratio to the expected rows beyond its practical bar: what the model has had for long enough is what is expected, so a call ends by
itself where more or fewer rows are there to stay. The first `learning_windows` windows are learned, and nothing is called.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from driftsonde.core.page_budget import QUALITY, log_page_bar, quality_parts
from driftsonde.core.plan import Plan
from driftsonde.core.statistics.evidence import EFFECTS
from driftsonde.core.statistics.level_detector import (
    Level,
    LevelDetector,
    accept_level,
    clear_level,
    level_evidence,
    new_level_detector,
    observe_level,
)
from driftsonde.core.verdict import Metric
from driftsonde.core.volume import RATIO

# Where fewer rows are expected, chance alone halves them, and 1 / rows has a tail that no gamma has.
FEWEST = 50
_BOTH = np.ones(2, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class VolumeWatch:
    """The rows of a model, whether more or fewer of them are in alarm, and how many windows have been learned."""

    detector: LevelDetector
    alarmed: tuple[bool, bool] = (False, False)
    learned: int = 0


def watch_volume(
    known: VolumeWatch | None, plan: Plan, window_start_ms: int, numbers: Sequence[Metric]
) -> tuple[VolumeWatch | None, list[Metric]]:
    """The watch after a window, and its numbers: `volume_ratio` with its bar, breached where it is called; without a bar while it
    learns, or where the policy does not ask for it. numbers: of `observe_volume`."""
    unheld = [metric._replace(threshold=math.nan, breached=False) for metric in numbers]
    volume = plan.spec.policy.quality.volume
    if not volume:
        return None, unheld
    ratio = next((m for m in unheld if m.name == RATIO and m.n > 0 and math.isfinite(m.value)), None)
    if ratio is None or ratio.n < FEWEST * ratio.value:
        return known, unheld
    known = known or VolumeWatch(new_level_detector((2,)))
    budget = plan.spec.policy.budget
    log_bar = log_page_bar(plan, QUALITY, 2 * quality_parts(plan.spec.policy))  # more, and fewer
    alarmed = np.array(known.alarmed)
    level = volume_level(ratio.n, ratio.value, volume)
    detector = observe_level(known.detector, level, window_start_ms, log_bar, ~alarmed)
    if known.learned < budget.learning_windows:
        return VolumeWatch(accept_level(detector, _BOTH), learned=known.learned + 1), unheld
    evidence = level_evidence(detector)
    most, least = 1 / (1 - volume), 1 - volume
    beyond = np.array([ratio.value > most, ratio.value < least])
    more, fewer = (beyond & np.where(alarmed, evidence > 0, evidence >= log_bar)).tolist()
    held = ratio._replace(threshold=most if ratio.value >= 1 else least, breached=more or fewer)
    return (
        VolumeWatch(detector, (more, fewer), known.learned),
        [held if metric is ratio else metric for metric in unheld],
    )


def volume_level(rows: int, ratio: float, volume: float) -> Level:
    """Of (more, fewer) rows, shape (2,): `ratio` > 0 of `rows` > 0 to the expected ones; an effect is a factor of
    1 / (1 - volume) on those, to the power of EFFECTS. More than the largest effect counts as that, for none that is bet on
    would explain it better than a wild stream does.

    >>> level = volume_level(50, 0.5, 0.5)
    >>> level.u.tolist(), level.added[0].tolist()
    ([50.0, 0.02], [100.0, 300.0, 1500.0])
    """
    expected, factors = rows / ratio, np.power(1 / (1 - volume), EFFECTS)
    counted = min(max(float(rows), expected / factors[-1]), expected * factors[-1])
    u = np.array([counted, 1 / counted])
    arrivals = max(1.0, expected)
    return Level(
        u,
        np.log(u) / 2,
        np.full(2, special.polygamma(1, arrivals) / 4),
        np.array([0.5, -0.5]) * special.digamma(arrivals),
        np.outer([expected, 1 / expected], factors - 1),
    )


def cleared_volume(known: VolumeWatch) -> VolumeWatch:
    """Once an episode is over: its evidence is gone, and what was learned before it stays."""
    return replace(known, detector=clear_level(known.detector, _BOTH), alarmed=(False, False))
