"""Drift of many numeric columns at once, from their second moments: no rows are kept.

Rows are first brought to the baseline's scale, z = (x - centre) / spread, and rounded to steps of 1/256 deviation within
+-32 deviations. So every moment is a whole number: sums are exact and order-free on any machine, no digit is lost
where a mean is far from 0, and one absurd value weighs no more than 32 deviations. The rounding adds 1e-6 to variances
of 1, on both sides of every comparison alike.

Missing (and infinite) values are imputed by the baseline's centre, that is z = 0, in the products; the mean of a column is
over its present values, so that missing rows do not hide a shift. Imputation keeps the matrices positive semi-definite,
which pairwise deletion does not. A column without spread in the baseline has no direction in its correlations: it takes
no part, contributes 0, and is left to the distances.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray

IntArray = npt.NDArray[np.int64]

STEPS_PER_DEVIATION = 256
DEVIATIONS_KEPT = 32

# Products of one block are summed as floats: exact below 2^53, and each product is at most (256 * 32)^2 = 2^26.
_BLOCK_ROWS = 2**20


@dataclass(frozen=True, slots=True)
class Standard:
    """The baseline's scale of d columns: `centre` and `spread`, float64[d], in each column's unit; spread 0 takes a
    column out. ValueError: unequal lengths, no column, a non-finite entry, a negative spread."""

    centre: FloatArray
    spread: FloatArray

    def __post_init__(self) -> None:
        if self.centre.ndim != 1 or self.centre.size == 0 or self.centre.shape != self.spread.shape:
            raise ValueError(
                f"centre and spread must be vectors of one length: {self.centre.shape}, {self.spread.shape}"
            )
        if not (np.isfinite(self.centre).all() and np.isfinite(self.spread).all()):
            raise ValueError("centre or spread has an entry that is not finite")
        if (self.spread < 0).any():
            raise ValueError("spread has a negative entry")


@dataclass(frozen=True, slots=True)
class SecondMoments:
    """Whole-number moments of rows of d columns in steps of 1/256 deviation; `+` merges, in any order.

    rows: count; present: int64[d], rows with a value; sums: int64[d] of z; products: int64[d, d] of z z', missing as 0.
    """

    rows: int
    present: IntArray
    sums: IntArray
    products: IntArray

    def __add__(self, other: "SecondMoments") -> "SecondMoments":
        if self.sums.shape != other.sums.shape:
            raise ValueError(f"moments of different columns: {self.sums.shape} and {other.sums.shape}")
        return SecondMoments(
            self.rows + other.rows,
            self.present + other.present,
            self.sums + other.sums,
            self.products + other.products,
        )

    @property
    def columns(self) -> int:
        """The number of columns d."""
        return int(self.sums.size)


@dataclass(frozen=True, slots=True)
class ReconstructionError:
    """`value`: root mean squared error over the rows, in deviations of a column. `contributions`: float64[d], each
    column's share of its square (they sum to value squared)."""

    value: float
    contributions: FloatArray


@dataclass(frozen=True, slots=True)
class MeanShift:
    """`distance`: the Mahalanobis distance of the means. `contributions`: float64[d], each column's share of its square.
    `statistic`: Hotelling's T2 = n m / (n + m) distance^2, about chi-square with `degrees_of_freedom` without drift."""

    distance: float
    contributions: FloatArray
    statistic: float
    degrees_of_freedom: int


def standard_of(values: npt.ArrayLike) -> Standard:
    """Mean and standard deviation (over n) of the finite values of each column of rows, shape (n, d).

    A column whose deviation is within rounding of 0, or without a finite value, gets spread 0.

    >>> standard_of([[1.0, 5.0], [3.0, 5.0]]).spread.tolist()
    [1.0, 0.0]
    """
    rows = _as_rows(values)
    known = np.isfinite(rows)
    n = np.maximum(known.sum(axis=0), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        centre = np.where(known, rows, 0.0).sum(axis=0) / n
        spread = np.sqrt(np.square(np.where(known, rows - centre, 0.0)).sum(axis=0) / n)
    usable = np.isfinite(centre) & np.isfinite(spread) & (spread > 1e-12 * np.abs(centre))
    return Standard(np.where(np.isfinite(centre), centre, 0.0), np.where(usable, spread, 0.0))


def second_moments(standard: Standard, values: npt.ArrayLike) -> SecondMoments:
    """The moments of rows, shape (n, d), n >= 0, on the baseline's scale. ValueError: another d.

    >>> second_moments(Standard(np.array([10.0]), np.array([2.0])), [[12.0], [np.nan]]).sums.tolist()
    [256]
    """
    rows = _as_rows(values)
    if rows.shape[1] != standard.centre.size:
        raise ValueError(f"values must have {standard.centre.size} columns, got {rows.shape[1]}")
    varies = standard.spread > 0
    scale = STEPS_PER_DEVIATION / np.where(varies, standard.spread, 1.0)
    known = np.isfinite(rows.T)
    # A column in one piece of memory, and one array for all steps: this is the sketcher's inner loop.
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.subtract(rows.T, standard.centre[:, None], order="C")
        steps *= scale[:, None]
    np.rint(steps, out=steps)
    bound = DEVIATIONS_KEPT * STEPS_PER_DEVIATION
    np.clip(steps, -bound, bound, out=steps)
    if not known.all():
        steps[~known] = 0.0
    if not varies.all():
        steps[~varies] = 0.0
    products = np.zeros((rows.shape[1], rows.shape[1]), dtype=np.int64)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = steps[:, start : start + _BLOCK_ROWS]
        products += (block @ block.T).astype(np.int64)
    return SecondMoments(
        len(rows), known.sum(axis=1).astype(np.int64), steps.sum(axis=1).astype(np.int64), products
    )


def means_of(moments: SecondMoments) -> FloatArray:
    """The mean z of each column over its present values, float64[d]; 0 where it has none."""
    return np.asarray(moments.sums / STEPS_PER_DEVIATION / np.maximum(moments.present, 1))


def covariance_of(moments: SecondMoments) -> FloatArray:
    """The covariance (over n) of z with missing as 0, float64[d, d], symmetric positive semi-definite. ValueError
    without rows.

    >>> covariance_of(second_moments(Standard(np.zeros(1), np.ones(1)), [[1.0], [-1.0]])).tolist()
    [[1.0]]
    """
    # Python's integers and one division: n sum zz' - sum z sum z' cancels, so it must not be rounded first.
    n, sums = _some_rows(moments), moments.sums.astype(object)
    exact = moments.products.astype(object) * n - np.outer(sums, sums)
    return np.asarray(exact / n**2, dtype=np.float64) / STEPS_PER_DEVIATION**2


def shrunk_covariance(covariance: npt.ArrayLike, n: int) -> FloatArray:
    """(1 - r) S + r mu I with mu = trace(S) / d and r the oracle approximating shrinkage for n normal rows.

    r = min(1, (a + mu^2) / ((n + 1) (a - mu^2 / d))) with a the mean of the squared entries of S; r = 1 where the
    denominator is 0. Well-conditioned for any n >= 1, and a consistent estimate. ValueError: not square, n < 1.
    Source: Chen, Wiesel, Eldar & Hero, IEEE Trans. Signal Process. 58(10), 2010; the form of scikit-learn's `oas`.

    >>> shrunk_covariance([[1.0, 0.0], [0.0, 1.0]], 100).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"covariance must be a square matrix, got shape {matrix.shape}")
    if n < 1:
        raise ValueError(f"n must be at least 1 row, got {n}")
    d = len(matrix)
    mu, a = float(np.trace(matrix)) / d, float(np.square(matrix).mean())
    denominator = (n + 1) * (a - mu**2 / d)
    rate = 1.0 if denominator <= 0 else min(1.0, (a + mu**2) / denominator)
    return (1 - rate) * matrix + rate * mu * np.eye(d)


def principal_axes(reference: SecondMoments, explained: float = 0.65) -> FloatArray:
    """The baseline's leading principal axes, float64[d, k] with orthonormal columns: the fewest that hold the share
    `explained` of the variance of the columns that have any. k = 0 where no column does.

    Deterministic up to signs, which the reconstruction does not see. ValueError: no rows, explained outside (0, 1].
    Source: Jolliffe, Principal Component Analysis (2002), section 6.1.1; the default share is NannyML's.
    """
    if not 0 < explained <= 1:
        raise ValueError(f"explained must lie in (0, 1], got {explained}")
    covariance = covariance_of(reference)
    variances, axes = np.linalg.eigh(covariance)
    variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
    total = float(variances.sum())
    if total <= 0:
        return np.zeros((len(covariance), 0))
    held = np.cumsum(variances) / total
    return axes[:, : int(np.searchsorted(held, min(explained, float(held[-1])) - 1e-12) + 1)]


def reconstruction_error(axes: FloatArray, current: SecondMoments, centre: FloatArray) -> ReconstructionError:
    """sqrt(mean over rows of |(I - A A') (z - centre)|^2), A the baseline's `principal_axes`, `centre` the baseline's
    mean z (`means_of`), float64[d].

    = sqrt(trace(R M R)) with R = I - A A' and M the second moment around `centre`, so the rows are not needed; the
    contributions are the diagonal of R M R. The peers average |.| instead of its square, which no moment gives: ours is
    the larger by Jensen, and the more sensitive to few rows far off. It rises where the relations between columns that
    the leading axes stand for break, and where columns grow wider; compare it with the baseline's own value.
    ValueError: no rows, other shapes. Source: Jolliffe (2002); NannyML's data reconstruction error.
    """
    d = current.columns
    if axes.ndim != 2 or axes.shape[0] != d or centre.shape != (d,):
        raise ValueError(f"axes and centre must be about {d} columns, got {axes.shape} and {centre.shape}")
    mean = current.sums / _some_rows(current) / STEPS_PER_DEVIATION - centre
    moment = covariance_of(current) + np.outer(mean, mean)
    residual = np.eye(d) - axes @ axes.T
    squares = np.maximum(np.diagonal(residual @ moment @ residual), 0.0)
    return ReconstructionError(float(np.sqrt(squares.sum())), squares)


def mahalanobis_shift(reference: SecondMoments, current: SecondMoments) -> MeanShift:
    """How far the mean has moved, in deviations of the baseline along every direction: sqrt(s' S^-1 s).

    s: the difference of the means over present values; S: the baseline's covariance, shrunk (`shrunk_covariance`) on the
    columns that vary in it, so that it can be inverted with collinear columns or few rows too. Contributions: the squares
    of S^-1/2 s with the symmetric root, each near its own column; they sum to the squared distance. A constant column
    that moved contributes 0: see the module. T2's law takes both samples as of one covariance, the shrinkage as none and n, m as
    the fewest present values of a column; with many columns it wants n, m >> d.
    ValueError: no rows on a side, other columns.
    Source: Mahalanobis (1936); Hotelling (1931); Garthwaite & Koch, Biometrika 103(2), 2016 (contributions).
    """
    if reference.columns != current.columns:
        raise ValueError(f"moments of different columns: {reference.columns} and {current.columns}")
    _some_rows(current)
    covariance = covariance_of(reference)
    used = (np.diagonal(covariance) > 0) & (reference.present > 0) & (current.present > 0)
    contributions = np.zeros(reference.columns)
    d = int(used.sum())
    if d == 0:
        return MeanShift(0.0, contributions, 0.0, 0)
    shift = (means_of(current) - means_of(reference))[used]
    variances, axes = np.linalg.eigh(shrunk_covariance(covariance[np.ix_(used, used)], reference.rows))
    whitened = axes @ ((axes.T @ shift) / np.sqrt(variances))
    contributions[used] = np.square(whitened)
    squared = float(contributions.sum())
    n, m = (int(side.present[used].min()) for side in (reference, current))
    return MeanShift(float(np.sqrt(squared)), contributions, squared * n * m / (n + m), d)


def _some_rows(moments: SecondMoments) -> int:
    if moments.rows <= 0:
        raise ValueError("moments are empty: of no rows")
    return moments.rows


def _as_rows(values: npt.ArrayLike) -> FloatArray:
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"values must be rows of at least one column, got shape {rows.shape}")
    return rows
