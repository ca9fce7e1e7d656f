from collections.abc import Iterator
from pathlib import Path

import pytest

from driftsonde.adapters.clickhouse import Store, StoreRejected
from driftsonde.adapters.clickhouse_migrations import MigrationError, apply_migrations, split_statements
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.standalone.store_process import running_store

FIRST = "-- Two tables; one comment.\nCREATE TABLE IF NOT EXISTS a (x String DEFAULT ';')\nENGINE = MergeTree ORDER BY x;\n\nCREATE TABLE IF NOT EXISTS b (x UInt8) ENGINE = MergeTree ORDER BY x;\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        yield process.host, process.port


@pytest.fixture
def store(address: tuple[str, int], request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store on a database that does not exist yet."""
    store = Store(ClickHouseSettings(*address, database=f"db_{request.node.name}"))
    yield store
    store.close()


@pytest.mark.io
def test_migrations_run_once_and_in_order(store: Store, tmp_path: Path) -> None:
    (tmp_path / "0001_tables.sql").write_text(FIRST)
    (tmp_path / "0002_column.sql").write_text("ALTER TABLE b ADD COLUMN IF NOT EXISTS y UInt8;")
    assert apply_migrations(store, tmp_path) == ["0001_tables.sql", "0002_column.sql"]
    assert store.query_rows(
        "SELECT name FROM system.columns WHERE table = 'b' AND database = currentDatabase()"
    ) == [
        ("x",),
        ("y",),
    ]
    assert apply_migrations(store, tmp_path) == []
    (tmp_path / "0003_more.sql").write_text("CREATE TABLE c (x UInt8) ENGINE = MergeTree ORDER BY x;\n")
    assert apply_migrations(store, tmp_path) == ["0003_more.sql"]


@pytest.mark.io
def test_a_changed_migration_is_refused_before_anything_runs(store: Store, tmp_path: Path) -> None:
    (tmp_path / "0001_tables.sql").write_text(FIRST)
    apply_migrations(store, tmp_path)
    (tmp_path / "0001_tables.sql").write_text(FIRST + "DROP TABLE a;")
    (tmp_path / "0002_more.sql").write_text("DROP TABLE b;")
    with pytest.raises(MigrationError, match=r"0001_tables\.sql was changed after it was applied"):
        apply_migrations(store, tmp_path)
    assert store.query_rows("SELECT count() FROM b") == [(0,)]


@pytest.mark.io
def test_a_failed_migration_is_named_and_runs_again(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "0001_tables.sql"
    file.write_text(FIRST + "ALTER TABLE absent DROP COLUMN x;")
    with pytest.raises(StoreRejected) as caught:
        apply_migrations(store, tmp_path)
    assert caught.value.__notes__ == ["in statement 3 of 0001_tables.sql"]
    file.write_text(FIRST)
    assert apply_migrations(store, tmp_path) == ["0001_tables.sql"]


@pytest.mark.io
def test_the_shipped_migrations_apply(store: Store) -> None:
    directory = schemas_directory() / "clickhouse"
    assert apply_migrations(store, directory) == sorted(file.name for file in directory.glob("*.sql"))
    assert apply_migrations(store, directory) == []


@pytest.mark.parametrize("names", [["0001_a.sql", "0001_b.sql"], ["1_a.sql"], ["0001-a.sql"]])
def test_misnamed_migrations_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError):
        apply_migrations(Store(ClickHouseSettings("127.0.0.1", 1)), tmp_path)


def test_statements_end_at_the_end_of_a_line() -> None:
    assert split_statements("SELECT ';', 1;  \n-- a; b;\nSELECT 2\n") == ["SELECT ';', 1", "SELECT 2"]
    assert split_statements("-- nothing;\n;\n") == []
