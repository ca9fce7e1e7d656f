"""Rows by id, on the real engine: all of them are found, and little else is read."""

import shutil
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.binding import format_bind_value

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.adapters.stored_events import IDS, IN_LABELS_OF_IDS, IN_PREDICTIONS_OF_IDS, id_portions
from driftsonde.standalone.store_process import running_store

pytestmark = pytest.mark.io

MESSAGES, ROWS = 200, 1_000
MIGRATIONS = schemas_directory() / "clickhouse"
IN_PLACES = {"predictions": IN_PREDICTIONS_OF_IDS, "labels": IN_LABELS_OF_IDS}
# Rows of all hours of four days, in messages of a minute each, of two models with the same ids.
EVENTS = f"""
INSERT INTO {{table}} (model, prediction_id, timestamp, source_topic, source_partition, source_offset, source_row)
SELECT if(part = 0, 'shop', 'rain'), 'id-' || toString(number),
       toDateTime64('2026-01-30 00:00:00', 3, 'UTC') + intDiv(number * 86400 * 4, {MESSAGES * ROWS}),
       '{{table}}', part, intDiv(number, {ROWS}), number % {ROWS}
FROM (SELECT number, arrayJoin([0, 1]) AS part FROM numbers({MESSAGES * ROWS}))
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """As it was before places were kept, with rows."""
    old = tmp_path_factory.mktemp("old")
    for file in MIGRATIONS.glob("*.sql"):
        if file.name < "0012":
            shutil.copy(file, old)
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        store = Store(ClickHouseSettings(process.host, process.port, database="places"))
        apply_migrations(store, old)
        store.command(EVENTS.format(table="predictions"))
        yield store
        store.close()


@pytest.fixture(scope="module")
def store(before: Store) -> Store:
    """With rows from before places were kept (predictions), and from after (labels)."""
    apply_migrations(before, MIGRATIONS)
    before.command(EVENTS.format(table="labels"))
    return before


@pytest.mark.parametrize("table", ["predictions", "labels"])
@pytest.mark.parametrize("step", [1, 97], ids=["of few messages", "of many messages"])
def test_rows_are_found_by_their_ids(store: Store, table: str, step: int) -> None:
    ids = [f"id-{number}" for number in range(50_500, 50_500 + 1_000 * step, step)]
    (asked,) = id_portions([*ids, "unknown"])
    found = store.query_rows(
        f"SELECT model, prediction_id FROM {table} PREWHERE prediction_id IN {IDS} WHERE {IN_PLACES[table]}",
        asked,
    )
    assert sorted(found) == sorted((model, name) for model in ("shop", "rain") for name in ids)


@pytest.mark.parametrize("table", ["predictions", "labels"])
def test_little_is_read_for_the_ids_of_few_messages(store: Store, table: str) -> None:
    ids = [f"id-{number}" for number in range(50_500, 51_500)]
    (asked,) = id_portions(ids)
    read = store.query_rows(
        f"EXPLAIN ESTIMATE SELECT count() FROM {table} WHERE model = 'shop' AND {IN_PLACES[table]}", asked
    )
    rows = {name: rows for _, name, _, rows, _ in read}
    assert 0 < rows[table] <= 3 * 8_192 < MESSAGES * ROWS


def test_a_migration_that_was_interrupted_tells_places_once(store: Store) -> None:
    store.command("INSERT INTO event_places SELECT * FROM event_places")
    assert store.query_rows("SELECT count() FROM event_places FINAL") == [(4 * MESSAGES * ROWS,)]


@pytest.mark.parametrize("of", ["x", "ü", "'", "-"])
@pytest.mark.parametrize("length", [1, 36, 1_024])
def test_no_field_is_longer_than_a_server_takes_and_every_id_is_asked_for_once(of: str, length: int) -> None:
    ids = [f"{number:05}{of * (length - 5)}" for number in range(25_000)]
    asked: list[str] = []
    for portion in id_portions(ids):
        assert len(portion) == 20
        for field in portion.values():
            assert isinstance(field, list)
            assert len(format_bind_value(field).encode()) < 131_072
            asked += field
    assert asked == ids
