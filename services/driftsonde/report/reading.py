"""Reads the result files. Everything is checked here, once; what is wrong becomes `InvalidResults`."""

import csv
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from driftsonde.adapters.specs import InvalidSpec, baseline_from_json
from driftsonde.adapters.wire_control import decision_from_record, signal_from_record
from driftsonde.core.baseline import Baseline
from driftsonde.core.chunks import WHOLE
from driftsonde.core.control.decisions import Decision
from driftsonde.core.events import Ints
from driftsonde.core.signals import Signal
from driftsonde.report.formats import format_bin
from driftsonde.report.results import (
    BinCount,
    ColumnWindow,
    InvalidResults,
    Results,
    Series,
    SeriesKey,
    SourceFile,
    main_variant_of,
)

METRICS = "metrics.csv"
WINDOWS = "windows.csv"
BASELINE = "baseline.json"
SIGNALS = "signals.jsonl"
DECISIONS = "decisions.jsonl"
FILES = (METRICS, WINDOWS, BASELINE, SIGNALS, DECISIONS)

_TIME = pa.timestamp("ms", tz="UTC")
_TEXT = pa.string()
_KEYS = {"model": _TEXT, "version": _TEXT, "variant": _TEXT, "segment": _TEXT, "column": _TEXT}

METRIC_COLUMNS: Mapping[str, pa.DataType] = _KEYS | {
    "metric": _TEXT,
    "window_start": _TIME,
    "window_end": _TIME,
    "n": pa.int64(),
    "value": pa.float64(),
    "lower": pa.float64(),
    "upper": pa.float64(),
    "threshold": pa.float64(),
    "breached": pa.bool_(),
    "revision": pa.int64(),
}
WINDOW_COLUMNS: Mapping[str, pa.DataType] = _KEYS | {
    "window_start": _TIME,
    "kind": _TEXT,
    "bin": _TEXT,
    "lower": pa.float64(),
    "upper": pa.float64(),
    "category": _TEXT,
    "count": pa.int64(),
    "reference_count": pa.int64(),
}

_Parsed = TypeVar("_Parsed", Signal, Decision)

_ROW = re.compile(r"(?:In CSV column #(?P<column>\d+): )?Row #(?P<row>\d+): (?P<problem>.*)", re.DOTALL)


def read_results(directory: Path) -> Results:
    """All files but the counts of windows.csv. Raises `InvalidResults`."""
    with _arrow_errors(directory / METRICS):
        table = arrow_csv.read_csv(_existing(directory / METRICS), **_options(METRIC_COLUMNS))
    baseline = _read_baseline(directory / BASELINE)
    _check_filled(METRICS, table, ("window_start", "window_end", "n", "breached", "revision"))
    strangers = sorted({str(model) for model in pc.unique(table["model"])} - {baseline.model})
    if strangers:
        raise InvalidResults(
            METRICS, f"is of {', '.join(strangers)}, but the baseline is of {baseline.model}"
        )
    signals = tuple(_read_lines(directory / SIGNALS, signal_from_record))
    decisions = tuple(_read_lines(directory / DECISIONS, decision_of))
    files = tuple(_source(directory / name) for name in FILES)
    series = series_of(table)
    return Results(
        model=baseline.model,
        versions=tuple(sorted({key.version for key in series})),
        main_variant=main_variant_of(series),
        series=series,
        baseline=baseline,
        signals=signals,
        decisions=decisions,
        files=files,
    )


def read_counts(
    directory: Path, wanted: Collection[ColumnWindow]
) -> Mapping[ColumnWindow, tuple[BinCount, ...]]:
    """The bins of the wanted windows of whole versions, in the file's order, in one pass over windows.csv."""
    path = directory / WINDOWS
    starts = pa.array(sorted({window.start_ms for window in wanted}), pa.int64()).cast(_TIME)
    found: dict[ColumnWindow, list[BinCount]] = {window: [] for window in sorted(wanted)}
    line = 2
    with _arrow_errors(path):
        for batch in arrow_csv.open_csv(_existing(path), **_options(WINDOW_COLUMNS)):
            _check_filled(WINDOWS, batch, ("window_start", "count", "reference_count"), first_line=line)
            line += batch.num_rows
            near = pc.and_(
                pc.equal(batch["segment"], pa.scalar(WHOLE)),
                pc.is_in(batch["window_start"], value_set=starts),
            )
            part = batch.filter(near)
            times = part["window_start"].cast(pa.int64()).to_numpy().tolist()
            for start_ms, row in zip(times, part.drop_columns(["window_start"]).to_pylist(), strict=True):
                key = ColumnWindow(row["version"], row["variant"], row["column"], start_ms)
                if key in found:
                    found[key].append(_bin(row))
    return {key: tuple(bins) for key, bins in found.items() if bins}


def _check_filled(
    file: str, rows: pa.Table | pa.RecordBatch, columns: Sequence[str], first_line: int = 2
) -> None:
    for name in columns:
        if rows[name].null_count:
            place = pc.index(pc.is_null(rows[name]), pa.scalar(True)).as_py()
            raise InvalidResults(file, f"{name}: is empty", first_line + int(place))


def _bin(row: Mapping[str, Any]) -> BinCount:
    label = format_bin(row["bin"], row["lower"], row["upper"], row["category"])
    return BinCount(label, row["count"], row["reference_count"])


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InvalidResults(path.name, f"there is no such file in {path.parent.name or path.parent}")
    return path


def _options(columns: Mapping[str, pa.DataType]) -> dict[str, Any]:
    # One thread: with more, an error does not know its row.
    return {
        "read_options": arrow_csv.ReadOptions(use_threads=False),
        "parse_options": arrow_csv.ParseOptions(newlines_in_values=True),
        "convert_options": arrow_csv.ConvertOptions(
            column_types=dict(columns), include_columns=list(columns), strings_can_be_null=False
        ),
    }


@contextmanager
def _arrow_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        missing = re.search(r"Column '(.*)' in include_columns", str(error))
        raise InvalidResults(
            path.name, f"the column {missing[1] if missing else error!r} is missing", 1
        ) from None
    except pa.ArrowInvalid as error:
        match = _ROW.search(str(error))
        if match is None:
            raise InvalidResults(path.name, str(error)) from None
        column = f"{_header(path)[int(match['column'])]}: " if match["column"] else ""
        raise InvalidResults(path.name, column + match["problem"], int(match["row"])) from None


def _header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return next(csv.reader(file))


def series_of(table: pa.Table) -> dict[SeriesKey, Series]:
    """Group the rows by what they measure. Of several revisions of a window the newest counts."""
    names = ("version", "variant", "segment", "column", "metric")
    codes = [table[name].combine_chunks().dictionary_encode() for name in names]
    starts, ends = (table[name].cast(pa.int64()).to_numpy() for name in ("window_start", "window_end"))
    indices = [np.asarray(code.indices.to_numpy(), dtype=np.int64) for code in codes]
    order = np.lexsort((-table["revision"].to_numpy(), starts, *reversed(indices)))
    keys = np.stack([*indices, starts])[:, order] if len(order) else np.empty((6, 0), dtype=np.int64)
    fresh = np.ones(len(order), dtype=np.bool_)
    fresh[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    order, keys = order[fresh], keys[:, fresh]
    bounds = np.flatnonzero((keys[:-1, 1:] != keys[:-1, :-1]).any(axis=0)) + 1
    whole = Series(
        starts_ms=starts,
        ends_ms=ends,
        n=table["n"].to_numpy(),
        value=table["value"].to_numpy(),
        lower=table["lower"].to_numpy(),
        upper=table["upper"].to_numpy(),
        threshold=table["threshold"].to_numpy(),
        breached=table["breached"].to_numpy(),
    )
    groups: list[Ints] = [part for part in np.split(order, bounds) if len(part)]
    texts = [code.dictionary.to_pylist() for code in codes]
    return dict(
        sorted(
            (
                SeriesKey(*(text[index[part[0]]] for text, index in zip(texts, indices, strict=True))),
                whole.take(part),
            )
            for part in groups
        )
    )


def _read_baseline(path: Path) -> Baseline:
    try:
        return baseline_from_json(_existing(path).read_bytes())
    except InvalidSpec as error:
        raise InvalidResults(path.name, "; ".join(error.problems)) from None


def _read_lines(path: Path, parse: Callable[[dict[str, Any]], _Parsed]) -> Iterator[_Parsed]:
    with _existing(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("expected a JSON object")
                yield parse(record)
            except KeyError as error:
                raise InvalidResults(path.name, f"{error.args[0]}: is missing", number) from None
            except (ValueError, TypeError, AttributeError) as error:
                raise InvalidResults(path.name, str(error), number) from None


def decision_of(record: dict[str, Any]) -> Decision:
    """The detail may be JSON within JSON, as on the topic, or an object; what is null or empty is its default."""
    detail = record["detail"]
    if isinstance(detail, dict):
        given = {key: value for key, value in detail.items() if value not in (None, "", 0, [])}
        record = record | {"detail": json.dumps(given)}
    return decision_from_record(record)


def _source(path: Path) -> SourceFile:
    with _existing(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return SourceFile(path.name, file.tell(), digest)
