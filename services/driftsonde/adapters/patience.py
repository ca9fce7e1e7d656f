"""Waiting an outage out, from a coroutine."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from driftsonde.adapters.avro import Codec, RegistryUnavailable
from driftsonde.adapters.clickhouse import Backoff, StoreUnavailable
from driftsonde.adapters.kafka import BrokerUnavailable

T = TypeVar("T")

_log = logging.getLogger(__name__)


async def patiently(call: Callable[[], T]) -> T:
    """Call in a thread, again and again while the store, the brokers or the schema registry are unavailable. Whoever
    awaits it acknowledges nothing meanwhile; the loop itself goes on."""
    delays_s = Backoff().delays_s()
    while True:
        try:
            return await asyncio.to_thread(call)
        except (StoreUnavailable, BrokerUnavailable, RegistryUnavailable) as error:
            delay_s = next(delays_s)
            _log.warning("waiting an outage out", extra={"problem": str(error), "retry_in_s": delay_s})
            await asyncio.sleep(delay_s)


async def decode(codec: Codec, payload: bytes) -> object:
    """As `Codec.decode`, but for an unavailable registry, which is waited for."""
    try:
        return codec.decode(payload)
    except RegistryUnavailable:
        return await patiently(lambda: codec.decode(payload))
