"""A version without a baseline gets one from its first rows, marked provisional: drift from how it started.

The rows come from the archive, oldest first, and only windows that are closed are used, so that late rows are in. The
baseline is published like any other, on the topic `models`; until then the version has volume and performance, no drift.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.positions import read_archived
from driftsonde.adapters.wire_events import ATTRIBUTION_PREFIX
from driftsonde.core.baseline import Baseline
from driftsonde.core.baseline_builder import ReferenceRows, build_baseline
from driftsonde.core.chunks import Progress, Source
from driftsonde.core.events import MISSING_CODE, CategoricalColumn, Column, NumericColumn, Role
from driftsonde.core.spec import ModelSpec

_ROWS = """
SELECT toUnixTimestamp64Milli(timestamp) AS time_ms, numeric_names, numeric_values, categorical_names, categorical_values
FROM predictions FINAL
WHERE model = {model:String} AND version = {version:String}
      AND timestamp < fromUnixTimestamp64Milli({until_ms:Int64})
ORDER BY time_ms, source_partition, source_offset, source_row
LIMIT {rows:UInt64}
"""


def make_provisional(
    store: Store, spec: ModelSpec, version: str, until_ms: int, clocks: Mapping[Source, Progress]
) -> Baseline | None:
    """The baseline of the version's first `spec.baseline_rows` rows before `until_ms`.

    None while there are fewer, or while the archive is behind `clocks`, the positions that the judge has seen. Raises
    what `Store` raises.
    """
    archived = read_archived(store)
    if any(archived.get((s.topic, s.partition), 0) < progress.position for s, progress in clocks.items()):
        return None
    asked = {"model": spec.name, "version": version, "until_ms": until_ms, "rows": spec.baseline_rows}
    rows = store.query_rows(_ROWS, asked)
    if len(rows) < spec.baseline_rows:
        return None
    times_ms = np.array([time_ms for time_ms, *_ in rows], dtype=np.int64)
    columns = (*_numeric(spec, rows), *_categorical(spec, rows))
    source = f"the first {len(rows)} rows served"
    return build_baseline(spec, version, ReferenceRows(times_ms, columns), source, provisional=True)


def _numeric(spec: ModelSpec, rows: Sequence[tuple[Any, ...]]) -> Iterable[Column]:
    values: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}
    for number, (_, names, numbers, _, _) in enumerate(rows):
        for name, value in zip(names, numbers, strict=True):
            column = values.setdefault(name, np.full(len(rows), np.nan))
            column[number] = value
    return [NumericColumn(name, _role(spec, name), values[name]) for name in sorted(values)]


def _categorical(spec: ModelSpec, rows: Sequence[tuple[Any, ...]]) -> Iterable[Column]:
    texts: dict[str, dict[int, str]] = {}
    for number, (_, _, _, names, values) in enumerate(rows):
        for name, value in zip(names, values, strict=True):
            texts.setdefault(name, {})[number] = value
    for name in sorted(texts):
        categories = tuple(sorted(set(texts[name].values())))
        place = {category: code for code, category in enumerate(categories)}
        codes = np.full(len(rows), MISSING_CODE, dtype=np.int32)
        for number, value in texts[name].items():
            codes[number] = place[value]
        yield CategoricalColumn(name, _role(spec, name), codes, categories)


def _role(spec: ModelSpec, name: str) -> Role:
    """The archive has names, not roles."""
    if name in spec.segments:
        return Role.SEGMENT
    if name.startswith(ATTRIBUTION_PREFIX):
        return Role.ATTRIBUTION
    return {"prediction": Role.PREDICTION, "score": Role.SCORE}.get(name, Role.FEATURE)
