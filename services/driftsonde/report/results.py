"""What the result files say, as frozen values. No view of it yet.

Times are milliseconds since the epoch, UTC. Numbers that a metric does not have are NaN.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.baseline import Baseline
from driftsonde.core.chunks import WHOLE
from driftsonde.core.control.decisions import Decision
from driftsonde.core.events import Floats, Ints, Variant
from driftsonde.core.signals import Signal

Bools = npt.NDArray[np.bool_]


class InvalidResults(ValueError):
    """A result file that can't be used; the text names the file and, where there is one, the line."""

    def __init__(self, file: str, problem: str, line: int | None = None) -> None:
        super().__init__(f"{file}: {problem}" if line is None else f"{file}, line {line}: {problem}")
        self.file = file
        self.line = line


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """One metric of one column of one slice; `column` is "" for the target's metrics, `segment` for the whole."""

    version: str
    variant: str
    segment: str
    column: str
    metric: str


@dataclass(frozen=True, slots=True)
class Series:
    """A metric over time: arrays of one length, one entry a window, in the order of the windows' starts."""

    starts_ms: Ints
    ends_ms: Ints
    n: Ints
    value: Floats
    lower: Floats
    upper: Floats
    threshold: Floats
    breached: Bools

    def take(self, order: Ints) -> "Series":
        """The entries at these places."""
        return Series(
            self.starts_ms[order],
            self.ends_ms[order],
            self.n[order],
            self.value[order],
            self.lower[order],
            self.upper[order],
            self.threshold[order],
            self.breached[order],
        )


def main_variant_of(keys: Iterable[SeriesKey]) -> str:
    """The champion, where there is one, or else the first variant by name."""
    variants = sorted({key.variant for key in keys})
    return Variant.CHAMPION.value if Variant.CHAMPION in variants or not variants else variants[0]


def merge(parts: Iterable[Series]) -> Series | None:
    """One series out of several; of windows that several have, the one of the most rows. None for no parts."""
    known = list(parts)
    if len(known) <= 1:
        return known[0] if known else None
    fields = Series.__dataclass_fields__
    joined = Series(*(np.concatenate([getattr(part, name) for part in known]) for name in fields))
    ordered = joined.take(np.lexsort((-joined.n, joined.starts_ms)))
    _, first = np.unique(ordered.starts_ms, return_index=True)
    return ordered.take(first.astype(np.int64))


@dataclass(frozen=True, slots=True, order=True)
class ColumnWindow:
    """A column of one window of a whole version: where counts are looked up."""

    version: str
    variant: str
    column: str
    start_ms: int


@dataclass(frozen=True, slots=True)
class BinCount:
    """One bin of a column in a window and in the baseline."""

    label: str
    count: int
    reference_count: int


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that the page was made from. `digest`: SHA-256, hexadecimal."""

    name: str
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Results:
    """Everything but the counts per bin, of which only a few windows are ever shown.

    `versions`: all that served, sorted. `main_variant`: the variant that the page is about.
    """

    model: str
    versions: tuple[str, ...]
    main_variant: str
    series: Mapping[SeriesKey, Series]
    baseline: Baseline
    signals: tuple[Signal, ...]
    decisions: tuple[Decision, ...]
    files: tuple[SourceFile, ...]

    def main(self, metric: str, column: str = "", segment: str = WHOLE) -> Series | None:
        """A metric of the main variant through all of its versions."""
        keys = (SeriesKey(version, self.main_variant, segment, column, metric) for version in self.versions)
        return merge(self.series[key] for key in keys if key in self.series)

    def columns(self) -> tuple[str, ...]:
        """Names of the input columns, sorted."""
        return tuple(sorted({key.column for key in self.series if key.column}))

    @property
    def baseline_end_ms(self) -> int:
        """Windows that begin earlier are in-sample."""
        return self.baseline.lineage.end_ms
