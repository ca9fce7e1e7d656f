"""What a load needs, from figures that can be worked out by hand."""

import pytest

from bench.capacity import Load, needs
from bench.figures import Figure
from bench.names import (
    ARCHIVED_ROW,
    ARCHIVER_ROWS,
    HOUR_ROW,
    JUDGE_CLOSE,
    NUMERIC_20,
    NUMERIC_200,
    WINDOW_ROW,
)

FIGURES = [
    # 1 µs and 200 bytes a row with 20 features, 10 µs and 2,000 bytes with 200: 5 µs and 1,000 bytes with 100.
    Figure(
        "sketcher",
        NUMERIC_20,
        0,
        "rows/s",
        rows=10**6,
        columns=20,
        message_rows=10,
        message_bytes=2_000,
        cpu_s=1,
    ),
    Figure(
        "sketcher",
        NUMERIC_200,
        0,
        "rows/s",
        rows=10**6,
        columns=200,
        message_rows=5,
        message_bytes=10_000,
        cpu_s=10,
    ),
    Figure("archiver", ARCHIVER_ROWS, 0, "rows/s", rows=10**6, columns=20, cpu_s=2),
    Figure("archiver", ARCHIVED_ROW, 150, "bytes"),
    Figure("judge", JUDGE_CLOSE, 60, "ms", columns=2_000),
    Figure("queries", WINDOW_ROW, 40, "bytes"),
    Figure("queries", HOUR_ROW, 20, "bytes"),
]
EXPECTED = {
    "sketchers": 5.0,
    "into Kafka": 1_000.0,
    "out of Kafka": 4_000.0,
    "Kafka's disks": 259.2,
    "archivers": 10.0,
    "ClickHouse, raw events": 64.8,
    "judge": 10e-6 * 800 / 60,
    "ClickHouse, windows": 40 * 800 * 1_440 / 1e9,
    "ClickHouse, hours": 20 * 800 * 24 / 1e9,
}


def test_needs_are_linear_in_rows_and_features() -> None:
    found = {need.what: need.value for need in needs(Load(1e6, 100), FIGURES)}
    assert found == pytest.approx(EXPECTED)


def test_a_run_without_the_sketcher_says_nothing() -> None:
    assert list(needs(Load(1e6, 100), FIGURES[2:])) == []
