"""The sketch of outcomes, that is predictions joined with their labels: every performance metric in mergeable form.

Layout of `Sketch.counts`:
    all tasks       [labelled, delay in ms, changes], the last one counting what was put in and taken out alike
    classification  then the confusion matrix of (K+1) x (K+1), rows = label, columns = prediction, the last class
                    standing for any other value
Layout of `Sketch.sums`:
    binary          [squared error of the score, logarithmic loss, scored rows put in and taken out alike]
    multiclass      []
    regression      [error, absolute error, squared error, label, squared label], error = prediction - label
`Sketch.points`: for a binary task the scores, by label.
A correction takes the old outcome out (sign -1) and puts the new one in, so counts of one chunk may be negative.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from driftsonde.core.events import Floats, Ints
from driftsonde.core.points import NO_POINTS, Points, gather_points
from driftsonde.core.signals import derive_id
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import ModelSpec, Task
from driftsonde.core.strata import Strata

# As scikit-learn's log_loss: a certain and wrong score costs a finite amount.
_SCORE_MARGIN = float(np.finfo(np.float64).eps)


_BINARY_CLASSES = ("0", "1")

# The sums of each task, in their order in `Sketch.sums`.
SUM_NAMES: Mapping[Task, tuple[str, ...]] = MappingProxyType(
    {
        Task.BINARY: ("squared_error", "log_loss", "scores_changed"),
        Task.MULTICLASS: (),
        Task.REGRESSION: ("error", "absolute_error", "squared_error", "label", "squared_label"),
    }
)

# Positions in `Sketch.counts`.
LABELLED = 0
DELAY_MS = 1
CHANGES = 2
_CONFUSION = 3


@dataclass(frozen=True, slots=True)
class OutcomesLayout:
    """Sizes for a task; `classes` is empty for a regression."""

    task: Task
    classes: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Sketches of one fingerprint can be added up: a spec may get other classes while a window is open."""
        return derive_id(self.task, *self.classes)

    @property
    def sides(self) -> int:
        """Rows (and columns) of the confusion matrix, with the one for other values."""
        return len(self.classes) + 1

    @property
    def bins(self) -> int:
        return _CONFUSION + (0 if self.task is Task.REGRESSION else self.sides**2)

    @property
    def sums(self) -> int:
        return len(SUM_NAMES[self.task])


def classes_of(spec: ModelSpec) -> tuple[str, ...]:
    """The classes of a classification; a binary task that names none has "0" and "1"."""
    return spec.classes or (_BINARY_CLASSES if spec.task is Task.BINARY else ())


def layout_for(spec: ModelSpec) -> OutcomesLayout:
    """The layout for a model's task."""
    return OutcomesLayout(spec.task, classes_of(spec))


def correct_rows(layout: OutcomesLayout, sketch: Sketch) -> int:
    """Rows whose prediction is their label. Two values outside the classes may differ: no one knows, so they count
    as wrong."""
    return int(np.trace(confusion_of(layout, sketch)[:-1, :-1]))


def confusion_of(layout: OutcomesLayout, sketch: Sketch) -> Ints:
    """The confusion matrix, int64[K+1, K+1]."""
    return sketch.counts[_CONFUSION : _CONFUSION + layout.sides**2].reshape(layout.sides, layout.sides)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Joined rows, every array of the same length.

    predictions and labels: float64, the class's position for a classification (`sides - 1` for a value outside the
    classes), the number for a regression; scores: float64, NaN where there is none; delays_ms: int64, label time
    minus prediction time; signs: +1 to put the row in, -1 to take it out.
    """

    predictions: Floats
    labels: Floats
    scores: Floats
    delays_ms: Ints
    signs: Ints

    def take(self, rows: Ints) -> "Outcomes":
        """These rows, in this order."""
        return Outcomes(
            self.predictions[rows],
            self.labels[rows],
            self.scores[rows],
            self.delays_ms[rows],
            self.signs[rows],
        )


def sketch_outcomes(layout: OutcomesLayout, outcomes: Outcomes, strata: Strata) -> list[Sketch]:
    """One sketch for each group of `strata`. Call it once a message: sums are added message by message."""
    member = strata.members[:, strata.of_row]
    kinds, rows = np.nonzero(member >= 0)
    outcomes, group, groups = outcomes.take(rows), member[kinds, rows], strata.groups
    signs = outcomes.signs.astype(np.float64)
    counts = np.zeros((groups, layout.bins), dtype=np.int64)
    counts[:, LABELLED] = _weighted(group, signs, groups)
    np.add.at(counts[:, DELAY_MS], group, outcomes.signs * outcomes.delays_ms)
    counts[:, CHANGES] = np.bincount(group, minlength=groups)
    sums = np.zeros((groups, layout.sums))
    if layout.task is Task.REGRESSION:
        with np.errstate(over="ignore", invalid="ignore"):  # absurd numbers have infinite squares
            label, error = outcomes.labels, outcomes.predictions - outcomes.labels
            for place, values in enumerate((error, np.abs(error), error * error, label, label * label)):
                sums[:, place] = np.bincount(group, signs * values, minlength=groups)
    else:
        cell = outcomes.labels.astype(np.int64) * layout.sides + outcomes.predictions.astype(np.int64)
        size = layout.sides**2
        table = _weighted(group * size + cell, signs, groups * size)
        counts[:, _CONFUSION : _CONFUSION + size] = table.reshape(groups, size)
    points = [NO_POINTS] * groups
    if layout.task is Task.BINARY:
        points = _gather_scores(layout, outcomes, group, groups, sums)
    none = np.zeros(0)
    return [Sketch(counts[g], sums[g], none, none, points=points[g]) for g in range(groups)]


def _gather_scores(
    layout: OutcomesLayout, outcomes: Outcomes, group: Ints, groups: int, sums: Floats
) -> list[Points]:
    """The scores of each group, and the sums of a binary task, over the rows that have a score and a known label."""
    usable = ~np.isnan(outcomes.scores) & (outcomes.labels < len(layout.classes))
    group = group[usable]
    scores = np.clip(outcomes.scores[usable], 0.0, 1.0) + 0.0  # -0.0 is 0.0
    positive = outcomes.labels[usable] == 1
    signs = outcomes.signs[usable].astype(np.float64)
    inside = np.clip(scores, _SCORE_MARGIN, 1 - _SCORE_MARGIN)
    log_loss = -np.log(np.where(positive, inside, 1 - inside))
    squared = (scores - positive) ** 2
    for place, values in enumerate((signs * squared, signs * log_loss, np.ones_like(scores))):
        sums[:, place] = np.bincount(group, values, minlength=groups)
    return gather_points(scores, positive, outcomes.signs[usable], group, groups)


def _weighted(place: Ints, signs: Floats, size: int) -> Ints:
    """Signed counts; exact, since they are far below 2**53."""
    return np.bincount(place, signs, minlength=size).astype(np.int64)
