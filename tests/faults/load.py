"""Events that are the same in every run, and what a plain recomputation says of them.

Beside the ordinary there are, in fixed shares: late rows, labels sent before their prediction, labels sent twice,
corrected labels, and labels of predictions that never were.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from driftsonde.core import grid
from driftsonde.core.baseline import Baseline, Lineage, NumericReference, Performance
from driftsonde.core.chunks import WHOLE, segment_label
from driftsonde.core.events import Role
from driftsonde.core.spec import ModelSpec, Task

WINDOW_MS = 60_000
START_MS = 1_767_225_600_000  # any time at which a window begins
COUNTRIES = ("CH", "DE", "FR")

_LATE_WINDOWS = 3  # how much later a late row is sent
_DRIFTING = range(
    10, 16
)  # of every 30 windows, those whose feature has moved and whose predictions are worse
_STRANGERS = 20  # labels a window without a prediction
_REFERENCE_ROWS = 5_000

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Rows of one call of `Monitor.log`; `countries` are positions in COUNTRIES."""

    ids: tuple[str, ...]
    times_ms: Ints
    x: Floats
    countries: Ints
    predicted: Ints


@dataclass(frozen=True, slots=True)
class Labels:
    """Rows of one call of `Monitor.label`."""

    ids: tuple[str, ...]
    times_ms: Ints
    values: Ints


Call = Predictions | Labels


@dataclass(frozen=True, slots=True)
class Cell:
    """What one window of one segment holds: rows, counts of x in the baseline's bins, labelled rows, correct ones."""

    rows: int
    bins: tuple[int, ...]
    labelled: int
    correct: int


@dataclass(frozen=True, slots=True)
class Load:
    """`rows` in each of `windows` windows of one minute."""

    model: str = "m"
    windows: int = 40
    rows: int = 5_000
    seed: int = 0

    def spec(self) -> ModelSpec:
        return ModelSpec(
            self.model,
            Task.BINARY,
            window_ms=WINDOW_MS,
            lateness_ms=5_000,
            label_wait_ms=60_000,
            classes=("0", "1"),
            segments=("country",),
        )

    def baseline(self) -> Baseline:
        x = np.random.default_rng(7).normal(size=_REFERENCE_ROWS)
        edges = grid.quantile_edges(*np.unique(grid.cells_of(x), return_counts=True), 10)
        low, high = float(x.min()), float(x.max())
        total, squares = float(x.sum()), float((x * x).sum())
        counts = np.array(_bins(x, edges), dtype=np.int64)
        return Baseline(
            self.model,
            "1",
            _REFERENCE_ROWS,
            (NumericReference("x", Role.FEATURE, edges, counts, total, squares, low, high),),
            (("country", COUNTRIES),),
            Performance("accuracy", 0.9, _REFERENCE_ROWS),
            Lineage("test", "f", 0, 1),
        )

    @property
    def end_ms(self) -> int:
        """Once event time is here everywhere, every window has been judged."""
        return START_MS + (self.windows + 10) * WINDOW_MS

    def calls(self) -> Iterator[list[Call]]:
        """For each window what is sent while it passes."""
        rng = np.random.default_rng(self.seed)
        n = self.windows * self.rows
        window = np.repeat(np.arange(self.windows), self.rows)
        inside = np.sort(rng.integers(0, WINDOW_MS, (self.windows, self.rows)), axis=1).ravel()
        times_ms = START_MS + window * WINDOW_MS + inside
        drifting = np.isin(window % 30, _DRIFTING)
        x = rng.normal(size=n) + np.where(drifting, 2.0, 0.0)
        countries = rng.integers(0, len(COUNTRIES), n)
        truth = rng.integers(0, 2, n)
        predicted = np.where(rng.random(n) < np.where(drifting, 0.7, 0.9), truth, 1 - truth)
        late = (rng.random(n) < 0.02) & (window < self.windows - _LATE_WINDOWS)
        labelled = rng.random(n) < 0.9
        corrected, repeated = labelled & (rng.random((2, n)) < 0.05)
        early = labelled & ~late & (rng.random(n) < 0.02)
        names = np.array([f"p{number}" for number in range(n)])

        def predict(rows: Mask) -> Predictions:
            return Predictions(tuple(names[rows]), times_ms[rows], x[rows], countries[rows], predicted[rows])

        def label(rows: Mask, known_ms: Ints, values: Ints) -> Labels:
            return Labels(tuple(names[rows]), known_ms[rows], values[rows])

        # What is corrected was wrong at first.
        first = np.where(corrected & ~early, 1 - truth, truth)
        for now in range(self.windows):
            known_ms = np.maximum(times_ms, START_MS + now * WINDOW_MS) + 10_000
            here, belated = (window == now) & ~late, (window == now - _LATE_WINDOWS) & late
            ripe = (here | belated) & ~early
            strangers = tuple(f"nobody-{now}-{i}" for i in range(_STRANGERS))
            coming = (window == now + 1) & early
            yield [
                # Before the window's own rows: a label is only matched if its prediction came within the lateness.
                *([predict(belated)] if belated.any() else []),
                predict(here),
                label(ripe & labelled, known_ms, first),
                Labels(
                    strangers,
                    np.full(_STRANGERS, START_MS + now * WINDOW_MS),
                    np.zeros(_STRANGERS, dtype=int),
                ),
                label(ripe & repeated, known_ms, first),
                label(ripe & corrected, known_ms + 10_000, truth),
                label(coming, times_ms + 10_000, truth),
            ]

    def expected(self) -> dict[tuple[str, int], Cell]:
        """By segment and window start, from the events alone: the last label by time counts."""
        return _expected(self)

    def baseline_edges(self) -> Floats:
        (column,) = self.baseline().columns
        assert isinstance(column, NumericReference)
        return column.edges

    def rows_sent(self) -> tuple[int, int]:
        """Rows of predictions and of labels."""
        return _rows_sent(self)


@cache
def _rows_sent(load: Load) -> tuple[int, int]:
    calls = [call for step in load.calls() for call in step]
    return (
        sum(len(call.ids) for call in calls if isinstance(call, Predictions)),
        sum(len(call.ids) for call in calls if isinstance(call, Labels)),
    )


@cache
def _expected(load: Load) -> dict[tuple[str, int], Cell]:
    """Of millions of rows this takes long: it must not be done again while something is timed."""
    calls = [call for step in load.calls() for call in step]
    predictions = [call for call in calls if isinstance(call, Predictions)]
    newest: dict[str, tuple[int, int]] = {}
    for call in calls:
        if isinstance(call, Labels):
            for name, time_ms, value in zip(
                call.ids, call.times_ms.tolist(), call.values.tolist(), strict=True
            ):
                newest[name] = max(newest.get(name, (-1, 0)), (time_ms, value), key=lambda entry: entry[0])
    ids = [name for call in predictions for name in call.ids]
    starts = np.concatenate([call.times_ms - call.times_ms % WINDOW_MS for call in predictions])
    x = np.concatenate([call.x for call in predictions])
    countries = np.concatenate([call.countries for call in predictions])
    predicted = np.concatenate([call.predicted for call in predictions])
    labels = np.array([newest.get(name, (0, -1))[1] for name in ids])
    edges = load.baseline_edges()
    segments = {WHOLE: np.ones(len(ids), dtype=bool)}
    segments |= {segment_label("country", name): countries == i for i, name in enumerate(COUNTRIES)}
    return {
        (segment, int(start)): Cell(
            rows=int(rows.sum()),
            bins=_bins(x[rows], edges),
            labelled=int((labels[rows] >= 0).sum()),
            correct=int((labels[rows] == predicted[rows]).sum()),
        )
        for segment, inside in segments.items()
        for start in np.unique(starts)
        for rows in [inside & (starts == start)]
    }


def _bins(x: Floats, edges: Floats) -> tuple[int, ...]:
    """Below, the bins, above, missing."""
    inside = np.bincount(np.searchsorted(edges, x, side="right"), minlength=len(edges) + 1)
    return (*inside.tolist(), 0)
