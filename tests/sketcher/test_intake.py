"""What was registered before a message was sent is known before the message is folded."""

import asyncio
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.dead_letters import DeadLetters
from driftsonde.adapters.inbox import Incoming
from driftsonde.adapters.kafka import CompactedReader
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.patience import Patience
from driftsonde.adapters.plans import PlanBook
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.specs import fingerprint
from driftsonde.adapters.topics import LABELS, MODELS, PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, ModelRecord, spec_record, version_record
from driftsonde.core.events import LabelBatch, PredictionBatch, Variant
from driftsonde.core.spec import Policy
from driftsonde.sketcher.intake import Intake, digest_of
from stream_examples import PLANS, categorical
from stream_examples import SHOP as TOUCHY_SHOP

pytestmark = pytest.mark.io

CODEC = Codec((*EVENT_TYPES, MODEL_RECORD))
BASELINE = PLANS["shop", "1"].baseline
SHOP = replace(TOUCHY_SHOP, policy=Policy())


@dataclass(slots=True)
class Registered(CompactedReader):
    """The topic of models without a broker: what is registered is read with the next refresh."""

    refreshes: int = 0
    _unread: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.register(spec_record(SHOP))

    def register(self, *records: ModelRecord) -> None:
        self._unread |= {record.key.encode(): CODEC.encode(record) for record in records}

    def refresh(self, timeout_s: float = 10.0) -> dict[bytes, bytes | None]:
        self.refreshes += 1
        new, self._unread = self._unread, {}
        self.state |= new
        return dict(new)


@pytest.fixture
def registered() -> Registered:
    return Registered(KafkaSettings(), MODELS)


@pytest.fixture
def intake(registered: Registered) -> Intake:
    metrics = create_metrics(CollectorRegistry(), "sketcher", "0")
    dead_letters = DeadLetters(Producer({"test.mock.num.brokers": 1}), "sketcher")
    return Intake(PlanBook(registered, CODEC), CODEC, dead_letters, metrics, Patience(Conditions(), metrics))


def take_round(intake: Intake, *events: PredictionBatch | LabelBatch) -> None:
    intake.new_round()
    for event in events:
        topic = PREDICTIONS.name if isinstance(event, PredictionBatch) else LABELS.name
        incoming = Incoming(topic, 0, 7, 7, None, CODEC.encode(event), (), 0, lambda: None)
        assert asyncio.run(intake.decode(incoming)) is not None


def prediction(version: str) -> PredictionBatch:
    columns = (categorical("prediction", ["yes"]),)
    return PredictionBatch("shop", version, Variant.CHAMPION, ("a",), np.array([5_000]), columns)


def test_a_version_is_known_with_its_first_prediction(intake: Intake, registered: Registered) -> None:
    take_round(intake, prediction("1"))
    registered.register(version_record("shop", "1", None))
    take_round(intake, prediction("1"))
    registered.register(version_record("shop", "1", BASELINE))
    take_round(intake, prediction("1"))
    plan = intake.plans.plan("shop", "1")
    assert plan is not None
    assert BASELINE is not None
    assert plan.baseline_id == fingerprint(BASELINE)
    before = registered.refreshes
    take_round(intake, prediction("1"))
    assert registered.refreshes == before


def test_a_model_is_known_with_its_first_label(intake: Intake) -> None:
    take_round(intake, LabelBatch("shop", ("a",), np.array([1]), categorical("label", ["no"])))
    assert intake.plans.catalogue.spec("shop") == SHOP


def test_what_nobody_registers_costs_one_look_a_round(intake: Intake, registered: Registered) -> None:
    take_round(intake, *(prediction(str(version)) for version in range(50)))
    assert registered.refreshes == 1
    take_round(intake, prediction("0"), prediction("0"))
    assert registered.refreshes == 2


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 230_001])
def test_a_digest_is_about_every_byte_and_its_place(size: int) -> None:
    payload = np.random.default_rng(size).bytes(size)
    places = {0, size // 3, size // 2, size - 1}
    changed = [payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :] for at in places]
    moved = payload[8:16] + payload[:8] + payload[16:] if size > 16 else payload + b"0"
    digests = {digest_of(each) for each in (payload, *changed, moved, payload + bytes(1))}
    assert len(digests) == len(places) + 3
    assert digest_of(bytes(bytearray(payload))) in digests
