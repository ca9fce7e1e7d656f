"""Rows of the spool as columns: for the baseline, and for the client."""

# pyarrow's arrays have a type parameter in its stubs only.
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from driftsonde.adapters.wire_events import ATTRIBUTION_PREFIX
from driftsonde.core.baseline_builder import ReferenceRows
from driftsonde.core.events import (
    MISSING_CODE,
    CategoricalColumn,
    Codes,
    Column,
    NumericColumn,
    Role,
)
from driftsonde.core.spec import Task
from driftsonde.replay.mapping import ColumnMap
from driftsonde.replay.rows import ID, LABEL, PREDICTION, SCORE, TIME


@dataclass(frozen=True, slots=True)
class Coded:
    """A categorical column as the client takes one from a data frame: it stays categorical without any value."""

    codes: Codes
    categories: tuple[str, ...]

    @property
    def shape(self) -> tuple[int]:
        return self.codes.shape

    @property
    def cat(self) -> Coded:
        return self


@dataclass(frozen=True, slots=True)
class LoggedColumns:
    """How the table of rows is laid out, and which role each column has."""

    columns: ColumnMap

    def arguments(self, table: pa.Table) -> dict[str, Any]:
        """The arguments of `Monitor.log` for these rows."""
        features, segments = self._places()
        return {
            "features": {name: _values(table[place]) for name, place in features.items()},
            "prediction": _values(table[PREDICTION]),
            "score": _values(table[SCORE]) if SCORE in table.column_names else None,
            "ids": table[ID].to_pylist(),
            "timestamps": table[TIME].to_numpy(),
            "segments": {name: _values(table[place]) for name, place in segments.items()},
        }

    def reference_rows(self, table: pa.Table) -> ReferenceRows:
        """The rows as a baseline is built from them, in the same columns as the client sends."""
        features, segments = self._places()
        parts = [_column(name, _feature_role(name), table[place]) for name, place in features.items()]
        parts.append(_column("prediction", Role.PREDICTION, table[PREDICTION]))
        if SCORE in table.column_names:
            parts.append(_column("score", Role.SCORE, table[SCORE]))
        parts.extend(_column(name, Role.SEGMENT, table[place]) for name, place in segments.items())
        labels = _column("label", Role.PREDICTION, table[LABEL]) if LABEL in table.column_names else None
        return ReferenceRows(table[TIME].to_numpy(), tuple(parts), labels)

    def has_outcome(self, table: pa.Table) -> pa.ChunkedArray[Any]:
        """Which rows will be joined with a label."""
        known = [
            table[name].is_valid() if self._is_text else _is_number(table[name])
            for name in (PREDICTION, LABEL)
        ]
        return pa.chunked_array([pa.array(np.logical_and(*(part.to_numpy() for part in known)))])

    @property
    def _is_text(self) -> bool:
        return self.columns.task is not Task.REGRESSION

    def _places(self) -> tuple[dict[str, str], dict[str, str]]:
        """The places of the features and of the segments in the table."""
        names = (*self.columns.numeric, *self.columns.categorical, *self.columns.segments)
        places = {name: f"c{place}" for place, name in enumerate(names)}
        segments = {name: places.pop(name) for name in self.columns.segments}
        return places, segments


def label_arguments(table: pa.Table, time: str) -> dict[str, Any]:
    """The arguments of `Monitor.label` for these rows."""
    return {
        "ids": table[ID].to_pylist(),
        "labels": _values(table[LABEL]),
        "timestamps": table[time].to_numpy(),
    }


def _feature_role(name: str) -> Role:
    """A table has names, not roles: attributions are known by theirs, as they are logged."""
    return Role.ATTRIBUTION if name.startswith(ATTRIBUTION_PREFIX) else Role.FEATURE


def _is_number(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    return pa.chunked_array([pa.array(~np.isnan(column.to_numpy()))])


def _values(column: pa.ChunkedArray[Any]) -> Any:
    if not pa.types.is_string(column.type):
        return column.to_numpy()
    coded = _coded("", Role.FEATURE, column)
    return Coded(coded.codes, coded.categories)


def _column(name: str, role: Role, column: pa.ChunkedArray[Any]) -> Column:
    if pa.types.is_string(column.type):
        return _coded(name, role, column)
    return NumericColumn(name, role, column.to_numpy().astype(np.float64))


def _coded(name: str, role: Role, column: pa.ChunkedArray[Any]) -> CategoricalColumn:
    encoded = column.combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(MISSING_CODE).to_numpy(zero_copy_only=False).astype(np.int32)
    return CategoricalColumn(name, role, codes, tuple(map(str, encoded.dictionary.to_pylist())))
