"""The views on the real engine, held against the Python statistics on random counts."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.core.baseline import CategoricalReference, NumericReference, Reference
from driftsonde.core.events import Ints, Role
from driftsonde.core.statistics.distances import jensen_shannon_divergence, population_stability_index
from driftsonde.core.verdict import distance_bins
from driftsonde.standalone.store_process import running_store

pytestmark = pytest.mark.io

START = datetime(2026, 3, 30, tzinfo=UTC)  # the windows cross a month, so a partition
HOUR = timedelta(hours=1)
WINDOWS = 72
BETWEEN = (
    "SELECT column, rows_a, rows_b, psi, js_divergence FROM drift_between(model = {m:String}, version = '1',"
    " variant = 'champion', segment = {s:String}, from_a = '2026-03-30', to_a = '2026-03-31 06:00:00',"
    " from_b = '2026-03-31 12:00:00', to_b = '2026-04-02') ORDER BY column"
)
FROM_BASELINE = (
    "SELECT column, baseline, reference_rows, rows, psi, js_divergence FROM drift_from_baseline(model = {m:String},"
    " version = '1', variant = 'champion', segment = {s:String}, from_time = '2026-03-30', to_time = '2026-03-31 06:00:00')"
    " ORDER BY column, baseline"
)


def numeric(name: str, bins: int, generator: np.random.Generator) -> NumericReference:
    counts = generator.integers(0, 500, bins + 3)
    return NumericReference(name, Role.FEATURE, np.linspace(0.0, 1.0, bins + 1), counts, 1.0, 1.0, 0.0, 1.0)


def categorical(name: str, size: int, generator: np.random.Generator) -> CategoricalReference:
    counts = generator.integers(0, 500, size + 2)
    return CategoricalReference(name, Role.FEATURE, tuple(f"c{n}" for n in range(size)), counts)


def window_row(
    reference: Reference,
    counts: Ints,
    window: int,
    *,
    segment: str = "",
    baseline: str = "b1",
    revision: int = 1,
) -> dict[str, object]:
    is_numeric = isinstance(reference, NumericReference)
    return {
        "model": "m",
        "version": "1",
        "variant": "champion",
        "segment": segment,
        "column": reference.name,
        "window_start": START + window * HOUR,
        "window_end": START + (window + 1) * HOUR,
        "kind": "numeric" if is_numeric else "categorical",
        "role": reference.role.value,
        "edges": reference.edges.tolist() if isinstance(reference, NumericReference) else [],
        "categories": [] if isinstance(reference, NumericReference) else list(reference.categories),
        "counts": counts.tolist(),
        "reference_counts": reference.counts.tolist(),
        "total": math.nan,
        "total_squares": math.nan,
        "minimum": math.nan,
        "maximum": math.nan,
        "baseline": baseline,
        "revision": revision,
    }


def drifting_counts(bins: int, generator: np.random.Generator) -> Ints:
    """int64[WINDOWS, bins]: each bin at one random rate until window 33, at another one from there; some are all but 0."""
    rates = np.repeat(generator.gamma(0.3, 40.0, (2, bins)), [33, WINDOWS - 33], axis=0)
    return generator.poisson(rates)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        store = Store(ClickHouseSettings(process.host, process.port, database="views"))
        apply_migrations(store, schemas_directory() / "clickhouse")
        yield store
        store.close()


@pytest.fixture(scope="module")
def columns(store: Store) -> list[tuple[Reference, Ints]]:
    """References, and the counts that the newest revision of each window holds: int64[WINDOWS, counts]."""
    generator = np.random.default_rng(2)
    references: list[Reference] = [numeric(f"n{bins}", bins, generator) for bins in (1, 2, 7, 20)]
    references += [categorical(f"c{size}", size, generator) for size in (0, 1, 5)]
    kept = [(reference, drifting_counts(len(reference.counts), generator)) for reference in references]
    for revision, scale in ((1, 1), (0, 7)):  # the older revision arrives later, and is not to be seen
        rows = [
            window_row(reference, counts[window] * scale, window, revision=revision)
            for reference, counts in kept
            for window in range(WINDOWS)
        ]
        rows += [
            window_row(reference, counts[window] + 1000, window, segment="country=DE", revision=revision)
            for reference, counts in kept
            for window in range(WINDOWS)
        ]
        store.insert_arrow("windows", pa.Table.from_pylist(rows))
    return kept


def test_drift_between_periods_agrees_with_the_statistics(
    store: Store, columns: list[tuple[Reference, Ints]]
) -> None:
    found = store.query_rows(BETWEEN, {"m": "m", "s": ""})
    assert len(found) == len(columns)
    for (reference, counts), row in zip(sorted(columns, key=lambda c: c[0].name), found, strict=True):
        a = distance_bins(reference, counts[:30].sum(axis=0))
        b = distance_bins(reference, counts[36:72].sum(axis=0))
        assert row[:3] == (reference.name, a.sum(), b.sum())
        assert row[3] == pytest.approx(population_stability_index(a, b), rel=1e-9, abs=1e-12)
        assert row[4] == pytest.approx(jensen_shannon_divergence(a, b), rel=1e-9, abs=1e-12)
    assert any(row[3] > 0.01 for row in found)


def test_drift_from_the_baseline_agrees_with_the_statistics(
    store: Store, columns: list[tuple[Reference, Ints]]
) -> None:
    found = store.query_rows(FROM_BASELINE, {"m": "m", "s": ""})
    assert len(found) == len(columns)
    for (reference, counts), row in zip(sorted(columns, key=lambda c: c[0].name), found, strict=True):
        before = distance_bins(reference, reference.counts)
        after = distance_bins(reference, counts[:30].sum(axis=0))
        assert row[:4] == (reference.name, "b1", before.sum(), after.sum())
        assert row[4] == pytest.approx(population_stability_index(before, after), rel=1e-9, abs=1e-12)
        assert row[5] == pytest.approx(jensen_shannon_divergence(before, after), rel=1e-9, abs=1e-12)


def test_a_segment_has_its_own_counts(store: Store, columns: list[tuple[Reference, Ints]]) -> None:
    whole = store.query_rows(BETWEEN, {"m": "m", "s": ""})
    segment = store.query_rows(BETWEEN, {"m": "m", "s": "country=DE"})
    assert [row[0] for row in segment] == [row[0] for row in whole]
    assert all(part[1] > all_rows[1] for part, all_rows in zip(segment, whole, strict=True))
    assert store.query_rows(BETWEEN, {"m": "m", "s": "country=FR"}) == []


def test_new_bins_are_not_compared_with_old_ones(store: Store) -> None:
    generator = np.random.default_rng(3)
    old, new = numeric("x", 3, generator), numeric("x", 4, generator)
    rows = [window_row(old, old.counts, 0), window_row(new, new.counts, 40, baseline="b2")]
    rows.append(window_row(new, new.counts, 1, baseline="b2"))
    store.insert_arrow("windows", pa.Table.from_pylist([{**row, "model": "rebased"} for row in rows]))
    between = {row[1]: row for row in store.query_rows(BETWEEN, {"m": "rebased", "s": ""})}
    assert math.isnan(between[old.counts.sum()][3])
    assert between[new.counts.sum()][3:] == (0.0, 0.0)
    by_baseline = store.query_rows(FROM_BASELINE, {"m": "rebased", "s": ""})
    assert [row[1] for row in by_baseline] == ["b1", "b2"]


def test_bounds_are_utc_text_or_unix_seconds(store: Store, columns: list[tuple[Reference, Ints]]) -> None:
    seconds = FROM_BASELINE.replace("'2026-03-30'", str(int(START.timestamp()))).replace(
        "'2026-03-31 06:00:00'", str(int((START + 30 * HOUR).timestamp()))
    )
    parameters = {"m": "m", "s": ""}
    assert store.query_rows(seconds, parameters) == store.query_rows(FROM_BASELINE, parameters)


def test_current_metrics_shows_the_newest_revision(store: Store) -> None:
    key = {
        "model": "m",
        "version": "1",
        "variant": "champion",
        "segment": "",
        "column": "",
        "metric": "accuracy",
    }
    times = {"window_start": START, "window_end": START + HOUR}
    bounds = {"n": 10, "lower": 0.0, "upper": 1.0, "threshold": math.nan, "breached": False}
    for revision, value in ((3, 0.75), (1, 0.5)):
        row = {**key, **times, **bounds, "value": value, "revision": revision}
        store.insert_arrow("metrics", pa.Table.from_pylist([row]))
    assert store.query_rows("SELECT value, revision FROM current_metrics WHERE model = 'm'") == [(0.75, 3)]


def test_the_view_file_bears_repetition(store: Store, tmp_path: Path) -> None:
    source = schemas_directory() / "clickhouse" / "0002_views.sql"
    (tmp_path / "0099_again.sql").write_text(source.read_text())
    assert apply_migrations(store, tmp_path) == ["0099_again.sql"]
