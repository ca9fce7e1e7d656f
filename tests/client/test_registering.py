"""A version registered from rows at hand."""

import logging

import numpy as np
import pytest
from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import CompactedReader, ensure_topics
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import MODELS
from driftsonde.adapters.wire_models import MODEL_RECORD, AlreadyRegistered, read_catalogue
from driftsonde.client import register
from driftsonde.client.registering import baseline_of_frame
from driftsonde.core.events import InvalidEvent, Role
from driftsonde.core.origin import Origin
from driftsonde.core.spec import ModelSpec, Task

SPEC = ModelSpec("shop", Task.BINARY, classes=("no", "yes"), segments=("country",), protected=("sex",))
FRAME = {
    "amount": np.array([1.0, 2.0, np.nan, 4.0]),
    "kind": ["a", "b", "a", None],
    "country": ["de", "de", "fr", "fr"],
    "sex": ["f", "m", "f", "m"],
    "prediction": ["yes", "no", "no", "yes"],
    "score": [0.9, 0.2, 0.1, 0.6],
    "label": ["yes", "no", "yes", "yes"],
}


def test_a_frame_becomes_a_baseline() -> None:
    baseline = baseline_of_frame(SPEC, "3", FRAME, source="train.parquet", code_revision="9f1c")
    assert (baseline.model, baseline.version, baseline.rows) == ("shop", "3", 4)
    roles = {column.name: column.role for column in baseline.columns}
    assert roles == {
        "amount": Role.FEATURE,
        "kind": Role.FEATURE,
        "country": Role.SEGMENT,
        "sex": Role.PROTECTED,
        "prediction": Role.PREDICTION,
        "score": Role.SCORE,
    }
    assert dict(baseline.segments)["country"] == ("de", "fr")
    assert baseline.performance is not None
    assert (baseline.performance.value, baseline.performance.n) == (0.75, 4)
    assert (baseline.lineage.source, baseline.lineage.code_revision) == ("train.parquet", "9f1c")
    # Without times: no window is in its sample.
    assert (baseline.lineage.start_ms, baseline.lineage.end_ms) == (0, 1)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        ({"amount": [1.0]}, "is missing; the columns are amount"),
        ({"amount": [], "prediction": []}, "at least one row"),
        ([1, 2], "expected a data frame"),
    ],
)
def test_what_is_no_frame_of_predictions_is_named(frame: object, problem: str) -> None:
    with pytest.raises(InvalidEvent, match=problem):
        baseline_of_frame(SPEC, "3", frame)


@pytest.mark.io
def test_it_is_registered_once() -> None:
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    address = ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    settings = KafkaSettings(bootstrap_servers=address)
    ensure_topics(settings)
    origin = Origin("card", owner="ann")
    assert register(address, SPEC, "3", FRAME, origin=origin) == ("shop", "shop/3", "shop/3/origin")
    assert register(settings, SPEC, "3", FRAME, origin=origin) == ()
    with pytest.raises(AlreadyRegistered, match="shop/3"):
        register(settings, SPEC, "3", {**FRAME, "amount": [1.0] * 4})
    assert register(settings, SPEC, "4") == ("shop/4",)
    reader = CompactedReader(settings, MODELS)
    reader.refresh()
    catalogue = read_catalogue(reader.state, Codec((MODEL_RECORD,)))
    reader.close()
    found = catalogue.baseline("shop", "3")
    assert found is not None and found.rows == 4
    assert catalogue.origins["shop", "3"] == origin
    host.flush(1)
