"""What a serving layer asks which version is to answer a request."""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Self

from confluent_kafka import KafkaException

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec, RegistryUnavailable, Undecodable
from driftsonde.adapters.kafka import CompactedReader, MissingTopic
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.wire_control import TRAFFIC_TYPE
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import InvalidEvent, Variant
from driftsonde.core.sticky import Wheel, wheel_of

log = logging.getLogger(__name__)


class Router:
    """Follows the topic `traffic` in the background and says, for each request, which version answers it.

    `choose` never waits: it takes the newest split that is known. While Kafka is away that is the last known one, for as
    long as it takes (`stale_s` says for how long). Before the first split of a model is known, its version in `defaults`
    answers as champion; a model that has none there either is a LookupError.

    The same entity gets the same version for as long as the split lets it (`core.sticky`): pass what must not flip, a
    user's id and not a request's. Safe between threads. A process that forks makes one in each child.

    kafka: bootstrap servers, or the settings with the credentials. interval_s: how often the topic is looked at.
    """

    def __init__(
        self,
        kafka: str | KafkaSettings,
        *,
        defaults: Mapping[str, str] | None = None,
        schema_registry_url: str | None = None,
        interval_s: float = 0.5,
    ) -> None:
        settings = KafkaSettings(bootstrap_servers=kafka) if isinstance(kafka, str) else kafka
        registry = None if schema_registry_url is None else ConfluentRegistry(schema_registry_url)
        self._codec = Codec((TRAFFIC_TYPE,), registry)
        self._interval_s = interval_s
        self._wheels = {
            model: wheel_of(Traffic(model, (Share(version, Variant.CHAMPION, 1.0),), 0, ""))
            for model, version in (defaults or {}).items()
        }
        self._defaults = dict(self._wheels)
        self._read_s: float | None = None
        self._problem = ""
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._reader = CompactedReader(settings, topics.TRAFFIC)
        self._thread = threading.Thread(target=self._follow, name="driftsonde-router", daemon=True)
        self._thread.start()

    def choose(self, model: str, entity: str) -> Share:
        """The version that answers this entity, with its variant and weight."""
        return self._wheel(model).choose(entity)

    def shadows(self, model: str) -> tuple[str, ...]:
        """The versions that are to compute every answer besides, unseen by anybody."""
        return self._wheel(model).shadows

    def wait(self, timeout_s: float = 10.0) -> bool:
        """Wait until the topic was read once; whether it was."""
        return self._ready.wait(timeout_s)

    @property
    def stale_s(self) -> float | None:
        """Seconds since the topic was last read to its end; None = never."""
        return None if self._read_s is None else time.monotonic() - self._read_s

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wheel(self, model: str) -> Wheel:
        wheel = self._wheels.get(model)
        if wheel is None:
            raise LookupError(f"no split of model {model!r} is known, and it has no default")
        return wheel

    def _follow(self) -> None:
        try:
            while True:
                self._refresh()
                if self._stop.wait(self._interval_s):
                    return
        finally:
            self._reader.close()

    def _refresh(self) -> None:
        try:
            changes = self._reader.refresh()
            for key, payload in changes.items():
                self._take(key.decode(errors="replace"), payload)
        except (KafkaException, MissingTopic, TimeoutError, RegistryUnavailable) as error:
            self._complain(f"the splits can't be read, going on with the last known: {error}")
            return
        self._read_s = time.monotonic()
        self._problem = ""
        self._ready.set()

    def _take(self, model: str, payload: bytes | None) -> None:
        """One changed split; what can't be read leaves the last known one in force."""
        if payload is None:
            wheel = self._defaults.get(model)
            self._wheels = {name: it for name, it in self._wheels.items() if name != model}
            if wheel is not None:
                self._wheels = {**self._wheels, model: wheel}
            return
        try:
            traffic = self._codec.decode(payload)
        except (Undecodable, InvalidEvent) as error:
            self._complain(f"a split of model {model!r} can't be read, going on with the last known: {error}")
            return
        if isinstance(traffic, Traffic):
            self._wheels = {**self._wheels, traffic.model: wheel_of(traffic)}

    def _complain(self, problem: str) -> None:
        """Once, until it is another problem or none."""
        if problem != self._problem:
            log.warning(problem)
        self._problem = problem
