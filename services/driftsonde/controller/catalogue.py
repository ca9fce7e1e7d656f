"""What is registered, followed in the background: the topic `models`."""

import logging
import threading
from functools import partial
from types import MappingProxyType

from confluent_kafka import KafkaException

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec, RegistryUnavailable
from driftsonde.adapters.kafka import CompactedReader, MissingTopic
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.specs import fingerprint
from driftsonde.adapters.wire_models import Catalogue, problem_of, read_catalogue
from driftsonde.core.control.policy import Governance
from driftsonde.core.spec import Policy

_INTERVAL_S = 0.5
_EMPTY = MappingProxyType[str, str]({})
UNCONFIGURED = Governance(Policy().actions, fingerprint(Policy()))

_log = logging.getLogger(__name__)


class CatalogueFollower:
    """`current` is the newest catalogue; it may be read from any thread."""

    def __init__(self, settings: KafkaSettings, codec: Codec) -> None:
        self.current = Catalogue(MappingProxyType({}), MappingProxyType({}), _EMPTY)
        self._governance: dict[str, Governance] = {}
        self._reader = CompactedReader(settings, topics.MODELS, partial(problem_of, codec))
        self._codec = codec
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="catalogue", daemon=True)

    def start(self) -> None:
        """Read the topic to its end, then follow it. Raises what `CompactedReader.refresh` raises."""
        self._refresh()
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._reader.close()

    def governance(self, model: str) -> Governance:
        """A model that nobody has configured is only observed."""
        return self._governance.get(model, UNCONFIGURED)

    def _follow(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            try:
                self._refresh()
            except (KafkaException, MissingTopic, TimeoutError, RegistryUnavailable) as error:
                _log.warning(
                    "the catalogue can't be read; going on with what is known", extra={"problem": str(error)}
                )

    def _refresh(self) -> None:
        before = dict(self._reader.problems)
        if not self._reader.refresh() and self._reader.problems == before:
            return
        catalogue = read_catalogue(self._reader.state, self._codec, self._reader.problems)
        for key, problem in catalogue.errors.items():
            _log.error("a registered record can't be used", extra={"key": key, "problem": problem})
        self._governance = {
            name: Governance(spec.policy.actions, fingerprint(spec.policy), spec.owner, spec.policy.rollout)
            for name, spec in catalogue.specs.items()
        }
        self.current = catalogue
