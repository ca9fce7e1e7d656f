"""What the labels of the baseline's rows say of each bin of the score, or for a regression of the prediction.

The bins are those that distances compare (`verdict.distance_bins`): the column's own, its rows outside the range in the outer
ones, and one for missing values. It is what performance is estimated from while labels are not there (`estimating`).
"""

from collections.abc import Sequence

import numpy as np

from driftsonde.core.baseline import Calibration, ErrorSums, LabelCounts, NumericReference, Reference
from driftsonde.core.events import Column, Floats, Ints, NumericColumn, Role
from driftsonde.core.outcomes import classes_of
from driftsonde.core.plan import target_values
from driftsonde.core.spec import ModelSpec, Task

# A matrix for each bin is stored with the baseline; beyond so many classes nothing is estimated.
MAX_CLASSES = 20


def calibrate(
    spec: ModelSpec, references: Sequence[Reference], columns: Sequence[Column], labels: Column | None
) -> Calibration | None:
    """The table of a baseline's rows; `references` have their edges, counts are not needed. None without labels, without a
    prediction, without a numeric score (for a regression: prediction), or with too many classes. Rows whose label or
    prediction is missing or outside the classes are left out."""
    predicted = next((column for column in columns if column.role is Role.PREDICTION), None)
    role = Role.PREDICTION if spec.task is Task.REGRESSION else Role.SCORE
    binned = next((column for column in columns if column.role is role), None)
    reference = next((r for r in references if binned is not None and r.name == binned.name), None)
    if labels is None or predicted is None:
        return None
    if not isinstance(binned, NumericColumn) or not isinstance(reference, NumericReference):
        return None
    place, bins = distance_bin_of(reference, binned.values), len(reference.edges)
    predictions, truth = target_values(spec, predicted), target_values(spec, labels)
    if spec.task is Task.REGRESSION:
        return _error_sums(binned.name, place, predictions, truth, bins)
    return _label_counts(binned.name, place, predictions, truth, bins, len(classes_of(spec)))


def distance_bin_of(reference: NumericReference, values: Floats) -> Ints:
    """The bin of each value among those that distances compare, int64: 0 to B - 1, and B for a missing one."""
    bins = len(reference.edges) - 1
    place = np.clip(np.searchsorted(reference.edges, values, side="right") - 1, 0, bins - 1)
    return np.where(np.isnan(values), bins, place)


def _label_counts(
    column: str, place: Ints, predictions: Floats, truth: Floats, bins: int, classes: int
) -> LabelCounts | None:
    known = (predictions < classes) & (truth < classes)  # NaN is not
    if not 0 < classes <= MAX_CLASSES or not known.any():
        return None
    counts = np.zeros((bins, classes, classes), dtype=np.int64)
    np.add.at(counts, (place[known], truth[known].astype(np.int64), predictions[known].astype(np.int64)), 1)
    return LabelCounts(column, counts)


def _error_sums(column: str, place: Ints, predictions: Floats, truth: Floats, bins: int) -> ErrorSums | None:
    known = ~(np.isnan(predictions) | np.isnan(truth))
    with np.errstate(over="ignore"):  # the powers of absurd errors are infinite: then there is no table
        size = np.abs(predictions[known] - truth[known])
        powers = (np.ones_like(size), size, size**2, size**4)
        sums = [np.bincount(place[known], power, minlength=bins).astype(np.float64) for power in powers]
    if not known.any() or not all(np.isfinite(part).all() for part in sums):
        return None
    return ErrorSums(column, sums[0].astype(np.int64), *sums[1:])
