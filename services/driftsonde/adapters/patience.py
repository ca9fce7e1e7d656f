"""Waiting an outage out, from a coroutine: the service is not ready meanwhile, and says why."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from driftsonde.adapters.avro import Codec, RegistryUnavailable
from driftsonde.adapters.clickhouse import Backoff, StoreUnavailable
from driftsonde.adapters.kafka import BrokerUnavailable
from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.service import Conditions

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Whoever waits acknowledges nothing; the rest of the loop goes on."""

    ready: Conditions
    metrics: Metrics

    async def until_done(self, call: Callable[[], T]) -> T:
        """Call in a thread, again and again while the store, the brokers or the schema registry are away."""
        delays_s = Backoff().delays_s()
        while True:
            try:
                result = await asyncio.to_thread(call)
            except (StoreUnavailable, BrokerUnavailable, RegistryUnavailable) as error:
                delay_s = next(delays_s)
                self.note_outage(error, delay_s)
                await asyncio.sleep(delay_s)
            else:
                self.note_recovery()
                return result

    async def decode(self, codec: Codec, payload: bytes) -> object:
        """As `Codec.decode`, but for an unavailable registry, which is waited for."""
        try:
            return codec.decode(payload)
        except RegistryUnavailable:
            return await self.until_done(lambda: codec.decode(payload))

    def note_outage(self, error: Exception, delay_s: float) -> None:
        """Say that something we need is away, and when it is asked again."""
        self.metrics.sink_retries.labels("any").inc()
        self.ready.fail("outage", str(error))
        _log.warning("waiting an outage out", extra={"problem": str(error), "retry_in_s": delay_s})

    def note_recovery(self) -> None:
        self.ready.clear("outage")
