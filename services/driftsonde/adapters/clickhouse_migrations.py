"""Numbered, append-only migrations of the ClickHouse schema."""

import hashlib
import re
from pathlib import Path

import pyarrow as pa

from driftsonde.adapters.clickhouse import Store, StoreRejected

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    name String,
    sha256 String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY name
"""


class MigrationError(Exception):
    """The directory of migrations contradicts itself or what was applied."""


def apply_migrations(store: Store, directory: Path) -> list[str]:
    """Bring the store's database to the state of `directory`, creating it if missing; returns the names applied.

    A migration is a file `NNNN_name.sql` of statements that end with `;` at the end of a line. They run in the order of
    their numbers, and a file is recorded once its last statement has run: a file that was interrupted runs again from
    its start, so statements must bear repetition (IF NOT EXISTS). Raises MigrationError, before anything runs, when a
    file was changed after it was applied or is misnamed; StoreRejected when a statement fails.
    """
    files = _numbered_files(directory)
    store.create_database()
    store.command(_LEDGER)
    pending = _pending(store, files)
    for file in pending:
        _apply(store, file)
    return [file.name for file in pending]


def pending_migrations(store: Store, directory: Path) -> list[str]:
    """The names of the migrations that a store has still to get; changes nothing. Raises what `apply_migrations` does,
    and StoreRejected where there is no database."""
    ((known,),) = store.query_rows(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'"
    )
    files = _numbered_files(directory)
    return [file.name for file in (_pending(store, files) if known else files)]


def _pending(store: Store, files: list[Path]) -> list[Path]:
    applied: dict[str, str] = dict(store.query_rows("SELECT name, sha256 FROM schema_migrations FINAL"))
    for file in files:
        if applied.get(file.name, _sha256(file)) != _sha256(file):
            raise MigrationError(
                f"{file.name} was changed after it was applied: put it back, and make the change in a new migration"
            )
    return [file for file in files if file.name not in applied]


def split_statements(sql: str) -> list[str]:
    """The statements of a migration, without comment lines.

    >>> split_statements("-- one; two;\\nSELECT ';'\\n  , 1;\\nSELECT 2;\\n")
    ["SELECT ';'\\n  , 1", 'SELECT 2']
    """
    lines = [line.rstrip() for line in sql.splitlines() if not line.lstrip().startswith("--")]
    parts = re.split(r";$", "\n".join(lines), flags=re.MULTILINE)
    return [part.strip() for part in parts if part.strip()]


def _apply(store: Store, file: Path) -> None:
    for number, statement in enumerate(split_statements(file.read_text(encoding="utf-8")), start=1):
        try:
            store.command(statement)
        except StoreRejected as error:
            error.add_note(f"in statement {number} of {file.name}")
            raise
    store.insert_arrow("schema_migrations", pa.table({"name": [file.name], "sha256": [_sha256(file)]}))


def _numbered_files(directory: Path) -> list[Path]:
    files = sorted(directory.glob("*.sql"))
    numbers: set[str] = set()
    for file in files:
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise MigrationError(f"{file.name} is not named NNNN_name.sql")
        if match.group(1) in numbers:
            raise MigrationError(f"there are two migrations with the number {match.group(1)}")
        numbers.add(match.group(1))
    return files


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
