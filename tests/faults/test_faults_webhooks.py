"""Receivers that refuse, are slow, answer 500, or whose answer is lost, while the controllers are killed: no notice is
lost, those of an incident come in their order, and a repetition has the same id and the same bytes."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from control_examples import signal
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.topics import MODELS, SIGNALS
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record
from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.signals import Signal, SignalKind
from driftsonde.core.spec import ActionPolicy, ModelSpec, Policy, Task
from faults.on_call import OnCall, decisions, on_call
from faults.producing import wait_for
from faults.world import CONTROLLERS, World
from webhook_receiver import Received

pytestmark = [pytest.mark.io, pytest.mark.timeout(400)]

CODEC = Codec((*CONTROL_TYPES, MODEL_RECORD))
STORY = ("incident.opened", "incident.updated", "incident.resolved")

Record = Callable[[str, object], None]


@contextmanager
def controllers(it: World, told: OnCall, model: str, named: bool = False) -> Iterator[None]:
    """Two of them, of which one leads, and a registered model."""
    before = it.settings
    it.settings = told.told_by(before)
    reader = CompactedReader(it.settings.kafka, MODELS)
    reader.refresh()
    paging = Policy(actions=ActionPolicy(learning_ms=0))
    spec = spec_record(ModelSpec(model, Task.BINARY, policy=paging))
    register(Producer(producer_config(it.settings.kafka)), CODEC, reader.state, [spec])
    reader.close()
    it.start(*CONTROLLERS, named=named)
    it.wait_ready(*CONTROLLERS)
    try:
        yield
        for name in CONTROLLERS:
            it.stop(name)
    finally:
        for name in it.workers.keys() & set(CONTROLLERS):
            it.kill(name)
        it.settings = before


def publish(it: World, *signals: Signal) -> None:
    producer = Producer(producer_config(it.settings.kafka))
    for event in signals:
        producer.produce(SIGNALS.name, key=event.model.encode(), value=CODEC.encode(event))
    assert producer.flush(60) == 0


def notices(it: World, model: str) -> list[Decision]:
    """What the log of decisions says of deliveries."""
    return [entry for entry in decisions(it.settings.kafka, model) if entry.kind is Kind.NOTIFY]


def wait_for_notices(it: World, model: str, count: int) -> None:
    wait_for(lambda: len(notices(it, model)) == count, timeout_s=90.0)


def leader(it: World) -> str:
    """The one that is ready, as soon as there is one."""
    found: list[str] = []

    def one_is() -> bool:
        running = [name for name in CONTROLLERS if name in it.workers]
        found[:] = [name for name in running if _get(it, name, "/readyz").is_success]
        return len(found) == 1

    wait_for(one_is)
    return found[0]


def _get(it: World, name: str, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{it.ports[name]}{path}", trust_env=False)


def get(it: World, path: str) -> Any:
    return _get(it, leader(it), path).json()


@pytest.mark.parametrize(
    ("incidents", "kills"),
    [
        pytest.param(12, 2, id="short"),
        pytest.param(200, 20, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(1_500)]),
    ],
)
def test_no_notice_is_lost_and_incidents_keep_their_order(
    it: World, tmp_path: Path, record_property: Record, incidents: int, kills: int
) -> None:
    rng, model = random.Random(6), f"moody-{kills}"

    def moody(_: Received) -> tuple[int, Mapping[str, str]]:
        if rng.random() < 0.3:
            time.sleep(0.5)
        return rng.choice((200, 200, 500, 502, 429)), {}

    story = [
        signal(kind, f"episode-{number}", hour, model=model)
        for hour, kind in enumerate((SignalKind.ALERT, SignalKind.ALERT, SignalKind.RESOLVE))
        for number in range(incidents)
    ]
    part = len(story) // (kills + 1)
    with on_call(tmp_path) as told, controllers(it, told, model):
        told.receiver.answer = moody
        for turn in range(kills + 1):
            for fault, every in (("drop", 2), ("away", 1), ("none", 1)):
                told.door.fault, told.door.every = fault, every
                before = len(told.receiver.received)
                publish(it, *story[turn * part : (turn + 1) * part])  # signals, too, may come more than once
                told.receiver.wait_for(before + (0 if fault == "away" else 4), timeout_s=60.0)
                time.sleep(rng.random())
            if turn < kills:
                name = leader(it)
                it.kill(name)
                it.start(name)
                it.wait_ready(name)
        publish(it, *story)
        told.door.behave()
        told.receiver.answer = lambda _: (200, {})
        began_s = time.monotonic()
        wait_for(lambda: len(notices(it, model)) >= len(story), timeout_s=120.0)
        record_property("recovered_s", time.monotonic() - began_s)
        record_property("repeated", told.check(it.settings.kafka, model))
        record_property(
            "trials", f"{kills} kills, {len(story)} notices, {told.door.struck} broken connections"
        )
        assert told.door.struck > 0
        assert {notice.step for notice in notices(it, model)} == {Step.PERFORMED}
        about = told.about(it.settings.kafka, model)
        received = {message.id: message.body for message in about}
        order: dict[str, list[str]] = {}
        for name in dict.fromkeys(message.id for message in about):
            order.setdefault(received[name]["data"]["incident"]["id"], []).append(received[name]["type"])
        assert len(order) == incidents
        assert all(tuple(types) == STORY for types in order.values())


def test_what_is_given_up_is_visible(it: World, tmp_path: Path) -> None:
    """After the last try the log says so, the API shows it, a restart does not try again, and the next notice goes out."""
    model = "forlorn"
    with on_call(tmp_path) as told:
        told.receiver.answer = lambda message: (500 if message.body["type"] == STORY[0] else 200, {})
        told.retry_delays = '["100ms", "100ms"]'
        with controllers(it, told, model):
            publish(
                it, signal(SignalKind.ALERT, model=model), signal(SignalKind.RESOLVE, hour=1, model=model)
            )
            wait_for_notices(it, model, 2)
            by_step = {notice.step: notice for notice in notices(it, model)}
            given_up = by_step[Step.FAILED]
            assert (given_up.detail.attempts, given_up.detail.reason) == (3, "status 500, after 3 tries")
            assert by_step[Step.PERFORMED].incident == given_up.incident
            for _ in range(2):
                (delivery,) = get(it, f"/v1/decisions/{given_up.detail.parent}")["deliveries"]
                assert (delivery["result"], delivery["attempts"]) == ("failed", 3)
                name = leader(it)
                it.kill(name)
                it.start(name)
                it.wait_ready(name)
            types = [message.body["type"] for message in told.about(it.settings.kafka, model)]
            assert types == [STORY[0]] * 3 + [STORY[2]]


def test_one_leads_and_the_next_goes_on(it: World, tmp_path: Path, record_property: Record) -> None:
    """The other answers no question from what may be out of date, and takes over, after a kill or a stop."""
    model = "handed-on"
    with on_call(tmp_path) as told, controllers(it, told, model):
        for hour, end in enumerate((it.kill, it.stop)):
            first = leader(it)
            (second,) = set(CONTROLLERS) - {first}
            assert _get(it, second, "/v1/incidents").status_code == 503
            publish(it, signal(SignalKind.ALERT, f"before-{hour}", hour, model=model))
            wait_for_notices(it, model, 2 * hour + 1)
            began_s = time.monotonic()
            end(first)
            publish(it, signal(SignalKind.ALERT, f"after-{hour}", hour, model=model))
            wait_for_notices(it, model, 2 * hour + 2)
            record_property(f"taken_over_after_{end.__name__}_s", time.monotonic() - began_s)
            assert leader(it) == second
            it.start(first)
            it.wait_ready(first)
        told.check(it.settings.kafka, model)


def test_a_named_instance_goes_on_at_once_and_a_second_of_its_name_ends_the_first(
    it: World, tmp_path: Path, record_property: Record
) -> None:
    model = "namesakes"
    with on_call(tmp_path) as told, controllers(it, told, model, named=True):
        first = leader(it)
        publish(it, signal(SignalKind.ALERT, "before", model=model))
        wait_for_notices(it, model, 1)
        began_s = time.monotonic()
        it.kill(first)
        publish(it, signal(SignalKind.ALERT, "after", model=model))
        it.start(first, named=True)
        wait_for_notices(it, model, 2)
        record_property("restarted_s", time.monotonic() - began_s)
        it.wait_ready(first)
        assert leader(it) == first

        older = it.workers.pop(first)
        it.start(first, named=True)
        assert older.process.wait(60) == 1
        older.stop(1.0)
        assert "another process has this instance's name" in older.tail()
        it.wait_ready(first)
        publish(it, signal(SignalKind.ALERT, "last", model=model))
        wait_for_notices(it, model, 3)
        told.check(it.settings.kafka, model)
