"""Checks of the count vectors that every statistic starts from."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def as_counts(name: str, values: npt.ArrayLike, *, allow_empty: bool = False) -> FloatArray:
    """The counts as a float64 vector of shape (B,), B >= 1; `name` is the argument an error speaks of.

    ValueError: not one-dimensional, no bins, a negative or non-finite count (or a total beyond float64), and,
    unless `allow_empty`, a total of 0: a distance to nothing is unknown, never 0.

    >>> as_counts("current", [1, 2])
    array([1., 2.])
    >>> as_counts("current", [0, 0])
    Traceback (most recent call last):
    ...
    ValueError: current is empty: its counts sum to 0
    """
    counts = np.asarray(values, dtype=np.float64)
    if counts.ndim != 1 or counts.size == 0:
        raise ValueError(f"{name} must be a vector of at least one bin, got shape {counts.shape}")
    check_cells(name, counts)
    if not allow_empty and counts.sum() == 0:
        raise ValueError(f"{name} is empty: its counts sum to 0")
    return counts


def as_count_pair(
    first_name: str,
    first: npt.ArrayLike,
    second_name: str,
    second: npt.ArrayLike,
    *,
    allow_empty: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Two count vectors over the same bins, each checked by `as_counts`; ValueError on unequal lengths.

    >>> as_count_pair("p", [1], "q", [1, 2])
    Traceback (most recent call last):
    ...
    ValueError: q must have as many bins as p: 2 != 1
    """
    left = as_counts(first_name, first, allow_empty=allow_empty)
    right = as_counts(second_name, second, allow_empty=allow_empty)
    if left.size != right.size:
        raise ValueError(f"{second_name} must have as many bins as {first_name}: {right.size} != {left.size}")
    return left, right


def as_confusion(confusion: npt.ArrayLike) -> FloatArray:
    """A confusion matrix, rows = label, columns = prediction, as float64 of shape (K, K), K >= 1; counts or expected
    counts. ValueError: not square, no class, a negative or non-finite cell.

    >>> as_confusion([[3, 1], [0, 4]]).sum()
    np.float64(8.0)
    """
    cells = np.asarray(confusion, dtype=np.float64)
    if cells.ndim != 2 or cells.shape[0] != cells.shape[1] or cells.size == 0:
        raise ValueError(f"confusion must be a square matrix, got shape {cells.shape}")
    check_cells("confusion", cells)
    return cells


def check_cells(name: str, counts: FloatArray) -> None:
    """ValueError unless every count, of any shape, and their total are finite and no count is negative."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = counts.sum()
    if not np.isfinite(total):
        raise ValueError(f"{name} has a non-finite count or total")
    if (counts < 0).any():
        raise ValueError(f"{name} has a negative count")


def check_probability(name: str, value: float) -> None:
    """ValueError unless 0 < value < 1 (an error level or a confidence)."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {value}")
