"""A baseline from reference rows: bins and vocabularies are chosen here, and counted by the sketcher's own code."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from driftsonde.core.baseline import (
    Baseline,
    CategoricalReference,
    Lineage,
    NumericReference,
    Performance,
    Reference,
)
from driftsonde.core.baseline_calibration import calibrate
from driftsonde.core.events import (
    MISSING_CODE,
    CategoricalColumn,
    Column,
    Floats,
    Ints,
    InvalidEvent,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
)
from driftsonde.core.grid import cell_starts, cells_of, quantile_edges
from driftsonde.core.inputs import layout_of, sketch_rows
from driftsonde.core.joint import joint_of
from driftsonde.core.outcomes import classes_of
from driftsonde.core.plan import target_values
from driftsonde.core.spec import ModelSpec, Task
from driftsonde.core.strata import one_stratum

BINS = 10
MAX_VOCABULARY = 200
MAX_SLICES = 50


@dataclass(frozen=True, slots=True)
class ReferenceRows:
    """The rows a baseline is taken from, in columns of one length, at least one row.

    `labels` is the truth about each row (missing where it is not known), or None where there is none at all.
    """

    timestamps_ms: Ints
    columns: tuple[Column, ...]
    labels: Column | None = None


def build_baseline(
    spec: ModelSpec,
    version: str,
    rows: ReferenceRows,
    source: str,
    *,
    provisional: bool = False,
    code_revision: str = "",
) -> Baseline:
    """The baseline of these rows. Raises `InvalidEvent` for a segment column that is numeric, ValueError without rows.

    A numeric column gets at most `BINS` bins of about equal counts over its finite values (without one: a single bin
    at zero), a categorical one its `MAX_VOCABULARY` most frequent values; what is left counts as unseen.
    """
    if len(rows.timestamps_ms) == 0:
        raise ValueError("rows: is empty; a baseline needs at least one")
    empty = tuple(_choose_bins(_as_declared(spec, column)) for column in rows.columns)
    baseline = Baseline(
        model=spec.name,
        version=version,
        rows=len(rows.timestamps_ms),
        columns=empty,
        segments=tuple((name, _slices(rows.columns, name)) for name in spec.segments),
        performance=_performance(spec, rows),
        lineage=Lineage(
            source=source,
            fingerprint=fingerprint_rows(rows),
            start_ms=int(rows.timestamps_ms.min()),
            end_ms=int(rows.timestamps_ms.max()) + 1,
            provisional=provisional,
            code_revision=code_revision,
        ),
        calibration=calibrate(spec, empty, rows.columns, rows.labels),
        joint=joint_of(spec.policy.multivariate, rows.columns),
    )
    return replace(baseline, columns=_counted(baseline, rows))


def fingerprint_rows(rows: ReferenceRows) -> str:
    """SHA-256 of the rows, in hexadecimal: of their values, not of how categories happen to be coded."""
    digest = hashlib.sha256(np.ascontiguousarray(rows.timestamps_ms, dtype="<i8").tobytes())
    for column in (*rows.columns, *((rows.labels,) if rows.labels is not None else ())):
        digest.update(f"\0{column.name}\0{column.role}\0{type(column).__name__}\0".encode())
        if isinstance(column, NumericColumn):
            plain = np.where(np.isnan(column.values), np.nan, column.values + 0.0)  # one NaN, one zero
            digest.update(plain.astype("<f8").tobytes())
        else:
            names, codes = _sorted_categories(column)
            digest.update("".join(f"{len(name)}:{name}" for name in names).encode())
            digest.update(codes.astype("<i4").tobytes())
    return digest.hexdigest()


def _sorted_categories(column: CategoricalColumn) -> tuple[list[str], Ints]:
    """The categories that occur, sorted, and the code of each row among them."""
    used = np.unique(column.codes[column.codes != MISSING_CODE]).tolist()
    names = sorted(column.categories[code] for code in used)
    place = {name: position for position, name in enumerate(names)}
    table = [place.get(category, MISSING_CODE) for category in column.categories]
    return names, np.array([*table, MISSING_CODE], dtype=np.int64)[column.codes]


def _as_declared(spec: ModelSpec, column: Column) -> Column:
    """With the role that the spec gives it: a table or the archive has names, not roles."""
    plain = column.role in (Role.FEATURE, Role.SEGMENT)
    return replace(column, role=Role.PROTECTED) if plain and column.name in spec.protected else column


def _choose_bins(column: Column) -> Reference:
    """A reference without counts yet."""
    if isinstance(column, NumericColumn):
        edges = _edges(column.values)
        counts = np.zeros(len(edges) + 2, dtype=np.int64)
        return NumericReference(column.name, column.role, edges, counts, 0.0, 0.0, 0.0, 0.0)
    known = _most_frequent(column, MAX_VOCABULARY)
    return CategoricalReference(column.name, column.role, known, np.zeros(len(known) + 2, dtype=np.int64))


def _edges(values: Floats) -> Floats:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        # Nothing is known about the range, so any value that comes later is above it.
        return cell_starts(np.array([0, 1], dtype=np.int64))
    cells, counts = np.unique(cells_of(finite), return_counts=True)
    return quantile_edges(cells, counts, BINS)


def _most_frequent(column: CategoricalColumn, bound: int) -> tuple[str, ...]:
    """At most `bound` values that occur, by falling count and then by name; listed in the order of their names."""
    counts = np.bincount(column.codes[column.codes != MISSING_CODE], minlength=len(column.categories))
    pairs = zip((-counts).tolist(), column.categories, strict=True)
    return tuple(sorted(name for count, name in sorted(pairs)[:bound] if count < 0))


def _counted(baseline: Baseline, rows: ReferenceRows) -> tuple[Reference, ...]:
    """The references with their counts and moments, taken from the sketch of the rows."""
    count = len(rows.timestamps_ms)
    batch = PredictionBatch(
        baseline.model,
        baseline.version,
        Variant.CHAMPION,
        ("",) * count,
        rows.timestamps_ms,
        rows.columns,
    )
    layout = layout_of(baseline)
    sketch = sketch_rows(layout, [batch], one_stratum(count), np.zeros((1, layout.sums)))[0]
    counted: list[Reference] = []
    numeric = 0
    for reference, offset in zip(layout.references, layout.offsets, strict=True):
        counts = sketch.counts[offset : offset + len(reference.counts)]
        if isinstance(reference, NumericReference):
            total, squares = sketch.sums[2 * numeric : 2 * numeric + 2].tolist()
            low, high = float(sketch.lows[numeric]), float(sketch.highs[numeric])
            counted.append(
                replace(
                    reference, counts=counts, total=total, total_squares=squares, minimum=low, maximum=high
                )
            )
            numeric += 1
        else:
            counted.append(replace(reference, counts=counts))
    return tuple(counted)


def _slices(columns: Sequence[Column], name: str) -> tuple[str, ...]:
    """The values of a segment column that get a slice of their own; none where the rows do not have the column."""
    column = next((column for column in columns if column.name == name), None)
    if column is None:
        return ()
    if isinstance(column, NumericColumn):
        raise InvalidEvent(f"columns[{name}]", "is numeric; a segment column must be categorical")
    return _most_frequent(column, MAX_SLICES)


def _performance(spec: ModelSpec, rows: ReferenceRows) -> Performance | None:
    """The headline metric over the rows that have both a prediction and a label; None if there is no such row, or
    if the classes are not known."""
    predicted = next((column for column in rows.columns if column.role is Role.PREDICTION), None)
    if predicted is None or rows.labels is None:
        return None
    predictions, labels = target_values(spec, predicted), target_values(spec, rows.labels)
    known = ~(np.isnan(predictions) | np.isnan(labels))
    n = int(known.sum())
    if n == 0 or (spec.task is Task.MULTICLASS and not spec.classes):
        return None
    if spec.task is Task.REGRESSION:
        error = predictions[known] - labels[known]
        return Performance("rmse", float(np.sqrt(np.mean(error * error))), n)
    # As in outcomes: a value outside the classes is never right.
    right = (predictions == labels) & (labels < len(classes_of(spec)))
    return Performance("accuracy", float(np.mean(right[known])), n)
