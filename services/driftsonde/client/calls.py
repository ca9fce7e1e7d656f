"""What a caller passes to `Monitor.log` and `Monitor.label`, read into rows. Raises `InvalidEvent` naming the field.

A single row stays as it came (the background thread makes columns of many); a batch becomes columns at once, because
its arrays are the caller's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from driftsonde.adapters.wire_events import ATTRIBUTION_PREFIX
from driftsonde.client.columns import (
    SCALAR_TYPES,
    TEXT_TYPES,
    column_of_objects,
    is_column_like,
    to_column,
    to_outcome,
)
from driftsonde.client.rows import Block, Layout, Row
from driftsonde.client.times import to_times_ms
from driftsonde.core.events import MAX_COLUMNS, MAX_TEXT_CHARS, Column, InvalidEvent, NumericColumn, Role

MAX_LAYOUTS = 1_000

Named = Mapping[str, Any]


class PredictionCall(NamedTuple):  # one is made in every call of the serving path
    """The arguments of `Monitor.log`, as they came."""

    features: Any
    prediction: Any
    score: Any = None
    ids: Any = None
    timestamps: Any = None
    segments: Any = None
    protected: Any = None
    attributions: Any = None
    feature_names: Sequence[str] | None = None


class CallReader:
    """Reads calls. `new_ids(n)` gives n ids where the caller gives none, `now_ms` the time."""

    def __init__(
        self, classification: bool, new_ids: Callable[[int], Sequence[str]], now_ms: Callable[[], int]
    ) -> None:
        self._classification = classification
        self._new_ids = new_ids
        self._now_ms = now_ms
        self._layouts: dict[tuple[object, ...], Layout] = {}
        self._label_layout = Layout(("label",), (Role.PREDICTION,), classification)

    def predictions(self, call: PredictionCall) -> Row | Block:
        features = _named_columns(call.features, call.feature_names)
        if is_column_like(call.prediction) or _has_column(features):
            return self._block(features, call)
        return self._row(features, call)

    def labels(self, ids: Any, labels: Any, timestamps: Any) -> Row | Block:
        if is_column_like(labels):
            column = to_outcome("label", labels, self._classification, "labels")
            rows = _rows_of(column)
            return Block(_ids(ids, rows), self._times(timestamps, rows), (column,))
        values = (_outcome_scalar("labels", labels, self._classification),)
        return Row(_ids(ids, 1)[0], self._time(timestamps), self._label_layout, values)

    def _row(self, features: Named, call: PredictionCall) -> Row:
        groups = (features, call.segments or {}, call.protected or {}, call.attributions or {})
        layout = self._layout(*map(tuple, groups), scored=call.score is not None)
        values = (
            *groups[0].values(),
            _outcome_scalar("prediction", call.prediction, self._classification),
            *(() if call.score is None else (_number("score", call.score),)),
            *groups[1].values(),
            *groups[2].values(),
            *groups[3].values(),
        )
        if not SCALAR_TYPES.issuperset(map(type, values)):
            for name, value in zip(layout.names, values, strict=True):
                _check_scalar(name, value)
        identifier = self._new_ids(1)[0] if call.ids is None else _ids(call.ids, 1)[0]
        return Row(identifier, self._time(call.timestamps), layout, values)

    def _layout(
        self,
        features: tuple[str, ...],
        segments: tuple[str, ...],
        protected: tuple[str, ...],
        attributions: tuple[str, ...],
        *,
        scored: bool,
    ) -> Layout:
        key = (features, segments, protected, attributions, scored)
        layout = self._layouts.get(key)
        if layout is None:
            named = [
                *((str(name), Role.FEATURE) for name in features),
                ("prediction", Role.PREDICTION),
                *((("score", Role.SCORE),) if scored else ()),
                *((str(name), Role.SEGMENT) for name in segments),
                *((str(name), Role.PROTECTED) for name in protected),
                *((f"{ATTRIBUTION_PREFIX}{name}", Role.ATTRIBUTION) for name in attributions),
            ]
            names = tuple(name for name, _ in named)
            _check_names(names)
            if len(self._layouts) >= MAX_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[key] = Layout(
                names, tuple(role for _, role in named), self._classification
            )
        return layout

    def _block(self, features: Named, call: PredictionCall) -> Block:
        columns = tuple(self._columns(features, call))
        _check_names([column.name for column in columns])
        rows = _rows_of(columns[0])
        for column in columns:
            if _rows_of(column) != rows:
                problem = f"has {_rows_of(column)} values where {columns[0].name} has {rows}"
                raise InvalidEvent(column.name, problem)
        ids = tuple(self._new_ids(rows)) if call.ids is None else _ids(call.ids, rows)
        return Block(ids, self._times(call.timestamps, rows), columns)

    def _columns(self, features: Named, call: PredictionCall) -> Iterator[Column]:
        yield from _group(features, Role.FEATURE)
        yield to_outcome("prediction", call.prediction, self._classification, "prediction")
        if call.score is not None:
            yield _numeric(to_column("score", Role.SCORE, call.score, "score"))
        yield from _group(_named_columns(call.segments, None), Role.SEGMENT)
        yield from _group(_named_columns(call.protected, None), Role.PROTECTED)
        attributions = _named_columns(call.attributions, tuple(features))
        yield from _group({f"{ATTRIBUTION_PREFIX}{k}": v for k, v in attributions.items()}, Role.ATTRIBUTION)

    def _times(self, timestamps: Any, rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return to_times_ms(self._now_ms() if timestamps is None else timestamps, rows)

    def _time(self, timestamps: Any) -> int:
        return self._now_ms() if timestamps is None else int(to_times_ms(timestamps, 1)[0])


def _named_columns(values: Any, names: Sequence[str] | None) -> Named:
    """Columns by name, of whatever holds them: a mapping, a data frame, a structured or a plain array, a row of one."""
    if values is None:
        return {}
    if isinstance(values, Mapping):
        return values
    if hasattr(values, "columns"):
        return {str(name): values[name] for name in values.columns}
    if hasattr(values, "to_dict"):
        return {str(name): value for name, value in values.to_dict().items()}
    if not isinstance(values, np.ndarray | np.void):
        raise InvalidEvent("features", f"{type(values).__name__}; expected a dict, an array or a data frame")
    if values.dtype.names is not None:
        return {name: values[name] for name in values.dtype.names}
    return _columns_of_matrix(np.asarray(values), names)


def _has_column(features: Named) -> bool:
    values = features.values()
    # The first test is the quick one, for the rows of a serving path.
    return not SCALAR_TYPES.issuperset(map(type, values)) and any(map(is_column_like, values))


def _columns_of_matrix(matrix: np.ndarray[Any, np.dtype[Any]], names: Sequence[str] | None) -> Named:
    if names is None:
        raise InvalidEvent("feature_names", "is needed with an array that has no names")
    if matrix.ndim not in (1, 2) or matrix.shape[-1] != len(names):
        raise InvalidEvent("features", f"has the shape {matrix.shape} for {len(names)} names")
    return dict(zip(names, matrix.tolist() if matrix.ndim == 1 else matrix.T, strict=True))


def _group(columns: Named, role: Role) -> Iterator[Column]:
    for name, values in columns.items():
        yield to_column(str(name), role, values, str(name))


def _rows_of(column: Column) -> int:
    return len(column.values if isinstance(column, NumericColumn) else column.codes)


def _numeric(column: Column) -> Column:
    if isinstance(column, NumericColumn):
        return column
    raise InvalidEvent(column.name, "is text; expected numbers")


def _outcome_scalar(field: str, value: Any, classification: bool) -> Any:
    _check_scalar(field, value)
    return value if classification else _number(field, value)


def _check_scalar(field: str, value: Any) -> None:
    if type(value) not in SCALAR_TYPES:
        column_of_objects(field, Role.FEATURE, [value], field)


def _number(field: str, value: Any) -> Any:
    if type(value) in TEXT_TYPES:
        raise InvalidEvent(field, "is text; expected a number")
    return value


def _check_names(names: Sequence[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise InvalidEvent("features", f"{len(names)} columns; at most {MAX_COLUMNS} are allowed")
    seen: set[str] = set()
    for name in names:
        if not name or len(name) > MAX_TEXT_CHARS:
            raise InvalidEvent(
                "features", f"a name of {len(name)} characters; expected 1 to {MAX_TEXT_CHARS}"
            )
        if name in seen:
            raise InvalidEvent(name, "two columns have this name; a column has one role")
        seen.add(name)


def _ids(values: Any, rows: int) -> tuple[str, ...]:
    if is_column_like(values):
        ids = tuple(map(str, values.tolist() if hasattr(values, "tolist") else values))
    else:
        ids = (str(values),)
    if len(ids) != rows:
        raise InvalidEvent("ids", f"has {len(ids)} values for {rows} rows")
    lengths = [len(identifier) for identifier in ids]
    if lengths and not (min(lengths) > 0 and max(lengths) <= MAX_TEXT_CHARS):
        raise InvalidEvent("ids", f"an id is empty or longer than {MAX_TEXT_CHARS} characters")
    try:
        "".join(ids).encode()
    except UnicodeEncodeError as error:
        raise InvalidEvent("ids", f"an id is no Unicode text: {error.reason}") from error
    return ids
