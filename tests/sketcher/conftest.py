"""A store for the sketcher's tests: the embedded engine, once a module, with a database for each test."""

from collections.abc import Iterator

import pytest

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.standalone.store_process import running_store


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        yield process.host, process.port


@pytest.fixture
def store(address: tuple[str, int], request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store on a database of the test's own."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    store = Store(ClickHouseSettings(*address, database=f"db_{name}"))
    apply_migrations(store, schemas_directory() / "clickhouse")
    yield store
    store.close()
