"""The ClickHouse adapter against the real embedded store, with faults between the two."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pyarrow as pa
import pytest

from driftsonde.adapters.clickhouse import (
    Backoff,
    Store,
    StoreRejected,
    StoreUnavailable,
    retry,
)
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.standalone.store_process import StoreProcess, running_store
from faults.door import FaultDoor, fault_door

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    with running_store(tmp_path_factory.mktemp("store") / "data", "--token", "secret") as process:
        yield process


@pytest.fixture
def settings(process: StoreProcess) -> ClickHouseSettings:
    return ClickHouseSettings(
        process.host, process.port, password="secret", database="default", send_receive_timeout_s=5
    )


@pytest.fixture
def store(settings: ClickHouseSettings) -> Iterator[Store]:
    store = Store(settings)
    store.command("DROP TABLE IF EXISTS t")
    store.command(
        "CREATE TABLE t (id UInt64, at DateTime64(3, 'UTC'), xs Array(Float64), name LowCardinality(String))"
        " ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100"
    )
    yield store
    store.close()


@pytest.fixture
def door(process: StoreProcess) -> Iterator[FaultDoor]:
    with fault_door(process.host, process.port) as door:
        yield door


def rows(*ids: int) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(ids, pa.uint64()),
            "at": pa.array([MOMENT] * len(ids), pa.timestamp("ms", tz="UTC")),
            "xs": pa.array([[0.5, float("nan")]] * len(ids), pa.list_(pa.float64())),
            "name": pa.array(["a"] * len(ids)).dictionary_encode(),
        }
    )


@pytest.mark.io
def test_arrow_rows_come_back_as_they_went(store: Store) -> None:
    store.insert_arrow("t", rows(1, 2))
    back = store.query_arrow("SELECT * FROM t ORDER BY id")
    assert back.column("at").type == pa.timestamp("ms", tz="UTC")
    assert back.column("at").to_pylist() == [MOMENT, MOMENT]
    assert back.column("name").to_pylist() == ["a", "a"]
    assert str(back.column("xs").to_pylist()) == "[[0.5, nan], [0.5, nan]]"


@pytest.mark.io
def test_rows_are_tuples_with_aware_datetimes_and_parameters_are_bound_on_the_server(store: Store) -> None:
    store.insert_arrow("t", rows(1, 2, 3))
    sql = (
        "SELECT id, at FROM t WHERE id IN {ids:Array(UInt64)} AND at = {at:DateTime64(3, 'UTC')} ORDER BY id"
    )
    assert store.query_rows(sql, {"ids": [1, 3], "at": MOMENT}) == [(1, MOMENT), (3, MOMENT)]
    assert store.query_rows(sql, {"ids": [1], "at": MOMENT + timedelta(milliseconds=1)}) == []
    [(now,)] = store.query_rows("SELECT now()")
    assert now.utcoffset() == timedelta(0)


@pytest.mark.io
def test_an_insert_is_dropped_by_its_token_only(store: Store) -> None:
    for token in ("a", "a", "b", None):
        store.insert_arrow("t", rows(1, 2), deduplication_token=token)
    store.insert_arrow("t", rows())
    assert store.query_rows("SELECT count() FROM t") == [(6,)]


def test_datetimes_without_a_timezone_are_refused_before_anything_is_sent() -> None:
    store = Store(ClickHouseSettings("127.0.0.1", 1, database="default"))
    with pytest.raises(ValueError, match="no timezone"):
        store.query_rows("SELECT {at:DateTime}", {"at": datetime(2026, 3, 1)})
    with pytest.raises(ValueError, match="'at' have no timezone"):
        store.insert_arrow("t", pa.table({"at": pa.array([datetime(2026, 3, 1)])}))
    with pytest.raises(ValueError, match="no timezone"):
        store.insert_arrow("t", pa.table({"at": pa.array([[datetime(2026, 3, 1)]])}))


@pytest.mark.io
def test_refusals_carry_the_code(store: Store, settings: ClickHouseSettings) -> None:
    for sql, code in (("SELECT * FROM absent", 60), ("SELEC", 62), ("SELECT throwIf(1)", 395)):
        with pytest.raises(StoreRejected) as caught:
            store.query_rows(sql)
        assert caught.value.code == code
    with pytest.raises(StoreRejected) as caught:
        store.insert_arrow("t", pa.table({"absent": [1]}))
    assert caught.value.code is not None
    with pytest.raises(StoreRejected) as caught:
        Store(replace(settings, password="wrong")).ping()
    assert caught.value.code == 516


@pytest.mark.io
def test_a_timeout_on_the_server_is_an_outage_with_its_code(store: Store) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        store.query_rows(
            "SELECT sleepEachRow(0.5) FROM numbers(20) SETTINGS max_execution_time = 1, max_block_size = 1"
        )
    assert caught.value.code == 159


@pytest.mark.io
@pytest.mark.parametrize("fault", ["refuse", "silence", "cut", "drop", "away"])
def test_faults_on_the_way_are_outages_and_pass(
    store: Store, settings: ClickHouseSettings, door: FaultDoor, fault: str
) -> None:
    away = Store(replace(settings, port=door.port, send_receive_timeout_s=1))
    assert away.ping()
    door.fault = fault
    calls = (
        lambda: away.query_rows("SELECT number FROM numbers(100000)"),
        lambda: away.query_arrow("SELECT number FROM numbers(100000)"),
        lambda: away.command("SELECT 1"),
    )
    for call in calls:
        with pytest.raises(StoreUnavailable) as caught:
            call()
        assert caught.value.code is None
    if fault != "cut":  # an insert's answer is its status, which comes first
        with pytest.raises(StoreUnavailable):
            away.insert_arrow("t", rows(1, 2), deduplication_token="x")
    door.fault = "none"
    # A busy machine can need longer than the short timeout: that, too, is an outage that passes.
    retry(
        lambda: away.insert_arrow("t", rows(1, 2), deduplication_token="x"),
        sleep=time.sleep,
        should_stop=lambda: False,
    )
    assert away.query_rows("SELECT count() FROM t") == [(2,)]
    away.close()


@pytest.mark.io
def test_a_store_can_be_made_before_its_server_is_there(
    process: StoreProcess, settings: ClickHouseSettings
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        free_port = unused.getsockname()[1]
    store = Store(replace(settings, port=free_port))
    assert not store.ping()
    with pytest.raises(StoreUnavailable):
        store.query_rows("SELECT 1")
    with fault_door(process.host, process.port) as door:
        store.settings = replace(settings, port=door.port)
        assert store.query_rows("SELECT 1") == [(1,)]
        store.close()


@pytest.mark.io
def test_threads_share_a_store(store: Store) -> None:
    store.insert_arrow("t", rows(*range(1000)))
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: store.query_rows("SELECT count() FROM t"), range(40)))
    assert counts == [[(1000,)]] * 40


class Outage:
    """A call that fails a number of times, then answers."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    def __call__(self) -> str:
        if self.left:
            self.left -= 1
            raise StoreUnavailable(f"{self.left} left")
        return "done"


def test_retry_waits_an_outage_out_with_growing_capped_waits() -> None:
    waits: list[float] = []
    told: list[float] = []
    answer = retry(
        Outage(4),
        sleep=waits.append,
        should_stop=lambda: False,
        backoff=Backoff(first_s=1, factor=2, cap_s=5, spread=0),
        on_outage=lambda _error, delay_s: told.append(delay_s),
    )
    assert (answer, waits, told) == ("done", [1, 2, 4, 5], [1, 2, 4, 5])


def test_waits_are_spread_below_their_bound() -> None:
    waits = list(islice(Backoff(first_s=1, factor=2, cap_s=5, spread=0.5).delays_s(), 60))
    assert all(2.5 <= wait_s <= 5 for wait_s in waits[3:])
    assert len(set(waits)) > 50


def test_retry_stops_when_told_to() -> None:
    stop = threading.Event()
    waits: list[float] = []

    def sleep(delay_s: float) -> None:
        waits.append(delay_s)
        if len(waits) == 2:
            stop.set()

    with pytest.raises(StoreUnavailable, match="8 left"):
        retry(Outage(10), sleep=sleep, should_stop=stop.is_set)


def test_retry_does_not_repeat_a_refusal() -> None:
    def refused() -> None:
        raise StoreRejected("no", 62)

    with pytest.raises(StoreRejected):
        retry(refused, sleep=lambda _: None, should_stop=lambda: False)
