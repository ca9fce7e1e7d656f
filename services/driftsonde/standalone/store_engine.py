"""The embedded ClickHouse engine: chDB, owned by this one process, with a fresh session for every statement."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chdb

from driftsonde.standalone.store_sql import Statement, StatementRefused, check_reader_may_run

_CODE = re.compile(r"Code: (\d+)\. ")
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EngineError(Exception):
    """The engine refused or failed a statement: the ClickHouse error code (None if it gave none) and its message."""

    def __init__(self, message: str) -> None:
        found = _CODE.search(message)
        super().__init__(message[found.start() :] if found else message)
        self.code = int(found.group(1)) if found else None


@dataclass(frozen=True, slots=True)
class Call:
    """One statement with everything that a server would take from the request around it.

    `settings` are ClickHouse settings for this statement only, `parameters` the escaped values of `{name:Type}`
    placeholders, `default_format` the format of a result whose statement names none.
    """

    statement: Statement
    database: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    default_format: str
    readonly: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The encoded result (empty for statements without one) and what was read and written."""

    body: bytes
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    elapsed_s: float


class Engine:
    """Thread-safe: every call gets a session (a chDB handle) of its own, about 0.6 ms, so settings and the current
    database can't leak from one request into another. chDB runs handles of one process in parallel."""

    def __init__(self, path: Path, max_execution_s: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path)
        self._max_execution_s = max_execution_s
        # chDB stops its engine with the last handle; this one keeps it running between requests.
        self._root = self._open_session()
        self.timezone: str = self._root.query("SELECT timezone()", "TabSeparated").bytes().decode().strip()

    def run(self, call: Call) -> Answer:
        """Run one statement to its end. Raises EngineError, or StatementRefused where `readonly` forbids it."""
        if call.readonly:
            check_reader_may_run(call.statement)
        session = self._open_session()
        try:
            self._prepare(session, call)
            if call.statement.data is None:
                return _query(session, call)
            return _insert(session, call.statement)
        except RuntimeError as error:
            raise EngineError(str(error)) from error
        finally:
            session.close()

    def close(self) -> None:
        """Stop the engine; every call must have ended."""
        self._root.close()

    def _open_session(self) -> Any:
        return chdb.connect(self._path)  # type: ignore[no-untyped-call]

    def _prepare(self, session: Any, call: Call) -> None:
        if call.database:
            session.query(f"USE {_quoted(call.database, '`')}")
        settings = {"max_execution_time": str(self._max_execution_s), **call.settings}
        session.query("SET " + ", ".join(_assignment(name, value) for name, value in settings.items()))
        if call.readonly:
            session.query("SET readonly = 1")


def _query(session: Any, call: Call) -> Answer:
    result = session.query(call.statement.text, call.default_format, params=dict(call.parameters))
    return Answer(
        body=result.bytes() or b"",
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        elapsed_s=result.elapsed(),
    )


def _insert(session: Any, statement: Statement) -> Answer:
    """By way of a file: chDB's streamed insert (`send_insert`) reports success where the disk was full."""
    assert statement.data is not None and statement.format is not None  # the parser sets both or neither
    with _file_of(statement.data) as path:
        source = f"FROM INFILE '{path}' COMPRESSION 'none' ".encode()
        sql = b" ".join((statement.text, source, statement.settings, b"FORMAT", statement.format.encode()))
        result = session.query(sql)
    return Answer(
        body=b"",
        read_rows=result.rows_written(),
        read_bytes=result.bytes_written(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        elapsed_s=result.elapsed(),
    )


@contextmanager
def _file_of(data: bytes) -> Iterator[str]:
    """The path of a file with `data`, which takes no disk where the system (Linux) has files in memory."""
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("insert"), "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            yield file.name


def _assignment(name: str, value: str) -> str:
    if not _SETTING_NAME.fullmatch(name):
        raise StatementRefused(115, f"Unknown setting {name!r}. (UNKNOWN_SETTING)")
    return f"{name} = {_quoted(value, chr(39))}"


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
