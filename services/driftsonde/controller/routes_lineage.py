"""From a prediction to its version, from a version to its training data and the decisions about it, and back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from fastapi import APIRouter

from driftsonde.adapters.clickhouse import StoreRejected, StoreUnavailable
from driftsonde.adapters.stored_control import decisions_until
from driftsonde.adapters.stored_events import IDS, IN_PREDICTIONS_OF_IDS, id_portions
from driftsonde.controller.backend import Backend, Json, Limit
from driftsonde.controller.problems import Unavailable
from driftsonde.core.control.canonical import to_object
from driftsonde.core.control.inputs import Unknown
from driftsonde.core.control.lineage import as_text, lineage, state_at, trained_on
from driftsonde.core.control.state import State

_PREDICTION = f"""
SELECT model, version, variant, toUnixTimestamp64Milli(timestamp), numeric_names, numeric_values, categorical_names,
       categorical_values
FROM predictions FINAL
WHERE prediction_id IN {IDS} AND {IN_PREDICTIONS_OF_IDS}
      AND ({{model:String}} = '' OR model = {{model:String}})
ORDER BY timestamp DESC LIMIT 10
"""
_PREDICTIONS = """
SELECT prediction_id, toUnixTimestamp64Milli(timestamp) FROM predictions
WHERE model = {model:String} AND version = {version:String}
ORDER BY timestamp DESC LIMIT {limit:UInt32}
"""


def lineage_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/lineage", tags=["lineage"])

    @router.get("")
    def by_data(data: str) -> Json:
        """The versions that were trained on the data of this name or fingerprint."""
        found = trained_on(backend.state(), data)
        return {"items": [{"model": model, "version": version} for model, version in found]}

    @router.get("/{model}/{version}")
    def of_version(model: str, version: str, at: datetime | None = None) -> Json:
        """What the version was made of, how far it came, what was decided about it; `at` a time, from the store."""
        return _lineage(backend, model, version, at)

    @router.get("/{model}/{version}/predictions")
    def predictions(model: str, version: str, limit: Limit = 100) -> Json:
        """Its newest predictions."""
        with _store_in_reach():
            rows = backend.store.query_rows(
                _PREDICTIONS, {"model": model, "version": version, "limit": limit}
            )
        return {"items": [{"id": name, "timestamp_ms": at_ms} for name, at_ms in rows]}

    return router


def predictions_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/predictions", tags=["lineage"])

    @router.get("/{prediction_id}/lineage")
    def of_prediction(prediction_id: str, model: str = "") -> Json:
        """The version that made a prediction; several where several models, or a shadow, made one under this id."""
        with _store_in_reach():
            (ids,) = id_portions([prediction_id])
            rows = backend.store.query_rows(_PREDICTION, ids | {"model": model})
        if not rows:
            raise Unknown(f"no prediction {prediction_id!r} is stored")
        return {"items": [_prediction(backend, row) for row in rows]}

    return router


def _prediction(backend: Backend, row: tuple[object, ...]) -> Json:
    model, version, variant, at_ms, *columns = row
    numbers, texts = (dict(zip(*pair, strict=True)) for pair in (columns[:2], columns[2:]))
    try:
        found = _lineage(backend, str(model), str(version), None)
    except Unknown:  # of a version that nobody has registered
        found = None
    return {
        "model": model,
        "version": version,
        "variant": variant,
        "timestamp_ms": at_ms,
        "columns": {name: None if value != value else value for name, value in numbers.items()} | texts,
        "lineage": found,
    }


def _lineage(backend: Backend, model: str, version: str, at: datetime | None) -> Json:
    state, at_ms = state_then(backend, model, at)
    found = lineage(state.model(model), version, at_ms)
    return to_object(found) | {"text": as_text(found)}


def state_then(backend: Backend, model: str, at: datetime | None) -> tuple[State, int]:
    """The state of a model, and the time: now, from memory; then, from all decisions that are stored."""
    if at is None:
        return backend.state(), time.time_ns() // 1_000_000
    at_ms = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)
    with _store_in_reach():
        return state_at(decisions_until(backend.store, model, at_ms), at_ms), at_ms


@contextmanager
def _store_in_reach() -> Iterator[None]:
    try:
        yield
    except (StoreUnavailable, StoreRejected) as error:
        raise Unavailable(f"ClickHouse: {error}") from error
