"""The same column of several messages as one."""

from collections.abc import Sequence

import numpy as np

from driftsonde.core.events import MISSING_CODE, CategoricalColumn, Codes, Column, NumericColumn


def is_missing(column: Column) -> bool:
    """Whether it has no value in any row: then it may be of either kind, for a null does not tell of which it is."""
    if isinstance(column, NumericColumn):
        return bool(np.isnan(column.values).all())
    return bool((column.codes == MISSING_CODE).all())


def concatenate(columns: Sequence[Column | None], lengths: Sequence[int]) -> Column | None:
    """The rows of all messages, missing where a message, of so many rows, does not have the column; None where none has
    it. They are of one kind. The categories of a categorical column may be listed more than once."""
    first = next((column for column in columns if column is not None), None)
    if not isinstance(first, NumericColumn):
        return concatenate_categories(columns, lengths)
    values = [
        column.values if isinstance(column, NumericColumn) else np.full(length, np.nan)
        for column, length in zip(columns, lengths, strict=True)
    ]
    return NumericColumn(first.name, first.role, np.concatenate(values))


def concatenate_categories(
    columns: Sequence[Column | None], lengths: Sequence[int]
) -> CategoricalColumn | None:
    """As `concatenate`, of columns that are categorical or missing in every row; None if none is categorical."""
    first = next((column for column in columns if isinstance(column, CategoricalColumn)), None)
    if first is None:
        return None
    codes: list[Codes] = []
    categories: list[str] = []
    starts: dict[tuple[str, ...], int] = {}
    for column, length in zip(columns, lengths, strict=True):
        if not isinstance(column, CategoricalColumn):
            codes.append(np.full(length, MISSING_CODE, dtype=np.int32))
        else:
            start = starts.get(column.categories)
            if start is None:
                start = starts[column.categories] = len(categories)
                categories += column.categories
            codes.append(
                np.where(column.codes < 0, MISSING_CODE, column.codes + start) if start else column.codes
            )
    return CategoricalColumn(first.name, first.role, np.concatenate(codes), tuple(categories))
