"""How a serving layer learns the split: it follows the topic `traffic`."""

import threading
import time
from dataclasses import dataclass, field
from zlib import crc32

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import CompactedReader
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.wire_control import TRAFFIC_TYPE
from driftsonde.core.control.traffic import Share, Traffic

_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class SplitSeen:
    """A split, and when the serving layer began to follow it (wall clock, milliseconds)."""

    at_ms: int
    traffic: Traffic


@dataclass(slots=True)
class TrafficFeed:
    """Follows the split of one model from entering the block to leaving it; `seen` may be read from any thread."""

    settings: KafkaSettings
    model: str
    seen: tuple[SplitSeen, ...] = ()
    failure: Exception | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> "TrafficFeed":
        self._thread = threading.Thread(target=self._follow, name="traffic", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def split(self) -> tuple[Share, ...]:
        """The split to serve by now; empty before the first one is known."""
        return self.seen[-1].traffic.split if self.seen else ()

    def _follow(self) -> None:
        codec = Codec((TRAFFIC_TYPE,))
        reader = CompactedReader(self.settings, topics.TRAFFIC)
        try:
            while not self._stop.wait(_INTERVAL_S):
                payload = reader.refresh().get(self.model.encode())
                traffic = None if payload is None else codec.decode(payload)
                if isinstance(traffic, Traffic):
                    self.seen = (*self.seen, SplitSeen(time.time_ns() // 1_000_000, traffic))
        except Exception as error:
            self.failure = error
        finally:
            reader.close()


def share_for(split: tuple[Share, ...], request_id: str) -> Share:
    """The share that answers a request: always the same one for the same id and split."""
    point = crc32(request_id.encode()) / 2**32
    for share in split:
        point -= share.weight
        if point < 0:
            return share
    return split[0]
