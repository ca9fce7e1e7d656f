"""What a load costs, worked out from a run's figures: linear in rows, and in features between those that were measured."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.figures import Entry, Figure
from bench.names import (
    ARCHIVED_ROW,
    ARCHIVER_ROWS,
    HOUR_ROW,
    JUDGE_CLOSE,
    NUMERIC_20,
    NUMERIC_200,
    WINDOW_ROW,
)

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Load:
    """Rows a second with so many numeric features; the whole model and `segments` are judged every `window_s`."""

    rows_per_s: float
    features: int
    segments: int = 3
    versions: int = 2
    window_s: int = 60
    replication: int = 3


@dataclass(frozen=True, slots=True)
class Need:
    what: str
    value: float
    unit: str
    how: str


def needs(load: Load, entries: Iterable[Entry]) -> Iterator[Need]:
    """What the load needs, as far as the run has the figures for it."""
    found = {(entry.part, entry.name): entry for entry in entries if isinstance(entry, Figure)}
    few, many = found.get(("sketcher", NUMERIC_20)), found.get(("sketcher", NUMERIC_200))
    if few is None or many is None:
        return

    def at_features(of_few: float, of_many: float) -> float:
        share = (load.features - few.columns) / (many.columns - few.columns)
        return of_few + share * (of_many - of_few)

    cpu_s = at_features(few.cpu_s / few.rows, many.cpu_s / many.rows)
    yield Need("sketchers", load.rows_per_s * cpu_s, "cores", f"{cpu_s * 1e6:.3g} µs a row")
    # Both are said per row: the message sizes differ.
    row_bytes = at_features(_row_bytes(few), _row_bytes(many))
    in_mb = load.rows_per_s * row_bytes / 1e6
    yield Need("into Kafka", in_mb, "MB/s", f"{row_bytes:,.0f} bytes a row, uncompressible values")
    out = "the same, read by sketchers and archivers, and copied to the other replicas"
    yield Need("out of Kafka", in_mb * (1 + load.replication), "MB/s", out)
    kept = in_mb * _DAY_S * load.replication / 1e6
    yield Need("Kafka's disks", kept, "TB a day", f"{load.replication} replicas")
    yield from _archive(load, found, few, row_bytes)
    yield from _windows(load, found)


def _row_bytes(figure: Figure) -> float:
    """Of a message of the figure's load; both loads say in their name how many rows a message has."""
    return figure.message_bytes / figure.message_rows


def _archive(
    load: Load, found: dict[tuple[str, str], Figure], few: Figure, row_bytes: float
) -> Iterator[Need]:
    archiver, stored = found.get(("archiver", ARCHIVER_ROWS)), found.get(("archiver", ARCHIVED_ROW))
    wider = row_bytes / _row_bytes(few)
    if archiver is not None:
        cpu_s = archiver.cpu_s / archiver.rows * wider
        yield Need("archivers", load.rows_per_s * cpu_s, "cores", f"{cpu_s * 1e6:.3g} µs a row")
    if stored is not None:
        size = stored.value * wider
        per_day = load.rows_per_s * size * _DAY_S / 1e12
        yield Need("ClickHouse, raw events", per_day, "TB a day", f"{size:,.0f} bytes a row, one replica")


def _windows(load: Load, found: dict[tuple[str, str], Figure]) -> Iterator[Need]:
    slices = (load.segments + 1) * load.versions
    columns_per_day = slices * load.features * _DAY_S / load.window_s
    judge, window = found.get(("judge", JUDGE_CLOSE)), found.get(("queries", WINDOW_ROW))
    if judge is not None:
        column_s = judge.value / 1_000 / judge.columns / 3
        cores = columns_per_day * column_s / _DAY_S
        yield Need("judge", cores, "cores", f"{column_s * 1e6:.3g} µs a column, window and segment")
    if window is not None:
        size = window.value * columns_per_day / 1e9
        how = f"{window.value:.3g} bytes a column, window and segment; {slices} slices"
        yield Need("ClickHouse, windows", size, "GB a day", how)
    hour = found.get(("queries", HOUR_ROW))
    if hour is not None:
        size = hour.value * slices * load.features * 24 / 1e9
        how = f"{hour.value:.3g} bytes a column, hour and segment; {slices} slices"
        yield Need("ClickHouse, hours", size, "GB a day", how)
