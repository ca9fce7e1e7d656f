"""What is registered, followed in the background: the topic `models`."""

import logging
import threading
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType

from confluent_kafka import KafkaException

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec, RegistryUnavailable
from driftsonde.adapters.kafka import CompactedReader, MissingTopic
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.specs import fingerprint
from driftsonde.adapters.wire_models import Catalogue, problem_of, read_catalogue, version_of
from driftsonde.core.control.costing import Worth
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.registered import Registration
from driftsonde.core.spec import Policy

_INTERVAL_S = 0.5
_EMPTY = MappingProxyType[str, str]({})
UNCONFIGURED = Governance(Policy().actions, fingerprint(Policy()))

_log = logging.getLogger(__name__)


class CatalogueFollower:
    """`current` is the newest catalogue, `registered` the same by model and version, as the log has it; both may be read
    from any thread."""

    def __init__(self, settings: KafkaSettings, codec: Codec) -> None:
        self.current = Catalogue(MappingProxyType({}), MappingProxyType({}), _EMPTY)
        self.registered: Mapping[tuple[str, str], Registration] = MappingProxyType({})
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
        changed = self._reader.refresh()
        if not changed and self._reader.problems == before:
            return
        catalogue = read_catalogue(self._reader.state, self._codec, self._reader.problems)
        for key, problem in catalogue.errors.items():
            _log.error("a registered record can't be used", extra={"key": key, "problem": problem})
        self._governance = {
            name: Governance(
                spec.policy.actions,
                fingerprint(spec.policy),
                spec.owner,
                spec.policy.rollout,
                spec.policy.promotion,
                Worth(spec.error_cost, spec.policy.performance.drop, spec.value_unit),
                spec.policy.canary,
            )
            for name, spec in catalogue.specs.items()
        }
        self.current = catalogue
        self._register(changed, catalogue)

    def _register(self, changed: Iterable[bytes], catalogue: Catalogue) -> None:
        """A fingerprint takes its time, so only what changed is looked at."""
        new: dict[tuple[str, str], Registration] = {}
        for raw_key in sorted(changed):
            model, version = version_of(raw_key.decode(errors="replace"))
            found = catalogue.registration(model, version, self._reader.times_ms.get(raw_key, 0))
            if found is not None:
                new[model, version] = found
        self.registered = MappingProxyType({**self.registered, **new})
