"""Predictions that the champion and a shadow both made, with their label: what tells two versions apart soonest.

The pairing key is the prediction id: a shadow answers the champion's request under the champion's id. A pair is there once
both carry the same label (of the same time); a correction takes the old pair out and puts the new one in. It belongs to the
window of the shadow's row.

A sketch of pairs is one of outcomes, of the whole model, in a layout of its own, so that whoever knows nothing of pairs
leaves it alone:
    counts  [pairs, only the champion right, only the shadow right, changes], changes counting in and out alike
    sums    regression [c, s, c^2, c s, s^2] with c and s the absolute errors of champion and shadow; else []
"""

from dataclasses import dataclass

import numpy as np

from driftsonde.core.events import Floats, Ints
from driftsonde.core.join import JoinedPairs
from driftsonde.core.outcomes import OutcomesLayout
from driftsonde.core.signals import derive_id
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import Task

BINS = 4
_SUMS = 5


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs in a time. Of a classification: n, those that only one side had right, and `variance`, the sum of
    `statistics.paired.window_variance`; of a regression n and the sums of the module's text."""

    n: int = 0
    only_champion: int = 0
    only_challenger: int = 0
    sums: tuple[float, ...] = (0.0,) * _SUMS
    variance: float = 0.0


NO_PAIRS = Pairs()


def pairs_layout(layout: OutcomesLayout) -> str:
    """What the keys of sketches of pairs have for a layout; another than those of outcomes."""
    return derive_id("pairs", layout.task, *layout.classes)


def pair_sums(layout: OutcomesLayout) -> int:
    """The number of sums in a sketch of pairs."""
    return _SUMS if layout.task is Task.REGRESSION else 0


def pairs_of(sketch: Sketch | None) -> Pairs:
    """What a sketch of pairs holds; counts that corrections under way have brought below 0 are 0."""
    if sketch is None:
        return Pairs()
    n, only_champion, only_challenger, _ = (max(0, int(count)) for count in sketch.counts)
    n = max(n, only_champion + only_challenger)
    sums = tuple(float(value) for value in sketch.sums) or (0.0,) * _SUMS
    return Pairs(n, only_champion, only_challenger, sums)


def sketch_pairs(layout: OutcomesLayout, pairs: JoinedPairs, group: Ints, groups: int) -> list[Sketch]:
    """One sketch for each group; `group`: int64[rows]. Call it once a message: sums are added message by message."""
    signs = pairs.signs.astype(np.float64)
    counts = np.zeros((groups, BINS), dtype=np.int64)
    counts[:, 0] = np.bincount(group, signs, minlength=groups)
    counts[:, 3] = np.bincount(group, minlength=groups)
    sums = np.zeros((groups, pair_sums(layout)))
    if layout.task is Task.REGRESSION:
        with np.errstate(over="ignore", invalid="ignore"):  # absurd numbers have infinite squares
            champion = np.abs(pairs.champion_predictions - pairs.labels)
            shadow = np.abs(pairs.predictions - pairs.labels)
            terms = (champion, shadow, champion * champion, champion * shadow, shadow * shadow)
            for place, values in enumerate(terms):
                sums[:, place] = np.bincount(group, signs * values, minlength=groups)
    else:
        champion, shadow = (
            _right(layout, values, pairs.labels) for values in (pairs.champion_predictions, pairs.predictions)
        )
        counts[:, 1] = np.bincount(group, signs * (champion & ~shadow), minlength=groups)
        counts[:, 2] = np.bincount(group, signs * (shadow & ~champion), minlength=groups)
    none = np.zeros(0)
    return [Sketch(counts[g], sums[g], none, none) for g in range(groups)]


def _right(
    layout: OutcomesLayout, predictions: Floats, labels: Floats
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """As `outcomes.correct_rows`: two values outside the classes may differ, so they count as wrong."""
    return np.asarray((predictions == labels) & (labels < len(layout.classes)))
