"""Which groups a row belongs to: one for its window in the whole model, and one for each segment column."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftsonde.core.baseline import Baseline
from driftsonde.core.chunks import OTHER, WHOLE, Kind, SketchKey, segment_label
from driftsonde.core.events import CategoricalColumn, Codes, Ints, InvalidEvent, PredictionBatch, Variant
from driftsonde.core.spec import ModelSpec

NO_SLICE = -1


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

    def codes(self, batch: PredictionBatch) -> list[Codes]:
        """For each segment column the slice code of each row, int32[rows]; `NO_SLICE` where the value is missing."""
        named = {column.name: column for column in batch.columns}
        codes: list[Codes] = []
        first = 1
        for name, values in zip(self.columns, self.values, strict=True):
            column = named.get(name)
            if isinstance(column, CategoricalColumn):
                place = {value: first + position for position, value in enumerate(values)}
                other = first + len(values)
                table = [*(place.get(category, other) for category in column.categories), NO_SLICE]
                codes.append(np.array(table, dtype=np.int32)[column.codes])
            elif column is None:
                codes.append(np.full(len(batch.ids), NO_SLICE, dtype=np.int32))
            else:
                raise InvalidEvent(f"columns[{name}]", "is numeric; a segment column must be categorical")
            first += len(values) + 1
        return codes


def slicing_of(spec: ModelSpec, baseline: Baseline | None) -> Slicing:
    """Slices come from the baseline; a segment column that it does not list has the one slice "(other)". A value that
    is called so joins the others, for two slices of one name would be one."""
    known = dict(baseline.segments) if baseline else {}
    values = (known.get(column, ()) for column in spec.segments)
    return Slicing(spec.segments, tuple(tuple(v for v in listed if v != OTHER) for listed in values))


@dataclass(frozen=True, slots=True)
class Groups:
    """`keys[g]` is what group g is about; `members` are int32[rows] arrays of group numbers, -1 for none."""

    keys: tuple[SketchKey, ...]
    members: tuple[Codes, ...]


def group_rows(
    template: SketchKey, labels: Sequence[str], slices: Sequence[Codes], windows_ms: Ints, late: Ints
) -> Groups:
    """Groups of rows by (window, late, slice). `windows_ms` and `late` (0 or 1) are int64[rows]; `slices` are slice
    codes, the whole model (code 0 everywhere) not included; `template` gives what the keys have in common."""
    whole = np.zeros(len(windows_ms), dtype=np.int32)
    keys: list[SketchKey] = []
    members: list[Codes] = []
    for codes in (whole, *slices):
        inside = codes != NO_SLICE
        triples = np.stack([windows_ms[inside], late[inside], codes[inside].astype(np.int64)])
        found, member = np.unique(triples, axis=1, return_inverse=True)
        numbers = np.full(len(codes), -1, dtype=np.int32)
        numbers[inside] = len(keys) + member.ravel()
        members.append(numbers)
        keys.extend(
            _key(template, window, bool(is_late), labels[code]) for window, is_late, code in found.T.tolist()
        )
    return Groups(tuple(keys), tuple(members))


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
