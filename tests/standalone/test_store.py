"""The embedded store as a process, spoken to by the real clickhouse-connect client."""

import gzip
import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from driftsonde.standalone.store import parse_arguments
from driftsonde.standalone.store_process import StoreProcess, running_store
from faults.small_disk import no_small_disk, store_on_small_disk
from required import need

pytestmark = pytest.mark.io

TOKEN = "secret"


def connect(
    store: StoreProcess,
    user: str = "default",
    password: str = TOKEN,
    database: str | None = None,
    compress: bool | str = True,
    autogenerate_session_id: bool | None = None,
) -> Client:
    return clickhouse_connect.get_client(
        host=store.host,
        port=store.port,
        username=user,
        password=password,
        database=database,
        compress=compress,
        autogenerate_session_id=autogenerate_session_id,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    with running_store(
        tmp_path_factory.mktemp("store") / "data", "--token", TOKEN, "--max-body-mb", "8"
    ) as running:
        yield running


@pytest.fixture
def client(store: StoreProcess) -> Iterator[Client]:
    client = connect(store)
    client.command("DROP TABLE IF EXISTS t")
    client.command(
        "CREATE TABLE t (id UInt64, name String, xs Array(Float64)) ENGINE = MergeTree ORDER BY id"
    )
    yield client
    client.close()


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_inserts_and_queries_round_trip_under_every_compression(
    store: StoreProcess, client: Client, compress: bool | str
) -> None:
    packed = connect(store, compress=compress)
    rows = [(1, "a;b'c\n", [0.5, 1.5]), (2, "ü", [])]
    summary = packed.insert("t", rows, column_names=["id", "name", "xs"])
    packed.insert_arrow("t", pa.table({"id": [3], "name": ["x"], "xs": [[2.0]]}))
    packed.command("INSERT INTO t VALUES (4, 'v', [1])")
    packed.command("INSERT INTO t SELECT id + 10, name, xs FROM t WHERE id = 4")
    result = packed.query("SELECT id, name, xs FROM t ORDER BY id")
    assert summary.written_rows == 2
    assert result.result_rows == [*rows, (3, "x", [2.0]), (4, "v", [1.0]), (14, "v", [1.0])]
    assert packed.query_arrow("SELECT id, xs FROM t ORDER BY id").to_pydict() == {
        "id": [1, 2, 3, 4, 14],
        "xs": [[0.5, 1.5], [], [2.0], [1.0], [1.0]],
    }


def test_result_formats_parameters_and_settings(client: Client) -> None:
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    parameters = {"n": 3, "s": "it's\t\\ ü", "a": ["x", "y'z"], "t": moment}
    sql = "SELECT {n:UInt8} AS n, {s:String} AS s, {a:Array(String)} AS a, {t:DateTime('UTC')} = '2026-03-01 12:30:00' AS t"
    assert client.query(sql, parameters=parameters).result_rows == [(3, "it's\t\\ ü", ["x", "y'z"], 1)]
    assert json.loads(client.raw_query("SELECT 1 AS one", fmt="JSON"))["data"] == [{"one": 1}]
    assert client.raw_query("SELECT 1, 2") == b"1\t2\n"
    assert client.query("SELECT getSetting('max_block_size')", settings={"max_block_size": 77}).first_row == (
        77,
    )
    assert client.query("SELECT getSetting('max_block_size') = 77").first_row == (False,)
    assert client.query("SELECT id, name FROM t LIMIT 0").column_names == ("id", "name")
    assert client.query("SELECT id, name FROM t").result_rows == []
    assert client.command("SELECT name FROM t") == ""


def test_many_parameters_travel_in_a_form(client: Client) -> None:
    names = [f"name\n{number}" for number in range(5000)]
    result = client.query(
        "SELECT length({names:Array(String)}), {names:Array(String)}[2]", parameters={"names": names}
    )
    assert result.result_rows == [(5000, "name\n1")]


def test_several_threads_share_one_client_without_sessions(store: StoreProcess, client: Client) -> None:
    shared = connect(store, autogenerate_session_id=False)
    shared.insert("t", [(number, "", []) for number in range(1000)], column_names=["id", "name", "xs"])
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: shared.query("SELECT count() FROM t").result_rows[0][0], range(40)))
    assert counts == [1000] * 40


@pytest.mark.parametrize(
    ("sql", "code"),
    [("SELECT * FROM absent", 60), ("SELEC 1", 62), ("SELECT 1; SELECT 2", 62), ("SELECT throwIf(1)", 395)],
)
def test_errors_carry_the_clickhouse_code_and_the_store_goes_on(client: Client, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.command(sql)
    assert caught.value.code == code
    assert f"Code: {code}. DB::Exception" in str(caught.value)
    assert client.command("SELECT 1") == 1


def test_a_torn_insert_is_an_error_and_inserts_nothing(client: Client) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.raw_insert("t", ["id"], b"\x01\x05\x02id\x06UInt64abc", fmt="Native")
    assert caught.value.code is not None
    assert client.command("SELECT count() FROM t") == 0


def test_an_unknown_setting_and_database_are_refused(store: StoreProcess, client: Client) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT 1", settings={"no_such_setting": 1})
    assert caught.value.code == 115
    with pytest.raises(DatabaseError) as caught:
        connect(store, database="absent")
    assert caught.value.code == 81


def test_a_token_is_needed_and_ping_needs_none(store: StoreProcess) -> None:
    with pytest.raises(DatabaseError) as caught:
        connect(store, password="wrong")
    assert caught.value.code == 516
    assert request(store.port, "GET", "/ping") == (200, b"Ok.\n")
    assert request(store.port, "POST", "/", b"SELECT 1")[0] == 403
    headers = {
        "X-ClickHouse-User": "default",
        "X-ClickHouse-Key": TOKEN,
        "X-ClickHouse-Format": "JSONEachRow",
    }
    assert request(store.port, "POST", "/", b"SELECT 1 AS a", headers) == (200, b'{"a":1}\n')
    assert request(store.port, "GET", f"/?query=SELECT%207&password={TOKEN}") == (200, b"7\n")


READS = [
    "SELECT count() FROM t",
    "WITH 1 AS a SELECT a",
    "SHOW TABLES",
    "DESCRIBE t",
    "EXPLAIN SELECT 1",
    "EXISTS t",
]
WRITES = [
    "INSERT INTO t VALUES (1, '', [])",
    "INSERT INTO t FORMAT TSV\n1\ta\t[]",
    "DROP TABLE t",
    "SET readonly = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "SYSTEM FLUSH LOGS",
    "KILL QUERY WHERE 1",
    "SELECT * FROM file('x', 'LineAsString')",
    "SELECT `file` /* */ ('x')",
    "SELECT 1 INTO /**/ OUTFILE 'x'",
    "SELECT * FROM url('http://127.0.0.1:1', 'LineAsString')",
]


def test_the_reader_reads(store: StoreProcess, client: Client) -> None:
    reader = connect(store, user="reader")
    for sql in READS:
        assert reader.raw_query(sql)
    assert reader.query("SELECT 'DROP', number FROM numbers(2)").row_count == 2


@pytest.mark.parametrize("sql", WRITES)
def test_the_reader_cannot_write(store: StoreProcess, client: Client, sql: str) -> None:
    address = f"/?user=reader&password={TOKEN}&readonly=0"
    assert request(store.port, "POST", address, sql.encode())[0] == 403
    assert client.command("SELECT count() FROM t") == 0


def test_a_get_changes_nothing(store: StoreProcess, client: Client) -> None:
    assert request(store.port, "GET", f"/?password={TOKEN}&query=DROP%20TABLE%20t")[0] == 403
    assert client.command("SELECT count() FROM t") == 0


def test_bodies_past_the_bound_are_refused_as_sent_and_unpacked(store: StoreProcess, client: Client) -> None:
    row: list[tuple[int, str, list[float]]] = [(1, "x" * (9 << 20), [])]
    for compress in (False, "zstd"):
        with pytest.raises(DatabaseError) as caught:
            connect(store, compress=compress).insert("t", row, column_names=["id", "name", "xs"])
        assert caught.value.code == 307
    assert client.command("SELECT count() FROM t") == 0


def test_a_client_that_leaves_costs_nothing(store: StoreProcess, client: Client) -> None:
    head = f"POST /?password={TOKEN} HTTP/1.1\r\nHost: store\r\nContent-Length: "
    slow = b"SELECT sleep(0.5)"
    with socket.create_connection(("127.0.0.1", store.port)) as connection:
        connection.sendall(f"{head}{len(slow)}\r\n\r\n".encode() + slow)
    with socket.create_connection(("127.0.0.1", store.port)) as connection:
        connection.sendall(f"{head}1000\r\n\r\n".encode() + b"INSERT INTO t FORMAT TSV\n1\ta\t[]\n")
    time.sleep(0.7)
    assert client.command("SELECT count() FROM t") == 0
    assert store.process.poll() is None


def test_acknowledged_rows_survive_kill_9(tmp_path: Path) -> None:
    with running_store(tmp_path / "data", "--token", TOKEN) as first:
        client = connect(first)
        client.command("CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id")
        for number in range(20):
            client.insert("kept", [[number]], column_names=["id"])
        first.process.kill()
        first.process.wait()
    with running_store(tmp_path / "data", "--token", TOKEN) as second:
        rows = connect(second).query("SELECT id FROM kept ORDER BY id").result_columns[0]
        assert list(rows) == list(range(20))


def test_a_full_disk_is_an_error_and_inserts_nothing(tmp_path: Path) -> None:
    need(no_small_disk())
    with store_on_small_disk(tmp_path / "disk", size_mb=16) as small:

        def post(sql: bytes) -> tuple[int, bytes]:
            return request(small.port, "POST", "/", sql)

        assert post(b"CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a") == (200, b"")
        insert = b"INSERT INTO t SETTINGS max_threads = 1 FORMAT TSV\n1\n2\n"
        assert post(insert)[0] == 200
        small.fill()
        status, body = post(insert)
        assert status == 500
        assert b"NOT_ENOUGH_SPACE" in body
        assert post(b"SELECT count() FROM t") == (200, b"2\n")
        small.empty()
        assert post(insert)[0] == 200
        assert post(b"SELECT count() FROM t") == (200, b"4\n")


def test_sigterm_finishes_the_request_in_hand_and_exits_with_0(tmp_path: Path) -> None:
    with running_store(tmp_path / "data") as running:
        idle = http.client.HTTPConnection("127.0.0.1", running.port)
        idle.request("GET", "/ping")
        idle.getresponse().read()
        busy = http.client.HTTPConnection("127.0.0.1", running.port)
        busy.request("POST", "/", b"SELECT sleep(0.5), 7")
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        assert busy.getresponse().read() == b"0\t7\n"
        assert running.process.wait(timeout=5) == 0
        idle.close()
        busy.close()


def test_a_path_has_one_owner(tmp_path: Path) -> None:
    with running_store(tmp_path / "data") as owner:
        with pytest.raises(RuntimeError, match="ended before it served"), running_store(tmp_path / "data"):
            pass
        assert request(owner.port, "POST", "/", b"SELECT 1") == (200, b"1\n")


def test_other_machines_are_served_with_a_token_only() -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--path", "data", "--port", "0", "--host", "0.0.0.0"])
    assert (
        parse_arguments(["--path", "data", "--port", "0", "--host", "0.0.0.0", "--token", "x"]).token == "x"
    )


def test_grafana_style_request(store: StoreProcess, client: Client) -> None:
    """As clickhouse-go sends it: credentials and settings in the address, gzip, the default format Native."""
    address = f"/?database=default&default_format=Native&enable_http_compression=1&limit=2&user=reader&password={TOKEN}"
    status, body = request(
        store.port, "POST", address, b"SELECT number AS n FROM numbers(9)", {"Accept-Encoding": "gzip"}
    )
    assert status == 200
    assert gzip.decompress(body) == b"\x01\x02\x01n\x06UInt64" + bytes(8) + b"\x01" + bytes(7)


def request(
    port: int, method: str, address: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, address, body, headers or {})
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer
