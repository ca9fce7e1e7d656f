"""The frozen reference of a (model, version): bin edges, reference counts, reference performance, lineage."""

from dataclasses import dataclass

from driftsonde.core.events import Floats, Ints, Role

# Positions of the special bins of a numeric column: counts = [below, bin 1 … bin B, above, missing].
# Positions of the special bins of a categorical column: counts = [category 1 … category K, unseen, missing].


@dataclass(frozen=True, slots=True)
class NumericReference:
    """`edges` is float64[B+1], ascending; bin b holds edges[b-1] <= x < edges[b]; `counts` is int64[B+3]."""

    name: str
    role: Role
    edges: Floats
    counts: Ints
    total: float
    total_squares: float
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class CategoricalReference:
    """`categories` has K entries; `counts` is int64[K+2]."""

    name: str
    role: Role
    categories: tuple[str, ...]
    counts: Ints


Reference = NumericReference | CategoricalReference


@dataclass(frozen=True, slots=True)
class Performance:
    """What the reference rows scored: the headline metric ("accuracy" or "rmse"), over `n` labelled rows."""

    metric: str
    value: float
    n: int


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """Labelled rows by bin of the numeric column `column` (the score), label and prediction: int64[B+1, K, K], the bins as
    distances compare them, the last one for missing scores."""

    column: str
    counts: Ints


@dataclass(frozen=True, slots=True)
class ErrorSums:
    """By bin of the numeric column `column` (the prediction): labelled rows, int64[B+1], and their sums of |e|, e^2 and e^4,
    float64[B+1], e = prediction - label."""

    column: str
    rows: Ints
    absolute: Floats
    squared: Floats
    fourth: Floats


Calibration = LabelCounts | ErrorSums


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """Second moments of d numeric columns together. centre, spread: float64[d], the scale that rows are brought to; moments:
    int64, as in a sketch (`joint`); residual_deviation: the standard deviation over rows of the squared residual that the
    leading principal axes leave, in squared deviations. Compared by identity, so that what follows from it can be cached."""

    columns: tuple[str, ...]
    centre: Floats
    spread: Floats
    moments: Ints
    residual_deviation: float


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a baseline comes from. Windows that begin before `end_ms` are in-sample: reported, never alarming."""

    source: str
    fingerprint: str
    start_ms: int
    end_ms: int
    provisional: bool = False
    code_revision: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """`segments` holds, for each segment column, the values that get a slice of their own; `calibration` what performance
    without labels is estimated from, None where the reference rows had no labels or no scores; `joint` the columns watched together."""

    model: str
    version: str
    rows: int
    columns: tuple[Reference, ...]
    segments: tuple[tuple[str, tuple[str, ...]], ...]
    performance: Performance | None
    lineage: Lineage
    calibration: Calibration | None = None
    joint: Joint | None = None
