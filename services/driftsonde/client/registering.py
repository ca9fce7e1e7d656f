"""A model and a version registered from Python: from a training job or a notebook, with the rows at hand."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import MODELS
from driftsonde.adapters.wire_models import (
    MODEL_RECORD,
    ModelRecord,
    origin_record,
    spec_record,
    version_record,
)
from driftsonde.adapters.wire_models import (
    register as publish,
)
from driftsonde.client.calls import CallReader, PredictionCall
from driftsonde.client.columns import to_outcome
from driftsonde.client.rows import Block
from driftsonde.core.baseline import Baseline
from driftsonde.core.baseline_builder import ReferenceRows, build_baseline
from driftsonde.core.events import InvalidEvent
from driftsonde.core.origin import Origin
from driftsonde.core.spec import ModelSpec, Task

ID, TIMESTAMP, PREDICTION, SCORE, LABEL = "id", "timestamp", "prediction", "score", "label"
_OWN = (ID, TIMESTAMP, PREDICTION, SCORE, LABEL)


def register(
    kafka: KafkaSettings | str,
    spec: ModelSpec,
    version: str,
    frame: Any = None,
    *,
    origin: Origin | None = None,
    source: str = "a data frame",
    replace_known: bool = False,
    schema_registry_url: str | None = None,
) -> tuple[str, ...]:
    """Register a model, one of its versions, and what `frame` makes its baseline; return the keys that are new.

    kafka: how to reach it, or the addresses of its servers. frame: what `baseline_of_frame` reads; None: the first rows
    served become the baseline. origin: where the version comes from and what it is for. Registering the same again changes
    nothing. Raises `InvalidEvent` for a frame that can't be used, `AlreadyRegistered` where a name is taken by another
    content and `replace_known` is false, and `KafkaException`, `MissingTopic` or TimeoutError where Kafka does not play along.
    """
    settings = KafkaSettings(bootstrap_servers=kafka) if isinstance(kafka, str) else kafka
    baseline = None if frame is None else baseline_of_frame(spec, version, frame, source=source)
    records: list[ModelRecord] = [spec_record(spec), version_record(spec.name, version, baseline)]
    if origin is not None:
        records.append(origin_record(spec.name, version, origin))
    codec = Codec((MODEL_RECORD,), ConfluentRegistry(schema_registry_url) if schema_registry_url else None)
    reader = CompactedReader(settings, MODELS)
    try:
        reader.refresh()
        producer = Producer(producer_config(settings))
        return publish(producer, codec, reader.state, records, replace=replace_known)
    finally:
        reader.close()


def baseline_of_frame(
    spec: ModelSpec, version: str, frame: Any, *, source: str = "a data frame", code_revision: str = ""
) -> Baseline:
    """The baseline of these rows: a data frame, or a mapping of columns, one prediction a row.

    It has the column `prediction`, and where there are any `timestamp`, `score`, `label` and `id`; the others are features,
    segments and protected columns, named as they will be logged. Raises `InvalidEvent`.
    """
    columns = _columns_of(frame)
    if PREDICTION not in columns:
        raise InvalidEvent(PREDICTION, f"is missing; the columns are {', '.join(columns)}")
    segments = [name for name in spec.segments if name in columns]
    protected = [name for name in spec.protected if name in columns and name not in segments]
    apart = {*_OWN, *segments, *protected}
    classification = spec.task is not Task.REGRESSION
    # Training data seldom says when; rows from the beginning of time are in the sample of no window.
    reader = CallReader(classification, lambda rows: ["-"] * rows, lambda: 0)
    call = PredictionCall(
        features={name: values for name, values in columns.items() if name not in apart},
        prediction=columns[PREDICTION],
        score=columns.get(SCORE),
        timestamps=columns.get(TIMESTAMP),
        segments={name: columns[name] for name in segments},
        protected={name: columns[name] for name in protected},
    )
    rows = reader.predictions(call)
    if not isinstance(rows, Block) or not len(rows):
        raise InvalidEvent(PREDICTION, "expected columns with at least one row")
    labels = to_outcome(LABEL, columns[LABEL], classification, LABEL) if LABEL in columns else None
    return build_baseline(
        spec,
        version,
        ReferenceRows(rows.timestamps_ms, rows.columns, labels),
        source=source,
        code_revision=code_revision,
    )


def _columns_of(frame: Any) -> dict[str, Any]:
    if isinstance(frame, Mapping):
        return {str(name): values for name, values in frame.items()}
    if hasattr(frame, "columns"):
        return {str(name): frame[name] for name in frame.columns}
    raise InvalidEvent("frame", f"{type(frame).__name__}; expected a data frame or a dict of columns")
