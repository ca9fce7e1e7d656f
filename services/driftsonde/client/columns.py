"""Whatever a caller has for a column (list, NumPy array, pandas or similar series) to a column of an event.

Missing are None, NaN, NaT and pandas' NA. A column is numeric if its values are numbers or booleans, else categorical;
a mixture is categorical, numbers by their text.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from driftsonde.core.events import (
    MAX_TEXT_CHARS,
    MISSING_CODE,
    CategoricalColumn,
    Codes,
    Column,
    InvalidEvent,
    NumericColumn,
    Role,
)

_NUMPY_SCALARS = frozenset(np.sctypeDict.values())
NUMBER_TYPES = frozenset(
    {
        int,
        float,
        bool,
        *(kind for kind in _NUMPY_SCALARS if issubclass(kind, np.integer | np.floating | np.bool_)),
    }
)
TEXT_TYPES = frozenset({str, np.str_})
SCALAR_TYPES = NUMBER_TYPES | TEXT_TYPES | {type(None)}

_NUMBER_OR_NONE = NUMBER_TYPES | {type(None)}
_NUMERIC_KINDS = "biuf"
# Missing values of pandas, by the names of their types: the client works without pandas.
_MISSING_NAMES = frozenset({"NAType", "NaTType"})


def is_column_like(values: object) -> bool:
    """Whether the values are of many rows: a sequence that isn't a text, or an array of at least one dimension."""
    if type(values) in SCALAR_TYPES or isinstance(values, str | bytes):
        return False
    shape = getattr(values, "shape", None)
    return bool(shape) if shape is not None else isinstance(values, Sequence)


def to_column(name: str, role: Role, values: Any, field: str) -> Column:
    """A column of its own copy of the values. Raises `InvalidEvent` naming `field`."""
    if hasattr(values, "cat") and hasattr(values.cat, "codes"):
        return _from_pandas_categories(name, role, values.cat, field)
    array = _as_array(values, field)
    if array.dtype.kind in _NUMERIC_KINDS:
        return NumericColumn(name, role, array.astype(np.float64))
    if array.dtype.kind in "mM":
        raise InvalidEvent(field, "is of times; make numbers of them (hours since, day of week) or texts")
    return column_of_objects(name, role, array.tolist(), field)


def column_of_objects(name: str, role: Role, values: Sequence[Any], field: str) -> Column:
    """A column of scalars, one by one. Raises `InvalidEvent` naming `field` for a value that is no scalar."""
    types = set(map(type, values))
    if types <= _NUMBER_OR_NONE:
        return NumericColumn(name, role, _floats(values, field))
    if types - SCALAR_TYPES:
        values = [_as_scalar(value, field) for value in values]
        if set(map(type, values)) <= _NUMBER_OR_NONE:
            return NumericColumn(name, role, _floats(values, field))
    codes, categories = encode_texts(values, field)
    if not categories:
        return NumericColumn(name, role, np.full(len(values), math.nan))
    return CategoricalColumn(name, role, codes, categories)


def to_outcome(name: str, values: Any, classification: bool, field: str) -> Column:
    """The predictions or labels: classes are texts, whatever their type; the values of a regression are numbers."""
    column = to_column(name, Role.PREDICTION, values, field)
    if not classification:
        if isinstance(column, CategoricalColumn):
            raise InvalidEvent(field, "is text; a regression's are numbers")
        return column
    if isinstance(column, CategoricalColumn):
        return column
    codes, categories = encode_texts(column.values.tolist(), field)
    return CategoricalColumn(name, Role.PREDICTION, codes, categories)


def text_of(value: Any) -> str:
    """The text of a class or category: 1, 1.0, True and "1" are one, whatever the type of a batch's array.

    >>> [text_of(value) for value in (True, 1.0, 0.5, "cat")]
    ['1', '1', '0.5', 'cat']
    """
    if isinstance(value, int | np.integer | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return str(int(value)) if value.is_integer() else repr(float(value))
    return str(value)


def encode_texts(values: Iterable[Any], field: str) -> tuple[Codes, tuple[str, ...]]:
    """Codes by order of first appearance, -1 for missing, and the categories."""
    known: dict[Any, int] = {}
    positions: dict[str, int] = {}
    codes = []
    for value in values:
        code = known.get(value)
        if code is None:
            if value is None or value != value:
                code = MISSING_CODE
            else:
                text = _checked_text(text_of(value), field)
                code = known[value] = positions.setdefault(text, len(positions))
        codes.append(code)
    return np.array(codes, dtype=np.int32), tuple(positions)


def _checked_text(text: str, field: str) -> str:
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidEvent(field, f"a text of {len(text)} characters; at most {MAX_TEXT_CHARS} are allowed")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidEvent(field, f"a text that is no Unicode: {error.reason}") from error
    return text


def _floats(values: Sequence[Any], field: str) -> npt.NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (OverflowError, ValueError, TypeError) as error:
        raise InvalidEvent(field, str(error)) from error


def _as_scalar(value: Any, field: str) -> Any:
    if type(value) in SCALAR_TYPES:
        return value
    if type(value).__name__ in _MISSING_NAMES:
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        return _as_scalar(value.item(), field)
    if hasattr(value, "__float__") and not hasattr(value, "__len__"):
        return float(value)
    raise InvalidEvent(
        field, f"a value of type {type(value).__name__}; expected a number, text, boolean or None"
    )


def _as_array(values: Any, field: str) -> npt.NDArray[Any]:
    dtype = getattr(values, "dtype", None)
    if getattr(dtype, "kind", "") in _NUMERIC_KINDS and hasattr(values, "isna"):
        # pandas' own numbers, nullable or not.
        array: npt.NDArray[Any] = values.to_numpy(dtype=np.float64, na_value=math.nan)
    elif isinstance(values, list | tuple):
        array = _array_of_list(values)
    else:
        array = np.asarray(values)
    if array.ndim != 1:
        raise InvalidEvent(field, f"has the shape {array.shape}; expected one value a row")
    return array


def _array_of_list(values: Sequence[Any]) -> npt.NDArray[Any]:
    """NumPy would make texts of everything beside a text, of None too: so objects, except where all are numbers."""
    if set(map(type, values)) <= {float, int, bool}:
        array = np.array(values)
        if array.dtype.kind in _NUMERIC_KINDS:
            return array
    objects = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        objects[row] = value
    return objects


def _from_pandas_categories(name: str, role: Role, cat: Any, field: str) -> Column:
    categories = tuple(_checked_text(text_of(category), field) for category in cat.categories)
    if len(set(categories)) < len(categories):
        raise InvalidEvent(field, "two categories have the same text")
    return CategoricalColumn(name, role, np.array(cat.codes, dtype=np.int32), categories)
