"""Which groups a row belongs to: one for its window in the whole model, and one for each segment column."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftsonde.core.baseline import Baseline
from driftsonde.core.chunks import OTHER, WHOLE, Kind, SketchKey, segment_label
from driftsonde.core.columns import concatenate_categories, is_missing
from driftsonde.core.events import CategoricalColumn, Codes, Ints, InvalidEvent, PredictionBatch, Variant
from driftsonde.core.rows import PredictionRow, is_text
from driftsonde.core.spec import ModelSpec
from driftsonde.core.strata import Strata, number, representatives

NO_SLICE = -1

_NUMERIC_SEGMENT = "is numeric; a segment column must be categorical"


@dataclass(frozen=True, slots=True)
class Slicing:
    """The slices of one version: for each segment column the values that have a slice of their own.

    A value outside the list belongs to the slice "(other)", so the number of slices is bounded by the baseline. A
    missing value belongs to no slice of its column.
    """

    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """All slices, the whole model first; a slice code is a position in this tuple."""
        named = (
            segment_label(column, value)
            for column, values in zip(self.columns, self.values, strict=True)
            for value in (*values, OTHER)
        )
        return (WHOLE, *named)

    def check(self, batch: PredictionBatch) -> None:
        """Raise `InvalidEvent` where a segment column has numbers."""
        for column in batch.columns:
            if column.name not in self.columns or isinstance(column, CategoricalColumn):
                continue
            if not is_missing(column):
                raise InvalidEvent(f"columns[{column.name}]", _NUMERIC_SEGMENT)

    def check_row(self, row: PredictionRow) -> None:
        """As `check`."""
        for name, value in zip(row.shape.names, row.values, strict=True):
            if name in self.columns and is_text(value) is False:
                raise InvalidEvent(f"columns[{name}]", _NUMERIC_SEGMENT)

    def codes(self, batches: Sequence[PredictionBatch]) -> Codes:
        """The slice code of each row of all batches for each segment column, int32[columns, rows]; `NO_SLICE` where the
        value is missing. The batches have passed `check`."""
        named = [{column.name: column for column in batch.columns} for batch in batches]
        lengths = [len(batch.ids) for batch in batches]
        codes = np.full((len(self.columns), sum(lengths)), NO_SLICE, dtype=np.int32)
        first = 1
        for row, name, values in zip(codes, self.columns, self.values, strict=True):
            place = {value: first + position for position, value in enumerate(values)}
            other = first + len(values)
            column = concatenate_categories([columns.get(name) for columns in named], lengths)
            if column is not None:
                table = [*(place.get(category, other) for category in column.categories), NO_SLICE]
                row[:] = np.array(table, dtype=np.int32)[column.codes]
            first = other + 1
        return codes


def slicing_of(spec: ModelSpec, baseline: Baseline | None) -> Slicing:
    """Slices come from the baseline; a segment column that it does not list has the one slice "(other)". A value that
    is called so joins the others, for two slices of one name would be one."""
    known = dict(baseline.segments) if baseline else {}
    values = (known.get(column, ()) for column in spec.segments)
    return Slicing(spec.segments, tuple(tuple(v for v in listed if v != OTHER) for listed in values))


@dataclass(frozen=True, slots=True)
class Groups:
    """`keys[g]` is what group g is about; `strata` says which groups each row is in."""

    keys: tuple[SketchKey, ...]
    strata: Strata


def group_rows(
    template: SketchKey, labels: Sequence[str], slices: Sequence[Codes] | Codes, windows_ms: Ints, late: Ints
) -> Groups:
    """Groups of rows by (window, late, slice). `windows_ms` and `late` (0 or 1) are int64[rows]; `slices` are slice
    codes, the whole model (code 0 everywhere) not included; `template` gives what the keys have in common.

    Strata are numbered by window, lateness and slices, so their order does not depend on what else is folded.
    """
    starts, window = _number_runs(windows_ms)
    width = len(labels)
    slot = window * 2 + late
    found, stratum = number(slot, 2 * len(starts))
    for codes in slices:
        found, stratum = number(stratum * (width + 1) + (codes + 1), len(found) * (width + 1))
    row = representatives(stratum, len(found))
    members = np.full((1 + len(slices), len(found)), -1, dtype=np.int64)
    keys: list[SketchKey] = []
    for member, codes in zip(members, (np.zeros(len(slot), dtype=np.int32), *slices), strict=True):
        inside = codes[row] != NO_SLICE
        combined = slot[row] * width + codes[row]
        listed, group = np.unique(combined[inside], return_inverse=True)
        member[inside] = len(keys) + group
        for place in listed.tolist():
            rest, code = divmod(place, width)
            keys.append(_key(template, int(starts[rest // 2]), bool(rest % 2), labels[code]))
    return Groups(tuple(keys), Strata(stratum, members, len(keys)))


def _number_runs(values: Ints) -> tuple[Ints, Ints]:
    """The distinct values, ascending, and the position of each value among them; quick where equal ones lie together."""
    begins = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    found, position = np.unique(values[begins], return_inverse=True)
    return found, np.repeat(position, np.diff(begins, append=len(values)))


def key_template(model: str, version: str, variant: Variant, kind: Kind, layout: str) -> SketchKey:
    """A key whose segment, window and lateness are still to be filled in."""
    return SketchKey(model, version, variant, WHOLE, 0, kind, late=False, layout=layout)


def _key(template: SketchKey, window_ms: int, late: bool, segment: str) -> SketchKey:
    return SketchKey(
        template.model,
        template.version,
        template.variant,
        segment,
        window_ms,
        template.kind,
        late,
        template.layout,
    )
