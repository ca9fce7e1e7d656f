"""ClickHouse: the one place where the project talks to it. Outages and refusals are told apart for the callers."""

import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error, OperationalError

from driftsonde.adapters.settings import ClickHouseSettings

T = TypeVar("T")

# Codes that say "not now" rather than "not this": the same call can succeed once the server has recovered.
# CANNOT_WRITE_TO_FILE_DESCRIPTOR (the disk got full meanwhile), TIMEOUT_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES,
# SOCKET_TIMEOUT, NETWORK_ERROR, MEMORY_LIMIT_EXCEEDED, TABLE_IS_READ_ONLY, NOT_ENOUGH_SPACE, TOO_MANY_PARTS,
# ALL_CONNECTION_TRIES_FAILED, KEEPER_EXCEPTION.
TRANSIENT_CODES = frozenset({75, 159, 202, 209, 210, 241, 242, 243, 252, 279, 999})

# clickhouse-connect keeps the status of an answer that has no ClickHouse code in the message only.
_HTTP_STATUS = re.compile(r"HTTP status (\d{3})")


class StoreUnavailable(Exception):
    """The store can't be reached or is overloaded: the same call may succeed later.

    What became of an insert is unknown; repeat it with the same rows. `code` is the ClickHouse code if there was one.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class StoreRejected(Exception):
    """The store refused the call, and would refuse it again. `code` is the ClickHouse code if there was one."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Store:
    """A thread-safe client of one database. It connects with the first call, so it can be made during an outage.

    Every call raises StoreUnavailable or StoreRejected. Datetimes come back with their timezone, and those without one
    are refused with ValueError.
    """

    def __init__(self, settings: ClickHouseSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._client: Client | None = None

    def query_rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query. `params` fill its `{name:Type}` placeholders on the server."""
        values = _checked(params)
        with _translated_errors():
            rows = self._connected().query(sql, parameters=values).result_rows
        return [tuple(row) for row in rows]

    def query_arrow(self, sql: str, params: Mapping[str, object] | None = None) -> pa.Table:
        """The result of a query as an Arrow table; ClickHouse strings come as Arrow strings."""
        values = _checked(params)
        with _translated_errors():
            return self._connected().query_arrow(sql, parameters=values, use_strings=True)

    def insert_arrow(self, table: str, rows: pa.Table, deduplication_token: str | None = None) -> None:
        """Insert all rows in one go; columns are matched by name.

        A table with a deduplication window drops an insert whose token it has seen, whatever the rows: give equal
        tokens to equal rows only.
        """
        _refuse_naive_timestamps(rows.schema)
        if rows.num_rows == 0:
            return
        # Collapsing the rows of an insert takes three times as long as the insert, and they are read with FINAL anyway.
        options: dict[str, Any] = {"optimize_on_insert": 0}
        if deduplication_token:
            options["insert_deduplication_token"] = deduplication_token
        with _translated_errors():
            self._connected().insert_arrow(table, rows, settings=options)

    def command(self, sql: str, params: Mapping[str, object] | None = None) -> None:
        """Run a statement whose result is of no interest."""
        values = _checked(params)
        with _translated_errors():
            self._connected().command(sql, parameters=values)

    def create_database(self) -> None:
        """Create the database of the settings if it is missing."""
        with _translated_errors():
            client = _connect(self.settings, database="default")
            try:
                client.command(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(self.settings.database)}")
            finally:
                client.close()

    def ping(self) -> bool:
        """Whether the store answers now. Raises StoreRejected when it refuses the connection."""
        try:
            with _translated_errors():
                return self._connected().ping(self.settings.connect_timeout_s)
        except StoreUnavailable:
            return False

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = _connect(self.settings, self.settings.database)
            return self._client


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits of first_s, first_s * factor, ... up to cap_s, each shorter by a random part of up to `spread`: after an outage
    not everybody comes at once."""

    first_s: float = 0.5
    factor: float = 2.0
    cap_s: float = 5.0
    spread: float = 0.5

    def delays_s(self) -> Iterator[float]:
        """The waits, without end.

        >>> from itertools import islice
        >>> list(islice(Backoff(1, 3, 10, spread=0).delays_s(), 4))
        [1.0, 3.0, 9.0, 10.0]
        """
        delay_s = self.first_s
        while True:
            yield min(delay_s, self.cap_s) * (1.0 - self.spread * random.random())
            delay_s = min(delay_s * self.factor, self.cap_s)


def retry(
    call: Callable[[], T],
    *,
    sleep: Callable[[float], object],
    should_stop: Callable[[], bool],
    backoff: Backoff | None = None,
    on_outage: Callable[[StoreUnavailable, float], None] | None = None,
) -> T:
    """Repeat `call` for as long as the store is unavailable.

    `on_outage` is told each failure and the wait in seconds that follows. Once `should_stop` says so, the last
    StoreUnavailable is raised; an Event's `wait` as `sleep` makes that immediate. StoreRejected passes through.
    """
    delays_s = (backoff or Backoff()).delays_s()
    while True:
        try:
            return call()
        except StoreUnavailable as error:
            if should_stop():
                raise
            delay_s = next(delays_s)
            if on_outage is not None:
                on_outage(error, delay_s)
            sleep(delay_s)
            if should_stop():
                raise


def _connect(settings: ClickHouseSettings, database: str) -> Client:
    return clickhouse_connect.get_client(
        host=settings.host,
        port=settings.port,
        username=settings.user,
        password=settings.password,
        database=database,
        interface="https" if settings.secure else "http",
        connect_timeout=settings.connect_timeout_s,
        send_receive_timeout=settings.send_receive_timeout_s,
        # A session allows one query at a time; without one, threads can share the client.
        autogenerate_session_id=False,
        # Waiting out an outage is `retry`'s, where a stop is noticed.
        query_retries=0,
        dedicated_pool=True,
        tz_mode="aware",
        # Thousands of ids are too long for an address.
        form_encode_query_params=True,
    )


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except Error as error:
        if _is_outage(error):
            raise StoreUnavailable(str(error), error.code) from error
        raise StoreRejected(str(error), error.code) from error


def _is_outage(error: Error) -> bool:
    if error.code is not None:
        return error.code in TRANSIENT_CODES
    status = _HTTP_STATUS.search(str(error))
    if status is not None:
        return int(status.group(1)) >= 500 or status.group(1) == "429"
    return isinstance(error, OperationalError)


def _checked(params: Mapping[str, object] | None) -> dict[str, Any]:
    for value in (params or {}).values():
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, datetime) and item.tzinfo is None:
                raise ValueError(f"the datetime {item} has no timezone")
    return dict(params or {})


def _refuse_naive_timestamps(schema: pa.Schema) -> None:
    pending = [schema.field(index) for index in range(len(schema))]
    while pending:
        field = pending.pop()
        if pa.types.is_timestamp(field.type) and field.type.tz is None:
            raise ValueError(f"the timestamps of {field.name!r} have no timezone")
        pending.extend(field.type.field(index) for index in range(field.type.num_fields))
