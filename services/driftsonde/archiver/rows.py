"""Decoded messages of one kind to the rows of their table. The same messages give the same rows."""

import json
from collections.abc import Sequence
from itertools import chain
from typing import TypeVar

import numpy as np
import pyarrow as pa

from driftsonde.adapters.dead_letters import PREFIX, SourceMessage
from driftsonde.archiver.columns import (
    Array,
    Vocabulary,
    repeated_texts,
    source_columns,
    texts,
    times,
    value_columns,
)
from driftsonde.core.control.canonical import detail_to_json, to_plain
from driftsonde.core.control.decisions import Decision
from driftsonde.core.events import (
    CategoricalColumn,
    Column,
    FeatureBatch,
    Floats,
    Ints,
    LabelBatch,
    PredictionBatch,
)
from driftsonde.core.signals import Signal

_T = TypeVar("_T")

# A message, and what it says. Each function below is given at least one.
Read = tuple[SourceMessage, _T]


def prediction_rows(read: Sequence[Read[PredictionBatch]]) -> pa.Table:
    messages, batches = zip(*read, strict=True)
    rows = _lengths([batch.ids for batch in batches])
    return pa.table(
        {
            "model": repeated_texts([batch.model for batch in batches], rows),
            "version": repeated_texts([batch.version for batch in batches], rows),
            "variant": repeated_texts([batch.variant.value for batch in batches], rows),
            "prediction_id": _flat_texts([batch.ids for batch in batches]),
            "timestamp": times(np.concatenate([batch.timestamps_ms for batch in batches])),
            **value_columns([batch.columns for batch in batches], rows),
            **source_columns(messages, rows),
        }
    )


def label_rows(read: Sequence[Read[LabelBatch]]) -> pa.Table:
    messages, batches = zip(*read, strict=True)
    rows = _lengths([batch.ids for batch in batches])
    return pa.table(
        {
            "model": repeated_texts([batch.model for batch in batches], rows),
            "prediction_id": _flat_texts([batch.ids for batch in batches]),
            "timestamp": times(np.concatenate([batch.timestamps_ms for batch in batches])),
            "label_text": _label_texts([batch.labels for batch in batches]),
            "label_number": pa.array(np.concatenate([_label_numbers(batch.labels) for batch in batches])),
            **source_columns(messages, rows),
        }
    )


def feature_rows(read: Sequence[Read[FeatureBatch]]) -> pa.Table:
    messages, batches = zip(*read, strict=True)
    rows = _lengths([batch.entity_ids for batch in batches])
    return pa.table(
        {
            "view": repeated_texts([batch.view for batch in batches], rows),
            "version": repeated_texts([batch.version for batch in batches], rows),
            "online": pa.array(np.repeat([batch.online for batch in batches], rows)),
            "entity_id": _flat_texts([batch.entity_ids for batch in batches]),
            "timestamp": times(np.concatenate([batch.timestamps_ms for batch in batches])),
            **value_columns([batch.columns for batch in batches], rows),
            **source_columns(messages, rows),
        }
    )


def signal_rows(read: Sequence[Read[Signal]]) -> pa.Table:
    signals = [signal for _, signal in read]
    return pa.table(
        {
            "id": pa.array([signal.id for signal in signals]),
            "kind": texts([signal.kind.value for signal in signals]),
            "rule": texts([signal.rule.value for signal in signals]),
            "model": texts([signal.model for signal in signals]),
            "version": texts([signal.version for signal in signals]),
            "variant": texts([signal.variant.value for signal in signals]),
            "segment": texts([signal.segment for signal in signals]),
            "window_start": times([signal.window_start_ms for signal in signals]),
            "window_end": times([signal.window_end_ms for signal in signals]),
            "since": times([signal.since_ms for signal in signals]),
            "episode": pa.array([signal.episode for signal in signals]),
            "summary": pa.array([signal.summary for signal in signals]),
            "evidence": pa.array(
                [json.dumps(to_plain(signal.evidence), ensure_ascii=False) for signal in signals]
            ),
            "baseline": texts([signal.baseline for signal in signals]),
            "policy": texts([signal.policy for signal in signals]),
        }
    )


def decision_rows(read: Sequence[Read[Decision]]) -> pa.Table:
    decisions = [decision for _, decision in read]
    return pa.table(
        {
            "id": pa.array([decision.id for decision in decisions]),
            "step": texts([decision.step.value for decision in decisions]),
            "kind": texts([decision.kind.value for decision in decisions]),
            "model": texts([decision.model for decision in decisions]),
            "version": texts([decision.version for decision in decisions]),
            "incident": pa.array([decision.incident for decision in decisions]),
            "signal": pa.array([decision.signal for decision in decisions]),
            "mode": pa.array(
                ["" if decision.mode is None else decision.mode.value for decision in decisions]
            ),
            "actor": pa.array([decision.actor for decision in decisions]),
            "policy": texts([decision.policy for decision in decisions]),
            "timestamp": times([decision.timestamp_ms for decision in decisions]),
            "detail": pa.array([detail_to_json(decision.detail) for decision in decisions]),
            "sequence": pa.array([decision.sequence for decision in decisions], pa.uint64()),
            "previous": pa.array([decision.previous for decision in decisions]),
            "hash": pa.array([decision.hash for decision in decisions]),
        }
    )


def dead_letter_rows(messages: Sequence[SourceMessage]) -> pa.Table:
    """Dead letters, with the reason that their headers give; one without them is named by its own offset."""
    headers = [_error_headers(message) for message in messages]
    return pa.table(
        {
            "source_topic": texts([header["topic"] for header in headers]),
            "source_partition": pa.array([int(header["partition"]) for header in headers], pa.uint32()),
            "source_offset": pa.array([int(header["offset"]) for header in headers], pa.uint64()),
            "service": texts([header["connector.name"] for header in headers]),
            "reason": texts([header["exception.class.name"] for header in headers]),
            "message": pa.array([header["exception.message"] for header in headers]),
            "payload": pa.array([message.value or b"" for message in messages], pa.binary()),
            "timestamp": times([max(message.timestamp_ms, 0) for message in messages]),
        }
    )


def _lengths(ids: Sequence[tuple[str, ...]]) -> Ints:
    return np.array([len(batch) for batch in ids], dtype=np.int64)


def _flat_texts(ids: Sequence[tuple[str, ...]]) -> Array:
    return pa.array(list(chain.from_iterable(ids)), pa.string())


def _label_texts(labels: Sequence[Column]) -> Array:
    vocabulary = Vocabulary()
    parts = []
    for column in labels:
        if isinstance(column, CategoricalColumn):
            # A last entry for the missing code, which is -1.
            parts.append(vocabulary.codes([*column.categories, ""])[column.codes])
        else:
            parts.append(np.repeat(vocabulary.codes([""]), len(column.values)))
    return vocabulary.column(np.concatenate(parts))


def _label_numbers(labels: Column) -> Floats:
    return np.full(len(labels.codes), np.nan) if isinstance(labels, CategoricalColumn) else labels.values


def _error_headers(message: SourceMessage) -> dict[str, str]:
    own = {
        "topic": message.topic,
        "partition": str(message.partition),
        "offset": str(message.offset),
        "connector.name": "",
        "exception.class.name": "",
        "exception.message": "",
    }
    given = {
        name.removeprefix(PREFIX): (value or b"").decode(errors="replace")
        for name, value in message.headers
        if name.startswith(PREFIX)
    }
    if not (_fits(given.get("partition", ""), 32) and _fits(given.get("offset", ""), 64)):
        return own
    return own | given


def _fits(text: str, bits: int) -> bool:
    """Whether the text is a number that the column of so many bits can hold: anybody may write headers."""
    return text.isdecimal() and len(text) <= 20 and int(text) < 1 << bits
