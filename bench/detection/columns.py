"""Streams of ten numeric columns, of which it is known when the first one drifted."""

from dataclasses import dataclass

import numpy as np

from bench.detection.streams import BASELINE_ROWS, DAY_ROWS, ROWS, Floats, autoregression

COLUMNS, BINS = 10, 10
LEARNING_ROWS = 5_000
_CHANGE = 5_000


@dataclass(frozen=True, slots=True)
class ColumnStream:
    """values: float64[seeds, COLUMNS, BASELINE_ROWS + LEARNING_ROWS + ROWS], unit variance but for what wanders.
    changes: when the first column was shifted, [start, end) in monitored rows."""

    name: str
    values: Floats
    changes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A daily wave and an autoregression in every column, and the shift of the first column by monitored row: 0.5
    standard deviations are a PSI of 0.25."""

    name: str
    wave: float = 0.0
    deviation: float = 0.0
    memory_rows: float = 1.0
    shift: float = 0.0
    ramp_rows: int = 1
    changes: tuple[tuple[int, int], ...] = ()


_LASTING = ((_CHANGE, ROWS),)
SHAPES = (
    Shape("ten columns, no drift"),
    Shape("ten columns, daily season", wave=0.5),
    Shape("ten columns, autocorrelated, 100 rows", deviation=0.3, memory_rows=100),
    Shape("ten columns, autocorrelated, 500 rows", deviation=0.3, memory_rows=500),
    Shape("one of ten shifts (PSI 0.25)", shift=0.5, changes=_LASTING),
    Shape("one of ten shifts for 1,000 rows", shift=0.5, changes=((_CHANGE, _CHANGE + 1_000),)),
    Shape("one of ten shifts over 3,000 rows", shift=0.5, ramp_rows=3_000, changes=_LASTING),
    Shape("daily season, one shifts", wave=0.5, shift=0.5, changes=_LASTING),
    Shape(
        "autocorrelated, 100 rows, one shifts by 1",
        deviation=0.3,
        memory_rows=100,
        shift=1.0,
        changes=_LASTING,
    ),
)


def column_stream(shape: Shape, seeds: int) -> ColumnStream:
    """The stream of a shape."""
    return ColumnStream(shape.name, np.array([_values(shape, seed) for seed in range(seeds)]), shape.changes)


def _values(shape: Shape, seed: int) -> Floats:
    randomness = np.random.default_rng(seed)
    rows = np.arange(BASELINE_ROWS + LEARNING_ROWS + ROWS)
    values = randomness.standard_normal((COLUMNS, len(rows)))
    phases = randomness.random((COLUMNS, 1))
    values += shape.wave * np.sin(2 * np.pi * (rows / DAY_ROWS + phases))
    if shape.deviation:
        for column in range(COLUMNS):
            values[column] += shape.deviation * autoregression(randomness, len(rows), shape.memory_rows)
    monitored = rows - BASELINE_ROWS - LEARNING_ROWS
    for start, end in shape.changes:
        risen = np.clip((monitored - start + 1) / shape.ramp_rows, 0, 1) * (monitored < end)
        values[0] += shape.shift * risen
    return values


def bin_counts(stream: ColumnStream, window_rows: int) -> tuple[Floats, Floats]:
    """(baseline's counts [seeds, COLUMNS, BINS], those of every later window [windows, seeds, COLUMNS, BINS]), in the
    baseline's deciles."""
    baseline, later = stream.values[..., :BASELINE_ROWS], stream.values[..., BASELINE_ROWS:]
    edges = np.quantile(baseline, np.linspace(0, 1, BINS + 1)[1:-1], axis=-1)
    windows = later.shape[-1] // window_rows
    cut = later[..., : windows * window_rows].reshape(*later.shape[:-1], windows, window_rows)
    return _counts(baseline[..., None, :], edges)[..., 0, :], np.moveaxis(_counts(cut, edges), -2, 0)


def _counts(values: Floats, edges: Floats) -> Floats:
    """values [seeds, COLUMNS, windows, rows], edges [BINS - 1, seeds, COLUMNS] to [seeds, COLUMNS, windows, BINS]."""
    below = np.stack([(values < edge[..., None, None]).sum(axis=-1) for edge in edges], axis=-1)
    ends = np.zeros_like(below[..., :1])
    return np.diff(below, axis=-1, prepend=ends, append=ends + values.shape[-1]).astype(float)
