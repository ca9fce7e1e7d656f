"""The sketch of outcomes, that is predictions joined with their labels: every performance metric in mergeable form.

Layout of `Sketch.counts`:
    all tasks       [labelled, delay in ms, changes], the last one counting what was put in and taken out alike
    classification  then the confusion matrix of (K+1) x (K+1), rows = label, columns = prediction, the last class
                    standing for any other value; for a binary task with scores then
                    [score cells of negatives, score cells of positives]
Layout of `Sketch.sums`:
    binary          [squared error of the score, logarithmic loss, scored rows put in and taken out alike]
    multiclass      []
    regression      [error, absolute error, squared error, label, squared label], error = prediction - label
A correction takes the old outcome out (sign -1) and puts the new one in, so counts of one chunk may be negative.
"""

from dataclasses import dataclass

import numpy as np

from driftsonde.core.events import Codes, Floats, Ints
from driftsonde.core.signals import derive_id
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import ModelSpec, Task

# The cells that scores are counted in: uniform in the middle, 32 for each halving towards 0 and towards 1, so that the
# ranking of rare events survives, and fewer further out, where the scores of overconfident models are.
_UNIFORM = np.arange(1, 512) / 512
_TAIL = np.concatenate([(1 + np.arange(32) / 32) * 2.0**-octave for octave in range(20, 9, -1)])
_FAR_TAIL = np.concatenate([(1 + np.arange(4) / 4) * 2.0**-octave for octave in range(53, 20, -1)])
_NEARLY_NOTHING = 2.0 ** -np.arange(1016.0, 53.0, -8.0)
SCORE_EDGES: Floats = np.unique(
    np.concatenate([_NEARLY_NOTHING, _FAR_TAIL, _TAIL, _UNIFORM, 1 - _TAIL, 1 - _FAR_TAIL])
)
SCORE_CELLS = len(SCORE_EDGES) + 1

# As scikit-learn's log_loss: a certain and wrong score costs a finite amount.
_SCORE_MARGIN = float(np.finfo(np.float64).eps)


_BINARY_CLASSES = ("0", "1")

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
        if self.task is Task.REGRESSION:
            return _CONFUSION
        scored = 2 * SCORE_CELLS if self.task is Task.BINARY else 0
        return _CONFUSION + self.sides**2 + scored

    @property
    def sums(self) -> int:
        return {Task.BINARY: 3, Task.MULTICLASS: 0, Task.REGRESSION: 5}[self.task]


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


def score_cells_of(sketch: Sketch) -> tuple[Ints, Ints]:
    """Rows by score cell, of the negatives and of the positives, each int64[SCORE_CELLS]."""
    return sketch.counts[-2 * SCORE_CELLS : -SCORE_CELLS], sketch.counts[-SCORE_CELLS:]


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


def sketch_outcomes(layout: OutcomesLayout, outcomes: Outcomes, group: Codes, groups: int) -> list[Sketch]:
    """One sketch for each group; `group` is int32[rows]. Call it once a message: sums are added message by message."""
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
    if layout.task is Task.BINARY:
        _add_scores(layout, outcomes, group, groups, counts, sums)
    none = np.zeros(0)
    return [Sketch(counts[g], sums[g], none, none) for g in range(groups)]


def _add_scores(
    layout: OutcomesLayout, outcomes: Outcomes, group: Codes, groups: int, counts: Ints, sums: Floats
) -> None:
    """Fill in the score cells and the sums of a binary task, over the rows that have a score and a known label."""
    usable = ~np.isnan(outcomes.scores) & (outcomes.labels < len(layout.classes))
    group = group[usable]
    scores = np.clip(outcomes.scores[usable], 0.0, 1.0)
    positive = outcomes.labels[usable] == 1
    signs = outcomes.signs[usable].astype(np.float64)
    cell = np.searchsorted(SCORE_EDGES, scores, side="right") + SCORE_CELLS * positive
    table = _weighted(group * (2 * SCORE_CELLS) + cell, signs, groups * 2 * SCORE_CELLS)
    counts[:, -2 * SCORE_CELLS :] = table.reshape(groups, 2 * SCORE_CELLS)
    inside = np.clip(scores, _SCORE_MARGIN, 1 - _SCORE_MARGIN)
    log_loss = -np.log(np.where(positive, inside, 1 - inside))
    squared = (scores - positive) ** 2
    for place, values in enumerate((signs * squared, signs * log_loss, np.ones_like(scores))):
        sums[:, place] = np.bincount(group, values, minlength=groups)


def _weighted(place: Ints | Codes, signs: Floats, size: int) -> Ints:
    """Signed counts; exact, since they are far below 2**53."""
    return np.bincount(place, signs, minlength=size).astype(np.int64)
