"""Many numeric columns together: a baseline's second moments, the sketch of a window's, and how far it has moved.

A sketch of second moments is one of inputs, of the whole model, in a layout of its own:
    counts  [rows, present of d columns, sums of z, products z z' of the upper triangle row by row], whole numbers in steps
            of 1/256 deviation as in `statistics.multivariate`, so they are exact and order-free
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from driftsonde.core.baseline import Joint
from driftsonde.core.events import Column, Ints, NumericColumn, PredictionBatch, Role
from driftsonde.core.signals import derive_id
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import MultivariateRule
from driftsonde.core.statistics.multivariate import (
    DEVIATIONS_KEPT,
    STEPS_PER_DEVIATION,
    SecondMoments,
    Standard,
    principal_axes,
    second_moments,
    standard_of,
)

# Products grow with the square of the columns: 100 columns are 5,050 of them.
MAX_COLUMNS = 100


def joint_layout(baseline_id: str) -> str:
    """What the keys of sketches of second moments against a baseline have for a layout."""
    return derive_id("joint", baseline_id)


def joint_bins(columns: int) -> int:
    """The number of counts in a sketch of the second moments of so many columns."""
    return 1 + 2 * columns + columns * (columns + 1) // 2


def joint_of(rule: MultivariateRule, columns: Sequence[Column]) -> Joint | None:
    """The baseline of the rule's columns from its rows; None without columns that vary. The first `MAX_COLUMNS` are taken."""
    wanted = set(rule.columns)
    named = [
        column
        for column in columns
        if isinstance(column, NumericColumn)
        and (column.name in wanted or ("*" in wanted and column.role is Role.FEATURE))
    ][:MAX_COLUMNS]
    if not named:
        return None
    values = np.stack([column.values for column in named], axis=1)
    standard = standard_of(values)
    if not (standard.spread > 0).any():
        return None
    moments = second_moments(standard, values)
    axes = principal_axes(moments)
    known = np.isfinite(values) & (standard.spread > 0)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = (values - standard.centre) / np.where(standard.spread > 0, standard.spread, 1.0)
    z = np.clip(np.where(known, steps, 0.0), -DEVIATIONS_KEPT, DEVIATIONS_KEPT)
    z -= moments.sums / moments.rows / STEPS_PER_DEVIATION
    squares = np.square(z).sum(axis=1) - np.square(z @ axes).sum(axis=1)
    return Joint(
        tuple(column.name for column in named),
        standard.centre,
        standard.spread,
        packed(moments),
        float(squares.std()),
    )


def sketch_joint(joint: Joint, batches: Sequence[PredictionBatch], group: Ints, groups: int) -> list[Sketch]:
    """One sketch for each group; `group`: int64[rows], about the batches' rows in order."""
    values = np.empty((len(joint.columns), len(group)))
    start = 0
    for batch in batches:
        rows = slice(start, start := start + len(batch.ids))
        named = {column.name: column for column in batch.columns}
        for place, name in enumerate(joint.columns):
            column = named.get(name)
            values[place, rows] = column.values if isinstance(column, NumericColumn) else np.nan
    standard = Standard(joint.centre, joint.spread)
    none = np.zeros(0)
    parts = [values] if groups == 1 else [values[:, group == number] for number in range(groups)]
    return [Sketch(packed(second_moments(standard, part.T)), none, none, none) for part in parts]


@lru_cache(maxsize=256)
def moments_of(joint: Joint) -> SecondMoments:
    """The baseline's."""
    return unpacked(joint.moments, len(joint.columns))


def packed(moments: SecondMoments) -> Ints:
    """As the counts of a sketch."""
    upper = moments.products[np.triu_indices(moments.columns)]
    return np.concatenate([[moments.rows], moments.present, moments.sums, upper]).astype(np.int64)


def unpacked(counts: Ints, columns: int) -> SecondMoments:
    """From the counts of a sketch."""
    rows, present, sums, upper = np.split(counts, [1, 1 + columns, 1 + 2 * columns])
    products = np.zeros((columns, columns), dtype=np.int64)
    products[np.triu_indices(columns)] = upper
    products += np.triu(products, 1).T
    return SecondMoments(int(rows[0]), present, sums, products)
