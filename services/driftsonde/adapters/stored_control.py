"""Signals and decisions as they are stored in ClickHouse."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.wire_control import decision_from_record
from driftsonde.core.control.decisions import Decision

_SIGNALS = """
SELECT id, kind, rule, model, version, variant, segment,
       toUnixTimestamp64Milli(window_start) AS window_start_ms,
       toUnixTimestamp64Milli(window_end) AS window_end_ms, toUnixTimestamp64Milli(since) AS since_ms,
       episode, summary, evidence, baseline, policy
FROM signals FINAL
WHERE model = {model:String}
ORDER BY window_end, id
"""
_SIGNAL_FIELDS = (
    *("id", "kind", "rule", "model", "version", "variant", "segment", "window_start_ms", "window_end_ms"),
    *("since_ms", "episode", "summary", "evidence", "baseline", "policy"),
)
_DECISIONS = """
SELECT id, step, kind, model, version, incident, signal, mode, actor, policy,
       toUnixTimestamp64Milli(timestamp) AS timestamp_ms, detail
FROM decisions FINAL
WHERE model = {model:String}
ORDER BY timestamp_ms, id, step
"""
_DECISION_FIELDS = (
    *("id", "step", "kind", "model", "version", "incident", "signal", "mode", "actor", "policy"),
    *("timestamp_ms", "detail"),
)


# Within a millisecond, the chain has the order.
_CHAIN = """
SELECT id, step, kind, model, version, incident, signal, mode, actor, policy,
       toUnixTimestamp64Milli(timestamp) AS timestamp_ms, detail, sequence, previous, hash
FROM decisions FINAL
WHERE model = {model:String} AND timestamp <= fromUnixTimestamp64Milli({until:Int64})
ORDER BY sequence, timestamp_ms, id, step
"""


def decisions_until(store: Store, model: str, until_ms: int) -> Iterator[Decision]:
    """The decisions about a model up to a time, in the order of its chain. What this release can't read is left out."""
    names = (*_DECISION_FIELDS, "sequence", "previous", "hash")
    for row in store.query_rows(_CHAIN, {"model": model, "until": until_ms}):
        try:
            yield decision_from_record(dict(zip(names, row, strict=True)))
        except ValueError:  # a kind or a step of a later release
            continue


def signal_records(store: Store, model: str) -> Iterator[dict[str, Any]]:
    """The signals of a model in the order of event time, as `wire_control.signal_from_record` takes them."""
    return _objects(store, _SIGNALS, _SIGNAL_FIELDS, "evidence", model)


def decision_records(store: Store, model: str) -> Iterator[dict[str, Any]]:
    """The steps of decisions about a model in the order of time; `detail` is an object."""
    return _objects(store, _DECISIONS, _DECISION_FIELDS, "detail", model)


def _objects(
    store: Store, sql: str, names: Sequence[str], nested: str, model: str
) -> Iterator[dict[str, Any]]:
    for row in store.query_rows(sql, {"model": model}):
        content = dict(zip(names, row, strict=True))
        yield content | {nested: json.loads(content[nested])}
