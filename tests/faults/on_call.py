"""A receiver of webhooks, and what it must have been told, going by the log of decisions."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from driftsonde.adapters.avro import Codec, Undecodable
from driftsonde.adapters.settings import ControllerSettings, KafkaSettings, Settings
from driftsonde.adapters.topics import DECISIONS, SIGNALS, Topic
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.controller.journal import read_whole
from driftsonde.core.control.decisions import Decision, Kind
from driftsonde.core.control.making import id_of_decision
from driftsonde.core.control.state import effects
from driftsonde.core.events import InvalidEvent
from driftsonde.core.signals import Signal
from faults.door import FaultDoor, fault_door
from webhook_receiver import SECRET, Received, Receiver

_CODEC = Codec(CONTROL_TYPES)
_TOLD_S = 120.0


@dataclass(slots=True)
class OnCall:
    """The one endpoint of the controllers, reached through the door."""

    receiver: Receiver
    door: FaultDoor
    directory: Path
    retry_delays: str = str(["200ms"] * 500).replace("'", '"')

    def told_by(self, settings: Settings) -> Settings:
        """The settings with which controllers tell this endpoint."""
        config = self.directory / "webhooks.toml"
        config.write_text(
            f'allow_hosts = ["127.0.0.1"]\nretry_delays = {self.retry_delays}\n[[endpoints]]\nname = "oncall"\n'
            f'url = "http://127.0.0.1:{self.door.port}/hook"\nsecret = "{SECRET}"\n'
        )
        controller = ControllerSettings(sweep_interval_s=0.2, webhooks_file=str(config))
        return replace(settings, controller=controller)

    def check(self, kafka: KafkaSettings, model: str) -> int:
        """Every signal was decided on; every notice that the decisions ask for has come, under one id with one content,
        and those of an incident in the order of the decisions. Returns how many notices came more than once."""
        made = decisions(kafka, model)
        signals = [
            event for event in _read(kafka, SIGNALS) if isinstance(event, Signal) and event.model == model
        ]
        assert {id_of_decision(event) for event in signals} <= {decision.id for decision in made}
        wanted: dict[str, str] = {}
        for decision in made:
            if decision.kind is not Kind.NOTIFY:
                for effect in effects(decision):
                    wanted.setdefault(effect.id, decision.incident or decision.model)
        deadline_s = time.monotonic() + _TOLD_S
        while wanted.keys() - {entry.id for entry in decisions(kafka, model) if entry.kind is Kind.NOTIFY}:
            assert time.monotonic() < deadline_s, "notices that did not come to an end"
            time.sleep(0.25)
        received = self.about(kafka, model)
        first: dict[str, Received] = {}
        for message in received:
            message.verify()
            assert message.raw == first.setdefault(message.id, message).raw
        assert wanted
        assert first.keys() == wanted.keys()
        assert _by_lane(wanted, wanted) == _by_lane(first, wanted)
        return len(received) - len(first)

    def about(self, kafka: KafkaSettings, model: str) -> list[Received]:
        """What has come, but for the notices of other models: in a shared world, theirs come here, too."""
        received = list(self.receiver.received)
        others = {
            effect.id
            for entry in _read(kafka, DECISIONS)
            if isinstance(entry, Decision) and entry.model != model
            for effect in effects(entry)
        }
        return [message for message in received if message.id not in others]


def decisions(kafka: KafkaSettings, model: str) -> list[Decision]:
    """What the controllers have decided on a model, in order."""
    return [
        entry for entry in _read(kafka, DECISIONS) if isinstance(entry, Decision) and entry.model == model
    ]


def _read(kafka: KafkaSettings, topic: Topic) -> Iterator[object]:
    """What is ours on a topic."""
    for payload in read_whole(kafka, topic):
        with suppress(Undecodable, InvalidEvent):
            yield _CODEC.decode(payload)


def _by_lane(ids: Mapping[str, object], lanes: Mapping[str, str]) -> dict[str, list[str]]:
    order: dict[str, list[str]] = {}
    for name in ids:
        order.setdefault(lanes[name], []).append(name)
    return order


@contextmanager
def on_call(directory: Path) -> Iterator[OnCall]:
    receiver = Receiver()
    with fault_door("127.0.0.1", receiver.port) as door:
        yield OnCall(receiver, door, directory)
    receiver.close()
